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
        for piece in (_project, _files):
            with contextlib.suppress(Exception):
                piece()


def _project() -> None:
    """What a project's record, cells and results need."""
    import pyarrow.pandas_compat
    import pyarrow.parquet  # noqa: F401

    import napari_aml.analysis
    import napari_aml.explain.explaining
    import napari_aml.review.embedding
    import napari_aml.review.project.project
    import napari_aml.review.project.runs
    import napari_aml.viewer.heat  # noqa: F401


def _files() -> None:
    """What reads pyramids and compressed pictures, and what napari draws them with."""
    import cv2  # noqa: F401
    import imagecodecs
    import skimage.color
    import tifffile.zarr  # noqa: F401
    import zarr  # noqa: F401

    import napari_aml.cells.cropping
    import napari_aml.slides.raster
    import napari_aml.slides.tiff  # noqa: F401

    # Each is loaded when it is named first.
    _ = imagecodecs.spng_decode, imagecodecs.jpeg_decode, imagecodecs.jpeg8_decode, skimage.color.lab2rgb


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
