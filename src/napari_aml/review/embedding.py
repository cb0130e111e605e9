"""The network's embedding of cells: a map in two dimensions, and which cells are alike."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from napari_aml.errors import AmlError, InputError
from napari_aml.progress import Progress, Steps

#: UMAP starts from this many principal components, as is usual; more add noise and time.
UMAP_COMPONENTS = 50
_POLL_S = 0.2


class UmapMissingError(AmlError):
    """umap-learn is not installed."""

    def __init__(self) -> None:
        super().__init__("UMAP is not installed.", 'Install it: pip install "napari-aml[umap]". The PCA needs nothing.')


def principal_components(embedding: np.ndarray, n: int = 2) -> np.ndarray:
    """Project an embedding on its first principal components.

    Parameters
    ----------
    embedding
        float (cells, d); rows that are not finite are refused.
    n
        How many components; fewer come back where d is smaller.

    Returns
    -------
    numpy.ndarray
        float32 (cells, n), centred. The sign of a component is such that its largest weight is positive, so that the
        same cells give the same map.

    Raises
    ------
    InputError
        Without cells or without an embedding.
    """
    x = _checked(embedding)
    x = x - x.mean(0)
    values, vectors = np.linalg.eigh((x.T @ x).astype(np.float64) / max(1, len(x) - 1))
    axes = vectors[:, np.argsort(values)[::-1][:n]]
    axes *= np.sign(axes[np.abs(axes).argmax(0), np.arange(axes.shape[1])])
    out = (x @ axes.astype(np.float32)).astype(np.float32)
    return np.pad(out, ((0, 0), (0, max(0, n - out.shape[1]))))


def umap_steps(embedding: np.ndarray, neighbours: int = 15, seed: int = 0) -> Steps[np.ndarray]:
    """Lay out an embedding with UMAP (McInnes et al. 2018, arXiv 1802.03426), in a process of its own.

    Closing the generator ends that process at once; its memory is given back in any case.

    Parameters
    ----------
    embedding
        float (cells, d), four cells or more.
    neighbours, seed
        How many neighbours make a neighbourhood; of the random numbers: the same seed gives the same map.

    Returns
    -------
    numpy.ndarray
        float32 (cells, 2).

    Raises
    ------
    UmapMissingError
        When umap-learn is not installed.
    InputError
        With fewer than four cells.
    """
    if importlib.util.find_spec("umap") is None:
        raise UmapMissingError
    x = _checked(embedding)
    if len(x) < 4:
        raise InputError(f"UMAP needs at least four cells, here are {len(x)}.", "Look at the PCA.")
    x = principal_components(x, min(UMAP_COMPONENTS, x.shape[1], len(x) - 1))
    with tempfile.TemporaryDirectory(prefix="napari-aml-umap-") as folder:
        source, target = Path(folder) / "in.npy", Path(folder) / "out.npy"
        np.save(source, x)
        command = [sys.executable, "-m", "napari_aml.review.umap_process", str(source), str(target)]
        command += [str(min(neighbours, len(x) - 1)), str(seed)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        start = time.monotonic()
        try:
            while process.poll() is None:
                yield Progress(0, 0, f"UMAP of {len(x)} cells, {time.monotonic() - start:.0f} s")
                time.sleep(_POLL_S)
            said = process.stderr.read() if process.stderr else ""
            if process.returncode or not target.is_file():
                last = (said.strip().splitlines() or ["no further description"])[-1]
                raise AmlError(f"UMAP failed: {last}", "Look at the PCA, or try fewer cells.")
            return np.load(target, allow_pickle=False)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
            if process.stderr:
                process.stderr.close()


class Likeness:
    """Which cells are alike: cosine similarity of embeddings, every cell compared (no approximation).

    Parameters
    ----------
    embedding
        float (cells, d).
    """

    def __init__(self, embedding: np.ndarray) -> None:
        x = _checked(embedding)
        norm = np.linalg.norm(x, axis=1, keepdims=True)
        self._x = x / np.maximum(norm, 1e-12)

    def nearest(self, row: int, k: int = 24, among: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Return the cells most like one cell.

        Parameters
        ----------
        row
            The cell; it is not among the answers.
        k
            How many at most.
        among
            bool (cells,): which may be answered; None for all.

        Returns
        -------
        rows, similarity : numpy.ndarray
            int and float32 (≤ k,), most alike first; similarity −1…1.
        """
        similarity = self._x @ self._x[row]
        allowed = np.ones(len(self._x), bool) if among is None else np.asarray(among, bool).copy()
        allowed[row] = False
        rows = np.flatnonzero(allowed)
        k = min(k, len(rows))
        if k == 0:
            return np.zeros(0, int), np.zeros(0, np.float32)
        best = rows[np.argpartition(-similarity[rows], k - 1)[:k]]
        best = best[np.lexsort((best, -similarity[best]))]
        return best, similarity[best]

    def nearest_of_another_class(
        self, row: int, codes: Sequence[str] | np.ndarray, k: int = 24
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the cells most like one cell that have another code; cells without a code are passed over."""
        codes = np.asarray(codes, object)
        return self.nearest(row, k, (codes != codes[row]) & (codes != ""))


def _checked(embedding: np.ndarray) -> np.ndarray:
    x = np.asarray(embedding, np.float32)
    if x.ndim != 2 or not x.shape[0]:
        raise InputError("There are no cells to lay out.", "Analyse a smear first.")
    if not x.shape[1] or not np.any(x):
        raise InputError("The cells have no embedding yet.", "Classify them: the network that does it makes it.")
    if not np.isfinite(x).all():
        raise InputError("The embedding of some cells is not a number.", "Classify them again.")
    return x
