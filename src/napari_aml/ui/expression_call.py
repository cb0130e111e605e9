"""One sample's call: what it is similar to, bars with the conformal set, quality-control lights, remarks."""

from __future__ import annotations

import html
from collections.abc import Sequence

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QGridLayout, QLabel, QSizePolicy, QVBoxLayout, QWidget

from napari_aml.review.subtypes import is_rest, similar_to
from napari_aml.ui.expression_plots import AttributionPlot, ProbabilityPlot, plain
from napari_aml.ui.expression_view import AttributionView, CallView, Light


def wrapped(text: str = "") -> QLabel:
    """Return a label that wraps, can be selected and never widens its page."""
    label = QLabel(text)
    label.setWordWrap(True)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
    return label


class QcLights(QWidget):
    """Quality control, one line each: a coloured sign, a name, some words."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._lights: tuple[Light, ...] = ()
        self._shown: list[QLabel] = []
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setHorizontalSpacing(6)
        self._grid.setVerticalSpacing(2)
        self._grid.setColumnStretch(1, 1)

    def value(self) -> tuple[Light, ...]:
        """Return the lights."""
        return self._lights

    def setValue(self, lights: Sequence[Light]) -> None:
        """Show lights."""
        self._lights = tuple(lights)
        for old in self._shown:
            self._grid.removeWidget(old)
            old.hide()  # it is deleted when the event loop turns, and must not shine through until then
            old.deleteLater()
        self._shown = []
        for row, light in enumerate(self._lights):
            sign = QLabel(light.level.sign)
            sign.setAlignment(Qt.AlignmentFlag.AlignCenter)
            sign.setFixedSize(16, 16)
            sign.setStyleSheet(
                f"background-color: {light.level.colour}; color: white; border-radius: 8px; font-weight: bold;"
            )
            sign.setToolTip(light.level.word)
            sign.setAccessibleName(f"{light.name}: {light.level.word}")
            text = wrapped(f"<b>{html.escape(light.name)}</b>&nbsp; {html.escape(light.text)}")
            self._grid.addWidget(sign, row, 0, Qt.AlignmentFlag.AlignTop)
            self._grid.addWidget(text, row, 1)
            self._shown += [sign, text]


class CallPanel(QWidget):
    """Shows one call."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._view: CallView | None = None
        self.title = wrapped()
        self.title.setTextFormat(Qt.TextFormat.RichText)
        self.plot = plain(ProbabilityPlot())
        self.set_text, self.remarks = wrapped(), wrapped()
        self.lights_title = QLabel("<b>Quality control</b>")
        self.lights = QcLights()
        self.of_file_title, self.of_file = QLabel("<b>Of the whole file</b>"), wrapped()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        parts: list[QWidget] = [self.title, self.plot, self.set_text, self.remarks, *self._parts()]
        for widget in parts:
            layout.addWidget(widget)
        self.setValue(None)

    def _parts(self) -> tuple[QWidget, ...]:
        return self.lights_title, self.lights, self.of_file_title, self.of_file

    def value(self) -> CallView | None:
        """Return what is shown."""
        return self._view

    def setValue(self, view: CallView | None) -> None:
        """Show a call; None shows that no sample is chosen."""
        self._view = view
        for widget in (self.set_text, self.remarks, *self._parts()):
            widget.setVisible(view is not None)
        if view is None:
            self.title.setText("Choose a sample.")
            self.plot.setValue(())
            return
        sample = html.escape(view.sample)
        if view.withheld:
            self.title.setText(f"<b>{sample}</b>: the call is withheld")
        elif view.subtype:
            said = html.escape(similar_to(view.subtype, view.probability))
            if not is_rest(view.subtype):
                said = said.replace(html.escape(view.subtype), f"<b>{html.escape(view.subtype)}</b>", 1)
            doubt = "" if view.passed else "<br>⚠ <b>It did not pass its checks: do not rely on it.</b>"
            self.title.setText(f"<b>{sample}</b><br>{said}{doubt}")
        else:
            self.title.setText(f"<b>{sample}</b>: no call")
        self.plot.setValue(() if view.withheld else view.bars)
        self.set_text.setText(view.withheld or view.set_text)
        self.set_text.setVisible(bool(self.set_text.text()))
        self.remarks.setText("\n".join(f"• {r}" for r in view.remarks))
        self.remarks.setVisible(bool(view.remarks))
        self.lights_title.setVisible(bool(view.lights))
        self.lights.setValue(view.lights)
        self.of_file.setText("\n".join(f"• {r}" for r in view.of_file))
        for widget in (self.of_file_title, self.of_file):
            widget.setVisible(bool(view.of_file))


class WhyPanel(QWidget):
    """Gene attributions of one sample for one class, with the completeness check."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._view: AttributionView | None = None
        self.title = wrapped()
        self.title.setTextFormat(Qt.TextFormat.RichText)
        self.plot = plain(AttributionPlot())
        self.note = wrapped()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for widget in (self.title, self.plot, self.note):
            layout.addWidget(widget)
        layout.addStretch(1)
        self.setValue(None)

    def value(self) -> AttributionView | None:
        """Return what is shown."""
        return self._view

    def setValue(self, view: AttributionView | None, why_not: str = "") -> None:
        """Show attributions; None shows why there are none."""
        self._view = view
        self.plot.setValue(view)
        if view is None:
            self.title.setText(html.escape(why_not) or "Choose a sample.")
            self.note.setText("")
            return
        self.title.setText(
            f"<b>{html.escape(view.sample)}</b>: genes that speak for (right) and against (left) "
            f"<b>{html.escape(view.target)}</b>"
        )
        self.note.setText(view.note if view.complete else f"⚠ {view.note}")
