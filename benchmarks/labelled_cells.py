"""The labelled cells that the curation benchmarks learn from: embeddings, the model's word, the truth, groups.

Features of the same cells, those of the test part of the demonstration bundle's recipe, which the bundle has never seen
(PBC and AML-Cytomorphology_LMU):

shipped   the shipped bundle.
bccd      the shipped bundle on white cells of another microscope (BCCD, fields with one white cell of known type),
          recoloured as the main job does.
lost      the same in their own colours: a slide on which the bundle fails.
imagenet  EfficientNet-Lite0 with ImageNet weights, which has never seen a blood cell and says nothing of classes.

Extraction is costly on a CPU; `--cache` keeps what was extracted.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np

FEATURES = ("shipped", "bccd", "lost", "imagenet")


@dataclass
class Labelled:
    """Cells with their truth.

    Attributes
    ----------
    embedding : float32 (n, d)
    probabilities : float32 (n, k) or None
        The model's word; None where the features come from a network that knows no cells.
    codes : tuple of str
    truth : int64 (n,)
    groups : int64 (n,)
        Near-duplicates share one.
    source : array of str (n,)
    path : array of str (n,)
    """

    embedding: np.ndarray
    probabilities: np.ndarray | None
    codes: tuple[str, ...]
    truth: np.ndarray
    groups: np.ndarray
    source: np.ndarray
    path: np.ndarray


def options(description: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with cells_pbc and cells_aml_lmu_*")
    parser.add_argument("--cache", type=Path, required=True, help="folder that keeps embeddings between runs")
    parser.add_argument("--features", choices=FEATURES, nargs="+", default=list(FEATURES))
    return parser


def load(features: str, data: Path, cache: Path) -> Labelled:
    """Return the cells of the test fold with one kind of features."""
    kept = cache / f"labelled_{features}.npz"
    if not kept.exists():
        cache.mkdir(parents=True, exist_ok=True)
        foreign = features in ("bccd", "lost")
        np.savez(kept, **(_bccd(data, features == "bccd") if foreign else _extract(features, data, cache)))
    with np.load(kept, allow_pickle=False) as z:
        said = z["probabilities"] if z["probabilities"].size else None
        return Labelled(
            z["embedding"], said, tuple(z["codes"].tolist()), z["truth"], z["groups"], z["source"], z["path"]
        )


def _extract(features: str, data: Path, cache: Path) -> dict[str, np.ndarray]:
    from demo_cells import demo_cells, held_out

    from napari_aml.classify import load_bundle, predict_steps
    from napari_aml.classify.dataset_crops import DatasetCrops
    from napari_aml.progress import run

    dataset, bundle = demo_cells(data, cache), load_bundle()
    rows = held_out(dataset)
    table = dataset.table.iloc[rows]
    crops = DatasetCrops(dataset, rows, bundle.crop_um, bundle.crop_px)
    if features == "imagenet":
        embedding, said = _imagenet(crops.read(np.arange(len(rows)))), np.zeros((0, 0), np.float32)
    else:
        told = run(predict_steps(bundle, crops))
        embedding, said = told.embedding, told.probabilities
    return {
        "embedding": embedding.astype(np.float32),
        "probabilities": said,
        "codes": np.array(bundle.codes),
        "truth": np.array([bundle.codes.index(code) for code in table["code"]]),
        "groups": np.unique(dataset.groups[rows], return_inverse=True)[1],
        "source": table["source"].to_numpy(str),
        "path": table["picture"].to_numpy(str),
    }


def _imagenet(crops: np.ndarray) -> np.ndarray:
    """Unit features, float32 (n, d), of EfficientNet-Lite0 with ImageNet weights."""
    from napari_aml._torch import timm, torch
    from napari_aml.classify.training.engine.packaged import BACKBONE, PACKAGE, packaged_weights

    network = timm.create_model(BACKBONE)
    network.load_state_dict(packaged_weights(PACKAGE, network))
    network.eval()
    found = []
    with torch.inference_mode():
        for start in range(0, len(crops), 128):
            x = torch.from_numpy(crops[start : start + 128]).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)
            features = network.forward_features(x.contiguous(memory_format=torch.channels_last)).mean((2, 3))
            found.append(torch.nn.functional.normalize(features).numpy())
    return np.concatenate(found)


def _bccd(data: Path, recoloured: bool) -> dict[str, np.ndarray]:
    from site_adaptation import white_cells

    import napari_aml as aml
    from napari_aml.progress import run

    bundle = aml.load_bundle()
    crops, codes = white_cells(data, bundle.crop_um, bundle.crop_px, bundle.stains if recoloured else ())
    told = run(aml.predict_steps(bundle, crops))
    n = len(codes)
    return {
        "embedding": told.embedding, "probabilities": told.probabilities, "codes": np.array(bundle.codes),
        "truth": np.array([bundle.codes.index(code) for code in codes]), "groups": np.arange(n),
        "source": np.full(n, "bccd"), "path": np.array([str(i) for i in range(n)]),
    }  # fmt: skip
