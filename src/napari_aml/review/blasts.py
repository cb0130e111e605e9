"""What a differential says about blasts, in words: the percentage, its interval, the cut-offs. Never yes or no."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_aml.review.counting import CountingSettings

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class BlastSummary:
    """Blasts among the leukocytes.

    Attributes
    ----------
    count, leukocytes
        Blasts of leukocytes.
    percent, low, high
        Percent of leukocytes and its exact interval; NaN without leukocytes.
    confidence
        Of the interval, 0…1.
    included, below, above
        Published cut-offs (percent) that the interval includes; those it lies below; those it lies above.
    """

    count: int
    leukocytes: int
    percent: float
    low: float
    high: float
    confidence: float
    included: tuple[float, ...]
    below: tuple[float, ...]
    above: tuple[float, ...]

    def sentences(self) -> list[str]:
        """Say it in words."""
        if not self.leukocytes:
            return ["No leukocytes were counted, so there is no percentage of blasts."]
        out = [
            f"{self.count} of {self.leukocytes} leukocytes ({self.percent:.1f} %) were counted as blasts; "
            f"exact {100 * self.confidence:g} % interval {self.low:.1f} to {self.high:.1f} %."
        ]
        for cut_offs, words in (
            (self.included, "The interval includes"),
            (self.below, "The interval lies below"),
            (self.above, "The interval lies above"),
        ):
            if cut_offs:
                listed = " and ".join(f"{c:g} %" for c in cut_offs)
                out.append(f"{words} the published cut-off{'s' if len(cut_offs) > 1 else ''} of {listed}.")
        return out


def blast_summary(table: pd.DataFrame, settings: CountingSettings | None = None, code: str = "BLASTS") -> BlastSummary:
    """Read the blasts off a differential.

    Parameters
    ----------
    table
        From `differential`.
    settings
        Those it was counted with.
    code
        ``BLASTS``, or ``BLASTS+PMB`` for the sum that holds in acute promyelocytic leukaemia only.
    """
    settings = settings or CountingSettings()
    row = table[table["code"] == code].iloc[0]
    low, high = float(row["low"]), float(row["high"])
    cuts = settings.blast_cut_offs
    return BlastSummary(
        int(row["count"]), int(row["total"]), float(row["percent"]), low, high, settings.confidence,
        tuple(c for c in cuts if low <= c <= high),
        tuple(c for c in cuts if high < c),
        tuple(c for c in cuts if low > c),
    )  # fmt: skip
