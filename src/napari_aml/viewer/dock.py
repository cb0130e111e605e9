"""The dock widget "Smear review": tabs in a scroll area, wired to the controller."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QApplication, QFileDialog, QLabel, QMessageBox, QPushButton, QTabWidget, QVBoxLayout, QWidget

from napari_aml import RESEARCH_USE
from napari_aml.errors import AmlError
from napari_aml.ui.differential_table import DifferentialView
from napari_aml.ui.forms import CAM_METHODS, AnalysisForm, AnalysisSettings, HeatmapForm
from napari_aml.ui.inspector import CellInspector
from napari_aml.ui.jobs import JobBar, in_words
from napari_aml.ui.model_panel import ModelPanel
from napari_aml.ui.shortcuts import KeyBindings, shared_keys
from napari_aml.ui.state import ReviewState
from napari_aml.viewer import words
from napari_aml.viewer.companions import ClosedWithItsDock
from napari_aml.viewer.controller import ReviewController
from napari_aml.viewer.deciding_keys import cell_actions, connect_inspector, sheet_of_keys
from napari_aml.viewer.in_view import NamesThatFit, PictureInView
from napari_aml.viewer.keys import CellKeys
from napari_aml.viewer.outcome import attach_outcome
from napari_aml.viewer.pages import evidence_lut, page, scrolled
from napari_aml.viewer.private import unwrap
from napari_aml.viewer.project_session import attach_project
from napari_aml.viewer.regions import RegionTool
from napari_aml.viewer.sessions import forget_review, register_review

if TYPE_CHECKING:
    import napari.viewer
    from napari.layers import Image

#: The dock can be made this narrow and still be used; a 1366 x 768 screen leaves it about 400.
LEAST_WIDTH = 340
_LIVE_MS = 120


class SmearReviewWidget(QWidget):
    """Choose a picture, analyse it, look at each cell, count.

    Parameters
    ----------
    napari_viewer
        The viewer, as napari hands it to a plugin's widget.
    """

    def __init__(self, napari_viewer: napari.viewer.Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.viewer = napari_viewer
        self.setObjectName("smear-review")
        self.setMinimumWidth(LEAST_WIDTH)
        self.job_bar = JobBar()
        self.controller = ReviewController(napari_viewer, self.job_bar, self)
        self.state: ReviewState = self.controller.state
        self.form = AnalysisForm(("default", "classical"))
        self.inspector = CellInspector(evidence_lut())
        self.heatmap_form = HeatmapForm()
        self.differential = DifferentialView()
        self.models = ModelPanel()
        self.regions = RegionTool(self.controller, self)
        self._build()
        self._count = attach_outcome(self)
        self._live = QTimer(self, singleShot=True, interval=_LIVE_MS)
        self._live.timeout.connect(self._count)
        self._actions = {**cell_actions(self.controller), "help": sheet_of_keys(self)}
        self._keys = CellKeys(shared_keys(), self._actions)
        self.in_view = PictureInView(napari_viewer, self.picture, self._pictures, self.show_message, self)
        self._names = NamesThatFit(napari_viewer, self.controller.bridge, self)
        self._connect()
        self._prepared = False
        register_review(napari_viewer, self)
        self._list_pictures()
        ClosedWithItsDock(self)
        # Where it is destroyed all the same, its traces on the viewer go with it.
        self.destroyed.connect(partial(_let_go, self.controller.bridge, self._keys))
        # Preferences and bundles lie in files: they are read once the dock is on the screen.
        QTimer.singleShot(0, self.prepare)

    # ---- building ------------------------------------------------------------------------------------------

    def _build(self) -> None:
        self.status = QLabel(wordWrap=True)
        self.status.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.save_button = QPushButton("Save results …")
        self.save_button.setToolTip("Label images, tables, heatmap, overlay, differential, provenance and a report.")
        self.tabs = QTabWidget()
        self.tabs.setDocumentMode(True)
        self.tabs.addTab(scrolled(page(self.form, self.save_button)), "Analyse")
        self.tabs.addTab(scrolled(self.inspector), "Cells")
        self.tabs.addTab(scrolled(page(self.heatmap_form)), "Heatmap")
        self.tabs.addTab(scrolled(self.differential), "Differential")
        self.differential.addBelow(self.regions.bar)
        self.tabs.addTab(self.models, "Model")
        self.project = attach_project(self)
        self.tabs.addTab(scrolled(self.project.page), "Project")
        self.tabs.setUsesScrollButtons(True)
        footer = QLabel(RESEARCH_USE, wordWrap=True)
        footer.setAlignment(Qt.AlignmentFlag.AlignCenter)
        footer.setObjectName("research-use")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 4, 4, 4)
        for widget in (self.tabs, self.job_bar, self.status, footer):
            layout.addWidget(widget, int(widget is self.tabs))

    # ---- wiring --------------------------------------------------------------------------------------------

    def _connect(self) -> None:
        control, form, inspector = self.controller, self.form, self.inspector
        form.changed.connect(self._on_settings)
        form.pictureChanged.connect(self._on_picture)
        form.analyseRequested.connect(self.analyse)
        form.segmentRequested.connect(self.segment)
        form.classifyRequested.connect(self.classify)
        form.measureRequested.connect(lambda: self._try(control.measure_pixel_size, self.picture()))
        self.save_button.clicked.connect(self._on_save)
        inspector.stepped.connect(control.step)
        inspector.splitRequested.connect(lambda: self._try(control.editor.split_selected))
        inspector.deleteRequested.connect(lambda: self._try(control.editor.delete_selected))
        inspector.addToggled.connect(control.editor.set_adding)
        inspector.undoRequested.connect(control.editor.undo)
        inspector.redoRequested.connect(control.editor.redo)
        connect_inspector(inspector, control)
        heat = self.heatmap_form
        heat.computeRequested.connect(lambda: self._try(control.explain, *heat.value()))
        heat.shownChanged.connect(lambda shown: control.bridge.show_only(heatmap=shown))
        heat.opacityChanged.connect(self._on_opacity)
        heat.limitChanged.connect(lambda limit: setattr(self.state, "heat_limit", float(limit)))
        self.models.changed.connect(self._on_model)
        self.models.folderChosen.connect(lambda folder: self._try(self._open_model, folder))
        control.failed.connect(self.show_error)
        control.told.connect(self.show_message)
        control.finished.connect(self._on_finished)
        self.tabs.tabBarClicked.connect(lambda i: tab.setFocus() if (tab := self.tabs.widget(i)) else None)
        control.busyChanged.connect(self._on_busy)
        control.follow_up.compared.connect(self._inspect)
        control.measured.connect(self._on_measured)
        control.pictureWanted.connect(self.choose_picture)
        self.state.events.selected.connect(self._inspect)
        self.state.events.analysis.connect(self._on_analysis)
        self.state.events.heat_limit.connect(self._on_limit)
        self.state.rows_changed.connect(self._on_rows)
        layers = self.viewer.layers
        layers.events.inserted.connect(self._on_inserted)
        layers.events.removed.connect(self._on_removed)
        KeyBindings(self, shared_keys(), self._actions)

    def closeEvent(self, event: Any) -> None:
        """Let go of viewer and jobs."""
        self.shut_down()
        super().closeEvent(event)

    def shut_down(self) -> None:
        """Stop jobs and stop listening to viewer and state; safe to call twice."""
        if getattr(self, "_shut", False):
            return
        self._shut = True
        self.project.shut_down()
        forget_review(self.viewer)
        self._live.stop()
        self._keys.release()
        self.regions.close()
        self.in_view.close()
        self._names.close()
        events = self.viewer.layers.events
        events.inserted.disconnect(self._on_inserted)
        events.removed.disconnect(self._on_removed)
        self.state.events.selected.disconnect(self._inspect)
        self.state.events.analysis.disconnect(self._on_analysis)
        self.state.events.heat_limit.disconnect(self._on_limit)
        self.state.rows_changed.disconnect(self._on_rows)
        self.controller.close()

    # ---- jobs ----------------------------------------------------------------------------------------------

    def analyse(self) -> None:
        """Segment, classify and explain the chosen picture."""
        if self._may_replace():
            self._try(self.controller.analyse, self.picture())

    def segment(self) -> None:
        """Find the cells of the chosen picture."""
        if self._may_replace():
            self._try(self.controller.segment, self.picture())

    def classify(self) -> None:
        """Classify and explain the cells that are there."""
        self._try(self.controller.classify, self.picture())

    def picture(self) -> Image | None:
        """Return the chosen picture layer."""
        return self.form.picture.value

    def choose_picture(self, layer: Any) -> None:
        """Choose a picture layer."""
        self.form.setPictures(self._pictures(), unwrap(layer))

    def _may_replace(self) -> bool:
        """Ask before masks that were edited by hand are replaced."""
        if not self.controller.masks_edited:
            return True
        asked = "The masks of this picture were edited by hand. Analysing it again replaces them. Go on?"
        return QMessageBox.question(self, "Replace edited masks?", asked) == QMessageBox.StandardButton.Yes

    def _try(self, action: Callable[..., Any], *arguments: Any) -> None:
        try:
            self.show_message("")
            self.prepare()
            action(*arguments)
        except AmlError as error:
            self.show_error(error)

    def _on_save(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Folder for the results")
        if folder:
            self._try(self.controller.save, folder)

    def show_error(self, error: BaseException) -> None:
        """Say an error in the dock and as a notification, in plain words."""
        from napari.utils.notifications import show_error

        text = in_words(error)
        self.show_message(f"⚠ {text}")
        show_error(text)

    def show_message(self, text: str) -> None:
        """Say something in the dock."""
        self.status.setText(text)
        self.status.setVisible(bool(text))

    # ---- following the viewer ------------------------------------------------------------------------------

    def _pictures(self) -> list[Any]:
        from napari.layers import Image

        bridge = self.controller.bridge
        layers = [unwrap(layer) for layer in self.viewer.layers]
        return [layer for layer in layers if isinstance(layer, Image) and not bridge.is_result(layer)]

    def _list_pictures(self) -> None:
        self.form.setPictures(self._pictures())
        self._enable()

    def _on_inserted(self, event: Any) -> None:
        layer = unwrap(event.value)
        self._keys.bind(layer)
        if self.controller.bridge.is_result(layer):
            return
        pictures = self._pictures()
        new = any(layer is picture for picture in pictures) and not self.controller.busy
        self.form.setPictures(pictures, layer if new else None)
        self._enable()

    def _on_removed(self, event: Any) -> None:
        layer = unwrap(event.value)
        self._keys.unbind(layer)
        self._list_pictures()
        self.controller.forget(layer)  # after another one is chosen, where there is no job

    def _on_picture(self, layer: Any) -> None:
        if self.controller.busy:
            return
        if layer is not self.controller.bridge.image:
            self.show_message("")  # what was said is of another picture
        self.controller.choose_picture(layer)
        if layer is not None:
            self.in_view.show(layer)
        self._say_pixel_size()
        self._enable()

    def _on_busy(self, busy: bool) -> None:
        self._enable()
        if not busy and self.controller.bridge.image is None is self.state.analysis:  # closed during the job
            self._on_picture(self.picture())

    def _on_finished(self) -> None:
        """Go to the cells; the keys of that page work at once."""
        if self.tabs.currentIndex() == 0:
            self.tabs.setCurrentIndex(1)
            focus = QApplication.focusWidget()
            if focus is None or self.isAncestorOf(focus):
                self.tabs.currentWidget().setFocus()

    # ---- following the state -------------------------------------------------------------------------------

    def _on_analysis(self, analysis: Any) -> None:
        if analysis is not None and analysis.predictions is not None:
            self.heatmap_form.setCodes(analysis.predictions.codes)
            self.heatmap_form.setValue(self.state.method, self.state.target, self.state.stage)
        self._say_pixel_size()
        self._inspect()
        self._count()
        self._enable()

    def _on_rows(self, what: Any) -> None:
        if what.masks:
            self.show_message("")
        if self.state.selected in what.uids or what.masks:
            self._inspect()
        if not self._live.isActive():
            self._live.start()

    def _on_limit(self, limit: float) -> None:
        self.heatmap_form.setLimit(limit)
        self._inspect()

    def _inspect(self, _: Any = None) -> None:
        self.controller.soon("inspect", self._show_cell)

    def _show_cell(self) -> None:
        from napari_aml.viewer.inspecting import cell_view

        extra = self.controller.follow_up.comparison
        self.inspector.setValue(cell_view(self.state, extra) if self.state.selected else None)
        self.inspector.classes.setValue(self.state.selected in self.state.decided)

    def _enable(self) -> None:
        busy, analysis = self.controller.busy, self.state.analysis
        self.form.setBusy(busy, has_cells=analysis is not None)
        self.save_button.setEnabled(not busy and analysis is not None)
        classified = analysis is not None and analysis.predictions is not None
        self.heatmap_form.compute_button.setEnabled(not busy and classified)
        self.inspector.add_button.setEnabled(not busy and analysis is not None)

    def prepare(self) -> None:
        """Read preferences and list the bundles; a job that is started at once waits for this, once."""
        if not self._prepared and not getattr(self, "_shut", False):
            self._prepared = True
            self._read_settings()
            self._list_models()

    # ---- settings ------------------------------------------------------------------------------------------

    def _read_settings(self) -> None:
        from napari_aml.viewer.settings import read_settings

        stored = read_settings()
        given = self.form.value().pixel_size_um or stored.pixel_size_um
        self.form.setValue(AnalysisSettings(given, "default", stored.device, stored.cam_method))
        self.state.stage = stored.cam_stage
        self.state.method = stored.cam_method if stored.cam_method in CAM_METHODS else CAM_METHODS[0]
        self.heatmap_form.setValue(self.state.method, self.state.target, self.state.stage)
        self.heatmap_form.opacity.value = stored.cam_opacity
        self._on_opacity(stored.cam_opacity)
        self._model_folder = stored.model_folder
        self._on_settings()

    def _on_settings(self) -> None:
        self.controller.settings = self.form.value()
        self._say_pixel_size()

    def _on_opacity(self, opacity: float) -> None:
        self.controller.bridge.heat_opacity = opacity
        self.inspector.opacity.setValue(round(100 * opacity))

    def _on_measured(self, measured: Any) -> None:
        if measured.pixel_size_um is None:
            by_hand = "Give the pixel size by hand, in µm per pixel."
            self.show_error(AmlError("No red cells could be measured in this picture.", by_hand))
            return
        self.form.pixel_size.value = round(float(measured.pixel_size_um), 4)
        self.show_message(words.measured(measured))

    def _say_pixel_size(self) -> None:
        of_picture = None
        with contextlib.suppress(AmlError):
            of_picture = self.controller.slide(self.picture()).pixel_size
        self.form.setPixelNote(words.pixel_size(self.state, self.form.value().pixel_size_um, of_picture))

    # ---- models --------------------------------------------------------------------------------------------

    def _list_models(self) -> None:
        from napari_aml.classify import find_bundles

        bundles = find_bundles()
        self.models.setBundles(bundles)
        for bundle in bundles:
            if bundle.path.name == "demo":
                self.models.setValue(bundle)
        if self._model_folder is not None:
            self._try(self._open_model, str(self._model_folder))

    def _open_model(self, folder: str) -> None:
        from napari_aml.classify import open_bundle

        self.models.setValue(open_bundle(folder))

    def _on_model(self, bundle: Any) -> None:
        self.controller.bundle = bundle
        self.heatmap_form.setTests(None if bundle is None else bundle.card.get("explanation_tests"))


def _let_go(bridge: Any, keys: CellKeys, *_: Any) -> None:
    bridge.close()
    keys.release()
