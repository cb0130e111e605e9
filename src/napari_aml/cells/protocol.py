"""What a segmentation backend must do, and where backends are found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from napari_aml.errors import InputError

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class FieldMasks:
    """Nucleated cells of one field.

    Attributes
    ----------
    cells
        int32 (h, w): one id per whole nucleated cell, 0 = background.
    nuclei
        int32 (h, w): the same ids on the nucleus alone; every nucleus lies inside its cell.
    """

    cells: np.ndarray
    nuclei: np.ndarray


@runtime_checkable
class Segmenter(Protocol):
    """A segmentation backend (default, Cellpose, InstanSeg, StarDist …).

    Attributes
    ----------
    name, version
        Written into the provenance of every result.

    Notes
    -----
    A backend with ``concurrent = True`` is called from several threads at once, each with its share of the cores; one
    with ``segment_part`` is told on which sides a tile goes on (`napari_aml.cells.unet`).
    """

    name: str
    version: str

    def segment(self, rgb: np.ndarray, pixel_size_um: float) -> FieldMasks:
        """Segment one field.

        Parameters
        ----------
        rgb
            uint8 (h, w, 3). `napari_aml.cells.segment` hands it over with even light and white ground.
        pixel_size_um
            µm per pixel of `rgb`.
        """
        ...


_BACKENDS: dict[str, Callable[[], Segmenter]] = {}


def register_segmenter(name: str, factory: Callable[[], Segmenter]) -> None:
    """Make a backend available by name; `factory` is called when it is first wanted."""
    _BACKENDS[name] = factory


def segmenter_names() -> tuple[str, ...]:
    """Return the names of the registered backends."""
    return tuple(_BACKENDS)


def get_segmenter(name: str = "default") -> Segmenter:
    """Return a backend by name.

    Raises
    ------
    InputError
        For an unknown name; the message lists the known ones.
    """
    if name not in _BACKENDS:
        raise InputError(f"There is no segmentation backend '{name}'.", f"Known: {', '.join(_BACKENDS)}.")
    return _BACKENDS[name]()
