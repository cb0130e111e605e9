"""Regions drawn on the picture: a layer in which each closed shape counts in, or leaves out, what it holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QObject, QTimer

from napari_aml.review.regions import COUNT, LEAVE_OUT, Region
from napari_aml.ui.region_bar import RegionBar
from napari_aml.viewer.layers import CELLS, placement
from napari_aml.viewer.private import is_drawing, unwrap

if TYPE_CHECKING:
    from napari.layers import Shapes

    from napari_aml.ui.state import RowsChanged
    from napari_aml.viewer.controller import ReviewController

NAME = "regions"
COLOURS = {COUNT: "#2ecc71", LEAVE_OUT: "#ff5252"}
#: An ellipse becomes a polygon of so many corners.
_CORNERS = 48


class RegionTool(QObject):
    """Keeps the layer of regions and the record in step.

    Parameters
    ----------
    control
        Of the review.
    """

    def __init__(self, control: ReviewController, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._control, self.state, self.viewer = control, control.state, control.viewer
        self.bar = RegionBar()
        self.layer: Shapes | None = None
        self._image: Any = None
        self._uids: list[str] = []
        self._writing = self._asked = False
        self._soon = QTimer(self, singleShot=True, interval=0)
        self._soon.timeout.connect(self._read)
        self.bar.drawRequested.connect(self.draw)
        self.bar.removeRequested.connect(self.remove)
        self.state.events.analysis.connect(self._on_analysis)
        self.state.rows_changed.connect(self._on_rows)

    def close(self) -> None:
        """Stop listening; the layer stays."""
        self._soon.stop()
        self.state.events.analysis.disconnect(self._on_analysis)
        self.state.rows_changed.disconnect(self._on_rows)
        if self.layer is not None:
            self.layer.events.data.disconnect(self._on_data)

    # ---- what the buttons do -------------------------------------------------------------------------------

    def draw(self, role: str) -> None:
        """Let the person draw regions of a role, freehand; the layer's other tools work as well."""
        if self.state.analysis is None or self._control.bridge.image is None:
            self.bar.say("Analyse a picture first.")
            return
        layer = self._put()
        layer.feature_defaults = {"role": role}
        layer.current_edge_color = COLOURS[role]
        self.viewer.layers.selection.active = layer
        layer.mode = "add_polygon_lasso"
        self._asked = True
        self.bar.say("Draw around the region with the mouse button held.")

    def remove(self) -> None:
        """Remove the chosen regions, all where none is chosen."""
        layer = self._there()
        if layer is None:
            return
        chosen = sorted(layer.selected_data) or range(len(self._uids))
        for uid in [self._uids[i] for i in chosen if i < len(self._uids)]:
            self._control.decider.erase(uid)

    # ---- the layer -----------------------------------------------------------------------------------------

    def _there(self) -> Shapes | None:
        """Return the layer, None when there is none or a person removed it."""
        return self.layer if self.layer is not None and self.layer in self.viewer.layers else None

    def _put(self) -> Shapes:
        """Return the layer, made where it is not there yet."""
        from napari.layers import Shapes

        layer = self._there()
        if layer is None:
            layer = self.layer = Shapes(
                ndim=2, name=NAME, face_color="transparent", edge_width=self._width(), opacity=0.9,
                features={"role": np.zeros(0, object)}, **placement(self._control.bridge.image),
            )  # fmt: skip
            self._image = self._control.bridge.image
            active = self.viewer.layers.selection.active
            self.viewer.add_layer(layer)
            if active is not None and active in self.viewer.layers:
                self.viewer.layers.selection.active = active
            layer.events.data.connect(self._on_data)
            self._write()
        return unwrap(layer)

    def _width(self) -> float:
        return max(1.0, max(self.state.at_hand.slide.shape) / 400)

    def _write(self) -> None:
        """Show the regions of the state."""
        regions = self.state.regions
        layer = self._there()
        if layer is None:
            if not regions:
                return
            self._put()
            return
        self._writing = True
        try:
            mode = layer.mode
            layer.selected_data = set()
            layer.data = []
            self._uids = list(regions)
            if regions:
                layer.add_polygons(
                    [np.asarray(r.points) for r in regions.values()], edge_width=self._width(),
                    edge_color=[COLOURS[r.role] for r in regions.values()], face_color="transparent",
                )  # fmt: skip
                layer.features = {"role": [r.role for r in regions.values()]}
            layer.mode = mode
        finally:
            self._writing = False
        self.bar.setRegions([r.role for r in regions.values()])

    def _on_data(self, event: Any) -> None:
        if not self._writing:
            self._soon.start()

    def _read(self) -> None:
        """Take what a person drew, moved or removed into the record."""
        layer = self._there()
        if layer is None or self.state.analysis is None or is_drawing(layer):
            return
        known, decider = self.state.regions, self._control.decider
        roles = [str(role) for role in layer.features["role"]]
        drawn = [_polygon(layer, i) for i in range(len(layer.data))]
        before = {uid: known[uid].points for uid in self._uids if uid in known}
        if len(drawn) < len(self._uids):  # some were removed: the ones that are left tell which
            left = [_rounded(points) for points in drawn if points is not None]
            for uid, corners in before.items():
                if _rounded(corners) not in left:
                    decider.erase(uid)
            return
        new = False
        for i, points in enumerate(drawn):
            if points is None:
                continue
            if i >= len(self._uids):
                new = True
                decider.draw(Region(points, roles[i] if roles[i] in COLOURS else COUNT))
            elif (uid := self._uids[i]) in before and _rounded(points) != _rounded(before[uid]):
                decider.draw(Region(points, known[uid].role, uid))
        if any(points is None for points in drawn):
            self.bar.say("A line holds nothing: draw a closed shape.")
        self._write()
        if self._asked and new:
            self._to_the_cells(layer)

    def _to_the_cells(self, layer: Shapes) -> None:
        """After the region that a button asked for, a click chooses a cell again instead of beginning another one."""
        self._asked = False
        layer.mode = "pan_zoom"
        cells = self._control.bridge.layer(CELLS)
        if cells is not None:
            self.viewer.layers.selection.active = cells

    # ---- following the state -------------------------------------------------------------------------------

    def _on_analysis(self, *_: Any) -> None:
        layer = self._there()
        if layer is not None and self._control.bridge.image is not self._image:
            self.viewer.layers.remove(layer)  # those of another picture
            self.layer = None
        if self.state.analysis is not None and self._control.bridge.image is not None:
            self._write()

    def _on_rows(self, what: RowsChanged) -> None:
        regions = self.state.regions
        if what.said and (self._uids != list(regions) or list(self._shown()) != list(regions.items())):
            self._write()

    def _shown(self) -> Any:
        """Yield (uid, region) as the layer shows them, so far as the record knows them."""
        layer = self._there()
        if layer is None:
            return
        for i, uid in enumerate(self._uids[: len(layer.data)]):
            region, points = self.state.regions.get(uid), _polygon(layer, i)
            if region is not None and points is not None and _rounded(points) == _rounded(region.points):
                yield uid, region


def _polygon(layer: Shapes, i: int) -> tuple[tuple[float, float], ...] | None:
    """Return the corners of a shape, None where it is a line."""
    kind, corners = str(layer.shape_type[i]), np.asarray(layer.data[i], float)[:, -2:]
    if kind in ("line", "path") or len(corners) < 3:
        return None
    if kind == "ellipse":
        centre, half = corners.mean(0), (corners.max(0) - corners.min(0)) / 2
        angle = np.linspace(0, 2 * np.pi, _CORNERS, endpoint=False)
        corners = centre + half * np.stack([np.sin(angle), np.cos(angle)], 1)
    return tuple((float(y), float(x)) for y, x in corners)


def _rounded(points: Any) -> list[tuple[float, float]]:
    """Return corners to a tenth of a pixel: the layer keeps them as float32."""
    return [(round(float(y), 1), round(float(x), 1)) for y, x in points]
