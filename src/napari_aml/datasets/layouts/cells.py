"""Sets of single cells with a class each: LMU, MLL23, PBC, BloodMNIST, Raabin-WBC, and plain class folders."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from napari_aml.datasets.layouts.found import Found, LayoutError, by_class_folder, class_folders, pictures_in
from napari_aml.taxonomy import BY_CODE, LMU_CODES

#: µm that a whole picture covers. LMU: 400 px at 14.14 px/µm. MLL23: 288 px show 25 µm. PBC: by the median diameter of
#: 222 red cells (7.2 µm), 74.7 of 363 px.
LMU_UM, MLL23_UM, PBC_UM = 400 / 14.14, 25.0, 35.0

_PBC_PREFIX = {
    "BNE": "neutrophil_band", "SNE": "neutrophil_segmented", "NEUTROPHIL": "neutrophil_unspecified",
    "NEU": "neutrophil_unspecified", "MY": "myelocyte", "MMY": "metamyelocyte", "PMY": "promyelocyte",
    "IG": "immature_granulocyte_unspecified",
}  # fmt: skip
_PBC_FOLDERS = ("basophil", "eosinophil", "erythroblast", "ig", "lymphocyte", "monocyte", "neutrophil", "platelet")
BLOODMNIST = (
    "basophil", "eosinophil", "erythroblast", "immature granulocytes", "lymphocyte", "monocyte", "neutrophil",
    "platelet",
)  # fmt: skip


def lmu(path: Path) -> Found:
    """Read AML-Cytomorphology_LMU: ``<CLS>/<CLS>_NNNN.tiff`` and, where present, ``annotations.dat`` beside them.

    The first column of that file is a path, the second a label, the further ones re-annotations, as many as there are.
    """
    paths, labels = by_class_folder(path, LMU_CODES)
    rows: list[dict[str, Any]] = [
        {"source_label": label, "source": "lmu", "crop_um": LMU_UM, "group": ""} for label in labels
    ]
    meta = {
        "name": "AML-Cytomorphology_LMU", "licence": "CC BY 3.0", "tissue": "peripheral blood",
        "source": "Matek C, Schwarz S, Marr C, Spiekermann K (2019), doi 10.7937/tcia.2019.36f5o9ld",
        "stain": "Romanowsky type", "scanner": "M8, 100x oil immersion", "pixel_size_from": "400 px at 14.14 px/µm",
    }  # fmt: skip
    found = Found(rows, paths, meta)
    for file in (path / "annotations.dat", class_folders(path, LMU_CODES).parent / "annotations.dat",
                 class_folders(path, LMU_CODES) / "annotations.dat"):  # fmt: skip
        if file.is_file():
            _lmu_annotations(file, found)
            break
    _varied_copies(found)
    return found


def _lmu_annotations(file: Path, found: Found) -> None:
    told: dict[str, list[str]] = {}
    for line in file.read_text("utf-8-sig", errors="replace").splitlines():
        parts = line.split()
        if len(parts) >= 2:
            told[parts[0].replace("\\", "/").rsplit("/", 1)[-1]] = parts[1:]
    others = max((len(t) - 1 for t in told.values()), default=0)
    differing = 0
    for row, picture in zip(found.rows, found.pictures, strict=True):
        said = told.get(Path(str(picture)).name, [])
        differing += bool(said) and said[0] != row["source_label"]
        for i in range(others):
            row[f"reannotation_{i + 1}"] = said[i + 1] if len(said) > i + 1 else ""
    if differing:
        found.notes.append(f"{differing} pictures lie in another folder than annotations.dat says; the folder counts.")


def _varied_copies(found: Found) -> None:
    """Keep together pictures that are named as varied copies of one cell: BAS_0053_0_8415_103 is one of BAS_0053."""
    for row, picture in zip(found.rows, found.pictures, strict=True):
        if named := re.fullmatch(r"([A-Z]{3}_\d+)_\d+_\d+_\d+", Path(str(picture)).stem):
            row["group"] = f"lmu-{named[1]}"


def mll23(path: Path) -> Found:
    """Read MLL23: 18 class folders of ``.tif``, 288 px for 25 µm."""
    from napari_aml.datasets.mapping import load_mapping

    paths, labels = by_class_folder(path, load_mapping("mll23").table)
    rows: list[dict[str, Any]] = [{"source_label": x, "source": "mll23", "crop_um": MLL23_UM} for x in labels]
    meta = {
        "name": "MLL23", "licence": "as stated at its source", "tissue": "peripheral blood", "stain": "Pappenheim",
        "source": "Shetab Boushehri et al. (2025), Scientific Data 12:1773", "scanner": "Metafer",
        "pixel_size_from": "288 px for 25 µm, as published",
    }  # fmt: skip
    return Found(rows, paths, meta)


def pbc(path: Path) -> Found:
    """Read PBC: ``<class>/<PREFIX>_<id>.jpg``; the sub-class of neutrophils and immature cells is in the prefix."""
    from napari_aml.datasets.mapping import load_mapping

    known = (*_PBC_FOLDERS, *load_mapping("pbc").table)
    # A copy may hold the set at several sizes side by side: one of them is imported.
    paths, labels = by_class_folder(path, known)
    rows: list[dict[str, Any]] = []
    for picture, label in zip(paths, labels, strict=True):
        prefix = picture.stem.split("_")[0].upper()
        fine = _PBC_PREFIX.get(prefix) if label.casefold() in ("ig", "neutrophil") else None
        if fine is None and label.casefold() in ("ig", "neutrophil"):
            fine = "immature_granulocyte_unspecified" if label.casefold() == "ig" else "neutrophil_unspecified"
        rows.append({"source_label": fine or label, "source": "pbc", "crop_um": PBC_UM})
    meta = {
        "name": "PBC", "licence": "CC BY 4.0", "tissue": "peripheral blood, normal donors",
        "source": "Acevedo et al. (2020), Mendeley Data, doi 10.17632/snkd93bnjr.1", "stain": "May-Grünwald-Giemsa",
        "scanner": "CellaVision DM96", "pixel_size_from": "median diameter of 222 red cells",
    }  # fmt: skip
    return Found(rows, paths, meta)


def bloodmnist(path: Path) -> Found:
    """Read a BloodMNIST ``.npz``: train, val and test images and labels."""
    if path.is_dir():
        files = sorted(path.glob("bloodmnist*.npz"))
        if not files:
            raise LayoutError(f"There is no bloodmnist*.npz in '{path}'.", "Give the file itself.")
        path = files[-1]
    images, rows = [], []
    try:
        with np.load(path, allow_pickle=False) as held:
            for part in ("train", "val", "test"):
                pixels, labels = held[f"{part}_images"], held[f"{part}_labels"].reshape(-1).astype(int)
                if pixels.ndim != 4 or pixels.shape[-1] != 3 or len(pixels) != len(labels):
                    raise LayoutError(f"'{path}': {part}_images and {part}_labels do not fit each other.")
                images.append(pixels.astype(np.uint8, copy=False))
                # 200 of 360 px were kept in the middle before the pictures were made smaller.
                rows += [
                    {"source_label": BLOODMNIST[x] if 0 <= x < 8 else str(x), "source": "bloodmnist",
                     "crop_um": PBC_UM * 200 / 360, "official_split": part}
                    for x in labels
                ]  # fmt: skip
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise LayoutError(f"'{path}' is no BloodMNIST file: {error}.", "Download it again.") from error
    meta = {
        "name": "BloodMNIST", "licence": "CC BY 4.0", "tissue": "peripheral blood, normal donors",
        "source": "Yang et al. (2023), MedMNIST v2, from Acevedo et al. (2020)", "stain": "May-Grünwald-Giemsa",
        "scanner": "CellaVision DM96", "pixel_size_from": "that of PBC, 200 of 360 px kept",
    }  # fmt: skip
    notes = ["Its neutrophils and immature granulocytes are coarser than our classes and stay without one."]
    return Found(rows, [p for part in images for p in part], meta, notes=notes)


def raabin(path: Path) -> Found:
    """Read Raabin-WBC: ``Train|TestA|TestB/<Class>/*.jpg``. TestB comes from another microscope and camera."""
    from napari_aml.datasets.mapping import load_mapping

    known = load_mapping("raabin").table
    parts = [p for p in (path, *sorted(path.rglob("*"))) if p.is_dir() and p.name.casefold() in _RAABIN_PARTS]
    if not parts:
        raise LayoutError(
            f"There is none of the folders Train, TestA, TestB in '{path}'.", "Give the folder above them."
        )
    paths, rows = [], []
    for part in parts:
        here, labels = by_class_folder(part, known)
        paths += here
        site = "second microscope" if part.name.casefold().startswith("testb") else "first microscope"
        rows += [
            {"source_label": x, "source": "raabin", "official_split": part.name, "site": site, "scanner": site}
            for x in labels
        ]
    meta = {
        "name": "Raabin-WBC", "licence": "as stated at its source", "tissue": "peripheral blood, normal",
        "source": "Kouzehkanan et al. (2022), Scientific Reports 12:1123", "stain": "Giemsa",
        "scanner": "two microscopes, smartphone cameras",
    }  # fmt: skip
    return Found(rows, paths, meta, notes=["The scale of its pictures is not stated: unknown."])


_RAABIN_PARTS = {"train", "testa", "testb", "test-a", "test-b"}


def folder(path: Path) -> Found:
    """Read class folders of one's own, named by our codes (or as a given mapping says)."""
    paths, labels = [], []
    for sub in sorted(p for p in path.iterdir() if p.is_dir() and not p.name.startswith(".")):
        here = pictures_in(sub)
        paths += here
        labels += [sub.name] * len(here)
    if not paths:
        raise LayoutError(
            f"'{path}' has no class folders with pictures.", f"Name folders by class: {', '.join(BY_CODE)}."
        )
    rows: list[dict[str, Any]] = [{"source_label": x, "source": path.name} for x in labels]
    return Found(rows, paths, {"name": path.name, "licence": "", "source": "folder of pictures"})
