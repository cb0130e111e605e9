"""What a person set in napari's Preferences for this plugin; the manifest's defaults where napari has none."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

PLUGIN = "napari-aml"


@dataclass(frozen=True, slots=True)
class Settings:
    """Preferences of the plugin.

    Attributes
    ----------
    device
        ``auto``, ``cpu``, ``cuda`` or ``mps``.
    model_folder
        Folder with further model bundles, or None.
    pixel_size_um
        Used where a picture does not say its own, or None: measure it from the red cells.
    cam_method
        Heatmap method, ``recommended`` for what the model's own tests recommend, or None for no heatmaps.
    cam_stage
        Stage of the network, 0…3, for methods that are named.
    cam_opacity
        Opacity of the heatmap layer, 0…1.
    """

    device: str = "auto"
    model_folder: Path | None = None
    pixel_size_um: float | None = None
    cam_method: str | None = "recommended"
    cam_stage: int = 3
    cam_opacity: float = 0.5


def read_settings() -> Settings:
    """Read the preferences; the defaults where napari does not know the plugin (a viewer model without plugins)."""
    from napari.settings import get_plugin_settings

    try:
        stored: Any = get_plugin_settings(PLUGIN)
    except (KeyError, ValueError):
        return Settings()
    analysis, heatmap = stored.analysis, stored.heatmap
    return Settings(
        device=analysis.device,
        model_folder=Path(analysis.model_folder).expanduser() if analysis.model_folder.strip() else None,
        pixel_size_um=analysis.pixel_size_um or None,
        cam_method=None if heatmap.method == "none" else heatmap.method,
        cam_stage=heatmap.stage,
        cam_opacity=heatmap.opacity,
    )
