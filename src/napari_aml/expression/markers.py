"""Genes that mark a subtype: how far expression differs, how surely, and what the model makes of it, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from napari_aml.errors import InputError

if TYPE_CHECKING:
    from napari_aml.expression.attribution import Attributions

#: Fewest samples of a class and of the rest.
LEAST = 3


def marker_table(
    x: np.ndarray,
    genes: Sequence[str],
    labels: Sequence[str],
    attributions: Attributions | None = None,
    *,
    classes: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Compare each class with all other samples, gene by gene.

    Parameters
    ----------
    x
        (n, genes) log2 expression within the panel.
    genes
        Names.
    labels
        (n,) class of each sample: a person's label, or the model's call (then the comparison is circular, and is to
        be read as "what the called groups differ in").
    attributions
        Of the same samples, each explained for its class; adds the mean attribution and its rank.
    classes
        Which to compare; by default all with at least three samples.

    Returns
    -------
    pandas.DataFrame
        One row a class and gene, strongest first within a class: ``class, gene, n, mean, mean_others``;
        ``log2_change``, the difference of the means; ``effect``, Cliff's delta (-1…1: how much likelier a sample of the
        class is to exceed one of the others than to fall below it); ``p``, two-sided Mann–Whitney; ``p_adjusted``,
        Benjamini–Hochberg over all rows; with attributions ``attribution`` (mean, logit units) and
        ``attribution_rank`` (1 speaks loudest).

    Raises
    ------
    InputError
        When no class has enough samples.
    """
    from scipy.stats import false_discovery_control, mannwhitneyu

    x, labelled = np.asarray(x, np.float64), np.asarray(labels, object)
    names = sorted({str(v) for v in labels}) if classes is None else list(classes)
    parts = []
    for name in names:
        own = labelled == name
        if own.sum() < LEAST or (~own).sum() < LEAST:
            continue
        test = mannwhitneyu(x[own], x[~own], axis=0, method="asymptotic")
        effect = 2 * test.statistic / (own.sum() * (~own).sum()) - 1
        part = pd.DataFrame({
            "class": name, "gene": list(genes), "n": int(own.sum()), "mean": x[own].mean(0),
            "mean_others": x[~own].mean(0), "log2_change": x[own].mean(0) - x[~own].mean(0), "effect": effect,
            # A gene that is equal everywhere has no test: nothing speaks against "no difference".
            "p": np.where(np.isfinite(test.pvalue), test.pvalue, 1.0),
        })  # fmt: skip
        if attributions is not None:
            mean = attributions.mean(name)
            part["attribution"] = mean
            part["attribution_rank"] = pd.Series(-np.abs(mean)).rank(method="first").astype("Int64")
        parts.append(part)
    if not parts:
        raise InputError(
            f"No class has {LEAST} samples and {LEAST} others to compare with.", "Give labels, or more samples."
        )
    table = pd.concat(parts, ignore_index=True)
    table["p_adjusted"] = false_discovery_control(table["p"].to_numpy())
    table["_strength"] = -table["effect"].abs() - 1e-6 * table["log2_change"].abs()
    table = table.sort_values(["class", "_strength"], kind="stable").drop(columns="_strength").reset_index(drop=True)
    order = ["class", "gene", "n", "mean", "mean_others", "log2_change", "effect", "p", "p_adjusted"]
    return table[[*order, *[c for c in table.columns if c.startswith("attribution")]]]


def top_markers(table: pd.DataFrame, most: int = 10, *, up: bool = True) -> pd.DataFrame:
    """Return the strongest significant markers of each class (adjusted p < 0.05), those of higher expression only."""
    good = table[(table["p_adjusted"] < 0.05) & ((table["effect"] > 0) | (not up))]
    return good.groupby("class", sort=False).head(most)


def marker_heatmap(
    x: np.ndarray, genes: Sequence[str], labels: Sequence[str], table: pd.DataFrame, path: str | Path, most: int = 8
) -> Path:
    """Draw the top markers of each class (rows) over the samples (columns, by class), as a PNG.

    Colours are standard deviations from each gene's mean, from -2.5 to 2.5. To the right stands the mean attribution,
    where the table has it.
    """
    from matplotlib.figure import Figure

    from napari_aml._files import replacing

    chosen, title = top_markers(table, most).drop_duplicates("gene"), "Top markers of each class"
    if chosen.empty:  # with few samples nothing can be significant
        chosen = table.groupby("class", sort=False).head(most).drop_duplicates("gene")
        title = "Strongest differences of each class, none significant"
    labelled = np.asarray(labels, object)
    order = np.argsort(labelled.astype(str), kind="stable")
    place = {g: i for i, g in enumerate(genes)}
    rows = [place[g] for g in chosen["gene"]]
    z = np.asarray(x, np.float64)[order][:, rows].T
    z = (z - z.mean(1, keepdims=True)) / np.maximum(z.std(1, keepdims=True), 1e-9)
    with_bars = "attribution" in chosen
    height = 1.6 + 0.2 * max(len(rows), 4)
    figure = Figure(figsize=(11, height), layout="constrained")
    axes = figure.subplots(1, 2 if with_bars else 1, width_ratios=(4, 1) if with_bars else None, squeeze=False)[0]
    image = axes[0].imshow(z, aspect="auto", cmap="RdBu_r", vmin=-2.5, vmax=2.5, interpolation="nearest")
    axes[0].set_yticks(range(len(rows)), [f"{g}" for g in chosen["gene"]], fontsize=7)
    named = labelled[order]
    edges = np.flatnonzero(named[1:] != named[:-1]) + 0.5
    for edge in edges:
        axes[0].axvline(edge, color="black", linewidth=0.8)
    bounds = np.concatenate([[-0.5], edges, [len(named) - 0.5]])
    middles = (bounds[:-1] + bounds[1:]) / 2
    axes[0].set_xticks(
        middles, [str(named[int(np.ceil(b))]) for b in bounds[:-1]], fontsize=7, rotation=20, ha="right"
    )
    axes[0].set_title(f"{title}; standard deviations from the gene's mean", fontsize=9, loc="left")
    figure.colorbar(image, ax=axes[0], location="left", shrink=0.6, pad=0.01)
    if with_bars:
        axes[1].barh(range(len(rows)), chosen["attribution"], color="#4c72b0")
        axes[1].axvline(0, color="black", linewidth=0.6)
        axes[1].set_ylim(len(rows) - 0.5, -0.5)
        axes[1].set_yticks([])
        axes[1].tick_params(labelsize=7)
        axes[1].set_title("mean attribution\nto its class", fontsize=8)
    with replacing(path) as beside:
        figure.savefig(beside, dpi=110)
    return Path(path)
