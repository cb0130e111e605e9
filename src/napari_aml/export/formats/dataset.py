"""A data set folder of the curated cells, ready to be split, trained on and passed on with its licence."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from napari_aml import RESEARCH_USE
from napari_aml.export.formats.options import ExportOptions, Written
from napari_aml.export.formats.pictures import chosen_rows, cut, why_not
from napari_aml.progress import Steps

if TYPE_CHECKING:
    from napari_aml.review.exchange.curated import CuratedSlide, Curation


def write_steps(curation: Curation, folder: Path, options: ExportOptions) -> Steps[Written]:
    """Write ``dataset/``: one row and one picture a cell; patient and slide say what must not be split apart."""
    from napari_aml.datasets.writing import write_dataset_steps

    remarks: list[str] = []
    tables: list[pd.DataFrame] = []
    for slide in curation:
        if reason := why_not(slide):
            remarks.append(reason)
            continue
        chosen = chosen_rows(slide, options)
        order = np.lexsort((slide.table["x"].to_numpy()[chosen], slide.table["y"].to_numpy()[chosen] // 1024))
        tables.append(_rows(slide, chosen[order], options))
    table = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()
    if not len(table):
        remarks.append("No cell had a class and a picture, or none was confirmed: no data set was written.")
        return Written((), tuple(remarks))
    meta = {
        "name": curation.name or "curated cells", "licence": curation.licence or "not stated",
        "source": curation.source or "not stated", "tissue": "peripheral blood", "research_use": RESEARCH_USE,
        "labels": f"{int(table['confirmed'].sum())} of {len(table)} confirmed by a person; the others are a model's.",
    }  # fmt: skip
    made = yield from write_dataset_steps(folder / "dataset", table, _pictures(curation, options), meta)
    files = [p.relative_to(folder) for p in made.path.rglob("*") if p.is_file()]
    return Written(tuple(files), tuple(remarks))


def _pictures(curation: Curation, options: ExportOptions) -> Iterator[np.ndarray]:
    for slide in curation:
        if not why_not(slide):
            yield from (picture for _, picture in cut(slide, chosen_rows(slide, options), options))


def _rows(slide: CuratedSlide, rows: np.ndarray, options: ExportOptions) -> pd.DataFrame:
    part = slide.table.iloc[rows]
    side = options.crop_um or slide.crop_um
    columns: dict[str, Any] = {
        "uid": part["uid"], "code": part["code_final"], "source_label": part["code_final"], "source": "project",
        "patient": slide.patient, "slide": slide.slide_id, "reader": part["decided_by"],
        "pixel_size_um": side / options.crop_px, "crop_um": side, "confirmed": part["confirmed"],
        "disputed": part["disputed"], "tags": part["tags"],
    }  # fmt: skip
    return pd.DataFrame(columns, index=part.index)
