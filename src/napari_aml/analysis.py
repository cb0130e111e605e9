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
        table = self.cells.table.reset_index(drop=True).copy()
        said = self.predictions
        if said is not None:
            table["class"] = pd.Series(said.code, dtype="str")
            table["probability"] = said.confidence.astype(np.float32)
            table["runner_up"] = pd.Series(np.array(said.codes, object)[said.runner_up], dtype="str")
            for k, code in enumerate(said.codes):
                table[f"p_{code}"] = said.probabilities[:, k].astype(np.float32)
            table["ood"] = said.ood
            if self.bundle is not None:
                trust = self.bundle.trust
                if (sets := trust.sets(said.probabilities)) is not None:
                    table["set"] = pd.Series(sets, dtype="str")
                if trust.ood is not None:
                    table["unlike_training"] = trust.unlike(said.ood)
        if self.heatmaps is not None:
            table["cam_in_cell"] = self.heatmaps.in_cell
            table["cam_in_nucleus"] = self.heatmaps.in_nucleus
            table["cam_has_evidence"] = self.heatmaps.has_evidence
        if said is not None or self.final is not None:
            table = self._with_final(table)
        return table

    def _with_final(self, table: pd.DataFrame) -> pd.DataFrame:
        model = table["class"].to_numpy(object) if "class" in table else np.full(len(table), "", object)
        confirmed = np.zeros(len(table), bool)
        if self.final is not None:
            # Cells that came after the decisions were gathered are the model's, and where no person spoke its newest
            # word counts.
            words = self.final.reindex(table["uid"])
            confirmed = words["confirmed"].eq(True).to_numpy(bool)
            model = np.where(confirmed, words["code_final"].to_numpy(object), model)
        table["code_final"] = pd.Series(model, dtype="str")
        table["confirmed"] = confirmed
        if self.final is not None:
            who = np.where(confirmed, words["decided_by"].to_numpy(object), "")
            table["decided_by"] = pd.Series(who, dtype="str")
            table["disputed"] = words["disputed"].eq(True).to_numpy(bool)
        return table
