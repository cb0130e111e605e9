"""Small parts of the dock: a page that scrolls, a page of stacked widgets, the colours of evidence."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFrame, QScrollArea, QVBoxLayout, QWidget


def scrolled(page: QWidget) -> QScrollArea:
    """Return a page that scrolls up and down on a small screen."""
    area = QScrollArea()
    area.setWidgetResizable(True)
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setWidget(page)
    return area


def page(*widgets: QWidget) -> QWidget:
    """Return widgets below each other, room left at the bottom."""
    whole = QWidget()
    layout = QVBoxLayout(whole)
    layout.setContentsMargins(6, 6, 6, 6)
    for widget in widgets:
        layout.addWidget(widget)
    layout.addStretch(1)
    return whole


def evidence_lut() -> Any:
    """Return the heatmap layer's colours as uint8 (256, 4), so that inspector and canvas agree."""
    import numpy as np

    from napari_aml.viewer.layers import heat_colormap

    return np.round(255 * np.asarray(heat_colormap().map(np.linspace(0, 1, 256)))).astype(np.uint8)
