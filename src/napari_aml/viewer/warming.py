"""What the first picture of a process would else wait for: imports and first calls, done in a thread."""

from __future__ import annotations

import contextlib
import threading

_lock = threading.Lock()
_done = threading.Event()


def warm_up() -> None:
    """Do once what is slow only the first time; in any thread. What fails here fails again, and is told, in its place.

    napari reads its table of units (0.4 s) and loads a compiled function for label pictures (0.7 s) with the first
    layers of a process.
    """
    with _lock:
        if _done.is_set():
            return
        for piece in (_libraries, _units, _labels):
            with contextlib.suppress(Exception):
                piece()
        _done.set()


def _libraries() -> None:
    import dask.array  # noqa: F401
    import scipy.ndimage
    import scipy.special  # noqa: F401

    import napari_aml.export.overview
    import napari_aml.review.counted
    import napari_aml.review.counting
    import napari_aml.viewer.inspecting  # noqa: F401


def _units() -> None:
    from pint import get_application_registry

    get_application_registry()("um")


def _labels() -> None:
    from napari_aml.viewer.layers import outline_colormap
    from napari_aml.viewer.private import load_label_colours

    load_label_colours(outline_colormap())
