"""What the first picture of a process would else wait for: imports and first calls, done in a thread."""

from __future__ import annotations

import contextlib
import threading

_lock = threading.Lock()
_done = threading.Event()


def warm_up(*, idle: bool = False) -> None:
    """Do once what is slow only the first time; in any thread. What fails here fails again, and is told, in its place.

    napari reads its table of units (0.4 s) and loads a compiled function for label pictures (0.7 s) with the first
    layers of a process.

    Parameters
    ----------
    idle
        Nobody waits: do also what only some projects need.
    """
    with _lock:
        if not _done.is_set():
            for piece in (_libraries, _units, _labels):
                with contextlib.suppress(Exception):
                    piece()
            _done.set()
    if idle:
        with contextlib.suppress(Exception):
            _files()


def _files() -> None:
    """What reads Parquet files, pyramids and compressed pictures."""
    import cv2  # noqa: F401
    import imagecodecs
    import pyarrow.parquet  # noqa: F401
    import zarr  # noqa: F401

    import napari_aml.cells.cropping
    import napari_aml.slides.raster
    import napari_aml.slides.tiff  # noqa: F401

    _ = imagecodecs.spng_decode, imagecodecs.jpeg_decode  # each is loaded when it is named first


def _libraries() -> None:
    import dask.array  # noqa: F401
    import scipy.ndimage
    import scipy.special  # noqa: F401
    import vispy.visuals.line.dash_atlas as dashes

    import napari_aml.export.overview
    import napari_aml.review.counted
    import napari_aml.review.counting
    import napari_aml.viewer.inspecting  # noqa: F401

    dashes.DashAtlas()  # keeps the patterns, whose making takes 0.1 s


def _units() -> None:
    from pint import get_application_registry

    get_application_registry()("um")


def _labels() -> None:
    from napari_aml.viewer.layers import outline_colormap
    from napari_aml.viewer.private import load_label_colours

    load_label_colours(outline_colormap())
