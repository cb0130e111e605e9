"""The concordance card: what the pictures say, what the expression says, the state, and only then a fused number."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFrame, QLabel, QVBoxLayout, QWidget

from napari_aml.review.comparison import Concordance, Row, State
from napari_aml.ui.expression_call import wrapped

#: State → colour of its band; the state's words stand on it, so the colour is never all.
STATE_COLOURS: dict[State, str] = {
    State.CONCORDANT: "#2e7d4f",
    State.DISCORDANT: "#b3541e",
    State.IMAGE_ONLY_CLASS: "#5a6472",
    State.EXPRESSION_ONLY_CLASS: "#5a6472",
    State.APL_SCOPE_CONFLICT: "#b02a37",
    State.CONTROL_CONFLICT: "#b3541e",
    State.INSUFFICIENT: "#5a6472",
    State.IDENTITY_MISMATCH: "#b02a37",
}

#: A class that only one side has is listed from this probability on.
_LEAST = 0.02


class ConcordanceCard(QWidget):
    """Shows a `Concordance`. The order of its parts is that of reading: inputs, state, why, numbers."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._said: Concordance | None = None
        self.image, self.expression = self._part("The pictures"), self._part("The expression")
        self.state = QLabel()
        self.state.setWordWrap(True)
        self.state.setMargin(6)
        self.reasons, self.numbers, self.notices = wrapped(), wrapped(), wrapped()
        self.numbers.setTextFormat(Qt.TextFormat.RichText)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        for widget in (self.notices, *self.image, *self.expression, self.state, self.reasons, self.numbers):
            layout.addWidget(widget)
        layout.addStretch(1)
        self.setValue(None)

    @staticmethod
    def _part(title: str) -> tuple[QLabel, QLabel]:
        head, text = QLabel(f"<b>{title}</b>"), wrapped()
        text.setFrameShape(QFrame.Shape.NoFrame)
        return head, text

    def value(self) -> Concordance | None:
        """Return what is shown."""
        return self._said

    def setValue(self, said: Concordance | None) -> None:
        """Show a comparison; None shows what is needed for one."""
        self._said = said
        for widget in (*self.image, *self.expression, self.reasons, self.numbers, self.notices):
            widget.setVisible(said is not None)
        if said is None:
            self.state.setStyleSheet("")
            self.state.setText("Link a slide and a sample to hold picture and expression against each other.")
            return
        self.image[1].setText("\n".join(said.image_sentences()))
        self.expression[1].setText("\n".join(said.expression_sentences()))
        self.state.setStyleSheet(
            f"background-color: {STATE_COLOURS[said.state]}; color: white; border-radius: 4px; font-weight: bold;"
        )
        self.state.setText(f"{said.title}  ({said.state.value})")
        self.reasons.setText("\n".join(f"• {r.text}" for r in said.reasons))
        self.numbers.setText(numbers_html(said))
        self.numbers.setVisible(bool(self.numbers.text()))
        self.notices.setText("\n".join(f"⚠ {n}" for n in said.notices))
        self.notices.setVisible(bool(said.notices))


def numbers_html(said: Concordance) -> str:
    """Return the classes with both inputs, how far they are apart, then the fused number or why there is none."""
    rows = said.rows()
    if not rows:
        return ""
    shown = [r for r in rows if not _only_fused(r) and (_both(r) or np.nanmax([r.image, r.expression]) >= _LEAST)]
    inputs = [(r.name, _figure(r.image), _figure(r.expression)) for r in shown]
    parts = [_table(("class", "picture", "expression"), inputs)]
    few = sum(1 for r in rows if not _only_fused(r)) - len(shown)
    if few:
        parts.append(f"<p>{few} further class{'es' if few > 1 else ''} of one side below {_LEAST}.</p>")
    if said.divergence_bits is not None:
        apart = f"{said.divergence_bits:.2f} bits (0 alike, 1 nothing in common)"
        parts.append(f"<p>Jensen–Shannon divergence {apart}.</p>")
    if said.fused is not None:
        named = zip(said.fused.classes, said.fused.probabilities, said.fused.prior, strict=True)
        parts.append(f"<p><b>Fused – {html.escape(said.fused.note)}.</b></p>")
        parts.append(_table(("class", "fused", "assumed share"), [(c, _figure(p), _figure(s)) for c, p, s in named]))
        parts.append(f"<p>Weights {said.fused.alpha:g} (picture) and {said.fused.beta:g} (expression).</p>")
    elif said.fused_why_not:
        parts.append(f"<p>{html.escape(said.fused_why_not)}</p>")
    return "".join(parts)


def _both(row: Row) -> bool:
    return not (math.isnan(row.image) or math.isnan(row.expression))


def _only_fused(row: Row) -> bool:
    return math.isnan(row.image) and math.isnan(row.expression)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    align = ("left", *["right"] * (len(head) - 1))
    lines = [[f"<th align={a}>{html.escape(h)}&nbsp;&nbsp;</th>" for a, h in zip(align, head, strict=True)]]
    for row in rows:
        lines.append([f"<td align={a}>{html.escape(c)}&nbsp;&nbsp;</td>" for a, c in zip(align, row, strict=True)])
    body = "".join(f"<tr>{''.join(line)}</tr>" for line in lines)
    return f"<table cellspacing=0 cellpadding=2>{body}</table>"


def _figure(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.2f}"
