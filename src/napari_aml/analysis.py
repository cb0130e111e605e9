"""Everything that is known about one slide after the main job: cells, predictions, heatmaps, and what made them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
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
    """

    slide: Slide
    cells: Cells
    predictions: Predictions | None = None
    heatmaps: Heatmaps | None = None
    bundle: ModelBundle | None = None
    provenance: dict[str, Any] = field(default_factory=dict)

    def table(self) -> pd.DataFrame:
        """Return the cell table with the model's columns.

        Adds ``class, probability, runner_up, p_<CODE>…, ood`` and ``cam_in_cell, cam_in_nucleus, cam_has_evidence``
        where there are predictions and heatmaps.
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
        if self.heatmaps is not None:
            table["cam_in_cell"] = self.heatmaps.in_cell
            table["cam_in_nucleus"] = self.heatmaps.in_nucleus
            table["cam_has_evidence"] = self.heatmaps.has_evidence
        return table
