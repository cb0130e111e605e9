"""What `napari-aml doctor` looks at."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from napari_aml.provenance import versions


@dataclass(frozen=True)
class Finding:
    """One line of the examination; `ok` is None where there is nothing to judge."""

    topic: str
    text: str
    ok: bool | None = None


def examine() -> Iterator[Finding]:
    """Yield findings on versions, device, precision, screen, Qt, plugin manifest and bundles."""
    for name, version in versions().items():
        yield Finding(name, version)
    for topic, look in (
        ("device", _device),
        ("screen", _screen),
        ("Qt", _qt),
        ("manifest", _manifest),
        ("bundles", _bundles),
    ):
        try:
            yield look()
        except Exception as error:
            yield Finding(topic, f"{type(error).__name__}: {error}", False)


def _device() -> Finding:
    import torch

    from napari_aml._torch import choose_device

    device = choose_device()
    name = torch.cuda.get_device_name(0) if device.type == "cuda" else f"{torch.get_num_threads()} threads"
    return Finding("device", f"{device.name} ({name}), precision {device.precision}", True)


def has_screen() -> bool:
    """Tell whether a window can be opened."""
    if sys.platform.startswith("linux"):
        return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    return not os.environ.get("CI")


def _screen() -> Finding:
    if has_screen():
        return Finding("screen", "found", True)
    return Finding("screen", "none; the command line works, napari needs one (or xvfb-run)")


def _qt() -> Finding:
    for binding in ("PySide6", "PyQt6"):
        if importlib.util.find_spec(binding):
            return Finding("Qt", binding, True)
    return Finding("Qt", 'none; napari needs one: pip install "napari-aml[all]"')


def _manifest() -> Finding:
    if not importlib.util.find_spec("npe2"):
        return Finding("manifest", "npe2 is not installed; the command line works without it")
    import npe2

    manifest = npe2.PluginManifest.from_distribution("napari-aml")
    commands = len(manifest.contributions.commands or [])
    return Finding("manifest", f"valid, {commands} commands", True)


def _bundles() -> Finding:
    from napari_aml.classify import find_bundles

    names = [f"{b.name} {b.version}" for b in find_bundles()]
    return Finding("bundles", ", ".join(names) or "none found", bool(names))
