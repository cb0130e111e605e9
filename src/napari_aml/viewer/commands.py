"""What stands behind the entries in napari's Layers menus.

napari passes the viewer in by the type annotation. The dock's own module loads on the first call only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import napari.viewer


def analyse(viewer: napari.viewer.Viewer) -> None:
    """Segment, classify and explain the chosen picture layer in the dock."""
    from napari_aml.viewer import actions

    actions.analyse_layer(viewer)


def segment(viewer: napari.viewer.Viewer) -> None:
    """Segment the nucleated cells of the chosen picture layer in the dock."""
    from napari_aml.viewer import actions

    actions.segment_layer(viewer)


def classify(viewer: napari.viewer.Viewer) -> None:
    """Classify the cells that were segmented last in the dock."""
    from napari_aml.viewer import actions

    actions.classify_layer(viewer)
