"""Small charts as inline SVG: they print sharply, need no script and scale with the page."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup, escape

from napari_aml.review.blasts import BlastSummary

# Colours of ink; the class's own colour fills the bars.
_INK, _FAINT = "#1f2933", "#c3ccd5"
BAR_WIDTH, BAR_HEIGHT = 300, 20


def nice_end(value: float, least: float = 10.0) -> float:
    """Return the end of an axis: the next multiple of 10 (of 20 above 50) at or above `value`, within 0…100."""
    step = 10.0 if value <= 50 else 20.0
    return min(100.0, max(least, math.ceil((value if math.isfinite(value) else least) / step) * step))


def ticks(end: float) -> list[float]:
    """Return the ticks of an axis from 0 to `end`."""
    step = 10.0 if end <= 50 else 20.0
    return [i * step for i in range(int(end // step) + 1)]


def axis(end: float, width: int = BAR_WIDTH) -> Markup:
    """Return the head of the bar column: ticks in percent."""
    parts = []
    for tick in ticks(end):
        x = tick / end * width
        anchor = "start" if tick == 0 else "end" if tick >= end else "middle"
        parts.append(f'<text x="{x:.1f}" y="10" text-anchor="{anchor}">{tick:g}</text>')
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="13" y2="17" stroke="{_INK}"/>')
    return _svg(width, 18, parts, f"axis from 0 to {end:g} percent", "axis")


def bar(percent: float, low: float, high: float, colour: str, end: float, width: int = BAR_WIDTH) -> Markup:
    """Return one bar with the whisker of its interval.

    Parameters
    ----------
    percent, low, high
        Percent; NaN draws nothing.
    colour
        ``#rrggbb``.
    end
        The axis's end, percent; what lies beyond is cut.
    width
        Pixels.
    """
    if not math.isfinite(percent):
        return Markup("")
    mid = BAR_HEIGHT / 2
    scale = width / end
    to, lo, hi = (min(v, end) * scale for v in (percent, low, high))
    parts = [f'<line x1="{t * scale:.1f}" x2="{t * scale:.1f}" y1="0" y2="{BAR_HEIGHT}" stroke="{_FAINT}" '
             'stroke-width="0.6"/>' for t in ticks(end)]  # fmt: skip
    if to > 0:
        parts.append(
            f'<rect x="0" y="{mid - 6}" width="{to:.1f}" height="12" fill="{escape(colour)}" '
            f'stroke="{_INK}" stroke-width="0.6"/>'
        )
    parts.append(f'<line x1="{lo:.1f}" x2="{hi:.1f}" y1="{mid}" y2="{mid}" stroke="{_INK}" stroke-width="1.4"/>')
    parts += [
        f'<line x1="{v:.1f}" x2="{v:.1f}" y1="{mid - 4}" y2="{mid + 4}" stroke="{_INK}" stroke-width="1.4"/>'
        for v in (lo, hi)
    ]
    return _svg(width, BAR_HEIGHT, parts, f"{percent:.1f} percent, interval {low:.1f} to {high:.1f}", "bar")


def gauge(blasts: BlastSummary, cut_offs: Sequence[float], width: int = 640) -> Markup:
    """Return the blasts' percentage and interval on an axis with the published cut-offs."""
    if not blasts.leukocytes:
        return Markup("")
    end = nice_end(max(blasts.high, *cut_offs) * 1.05, 30.0)
    height, line, left = 66, 38.0, 12
    span = width - 2 * left

    def x(value: float) -> float:
        return left + min(value, end) / end * span

    parts = [f'<line x1="{x(0):.1f}" x2="{x(end):.1f}" y1="{line}" y2="{line}" stroke="{_FAINT}" stroke-width="2"/>']
    for tick in ticks(end):
        parts.append(
            f'<line x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="{line}" y2="{line + 6}" stroke="{_INK}"/>'
            f'<text x="{x(tick):.1f}" y="{line + 20}" text-anchor="middle">{tick:g}</text>'
        )
    for cut in cut_offs:
        parts.append(
            f'<line x1="{x(cut):.1f}" x2="{x(cut):.1f}" y1="16" y2="{line + 6}" stroke="{_INK}" '
            'stroke-width="1.4" stroke-dasharray="4 3"/>'
            f'<text x="{x(cut):.1f}" y="11" text-anchor="middle" font-weight="600">{cut:g} %</text>'
        )
    low, high = x(blasts.low), x(blasts.high)
    parts.append(
        f'<rect x="{low:.1f}" y="{line - 6}" width="{max(high - low, 1):.1f}" height="12" rx="6" '
        'fill="#d62728" fill-opacity="0.35" stroke="#a01c1d"/>'
    )
    parts.append(f'<circle cx="{x(blasts.percent):.1f}" cy="{line}" r="5.5" fill="#a01c1d" stroke="#fff"/>')
    said = f"blasts {blasts.percent:.1f} percent, interval {blasts.low:.1f} to {blasts.high:.1f}"
    return _svg(width, height, parts, said, "gauge")


def _svg(width: int, height: int, parts: list[str], said: str, css: str) -> Markup:
    body = "".join(parts)
    return Markup(
        f'<svg class="{escape(css)}" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" aria-label="{escape(said)}">{body}</svg>'
    )
