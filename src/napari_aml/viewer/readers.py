"""What napari calls to open pictures of smears and folders of results."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from napari_aml.errors import AmlError

#: What napari adds; ``[(None,)]`` tells it that the reader did its work and there is nothing to show.
Layers = list[Any]
Reader = Callable[[str], Layers]

NOTHING: Layers = [(None,)]


def get_picture_reader(path: str | list[str]) -> Reader | None:
    """Return the reader of a picture file or OME-Zarr folder, or None for a stack or an unknown suffix."""
    from napari_aml.slides import SUFFIXES

    known = not isinstance(path, list) and Path(path).suffix.lower() in SUFFIXES
    return read_picture if known else None


def read_picture(path: str) -> Layers:
    """Open a picture as one RGB layer, a pyramid as a multiscale one; µm per pixel as in `picture_layers`.

    A picture that cannot be read becomes a notification that says why and what to do, and no layer.
    """
    from napari_aml.slides import open_slide
    from napari_aml.viewer.picture_layers import slide_layer

    try:
        return [slide_layer(open_slide(path))]
    except AmlError as error:
        _notify(error)
        return NOTHING


def get_results_reader(path: str | list[str]) -> Reader | None:
    """Return the reader of a results folder (or of the ``labels.tif`` in it), or None where there are no results."""
    from napari_aml.viewer.results_layers import result_folders

    if isinstance(path, list) or not result_folders(Path(path)):
        return None
    return read_results


def read_results(path: str) -> Layers:
    """Open the results of one picture, or of all pictures in a folder of results."""
    from napari_aml.viewer.results_layers import result_folders, result_layers

    layers: Layers = []
    folders = result_folders(Path(path))
    for number, folder in enumerate(folders):
        try:
            layers += result_layers(folder, prefix=f"{folder.name}: " if len(folders) > 1 else "", visible=number == 0)
        except AmlError as error:
            _notify(error)
    return layers or NOTHING


def prefer_project_reader() -> None:
    """Let napari open project folders with this plugin without asking which reader to use.

    napari's own reader takes any folder for a stack of pictures, so it would ask at each drop. A choice that a person
    made for this kind of folder stays.
    """
    from napari.settings import get_settings

    from napari_aml.review.project import SUFFIX

    plugins, pattern = get_settings().plugins, f"*{SUFFIX}{os.sep}"  # napari ends the paths of folders so
    if pattern not in plugins.extension2reader:
        plugins.extension2reader = {**plugins.extension2reader, pattern: "napari-aml"}


def get_project_reader(path: str | list[str]) -> Reader | None:
    """Return the reader of a project folder, or None for anything else."""
    from napari_aml.review.project import SUFFIX, is_project

    if isinstance(path, list) or not (is_project(path) or (Path(path).suffix == SUFFIX and Path(path).is_dir())):
        return None
    return read_project


def read_project(path: str) -> Layers:
    """Open a project in the review dock of the current viewer; without a window, return its pictures as layers."""
    import napari

    viewer = napari.current_viewer()
    if viewer is None or getattr(viewer, "window", None) is None:
        return _project_layers(path)
    from qtpy.QtCore import QTimer

    from napari_aml.viewer.sessions import review_of

    dock = review_of(viewer)
    dock.tabs.setCurrentIndex(dock.tabs.count() - 1)
    # napari is in the middle of opening: it must be done before layers are added.
    QTimer.singleShot(0, lambda: dock.project._try(dock.project.open, path))
    return NOTHING


def _project_layers(path: str) -> Layers:
    from napari_aml.review.project import Project
    from napari_aml.viewer.picture_layers import slide_layer

    layers: Layers = []
    try:
        with Project.open(path, read_only=True) as project:
            for entry in project.slides():
                try:
                    layers.append(slide_layer(project.open_slide(entry.slide_id)))
                except AmlError as error:
                    _notify(error)
    except AmlError as error:
        _notify(error)
    return layers or NOTHING


def _notify(error: AmlError) -> None:
    from napari.utils.notifications import show_error

    show_error(str(error))
