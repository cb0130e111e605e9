"""Why a model says what it says: attributions, markers and the removal of genes together, as tables and plots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from napari_aml import RESEARCH_USE
from napari_aml.errors import InputError
from napari_aml.expression.attribution import TOLERANCE, Ablation, Attributions, ablate_steps, attribute_steps
from napari_aml.expression.bundle import ExpressionBundle
from napari_aml.expression.markers import marker_heatmap, marker_table
from napari_aml.progress import Steps

_FILES = ("genes.csv", "completeness.csv", "classes.csv", "markers.csv", "ablation.csv", "markers.png", "README.md")


@dataclass(frozen=True)
class Explanation:
    """Everything that explains a file's calls.

    Attributes
    ----------
    attributions
        By sample.
    markers
        See `marker_table`; None where no group is large enough.
    ablation
        None where it was not asked for.
    groups
        Class of each sample in the markers.
    grouped_by
        Where the groups are from, in words.
    x
        (n, genes) the rows.
    model
        Name of the bundle.
    """

    attributions: Attributions
    markers: pd.DataFrame | None
    ablation: Ablation | None
    groups: tuple[str, ...]
    grouped_by: str
    x: np.ndarray
    model: str

    def words(self) -> list[str]:
        """Return what a person should know before reading the tables."""
        found = self.attributions
        lines = [
            f"Attributions of {len(found.samples)} sample(s) by {self.model}, from {found.reference}, in logit units.",
            f"Completeness: {int(found.complete.sum())} of {len(found.samples)} sum to the difference of logits within "
            f"{100 * TOLERANCE:.0f} %; greatest gap {np.abs(found.gap).max(initial=0):.4f}.",
        ]
        if self.ablation is not None:
            for many, top, random, better, p in zip(
                self.ablation.removed, self.ablation.top, self.ablation.random, self.ablation.better,
                self.ablation.p, strict=True,
            ):  # fmt: skip
                lines.append(
                    f"Removing the {many} top genes lowers the logit by {top.mean():.2f}, {many} random ones by "
                    f"{random.mean():.2f} (top above every one of {self.ablation.draws} draws in "
                    f"{100 * better:.0f} % of samples; sign test p = {p:.2g})."
                )
        if self.markers is None:
            lines.append("No markers: a group needs three samples, and three others to compare with.")
        else:
            lines.append(f"Markers compare groups by {self.grouped_by}.")
        return lines


def explain_steps(
    bundle: ExpressionBundle,
    x: np.ndarray,
    samples: Sequence[str],
    groups: Sequence[str],
    *,
    target: str | None = None,
    ablate: bool = True,
    seed: int = 0,
    grouped_by: str = "the model's calls",
) -> Steps[Explanation]:
    """Explain prepared samples, yielding progress.

    Parameters
    ----------
    bundle, x, samples
        Model, prepared rows, names.
    groups
        (n,) classes for the marker table.
    target
        Class to explain for all samples; by default each sample's call.
    ablate
        Remove genes, too.
    seed
        Of the random genes.
    grouped_by
        Where the groups are from.
    """
    usable = np.isfinite(x).all(1) & (x != 0).any(1)
    x = np.asarray(x)[usable]
    names = tuple(s for s, u in zip(samples, usable, strict=True) if u)
    said = tuple(g for g, u in zip(groups, usable, strict=True) if u)
    if not names:
        raise InputError("There is no sample that can be explained.", "Look at the quality of the file.")
    found = yield from attribute_steps(bundle, x, names, [target] * len(names) if target else None)
    removal = (yield from ablate_steps(bundle, x, found, seed=seed)) if ablate else None
    try:
        # Attributions are those of each sample's explained class: they stand beside the groups where the two agree.
        table = marker_table(x, bundle.genes, said, found)
    except InputError:
        table = None
    return Explanation(found, table, removal, said, grouped_by, x, bundle.name)


def write_explanation(made: Explanation, folder: str | Path, *, top: int = 30) -> Path:
    """Write the tables (CSV), the heatmap (PNG) and a page of words into a folder.

    ``genes.csv``: the loudest genes of each sample; ``classes.csv``: the mean attribution of every gene by explained
    class; ``completeness.csv``; ``markers.csv``; ``ablation.csv``.
    """
    from napari_aml._files import replacing_folder

    folder, found = Path(folder), made.attributions
    loud = [
        {"sample": name, "class": found.targets[i], "rank": rank, "gene": gene, "attribution": value}
        for i, name in enumerate(found.samples)
        for rank, (gene, value) in enumerate(found.top(i, top), start=1)
    ]
    checks = pd.DataFrame({
        "sample": found.samples, "class": found.targets, "logit_difference": found.difference,
        "sum_of_attributions": found.values.sum(1), "gap": found.gap, "complete": found.complete,
    })  # fmt: skip
    by_class = pd.DataFrame({"gene": found.genes, **{t: found.mean(t) for t in dict.fromkeys(found.targets)}})
    with replacing_folder(folder, _FILES) as beside:
        pd.DataFrame(loud).to_csv(beside / "genes.csv", index=False, float_format="%.6g")
        checks.to_csv(beside / "completeness.csv", index=False, float_format="%.6g")
        by_class.to_csv(beside / "classes.csv", index=False, float_format="%.6g")
        if made.markers is not None:
            made.markers.to_csv(beside / "markers.csv", index=False, float_format="%.6g")
            marker_heatmap(made.x, found.genes, made.groups, made.markers, beside / "markers.png")
        if made.ablation is not None:
            _ablation_table(made).to_csv(beside / "ablation.csv", index=False, float_format="%.6g")
        lines = ["# Explanation of expression calls", "", RESEARCH_USE, "", *(f"- {w}" for w in made.words())]
        (beside / "README.md").write_text("\n".join(lines) + "\n", "utf-8")
    return folder


def _ablation_table(made: Explanation) -> pd.DataFrame:
    assert made.ablation is not None
    return pd.concat([
        pd.DataFrame({"sample": made.attributions.samples, "class": made.attributions.targets, "removed": many,
                      "drop_top": top, "drop_random": random})
        for many, top, random in zip(made.ablation.removed, made.ablation.top, made.ablation.random, strict=True)
    ])  # fmt: skip
