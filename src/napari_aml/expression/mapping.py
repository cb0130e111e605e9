"""Where samples lie beside each other, by the network's last layer and by plain expression."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from napari_aml.errors import InputError
from napari_aml.expression.bundle import ExpressionBundle
from napari_aml.progress import Progress, Steps

Method = Literal["pca", "umap"]
SPACES = ("last layer", "expression")


@dataclass(frozen=True)
class SampleMap:
    """Samples on a plane.

    Attributes
    ----------
    samples
        Names.
    space
        ``last layer`` or ``expression``.
    method
        ``pca`` or ``umap``.
    points
        float64 (samples, 2).
    explained
        Share of the variance on each axis (PCA only), else None.
    silhouette
        Mean silhouette of the labels in the whole space (not on the plane), -1…1; NaN where undefined.
    ari
        Adjusted Rand index of k-means clusters, as many as labels, against the labels; NaN where undefined.
    """

    samples: tuple[str, ...]
    space: str
    method: Method
    points: np.ndarray
    explained: tuple[float, float] | None
    silhouette: float
    ari: float


def sample_maps_steps(
    bundle: ExpressionBundle,
    x: np.ndarray,
    samples: Sequence[str],
    labels: Sequence[str] | None = None,
    *,
    umap: bool = False,
    seed: int = 0,
) -> Steps[list[SampleMap]]:
    """Place samples by the network's last layer and by plain expression, yielding progress.

    Parameters
    ----------
    bundle
        The model.
    x
        (n, genes) prepared rows.
    samples
        Their names.
    labels
        (n,) classes for silhouette and ARI; None leaves these out. Where the samples trained the model, the last layer
        has seen the labels and parts them better than it will part new samples.
    umap
        UMAP beside PCA; needs the extra ``umap``.
    seed
        Of k-means and UMAP.

    Raises
    ------
    InputError
        With fewer than three samples, or without the extra.
    """
    from napari_aml.expression.training.fit import embeddings_of

    if len(samples) < 3:
        raise InputError(f"{len(samples)} samples make no map.", "Give at least three.")
    reducer = _umap() if umap else None
    spread = bundle.summary["sd"] + 0.3 if "sd" in bundle.summary else x.std(0) + 0.3
    spaces = {
        "last layer": embeddings_of(bundle.network(), x),
        "expression": (np.asarray(x, np.float64) - bundle.reference) / spread,
    }
    made: list[SampleMap] = []
    total = len(spaces) * (2 if umap else 1)
    for space, points in spaces.items():
        yield Progress(len(made), total, f"Placing samples: {space}")
        apart = separation(points, labels, seed)
        plane, explained = pca(points)
        made.append(SampleMap(tuple(samples), space, "pca", plane, explained, *apart))
        if reducer is not None:
            yield Progress(len(made), total, f"UMAP: {space}")
            made.append(SampleMap(tuple(samples), space, "umap", reducer(points, seed), None, *apart))
    yield Progress(total, total, "Placing samples")
    return made


def pca(points: np.ndarray) -> tuple[np.ndarray, tuple[float, float]]:
    """Return the first two principal components (n, 2) and their shares of the variance; signs are fixed."""
    centred = points - points.mean(0)
    left, values, loadings = np.linalg.svd(centred, full_matrices=False)
    k = min(2, len(values))
    # The largest loading is positive, so that a map does not turn over from machine to machine.
    signs = np.sign(loadings[np.arange(k), np.abs(loadings[:k]).argmax(1)])
    plane = np.zeros((len(points), 2))
    plane[:, :k] = left[:, :k] * values[:k] * np.where(signs == 0, 1, signs)
    shares = np.zeros(2)
    total = float((values**2).sum())
    shares[:k] = values[:k] ** 2 / total if total > 0 else 0
    return plane, (float(shares[0]), float(shares[1]))


def separation(points: np.ndarray, labels: Sequence[str] | None, seed: int = 0) -> tuple[float, float]:
    """Return silhouette and adjusted Rand index of labels in a space; NaN where there is nothing to compare."""
    if labels is None:
        return float("nan"), float("nan")
    named = np.asarray(labels, object).astype(str)
    classes = np.unique(named)
    if not 2 <= len(classes) < len(named):
        return float("nan"), float("nan")
    from sklearn.cluster import KMeans
    from sklearn.metrics import adjusted_rand_score, silhouette_score

    clusters = KMeans(len(classes), n_init=10, random_state=seed).fit_predict(points)
    return float(silhouette_score(points, named)), float(adjusted_rand_score(named, clusters))


def _umap():
    try:
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import umap
    except ImportError as error:
        raise InputError(
            "UMAP is not installed.", 'Install the extra: pip install "napari-aml[umap]"; PCA works without it.'
        ) from error

    def reduce(points: np.ndarray, seed: int) -> np.ndarray:
        neighbours = int(min(15, len(points) - 1))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            start = "random" if len(points) < 10 else "spectral"
            fitted = umap.UMAP(n_neighbors=neighbours, random_state=seed, n_jobs=1, init=start)
            return np.asarray(fitted.fit_transform(points), np.float64)

    return reduce


def write_maps(maps: Sequence[SampleMap], labels: Sequence[str], folder: str | Path) -> Path:
    """Write ``map.csv`` (a point a sample and map), ``map_figures.csv`` and ``map.png`` into a folder."""
    import pandas as pd

    from napari_aml._files import replacing_folder

    folder = Path(folder)
    points = [
        pd.DataFrame({"sample": m.samples, "class": list(labels), "space": m.space, "method": m.method,
                      "x": m.points[:, 0], "y": m.points[:, 1]})
        for m in maps
    ]  # fmt: skip
    figures = [
        {"space": m.space, "method": m.method, "silhouette": m.silhouette, "ari": m.ari,
         "share_1": m.explained[0] if m.explained else None, "share_2": m.explained[1] if m.explained else None}
        for m in maps
    ]  # fmt: skip
    with replacing_folder(folder, ("map.csv", "map_figures.csv", "map.png")) as beside:
        pd.concat(points).to_csv(beside / "map.csv", index=False, float_format="%.5f")
        pd.DataFrame(figures).to_csv(beside / "map_figures.csv", index=False, float_format="%.5f")
        draw_maps(maps, labels, beside / "map.png")
    return folder


def draw_maps(maps: Sequence[SampleMap], labels: Sequence[str], path: str | Path) -> Path:
    """Draw maps side by side as a PNG, coloured by label."""
    from matplotlib.figure import Figure

    from napari_aml._files import replacing

    named = np.asarray(labels, object).astype(str)
    classes = sorted(set(named), key=lambda c: (c == "other", c))
    columns = max(len({m.space for m in maps}), 1)
    lines = -(-len(maps) // columns)
    figure = Figure(figsize=(5.2 * columns, 4.4 * lines), layout="constrained")
    axes = np.atleast_1d(figure.subplots(lines, columns, squeeze=False)).T.ravel()
    # Colours of Okabe and Ito, told apart by colour-blind eyes; the rest in grey.
    colours = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#f0e442", "#000000"]
    shapes = "osD^vP*X"
    for ax, one in zip(axes, maps, strict=False):
        for i, name in enumerate(classes):
            rows = named == name
            grey = name == "other"
            ax.scatter(
                *one.points[rows].T, s=14 if grey else 26, label=f"{name} ({rows.sum()})", linewidths=0,
                c="#b0b0b0" if grey else colours[i % len(colours)], marker=shapes[i // len(colours) % len(shapes)],
                zorder=1 if grey else 2,
            )  # fmt: skip
        parts = [one.space, one.method.upper()]
        if np.isfinite(one.silhouette):
            parts.append(f"silhouette {one.silhouette:.2f}, ARI {one.ari:.2f}")
        ax.set_title(" · ".join(parts), fontsize=9)
        if one.explained:
            ax.set_xlabel(f"component 1 ({100 * one.explained[0]:.0f} %)", fontsize=8)
            ax.set_ylabel(f"component 2 ({100 * one.explained[1]:.0f} %)", fontsize=8)
        ax.tick_params(labelsize=7)
    for ax in axes[len(maps) :]:
        ax.set_visible(False)
    if len(maps):
        axes[0].legend(fontsize=7, frameon=False)
    with replacing(path) as beside:
        figure.savefig(beside, dpi=110)
    return Path(path)
