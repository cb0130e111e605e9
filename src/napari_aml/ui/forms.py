"""The dock's parameter forms, made by magicgui. Each has value()/setValue() and one Changed signal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from magicgui.widgets import CheckBox, ComboBox, Container, FloatSlider, FloatSpinBox, Label, PushButton, Widget
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from napari_aml.ui.heatmap_tests import words_of_tests
from napari_aml.ui.state import PREDICTED, RUNNER_UP

DEVICES = ("auto", "cpu", "cuda", "mps")
CAM_METHODS = ("gradcam", "gradcam++", "hirescam", "layercam", "eigencam", "scorecam")
STAGES = (("3 (last, coarse)", 3), ("2", 2), ("1", 1), ("0 (first, fine)", 0))
NO_CAM = "none"
#: What the tests in the bundle's card recommend.
RECOMMENDED = "recommended"


@dataclass(frozen=True)
class AnalysisSettings:
    """How to analyse a picture.

    Attributes
    ----------
    pixel_size_um
        µm per pixel as a person gives it; None: as the picture says, else measured from its red cells.
    segmenter, device
        Names of the segmentation backend and of the device.
    cam
        Heatmap method, ``recommended`` for what the model's own tests recommend, None for no heatmaps.
    recolour
        Show the model the cells of a strange stain in colours that it knows.
    """

    pixel_size_um: float | None = None
    segmenter: str = "default"
    device: str = "auto"
    cam: str | None = RECOMMENDED
    recolour: bool = True

    def stage(self, own: int) -> int | None:
        """Return the stage to explain: `own` for a method that is named; what is recommended has one of its own."""
        return None if self.cam == RECOMMENDED else own


def _native(container: Container) -> QWidget:
    native: QWidget = container.native
    layout = native.layout()
    assert layout is not None  # a container is made with one
    layout.setContentsMargins(0, 0, 0, 0)
    return native


class AnalysisForm(QWidget):
    """Picture, pixel size, backend, device, heatmap method; Analyse, or Segment and Classify apart."""

    changed = Signal()
    pictureChanged = Signal(object)
    measureRequested = Signal()
    analyseRequested = Signal()
    segmentRequested = Signal()
    classifyRequested = Signal()

    def __init__(self, segmenters: Sequence[str] = ("default",), parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.picture = ComboBox(label="Picture", choices=(), nullable=True, tooltip="The layer with the smear.")
        self.pixel_size = FloatSpinBox(
            label="Pixel size", value=0, min=0, max=5, step=0.001,
            tooltip="µm per pixel. 'automatic': as the picture says, else measured from its red cells (7.2 µm).",
        )  # fmt: skip
        spin = self.pixel_size.native
        spin.setDecimals(4)
        spin.setSpecialValueText("automatic")
        spin.setSuffix(" µm/px")
        self.pixel_note = Label(value="")
        self.pixel_note.native.setWordWrap(True)
        self.pixel_note.native.setAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        # As wide as the dock: as magicgui makes it, it breaks its lines earlier and cuts a new text off for a while.
        self.pixel_note.native.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
        self.measure = PushButton(text="Measure from red cells")
        self.segmenter = ComboBox(label="Segmentation", choices=tuple(segmenters), value=segmenters[0])
        self.cam = ComboBox(
            label="Heatmap", choices=(RECOMMENDED, *CAM_METHODS, NO_CAM), value=RECOMMENDED,
            tooltip="recommended: what the model's own tests found most faithful; gradcam where it was not tested.",
        )  # fmt: skip
        self.recolour = ComboBox(
            label="Strange stain", choices=(("recoloured for the model", True), ("as it is", False)), value=True,
            tooltip="What the model sees where it was not trained on the stain. Pictures shown keep their colours.",
        )  # fmt: skip
        self.device = ComboBox(label="Device", choices=DEVICES, value="auto")
        self.empty = QLabel(
            "No picture is open yet: use File > Open File(s), drop a picture on the window, or take one of "
            "File > Open Sample > AML smear review.", wordWrap=True,
        )  # fmt: skip
        self._which = Container(widgets=[self.picture, self.pixel_size])
        self._how = Container(widgets=[self.measure, self.segmenter, self.recolour, self.cam, self.device])
        self.analyse_button = QPushButton("Analyse")
        self.analyse_button.setDefault(True)
        self.analyse_button.setMinimumHeight(32)
        self.analyse_button.setToolTip("Find, classify and explain every nucleated cell.")
        self.segment_button = QPushButton("Segment only")
        self.segment_button.setToolTip(
            "Find the nucleated cells, so that masks can be mended before they are classified."
        )
        self.classify_button = QPushButton("Classify cells")
        self.classify_button.setToolTip("Classify and explain the cells that are there.")
        apart = QHBoxLayout()
        apart.addWidget(self.segment_button)
        apart.addWidget(self.classify_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        # The note has as many lines as it needs; in a magicgui container it would be cut off after two.
        for widget in (self.empty, _native(self._which), self.pixel_note.native, _native(self._how)):
            layout.addWidget(widget)
        layout.addWidget(self.analyse_button)
        layout.addLayout(apart)
        self.picture.changed.connect(self.pictureChanged.emit)
        for widget in (self.pixel_size, self.segmenter, self.recolour, self.cam, self.device):
            widget.changed.connect(lambda _: self.changed.emit())
        self.measure.clicked.connect(lambda: self.measureRequested.emit())
        self.analyse_button.clicked.connect(self.analyseRequested)
        self.segment_button.clicked.connect(self.segmentRequested)
        self.classify_button.clicked.connect(self.classifyRequested)

    def value(self) -> AnalysisSettings:
        """Return the settings."""
        cam = self.cam.value
        return AnalysisSettings(
            self.pixel_size.value or None, self.segmenter.value, self.device.value, None if cam == NO_CAM else cam,
            self.recolour.value,
        )  # fmt: skip

    def setValue(self, settings: AnalysisSettings) -> None:
        """Show settings."""
        self.pixel_size.value = settings.pixel_size_um or 0
        if settings.segmenter in self.segmenter.choices:
            self.segmenter.value = settings.segmenter
        self.device.value = settings.device if settings.device in DEVICES else "auto"
        self.cam.value = settings.cam or NO_CAM
        self.recolour.value = settings.recolour

    def setPictures(self, layers: Sequence[Any], chosen: Any = None) -> None:
        """Offer picture layers by their names; keeps the choice while it is there."""
        before = self.picture.value
        self.empty.setVisible(not layers)
        with self.picture.changed.blocked():
            self.picture.choices = [(layer.name, layer) for layer in layers]
            keep = chosen if chosen is not None else before
            there = [layer for layer in layers if layer is keep]
            # Not a grey layer where there is a colour one: layers of an earlier review may still lie above the smear.
            coloured = [layer for layer in layers if getattr(layer, "rgb", True)] or list(layers) or [None]
            self.picture.value = there[0] if there else coloured[-1]
        if self.picture.value is not before or chosen is not None:
            self.pictureChanged.emit(self.picture.value)

    def setBusy(self, busy: bool, *, has_cells: bool) -> None:
        """Enable what can be started now."""
        ready = not busy and self.picture.value is not None
        self.analyse_button.setEnabled(ready)
        self.segment_button.setEnabled(ready)
        self.measure.enabled = ready
        self.picture.enabled = not busy  # what a job finds is of the picture that was chosen when it began
        self.classify_button.setEnabled(ready and has_cells)

    def setPixelNote(self, text: str) -> None:
        """Say which pixel size holds and where it came from."""
        self.pixel_note.value = text


class HeatmapForm(QWidget):
    """Which heatmap: method, what it explains, stage; how it is shown: on or off, opacity, end of the colour scale."""

    changed = Signal()
    computeRequested = Signal()
    shownChanged = Signal(bool)
    opacityChanged = Signal(float)
    limitChanged = Signal(float)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.method = ComboBox(label="Method", choices=CAM_METHODS, value="gradcam")
        self.target = ComboBox(
            label="Explains", choices=(PREDICTED, RUNNER_UP), value=PREDICTED,
            tooltip="The class that each map explains: the predicted one, the runner-up, or one class for all cells.",
        )  # fmt: skip
        self.stage = ComboBox(
            label="Stage",
            choices=STAGES,
            value=3,
            tooltip="Part of the network that is looked at; lower is finer and noisier.",
        )
        self.shown = CheckBox(text="Show in the picture", value=True)
        self.opacity = FloatSlider(label="Opacity", value=0.6, min=0, max=1, step=0.05, readout=False)
        self.limit = FloatSpinBox(
            label="Scale ends at", value=0, min=0, max=1e6, step=0.05,
            tooltip="Evidence that gets the brightest colour: one scale for all cells, so that faint looks faint.",
        )  # fmt: skip
        self.limit.native.setDecimals(4)
        self._which = Container(widgets=[self.method, self.target, self.stage])
        how: list[Widget] = [self.shown, self.opacity, self.limit]
        self._how = Container(widgets=how)
        self.compute_button = QPushButton("Compute heatmaps of all cells")
        self.compute_button.clicked.connect(self.computeRequested)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        self.tested = QLabel(wordWrap=True)
        self._tests: Mapping[str, Any] | None = None
        layout.addWidget(_native(self._which))
        layout.addWidget(self.tested)
        layout.addWidget(self.compute_button)
        layout.addWidget(_native(self._how))
        layout.setAlignment(Qt.AlignmentFlag.AlignTop)
        for widget in (self.method, self.target, self.stage):
            widget.changed.connect(lambda _: self.changed.emit())
        self.changed.connect(self._say_tested)
        self.shown.changed.connect(self.shownChanged.emit)
        self.opacity.changed.connect(self.opacityChanged.emit)
        self.limit.changed.connect(self.limitChanged.emit)

    def value(self) -> tuple[str, str, int]:
        """Return method, target and stage."""
        return self.method.value, self.target.value, self.stage.value

    def setValue(self, method: str, target: str, stage: int) -> None:
        """Show method, target and stage."""
        self.method.value, self.stage.value = method, stage
        if target in self.target.choices:
            self.target.value = target

    def setCodes(self, codes: Sequence[str]) -> None:
        """Offer a model's classes as targets."""
        choices = (PREDICTED, RUNNER_UP, *codes)
        if tuple(self.target.choices) != choices:
            with self.target.changed.blocked():
                keep = self.target.value
                self.target.choices = choices
                self.target.value = keep if keep in choices else PREDICTED

    def setTests(self, entry: Mapping[str, Any] | None) -> None:
        """Show what a bundle's card says of its heatmaps beside the chosen method."""
        self._tests = entry
        self._say_tested()

    def _say_tested(self) -> None:
        self.tested.setText(words_of_tests(self._tests, self.method.value, self.stage.value))

    def setLimit(self, limit: float) -> None:
        """Show where the colour scale ends."""
        with self.limit.changed.blocked():
            self.limit.value = limit
            self.limit.native.setSingleStep(max(limit / 20, 1e-4))
