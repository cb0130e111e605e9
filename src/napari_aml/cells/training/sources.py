"""The pictures to learn from, read from the data folder and labelled."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from napari_aml.cells.instances import split
from napari_aml.cells.training import pseudo
from napari_aml.cells.training.model import Both
from napari_aml.cells.training.scenes import WORK_UM, Source
from napari_aml.errors import InputError

#: µm per pixel of the pictures as they stand in the data folder: 7.2 µm over the median diameter of their red cells.
PIXEL_UM = {"bccd": 0.075, "chula": 0.092, "lmu": 0.257, "pbc": 0.225}
# BCCD fields are kept at this size: a little coarser than 0.25 µm/px.
_BCCD_SIZE = (179, 134)
#: Pictures drawn a class.
PER_CLASS = {"lmu": 60, "pbc": 75}
_CROPS = {"lmu": ("cells_aml_lmu_thumbs", 108), "pbc": ("cells_pbc/px160", 160)}


def _read(path: Path) -> np.ndarray:
    return np.ascontiguousarray(_decoded(path, cv2.IMREAD_COLOR)[..., ::-1])


def _decoded(path: Path, how: int) -> np.ndarray:
    content = path.read_bytes() if path.is_file() else b""
    picture = cv2.imdecode(np.frombuffer(content, np.uint8), how) if content else None
    if picture is None:
        raise InputError(f"'{path}' is missing or no picture that can be read.", "Copy the data folder again.")
    return picture


def bccd(data: Path) -> Source:
    """Read the BCCD fields; their hand-made masks outline whole white cells."""
    from scipy import ndimage as ndi

    um = PIXEL_UM["bccd"] * 640 / _BCCD_SIZE[0]
    rgbs, ids, nuclei = [], [], []
    for path in sorted((data / "smears_bccd/images").glob("*")):
        rgb = cv2.resize(_read(path), _BCCD_SIZE, interpolation=cv2.INTER_AREA)
        mask = _decoded(data / f"smears_bccd/nucleus_masks/{path.stem}.png", cv2.IMREAD_GRAYSCALE) > 127
        pieces, n = ndi.label(mask)
        cells, nucleus = np.zeros(rgb.shape[:2], np.int32), np.zeros(rgb.shape[:2], bool)
        for i in range(1, n + 1):
            if (pieces == i).sum() < 200:
                continue
            cell = cv2.resize((pieces == i).astype(np.float32), _BCCD_SIZE, interpolation=cv2.INTER_AREA) > 0.5
            if cell.sum() >= 20:
                cells[cell] = i
                nucleus |= pseudo.nucleus_inside(rgb, cell, um)
        rgbs.append(rgb)
        ids.append(cells)
        nuclei.append(nucleus)
    known = np.zeros(np.shape(nuclei), bool)
    return Source(np.array(rgbs), np.array(ids), np.array(nuclei), known, um)


def with_help(data: Path, first: Both, names: list[str]) -> dict[str, Source]:
    """Label other sources with the help of a first network."""
    return {name: _chula(data, first) if name == "chula" else _crops(data, first, name) for name in names}


def find(net: Both, rgb: np.ndarray, um: float) -> np.ndarray:
    """Return the cells that a network finds: int32 ids with the shape of the picture."""
    h, w = rgb.shape[:2]
    size = (max(1, round(w * um / WORK_UM)), max(1, round(h * um / WORK_UM)))
    x = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA if um < WORK_UM else cv2.INTER_LINEAR)
    x = cv2.copyMakeBorder(x, 32, 32 - size[1] % -16, 32, 32 - size[0] % -16, cv2.BORDER_REFLECT_101)
    with torch.inference_mode():
        maps = torch.sigmoid(net.eval().fine(torch.from_numpy(x.astype(np.float32).transpose(2, 0, 1)[None] / 255)))
    cells, _ = split(maps[0].numpy()[:, 32 : 32 + size[1], 32 : 32 + size[0]])
    return cv2.resize(cells.astype(np.float32), (w, h), interpolation=cv2.INTER_NEAREST).astype(np.int32)


def _chula(data: Path, first: Both) -> Source:
    boxes: dict[str, list[list[float]]] = {}
    with (data / "smears_chula_wbc/boxes.csv").open() as file:
        for row in csv.DictReader(file):
            boxes.setdefault(row["image"], []).append([float(row[k]) for k in ("x0", "y0", "x1", "y1")])
    factor = PIXEL_UM["chula"] / WORK_UM
    rgbs, labelled = [], []
    for image, xyxy in sorted(boxes.items()):
        rgb = _read(data / "smears_chula_wbc/images" / image)
        size = (round(rgb.shape[1] * factor), round(rgb.shape[0] * factor))
        rgbs.append(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA))
        found = find(first, rgbs[-1], WORK_UM)
        labelled.append(pseudo.label_field(rgbs[-1], found, np.array(xyxy) * factor, WORK_UM))
    return _source(rgbs, labelled, WORK_UM)


def _crops(data: Path, first: Both, name: str) -> Source:
    folder, side = _CROPS[name]
    rng = np.random.default_rng(0)
    rgbs, labelled = [], []
    for group in sorted(p for p in (data / folder).iterdir() if p.is_dir()):
        files = sorted(group.iterdir())
        for i in sorted(rng.permutation(len(files))[: PER_CLASS[name]]):
            rgb = _read(files[i])
            if name == "lmu":  # the thumbnails have a one-pixel frame
                rgb = np.ascontiguousarray(rgb[1:-1, 1:-1])
            if rgb.shape[:2] != (side, side):
                rgb = cv2.resize(rgb, (side, side), interpolation=cv2.INTER_AREA)
            um = PIXEL_UM[name]
            labels = pseudo.label_crop(rgb, find(first, rgb, um), um, nucleated=group.name != "platelet")
            if labels is not None and labels.good:
                rgbs.append(rgb)
                labelled.append(labels)
    return _source(rgbs, labelled, PIXEL_UM[name])


def _source(rgbs: list[np.ndarray], labelled: list[pseudo.Labelled], um: float) -> Source:
    return Source(
        np.array(rgbs), np.array([p.cells for p in labelled]), np.array([p.nuclei for p in labelled]),
        np.array([p.ignore for p in labelled]), um,
    )  # fmt: skip


def card(sources: dict[str, Source]) -> dict[str, Any]:
    """Describe trained networks: what they learned from and under which licences."""
    helped = "masks by a first network and GrabCut"
    facts = {
        "bccd": ("BCCD_Dataset (Shenggan), masks of Banik et al.", "MIT", "hand-made masks of whole white cells"),
        "chula": ("WBC_Dataset, Chulalongkorn University", "MIT", f"boxes, {helped}"),
        "lmu": ("AML-Cytomorphology_LMU (Matek et al. 2019), thumbnails", "CC BY", helped),
        "pbc": ("PBC (Acevedo et al. 2020)", "CC BY 4.0", helped),
    }
    return {
        "format": "napari-aml-segmenter",
        "version": "1.2",
        "work_um": WORK_UM,
        "outputs": ["cell", "nucleus", "relative distance to the border"],
        "training_data": [
            {"name": facts[n][0], "licence": facts[n][1], "masks": facts[n][2], "pictures": len(s.rgb)}
            for n, s in sources.items()
        ],
        "licence": "BSD-3-Clause",
        "command": "python -m napari_aml.cells.training.fit --data DATA --out DIR",
    }
