"""ReviewBridge: the only class that adds layers or changes them. It follows the state; it starts no job.

It works on ``napari.components.ViewerModel`` as well as on a viewer with a window, and needs no Qt.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from psygnal import Signal

from napari_aml.ui.state import ReviewState, RowsChanged
from napari_aml.viewer import layers as look
from napari_aml.viewer.class_picture import FEW as _FEW
from napari_aml.viewer.class_picture import ClassPicture
from napari_aml.viewer.clicking import clicks
from napari_aml.viewer.drawing import Box, draw_masks, draw_thinned, is_field, pyramid, rounded, union
from napari_aml.viewer.features import look_at, write_features, write_some_features
from napari_aml.viewer.heat import draw_heat
from napari_aml.viewer.names import MOST_NAMES, frame_selected, write_names
from napari_aml.viewer.private import inserting_quietly, painted_box
from napari_aml.viewer.reveal import Reveal

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Layer

    from napari_aml.cells import Cells
    from napari_aml.slides import Slide

#: While a job delivers batches, whole layers are redrawn at most this often.
_REFRESH_S = 1.0


class ReviewBridge:
    """Keeps the result layers of one picture layer in step with the state.

    Parameters
    ----------
    viewer
        A viewer or a viewer model.
    state
        The review's state.

    Attributes
    ----------
    mask_painted
        Emitted with the box (level-0 pixels) in which a person painted, erased or filled; None = anywhere.
    later
        Called with a name and what can wait until the screen is painted; does it at once by default.
    in_turns
        Where it is set, it is handed the work of showing cells, layer by layer, to be done bit by bit.
    cell_clicked
        Emitted with the uid of the cell under a click (or None) and the point (y, x) in level-0 pixels.
    """

    mask_painted = Signal(object)
    cell_clicked = Signal(object)

    def __init__(self, viewer: ViewerModel, state: ReviewState) -> None:
        self.viewer, self.state = viewer, state
        self.image: Image | None = None
        self._layers: dict[str, Layer] = {}
        self._classes = ClassPicture(state)
        self.in_turns: Callable[[Iterator[None]], object] | None = None
        self._reveal = Reveal(viewer.layers)
        self.later: Callable[[str, Callable[[], object]], object] = lambda _, action: action()
        self._writing = 0
        self._stale: set[str] = set()
        self._refreshed: dict[str, float] = {}
        self._opacity, self._blinded = 0.6, False
        state.events.analysis.connect(self._on_analysis)
        state.events.selected.connect(self._on_selected)
        state.events.heat_limit.connect(self._on_heat_limit)
        state.rows_changed.connect(self._on_rows_changed)
        viewer.mouse_drag_callbacks.append(self._on_mouse)

    def close(self) -> None:
        """Stop following state and viewer; the layers stay."""
        state = self.state
        state.events.analysis.disconnect(self._on_analysis)
        state.events.selected.disconnect(self._on_selected)
        state.events.heat_limit.disconnect(self._on_heat_limit)
        state.rows_changed.disconnect(self._on_rows_changed)
        if self._on_mouse in self.viewer.mouse_drag_callbacks:
            self.viewer.mouse_drag_callbacks.remove(self._on_mouse)
        for layer in self._layers.values():
            layer.events.disconnect(self._on_paint)

    # ---- layers --------------------------------------------------------------------------------------------

    def layer(self, name: str) -> Layer | None:
        """Return a result layer, None when there is none (or a person removed it)."""
        layer = self._layers.get(name)
        return layer if layer is not None and layer in self.viewer.layers else None

    def is_result(self, layer: Layer) -> bool:
        """Tell whether a layer is one of the bridge's own."""
        return any(layer is mine for mine in self._layers.values())

    def anchor(self, image: Image | None) -> None:
        """Let the following results lie over a picture layer; results over another one are removed."""
        if image is not self.image:
            self.clear()
            self.image = image

    def clear(self) -> None:
        """Remove the result layers."""
        self._drop(*self._layers)
        self._classes.clear()

    def _drop(self, *names: str) -> None:
        look.remove_together(self.viewer.layers, [x for x in map(self.layer, names) if x is not None])
        for name in names:
            self._layers.pop(name, None)

    def redraw(self) -> None:
        """Draw the instance layer anew from the masks: what a person painted and could not be taken goes."""
        layer = self.layer(look.CELLS)
        if layer is not None and self.state.analysis is not None:
            box = (0, 0, *self.state.analysis.slide.shape)
            with self._own_writing():
                self._write(layer, box, lambda: draw_masks(self.state.at_hand.cells.masks, box))

    def show_found(self, cells: Cells) -> None:
        """Draw cells that a running job has just found."""
        layer = self.layer(look.CELLS)
        if layer is None or layer.multiscale:
            return
        for label in cells.masks:
            y0, x0, y1, x1 = cells.masks.boxes[label]
            view = layer.data[y0:y1, x0:x1]
            view[cells.masks.patches[label] > 0] = label
        layer.refresh()

    def begin(self, shape: tuple[int, int]) -> None:
        """Put an empty instance layer there, into which a running job draws what it finds."""
        if not is_field(shape):
            return
        self._put(look.CELLS, np.zeros(shape, np.int32))
        self._layers[look.CELLS].editable = False
        self._drop(look.CLASS_LAYER, look.HEATMAP, look.NAMES)

    def set_editable(self, editable: bool) -> None:
        """Allow or forbid painting in the instance layer (napari cannot paint into a pyramid at all)."""
        layer = self.layer(look.CELLS)
        if layer is not None:
            layer.editable = editable and not layer.multiscale

    @property
    def paintable(self) -> bool:
        """Whether a person can paint into the instance layer."""
        layer = self.layer(look.CELLS)
        return layer is not None and not layer.multiscale

    @property
    def heat_opacity(self) -> float:
        """Opacity of the heatmap layer, 0…1."""
        return self._opacity

    @heat_opacity.setter
    def heat_opacity(self, value: float) -> None:
        self._opacity = float(value)
        if (layer := self.layer(look.HEATMAP)) is not None:
            layer.opacity = self._opacity

    def show_only(self, *, heatmap: bool) -> None:
        """Show or hide the heatmap layer."""
        if (layer := self.layer(look.HEATMAP)) is not None:
            layer.visible = heatmap

    def _put(self, name: str, data: Any) -> Layer:
        """Make a layer, or give the existing one new data."""
        layer = self.layer(name)
        if not (layer is None or layer.multiscale or isinstance(data, list)) and layer.data.shape == data.shape:
            layer.data = data
            return layer
        if layer is not None:
            self.viewer.layers.remove(layer)
        make = {
            look.CELLS: look.make_cells,
            look.CLASS_LAYER: lambda d, image: look.make_classes(d, image, self.state.at_hand.cells.pixel_size_um),
            look.HEATMAP: lambda d, image: look.make_heatmap(d, image, self.state.heat_limit, self._opacity),
        }[name]
        return self._add(name, make(data, self.image))

    def _add(self, name: str, layer: Layer) -> Layer:
        """Add a layer at its place above the picture; what a person has active stays active."""
        self._layers[name] = layer
        rank = look.ORDER.index(name)
        below = [self.image, *(self.layer(n) for n in look.ORDER[:rank])]
        there = [self.viewer.layers.index(x) for x in below if x is not None and x in self.viewer.layers]
        index = 1 + max(there, default=-1)  # the picture itself may have been removed meanwhile
        with inserting_quietly(self.viewer.layers):
            self.viewer.layers.insert(index, layer)
        self._reveal(layer)
        if name == look.CELLS:
            self.viewer.layers.selection.active = layer
            layer.events.paint.connect(self._on_paint)
        return layer

    # ---- following the state -------------------------------------------------------------------------------

    def _on_analysis(self, analysis: Any) -> None:
        if analysis is None or self.image is None:
            self.clear()
            return
        self._classes.refresh()
        pieces = self._show(analysis.slide)
        if self.in_turns is not None:
            self.in_turns(self._reveal.bit_by_bit(pieces))
        else:
            list(pieces)

    def _show(self, slide: Slide) -> Iterator[None]:
        """Put the layers of a slide's cells there, one after the other, as long as it is the one to be shown."""
        image = self.image
        for piece in (self._show_heat, self._show_classes, self._show_cells, self._write_names, self._write_features):
            now = self.state.analysis
            if image is not self.image or now is None or now.slide is not slide:
                return
            with self._own_writing():
                piece()
            yield

    def _show_heat(self) -> None:
        if self.state.at_hand.heatmaps is not None:
            self._put(look.HEATMAP, self._heat_data())
        else:
            self._drop(look.HEATMAP)

    def _show_classes(self) -> None:
        analysis = self.state.at_hand
        if analysis.predictions is not None:
            self._put(look.CLASS_LAYER, pyramid(analysis.slide.shape, np.uint8, self._classes.draw))
        else:
            self._drop(look.CLASS_LAYER)

    def _show_cells(self) -> None:
        analysis = self.state.at_hand
        draw = lambda *where: draw_thinned(self._masks(analysis), *where)  # noqa: E731
        self._put(look.CELLS, pyramid(analysis.slide.shape, np.int32, draw))
        self.viewer.layers.selection.active = self._layers[look.CELLS]

    def _masks(self, default: Any) -> Any:
        return (self.state.analysis or default).cells.masks

    def _heat_data(self) -> Any:
        return pyramid(self.state.at_hand.slide.shape, np.float32, self._draw_heat)

    def _draw_heat(self, box: Box, step: int = 1) -> np.ndarray:
        shown = self.state.model_shown() if self.state.blinded else None
        return draw_heat(self.state.at_hand, box, step, shown)

    def _on_rows_changed(self, what: RowsChanged) -> None:
        if self.state.analysis is None:  # cells of another slide: the gallery shows them, the canvas does not
            return
        rows = self.state.rows(what.uids).tolist()
        with self._own_writing():
            if what.masks:
                self._redraw_masks(what)
            else:
                self._recolour(rows)
            if not what.said or self.state.blinded or self._blinded:
                self._redraw_heat(rows, what)
            self._blinded = self.state.blinded
            if what.masks:
                self._write_names()
                self._write_features()
            elif not self.state.pending or len(rows) <= _FEW:
                self._stale.update(what.uids)
                self.later("features", self._write_stale)
                if self.state.n_cells <= MOST_NAMES:
                    self._write_names()
        if what.masks or self.state.selected in what.uids:
            self._on_selected(self.state.selected)

    def _redraw_masks(self, what: RowsChanged) -> None:
        self._classes.refresh()
        cells, classes = self.layer(look.CELLS), self.layer(look.CLASS_LAYER)
        box = what.box or (0, 0, *self.state.at_hand.slide.shape)
        if cells is not None:
            self._write(cells, box, lambda: draw_masks(self.state.at_hand.cells.masks, box))
        if classes is not None:
            self._write(classes, box, lambda: self._classes.draw(box, 1))

    def _recolour(self, rows: list[int]) -> None:
        """Give cells the value of their class, touching only their pixels."""
        labels, classes, cells = self._classes.recolour(rows), self.layer(look.CLASS_LAYER), self.layer(look.CELLS)
        if classes is None:
            return
        if classes.multiscale:  # napari looks for the borders of all that is in view, which takes many frames
            self.later("classes", lambda: self._refresh(classes))
        elif self._classes.paint(classes, cells, labels):
            self._refresh(classes)

    def _refresh(self, layer: Layer) -> None:
        """Redraw a layer; while a job delivers batches at most once a second (its end redraws everything)."""
        now = time.monotonic()
        if self.state.pending and now - self._refreshed.get(layer.name, 0.0) < _REFRESH_S:
            return
        self._refreshed[layer.name] = now
        layer.refresh(extent=False, thumbnail=False)

    def _write(self, layer: Layer, box: Box, draw: Any) -> None:
        """Bring a box of a label layer up to date, sending only what changed to the screen."""
        if layer.multiscale:
            layer.refresh(extent=False)
            return
        y0, x0, y1, x1 = box
        new = draw()
        y, x = np.nonzero(layer.data[y0:y1, x0:x1] != new)
        if len(y):
            layer.data_setitem((y + y0, x + x0), new[y, x])

    def _redraw_heat(self, rows: list[int], what: RowsChanged) -> None:
        analysis = self.state.at_hand
        if analysis.heatmaps is None:
            return
        layer = self.layer(look.HEATMAP)
        if layer is None:
            if look.HEATMAP not in self._layers:  # else a person removed it
                self._put(look.HEATMAP, self._heat_data())
            return
        if not layer.multiscale:
            boxes = [what.box] if what.box else rounded(analysis.heatmaps.box[rows])
            if len(boxes) > 8 * _FEW:
                boxes = [(0, 0, *analysis.slide.shape)]
            for box in boxes:
                inside = union([box], analysis.slide.shape)
                y0, x0, y1, x1 = inside
                if y1 > y0 and x1 > x0:
                    layer.data[y0:y1, x0:x1] = self._draw_heat(inside)
        self._refresh(layer)

    def _on_heat_limit(self, limit: float) -> None:
        if (layer := self.layer(look.HEATMAP)) is not None and limit > 0:
            layer.contrast_limits_range = (0.0, max(limit, layer.contrast_limits_range[1]))
            layer.contrast_limits = (0.0, limit)

    # ---- names, features, the selected cell ----------------------------------------------------------------

    def _write_features(self) -> None:
        self._stale.clear()
        if (layer := self.layer(look.CELLS)) is not None:
            write_features(layer, self.state)

    def _write_stale(self) -> None:
        """Bring the features of changed cells up to date without touching those of the others."""
        rows, self._stale = self.state.rows(self._stale), set()
        if (layer := self.layer(look.CELLS)) is not None and self.state.analysis is not None:
            write_some_features(layer, self.state, rows)

    def _write_names(self) -> None:
        layer = self.layer(look.NAMES)
        if layer is None and look.NAMES not in self._layers:  # else a person removed it
            layer = self._add(look.NAMES, look.make_names(self.image))
        if layer is not None:
            write_names(layer, self.state)

    def _on_selected(self, uid: str | None) -> None:
        self.later("selected", self._show_selected)

    def _show_selected(self) -> None:
        if self.state.analysis is None:
            return
        if (layer := self.layer(look.NAMES)) is not None:
            frame_selected(layer, self.state)
        row, cells = self.state.row(self.state.selected), self.layer(look.CELLS)
        if row is not None and cells is not None and cells.mode == "pan_zoom":
            # The brush goes on painting the cell that is looked at.
            cells.selected_label = int(self.state.at_hand.cells.table["label"].iloc[row])

    def look_at(self, uid: str | None) -> None:
        """Move the camera to a cell; the zoom stays unless the cell would be a speck."""
        row, cells = self.state.row(uid), self.layer(look.CELLS)
        if row is not None and cells is not None:
            look_at(self.viewer, cells, self.state, row)

    @contextmanager
    def _own_writing(self) -> Iterator[None]:  # what is written now is no person's painting
        self._writing += 1
        try:
            yield
        finally:
            self._writing -= 1

    def _on_paint(self, event: Any) -> None:
        if not self._writing:
            self.mask_painted.emit(painted_box(event.value))

    def _on_mouse(self, viewer: Any, event: Any) -> Iterator[None]:
        return clicks(self, viewer, event)
