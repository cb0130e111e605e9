"""AnnData: the network's features as X, everything known of a cell as obs; for scanpy and its relatives."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from napari_aml import RESEARCH_USE
from napari_aml.errors import AmlError
from napari_aml.export.formats.options import ExportOptions, Written
from napari_aml.export.formats.tables import slides_table
from napari_aml.progress import Progress, Steps
from napari_aml.taxonomy import cell_class

if TYPE_CHECKING:
    from napari_aml.review.exchange.curated import CuratedSlide, Curation


class AnnDataMissingError(AmlError):
    """The extra that writes AnnData is not installed."""

    def __init__(self, reason: str = "") -> None:
        super().__init__(
            "Writing h5ad needs the package 'anndata', which is not installed"
            + (f" or does not work here ({reason})." if reason else "."),
            "Install the extra: pip install \"napari-aml[anndata]\" (it needs pandas older than 3), "
            "or export as Parquet.",
        )


def write_steps(curation: Curation, folder: Path, options: ExportOptions) -> Steps[Written]:
    """Write cells.h5ad."""
    try:
        import anndata
    except Exception as error:  # an anndata that does not fit the installed pandas fails in many ways
        missing = isinstance(error, ModuleNotFoundError) and error.name == "anndata"
        raise AnnDataMissingError("" if missing else f"{type(error).__name__}: {error}") from error
    yield Progress(0, 3, "Gathering the cells")
    slides = list(curation)
    obs = _obs(slides)
    width = max((s.embedding.shape[1] for s in slides if s.embedding is not None and len(s)), default=0)
    remarks = []
    if len({s.model for s in slides if s.model}) > 1:
        remarks.append("The slides were classified by different models: do not compare their features in cells.h5ad.")
    x = np.concatenate([_features(s, width) for s in slides]) if slides else np.zeros((0, 0), np.float32)
    data = anndata.AnnData(X=x, obs=obs, var=pd.DataFrame(index=[f"feature_{i}" for i in range(width)]))
    data.obsm["spatial"] = np.concatenate([s.table[["x", "y"]].to_numpy(np.float32) for s in slides])
    codes = list(dict.fromkeys(c for s in slides for c in s.codes))
    if codes:
        columns = [obs.pop(f"p_{c}").to_numpy(np.float32) for c in codes]
        data.obsm["probabilities"] = np.stack(columns, 1)
        data.obs = obs
    data.uns["napari_aml"] = {
        "research_use": RESEARCH_USE, "licence": curation.licence or "not stated",
        "source": curation.source or "not stated", "pseudonyms": curation.pseudonyms, "probability_codes": codes,
        "slides": slides_table(curation).to_json(orient="records"),
    }  # fmt: skip
    if "code_final" in data.obs:
        data.uns["code_final_colors"] = [cell_class(c).colour for c in data.obs["code_final"].cat.categories]
    yield Progress(1, 3, "Writing cells.h5ad")
    data.write_h5ad(folder / "cells.h5ad", compression="gzip")
    yield Progress(3, 3, "Writing cells.h5ad")
    return Written((Path("cells.h5ad"),), tuple(remarks))


def _obs(slides: list[CuratedSlide]) -> pd.DataFrame:
    obs = pd.concat([s.table for s in slides], ignore_index=True) if slides else pd.DataFrame({"uid": []})
    obs.index = pd.Index(obs.pop("uid").astype(object), name="uid")
    for name in obs:
        if pd.api.types.is_bool_dtype(obs[name]) or pd.api.types.is_numeric_dtype(obs[name]):
            continue
        texts: Any = obs[name].astype(object).where(obs[name].notna(), "")
        few = name in ("slide_id", "class", "runner_up", "code_final", "decided_by")
        obs[name] = pd.Categorical(texts.astype(str)) if few else texts.astype(str).astype(object)
    return obs


def _features(slide: CuratedSlide, width: int) -> np.ndarray:
    out = np.full((len(slide), width), np.nan, np.float32)
    if slide.embedding is not None:
        out[:, : slide.embedding.shape[1]] = slide.embedding
    return out
