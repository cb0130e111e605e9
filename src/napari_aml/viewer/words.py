"""What the dock says in words: the differential's summary, where the pixel size came from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_aml.ui.state import UNCLASSIFIED

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

    from napari_aml.analysis import Analysis
    from napari_aml.review import Count, CountingSettings
    from napari_aml.slides import PixelSize
    from napari_aml.ui.state import ReviewState


def count(state: ReviewState, settings: CountingSettings | None = None) -> tuple[pd.DataFrame | None, str]:
    """Return the differential of the cells classified so far under some rules, and what it says in words."""
    analysis = state.analysis
    if analysis is None:
        return None, "No cells yet. Analyse a picture first."
    if analysis.predictions is None:
        return None, f"{state.n_cells} cells, not classified yet."
    from napari_aml.review import blast_summary, differential

    codes, counted = state.codes(), state.counted()
    known = codes != UNCLASSIFIED
    take = counted & known
    cut = np.zeros(state.n_cells, bool)
    if settings is not None and not settings.cut_off_cells:
        cut = take & analysis.cells.table["touches_border"].to_numpy(bool)
        take = take & ~cut
    sure = analysis.predictions.confidence[take] if settings is not None and settings.least_probability > 0 else None
    table = differential(
        codes[take], state.confirmed()[take], settings, probabilities=sure, classes=analysis.predictions.codes
    )
    words = [" ".join(blast_summary(table, settings).sentences())]
    if cut.any():
        words.insert(0, f"{int(cut.sum())} cells cut by the edge are left out.")
    if waiting := int((counted & ~known).sum()):
        hidden = "not decided yet (blinded reading)" if state.blinded else "still being classified"
        words.insert(0, f"{waiting} cells are {hidden}.")
    if outside := int((~counted).sum()):
        words.insert(0, f"{outside} cells are left out by the regions drawn.")
    return table, " ".join(words)


def count_in_full(state: ReviewState, settings: CountingSettings) -> Callable[[], Count] | None:
    """Return what counts everything: corrected shares and advice, too. None before there are classes.

    What is to be counted is taken down at once; the function may be called in a worker thread. A cell whose class may
    not be shown yet (blinded reading) or is not known yet is not in it.
    """
    analysis = state.analysis
    said = None if analysis is None else analysis.predictions
    if analysis is None or said is None:
        return None
    from napari_aml.review import count_cells

    codes, confirmed, regions = state.codes(), state.confirmed(), list(state.regions.values())

    def counting() -> Count:
        table = analysis.cells.table[["y", "x", "touches_border", "slide_id"]].copy()
        table["code_final"], table["confirmed"] = codes, confirmed
        table["probability"] = said.confidence
        return count_cells(
            table, settings, classes=said.codes, card=getattr(analysis.bundle, "card", None),
            regions=regions, pixel_size_um=analysis.slide.pixel_size.um,
        )  # fmt: skip

    return counting


def pixel_size(state: ReviewState, given: float | None, of_picture: PixelSize | None) -> str:
    """Say which pixel size holds: that of the results, one that was given, or what the picture says."""
    if state.analysis is not None:
        slide = state.analysis.slide
        size, doubts = slide.pixel_size, slide.smear.warning if slide.smear else ""
        said = f"The results rest on {size}." + (f" {size.detail.capitalize()}." if size.detail else "")
        return f"⚠ {doubts} {said}" if doubts else said
    if given:
        return "As given here."
    if of_picture is None:
        return "Open a smear: File > Open, or File > Open Sample > AML smear review."
    if of_picture.um is None:
        return "The picture does not say it: it will be measured from the red cells."
    return str(of_picture)


def found_cells(analysis: Analysis) -> str:
    """Say how many cells were found, whether the picture looks like a smear, and whether its stain is strange."""
    n, smear = len(analysis.cells), analysis.slide.smear
    said = f"{n} cell{'' if n == 1 else 's'} found." if n else "No cells found in this picture."
    if smear is not None and smear.warning:
        said += f" ⚠ {smear.warning}"
    if (analysis.provenance.get("stain_choice") or {}).get("recoloured"):
        said += " ⚠ The model did not learn this stain: it was shown the cells in colours that it knows."
    return said


def measured(found: Any) -> str:
    """Say what the red cells gave."""
    sure = "" if found.reliable else " They are few or uneven: check the figure."
    return (
        f"{found.n_cells} red cells, median diameter {found.diameter_px:.1f} px = 7.2 µm: "
        f"{found.pixel_size_um:.4f} µm/px.{sure}"
    )
