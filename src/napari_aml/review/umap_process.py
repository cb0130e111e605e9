"""The process that lays out an embedding with UMAP.

``python -m napari_aml.review.umap_process IN.npy OUT.npy NEIGHBOURS SEED``
"""

from __future__ import annotations

import sys
import warnings

import numpy as np


def main(source: str, target: str, neighbours: str, seed: str) -> None:
    """Read float32 (n, d) from `source`, write float32 (n, 2) to `target`."""
    import umap

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        x = np.load(source, allow_pickle=False)
        layout = umap.UMAP(n_neighbors=int(neighbours), min_dist=0.15, random_state=int(seed), n_jobs=1)
        np.save(target, layout.fit_transform(x).astype(np.float32))


if __name__ == "__main__":
    main(*sys.argv[1:])
