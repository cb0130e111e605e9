"""The card of a bundle that `running` made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_aml import RESEARCH_USE
from napari_aml.classify.training.engine.judging import FEWEST, headline, judged
from napari_aml.classify.training.engine.settings import TrainConfig
from napari_aml.datasets import Dataset, Split
from napari_aml.provenance import now_utc, versions
from napari_aml.taxonomy import cell_class

if TYPE_CHECKING:
    from napari_aml.classify.bundle import ModelBundle


def training_card(
    dataset: Dataset,
    config: TrainConfig,
    *,
    codes: tuple[str, ...],
    crop_um: float,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    parent: ModelBundle | None,
    division: Split,
    sizes: dict[str, int],
    chosen: str,
    epochs: int,
    temperature: float,
    figures: dict[str, Any],
    notes: list[str],
) -> dict[str, Any]:
    """Return the entries of ``bundle.json``; see docs/model-bundles.md.

    Parameters
    ----------
    sizes
        Pictures of each part of the split.
    chosen
        Which weights were kept, in words.
    figures
        Of the test part.
    """
    meta = dataset.meta
    card: dict[str, Any] = {
        "name": config.name or f"{dataset.name}-{config.backbone.split('.')[0]}",
        "version": config.version,
        "title": config.title or f"{config.backbone} trained on {dataset.name}",
        "backbone": config.backbone,
        "class_codes": list(codes),
        "class_names": [cell_class(code).name for code in codes],
        "crop_um": round(crop_um, 3),
        "crop_px": config.px,
        "mean": [float(v) for v in mean],
        "std": [float(v) for v in std],
        "temperature": round(temperature, 4),
        "training_data": _training_data(dataset, codes, division, sizes),
        "licence": meta.get("licence") or "that of the training data, which is not stated",
        "class_counts": {c: int((dataset.table["code"].iloc[division.rows("train")] == c).sum()) for c in codes},
        # What the probabilities take for granted: every class alike, or as common as in the training data.
        "prior": "training" if config.imbalance == "none" else "balanced",
        "leakage_level": division.leakage.level,
        "split_level": division.leakage.text,
        "metrics": {"test": headline(figures)} if figures else {},
        "per_class": figures.get("per_class", {}),
        "confusion": figures.get("confusion"),
        "training": {
            "settings": config.decisive(), "weights_kept": chosen, "epochs": epochs, "made": now_utc(),
            "versions": versions(),
        },
        "notes": notes,
        "intended_use": f"Review of single cells of blood smears by a person. {RESEARCH_USE}",
        "limits": _limits(dataset, codes, sizes, figures, parent),
    }  # fmt: skip
    if config.backbone_args:
        card["backbone_args"] = config.backbone_args
    if parent is not None:
        card["parent"] = {"name": parent.name, "version": parent.version, "sha256": parent.sha256}
        card["stains"] = parent.card.get("stains") or []
    return card


def _training_data(
    dataset: Dataset, codes: tuple[str, ...], division: Split, sizes: dict[str, int]
) -> list[dict[str, Any]]:
    """Return one entry a set: of several where the dataset was joined of sets that can be told by their source."""
    meta = dataset.meta
    mapping = {k: (meta.get("mapping") or {}).get(k) for k in ("name", "version")}
    parts = (meta.get("joined") or {}).get("parts") or []
    of_part = [set(part.get("sources") or ()) for part in parts]
    if len(parts) < 2 or not all(of_part) or sum(map(len, of_part)) > len(set.union(*of_part)):
        return [
            {
                "name": dataset.name, "n": sizes["train"], "licence": meta.get("licence") or "not stated",
                "source": meta.get("source", ""), "fingerprint": dataset.fingerprint(), "parts": sizes,
                "mapping": mapping,
            }
        ]  # fmt: skip
    told = []
    for part, sources in zip(parts, of_part, strict=True):
        of = dataset.table["source"].isin(sources).to_numpy() & dataset.table["code"].isin(codes).to_numpy()
        shares = {name: int(of[division.rows(name)].sum()) for name in sizes}
        told.append(
            {
                "name": part["name"], "n": shares["train"], "licence": part.get("licence") or "not stated",
                "source": part.get("source", ""), "fingerprint": part["fingerprint"], "parts": shares,
                "mapping": mapping,
            }
        )  # fmt: skip
    return told


def by_source(
    dataset: Dataset, held: dict[str, np.ndarray], codes: tuple[str, ...], temperature: float
) -> dict[str, dict[str, Any]]:
    """Figures of each source's test pictures, ``test, SOURCE``, where there are several of `FEWEST` or more.

    Parameters
    ----------
    held
        ``rows, logits, targets`` of the test part: (n,) rows of the dataset, (n, k), (n,).

    Returns
    -------
    dict
        Title → what `headline` prints; empty with one source.
    """
    sources = dataset.table["source"].to_numpy(str)[held["rows"]]
    names, counts = np.unique(sources, return_counts=True)
    found = {}
    for name in names[counts >= FEWEST] if len(names) > 1 else ():
        of = sources == name
        groups = dataset.groups[held["rows"][of]]
        figures = judged(held["logits"][of], held["targets"][of], codes, temperature, groups)
        found[f"test, {name}"] = headline(figures)
    return found


def _limits(
    dataset: Dataset, codes: tuple[str, ...], sizes: dict[str, int], figures: dict[str, Any], parent: ModelBundle | None
) -> list[str]:
    limits = [
        f"Learnt from {sizes['train']:,} pictures of {dataset.name}; other scanners, stains and tissues are untested.",
        "What it does not know gets one of its codes.",
    ]
    if not figures:
        limits.append("Nothing was held out: there are no figures.")
    per_class = figures.get("per_class", {})
    few = [code for code in codes if per_class and per_class.get(code, {}).get("n", 0) < FEWEST]
    if few:
        limits.append(f"Fewer than {FEWEST} test cells each, so their figures say little: {', '.join(few)}.")
    if np.isnan(dataset.table["crop_um"].to_numpy(float)).all():
        limits.append("The scale of its training pictures is unknown: a whole picture was taken for one crop.")
    if parent is not None:
        limits.append(f"{parent.name} may have seen test pictures of this dataset before: see its own card.")
    return limits
