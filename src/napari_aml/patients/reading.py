"""Read patients with an image model: a dataset becomes a cohort, a folder of cells a bag."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_aml.errors import InputError
from napari_aml.patients.bags import Bag, Cohort
from napari_aml.progress import Steps

if TYPE_CHECKING:
    from napari_aml._torch import Device
    from napari_aml.classify import ModelBundle, Predictions
    from napari_aml.datasets import Dataset


def read_dataset_steps(
    dataset: Dataset, bundle: ModelBundle, rows: np.ndarray, device: Device | str = "auto"
) -> Steps[Predictions]:
    """Classify rows of a dataset, yielding progress; the plain view alone, as on slides."""
    from napari_aml.classify import predict_steps
    from napari_aml.classify.dataset_crops import DatasetCrops
    from napari_aml.classify.recolouring import recoloured_steps

    crops = DatasetCrops(dataset, rows, bundle.crop_um, bundle.crop_px)
    seen, _ = yield from recoloured_steps(crops, bundle)
    return (yield from predict_steps(bundle, seen, device))


def cohort_steps(dataset: Dataset, bundle: ModelBundle, device: Device | str = "auto") -> Steps[Cohort]:
    """Read every patient of a dataset.

    Parameters
    ----------
    dataset
        With a ``patient`` in its manifest and subtypes in ``patients.csv``.
    bundle
        The image model.
    device
        Where it runs.

    Raises
    ------
    InputError
        When the dataset names no patients.
    """
    patient = dataset.table["patient"].fillna("").astype(str).to_numpy(object)
    rows = np.flatnonzero(patient != "")
    if not len(rows):
        raise InputError(
            f"The dataset '{dataset.name}' does not say which patient a cell comes from.",
            "Fill the column 'patient' of its manifest; or use --simulated to try the method on mixed cells.",
        )
    subtypes = _subtypes(dataset)
    said = yield from read_dataset_steps(dataset, bundle, rows, device)
    uids = dataset.table["uid"].astype(str).to_numpy(object)[rows]
    owner = patient[rows]
    bags = []
    for name in sorted(set(owner)):
        mine = np.flatnonzero(owner == name)
        bags.append(Bag.of(str(name), said.take(mine), uids[mine].tolist(), subtypes.get(str(name), "")))
    licence = str(dataset.meta.get("licence") or "")
    return Cohort(tuple(bags), bundle.codes, bundle.bundle_id, dataset.name, licence)


def _subtypes(dataset: Dataset) -> dict[str, str]:
    known = dataset.patients
    if known is None or "subtype" not in known:
        return {}
    pairs = zip(known["patient"].astype(str), known["subtype"].fillna("").astype(str), strict=True)
    return dict(pairs)


def simulated_steps(
    dataset: Dataset, bundle: ModelBundle, patients: int, cells: int, seed: int = 0, device: Device | str = "auto"
) -> Steps[Cohort]:
    """Put simulated patients together from a dataset's labelled cells."""
    from napari_aml.patients.simulate import PROFILES, simulated_cohort

    code = dataset.table["code"].fillna("").astype(str).to_numpy(object)
    wanted = {c for profile in PROFILES.values() for c in profile}
    rows = np.flatnonzero([c in wanted for c in code])
    said = yield from read_dataset_steps(dataset, bundle, rows, device)
    uids = dataset.table["uid"].astype(str).to_numpy(object)[rows]
    groups = np.asarray(dataset.groups, object)[rows]
    return simulated_cohort(
        bundle.codes, code[rows], said.probabilities, said.embedding, uids.tolist(), bundle.bundle_id,
        groups=groups, patients=patients, cells=cells, seed=seed,
    )  # fmt: skip


def bag_of_folder_steps(
    folder: Path, bundle: ModelBundle, patient: str, pixel_size_um: float | None = None, device: Device | str = "auto"
) -> Steps[Bag]:
    """Read a folder of single-cell pictures as one patient; pictures that cannot be read are left out."""
    from napari_aml.classify import predict_steps
    from napari_aml.classify.folder import FolderCrops, list_pictures
    from napari_aml.classify.recolouring import recoloured_steps

    paths = list_pictures(folder)
    with FolderCrops(paths, bundle.crop_um, bundle.crop_px, pixel_size_um) as source:
        seen, _ = yield from recoloured_steps(source, bundle)
        said = yield from predict_steps(bundle, seen, device)
    good = np.array([i for i in range(len(paths)) if i not in source.errors], int)
    return Bag.of(patient, said.take(good), [paths[i].relative_to(folder).as_posix() for i in good])
