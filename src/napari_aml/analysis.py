"""Everything that is known about one slide after the main job: cells, predictions, heatmaps, and what made them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from napari_aml.cells.stain import Stain
    from napari_aml.cells.table import Cells
    from napari_aml.classify.bundle import ModelBundle
    from napari_aml.classify.predictions import Predictions
    from napari_aml.explain.heatmap import Heatmaps
    from napari_aml.slides.slide import Slide


@dataclass
class Analysis:
    """The outcome of the main job on one slide.

    Attributes
    ----------
    slide
        The slide, its pixel size known.
    cells
        Its nucleated cells.
    predictions
        Aligned with ``cells.table``; None when only segmentation was asked for.
    heatmaps
        Aligned with ``cells.table``; None when no heatmaps were asked for.
    bundle
        The model bundle that made the predictions, or None.
    provenance
        Versions, hashes, settings, times, warnings.
    final
        What people said of the cells, as `napari_aml.review.final.final_codes` returns it with the cells' ``uid`` as
        index; None while no person has said anything.
    """

    slide: Slide
    cells: Cells
    predictions: Predictions | None = None
    heatmaps: Heatmaps | None = None
    bundle: ModelBundle | None = None
    provenance: dict[str, Any] = field(default_factory=dict)
    final: pd.DataFrame | None = None

    @property
    def stain(self) -> Stain | None:
        """The slide's stain as it was measured when its cells were found.

        None where it was not or could not be measured, and where the cells were classified in their own colours on
        purpose: whoever classifies some of them anew does it as the others were.
        """
        held = self.provenance.get("stain")
        if not held or not self.provenance.get("settings", {}).get("recolour", True):
            return None
        from napari_aml.cells.stain import Stain

        return Stain.read(held)

    def table(self) -> pd.DataFrame:
        """Return the cell table with the model's columns.

        Adds ``class, probability, runner_up, p_<CODE>…, ood``, where the bundle has them ``set`` (the classes
        that cannot be excluded, likeliest first) and ``unlike_training``, and ``cam_in_cell, cam_in_nucleus,
        cam_has_evidence`` where there are predictions and heatmaps; then ``code_final, confirmed`` (a person's code
        goes before the model's, and ``class`` stays the model's) and, with decisions, ``decided_by, disputed``.
        """
        return cell_table(self.cells, self.predictions, self.heatmaps, self.bundle, self.final)


def cell_table(
    cells: Cells,
    predictions: Predictions | None = None,
    heatmaps: Heatmaps | None = None,
    bundle: ModelBundle | None = None,
    final: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Return the cell table with what is known of its cells, as `Analysis.table` does: no picture is needed for it."""
    table = cells.table.reset_index(drop=True).copy()
    if predictions is not None:
        table["class"] = pd.Series(predictions.code, dtype="str")
        table["probability"] = predictions.confidence.astype(np.float32)
        table["runner_up"] = pd.Series(np.array(predictions.codes, object)[predictions.runner_up], dtype="str")
        for k, code in enumerate(predictions.codes):
            table[f"p_{code}"] = predictions.probabilities[:, k].astype(np.float32)
        table["ood"] = predictions.ood
        if bundle is not None:
            trust = bundle.trust
            if (sets := trust.sets(predictions.probabilities)) is not None:
                table["set"] = pd.Series(sets, dtype="str")
            if trust.ood is not None:
                table["unlike_training"] = trust.unlike(predictions.ood)
    if heatmaps is not None:
        table["cam_in_cell"] = heatmaps.in_cell
        table["cam_in_nucleus"] = heatmaps.in_nucleus
        table["cam_has_evidence"] = heatmaps.has_evidence
    return table if predictions is None and final is None else _with_final(table, final)


def _with_final(table: pd.DataFrame, final: pd.DataFrame | None) -> pd.DataFrame:
    model = table["class"].to_numpy(object) if "class" in table else np.full(len(table), "", object)
    confirmed = np.zeros(len(table), bool)
    if final is not None:
        # Cells that came after the decisions were gathered are the model's, and where no person spoke its newest
        # word counts.
        words = final.reindex(table["uid"])
        confirmed = words["confirmed"].eq(True).to_numpy(bool)
        model = np.where(confirmed, words["code_final"].to_numpy(object), model)
    table["code_final"] = pd.Series(model, dtype="str")
    table["confirmed"] = confirmed
    if final is not None:
        who = np.where(confirmed, words["decided_by"].to_numpy(object), "")
        table["decided_by"] = pd.Series(who, dtype="str")
        table["disputed"] = words["disputed"].eq(True).to_numpy(bool)
    return table
