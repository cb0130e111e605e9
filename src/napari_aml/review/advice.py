"""How many leukocytes must be counted for an interval of a wanted width, or for one that no longer holds a cut-off."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from napari_aml.errors import InputError
from napari_aml.statistics.intervals import exact_interval

if TYPE_CHECKING:
    from napari_aml.review.blasts import BlastSummary
    from napari_aml.review.counting import CountingSettings

#: Nobody counts more than this on a smear.
MOST_CELLS = 100_000


def width(percent: float, cells: int, confidence: float = 0.95) -> float:
    """Return the width, in percentage points, of the exact interval of `percent` of so many cells."""
    low, high = _limits(percent, np.array([cells]), confidence)
    return float((high - low)[0])


def cells_for_width(percent: float, wanted: float, confidence: float = 0.95) -> int | None:
    """Return how many leukocytes give an interval of a wanted width.

    Parameters
    ----------
    percent
        The percentage that is expected, 0…100: usually that counted so far.
    wanted
        Width in percentage points.
    confidence
        Of the interval, 0…1.

    Returns
    -------
    int or None
        The least number from which on the width stays within `wanted`; None above `MOST_CELLS`.

    Examples
    --------
    >>> cells_for_width(20, 10)
    265
    """
    if not 0 <= percent <= 100 or not 0 < wanted <= 100:
        raise InputError(f"There is no count for {percent} % and a width of {wanted}.", "Both are 0 to 100.")

    def narrow(n: np.ndarray) -> np.ndarray:
        low, high = _limits(percent, n, confidence)
        return high - low <= wanted

    return _least(narrow)


def cells_beyond(percent: float, cut_off: float, confidence: float = 0.95) -> int | None:
    """Return how many leukocytes give an interval without a cut-off, if the percentage stays what it is.

    None where it would take more than `MOST_CELLS`, as when the percentage is the cut-off.
    """

    def apart(n: np.ndarray) -> np.ndarray:
        low, high = _limits(percent, n, confidence)
        return (low > cut_off) | (high < cut_off)

    return None if abs(percent - cut_off) < 1e-9 else _least(apart)


def advice(blasts: BlastSummary, settings: CountingSettings) -> list[str]:
    """Say whether, and how far, to count on.

    Parameters
    ----------
    blasts
        What was counted.
    settings
        How, and which width is wanted.
    """
    n, wanted = blasts.leukocytes, settings.wanted_width
    if not n:
        return ["Count leukocytes first."]
    out = []
    needed = cells_for_width(blasts.percent, wanted, blasts.confidence)
    now = blasts.high - blasts.low
    if now <= wanted:
        out.append(f"The interval is {now:.1f} percentage points wide, within the {wanted:g} that are wanted.")
    else:
        goal = f"about {needed:,} leukocytes ({needed - n:,} more)" if needed else f"more than {MOST_CELLS:,}"
        out.append(f"The interval is {now:.1f} percentage points wide. For {wanted:g}, count {goal}.")
    for cut in blasts.included:
        enough = cells_beyond(blasts.percent, cut, blasts.confidence)
        if enough is not None and enough > n:
            out.append(f"If the share stays as it is, {enough:,} leukocytes would set it apart from {cut:g} %.")
        else:
            out.append(f"No number of cells sets this share apart from {cut:g} %.")
    return out


def _limits(percent: float, cells: np.ndarray, confidence: float) -> tuple[np.ndarray, np.ndarray]:
    low, high = exact_interval(np.rint(percent * cells / 100), cells, confidence)
    return 100 * low, 100 * high


def _least(holds: Callable[[np.ndarray], np.ndarray]) -> int | None:
    """Return the least number from which on something holds.

    Counts are whole, so the width jumps a little from one number to the next: the last failure is looked for, in the
    window that doubling found and a quarter beyond it.
    """
    doubled = 2 ** np.arange(int(np.log2(MOST_CELLS)) + 1)
    held = holds(doubled)
    if not held.any():
        return None
    high = int(doubled[held.argmax()])
    window = np.arange(max(1, high // 2), min(MOST_CELLS, high + high // 4 + 8) + 1)
    failed = np.flatnonzero(~holds(window))
    return int(window[failed[-1]]) + 1 if len(failed) else int(window[0])
