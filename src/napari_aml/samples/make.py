"""Make the shipped samples again from the public data sets: ``python -m napari_aml.samples.make --data FOLDER``.

The folder holds ``smears_bccd``, ``smears_chula_wbc``, ``cells_aml_lmu_thumbs`` and ``cells_pbc``; see
``docs/sample-data.md`` for where they come from. The same folder gives the same pixels.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path
from typing import Any

from napari_aml.samples import MOSAIC_UM

#: Fields with neutrophils, eosinophils, basophil, monocytes, lymphocytes; touching and cut-off cells among them.
BCCD = ("00008", "00043", "00174", "00176", "00195", "00242", "00313", "00344")
#: Fields of another microscope: uneven light, colour casts, blur.
CHULA = ("E-12_0397", "E-15_0505", "M-8_0984")
#: Rows of the mosaic: the classes of AML-Cytomorphology_LMU, immature first.
MOSAIC_CLASSES = (
    "MYO", "MOB", "PMO", "PMB", "MYB", "MMZ", "NGB", "NGS", "EOS", "BAS", "MON", "LYT", "LYA", "EBO", "KSC",
)  # fmt: skip
MOSAIC_COLUMNS, THUMB = 8, 110
CELLS_PER_CLASS = 2
#: The sheet of normal cells: one row a class, for trying out training.
SHEET_COLUMNS, SHEET_PX = 12, 72
PBC_CODES = {
    "basophil": "BAS", "eosinophil": "EOS", "erythroblast": "EBO", "lymphocyte": "LYT", "metamyelocyte": "MMZ",
    "monocyte": "MON", "myelocyte": "MYB", "neutrophil_band": "NGB", "neutrophil_segmented": "NGS",
    "platelet": "PLT", "promyelocyte": "PMO",
}  # fmt: skip

SOURCES = {
    "bccd": {
        "name": "BCCD Dataset",
        "authors": "Shenggan Cheng and cosmicad",
        "url": "https://github.com/Shenggan/BCCD_Dataset",
        "licence": "MIT",
        "changes": "renamed",
    },
    "chula": {
        "name": "Chula WBC Dataset",
        "authors": "Chulalongkorn University (singgihbekti/WBC_Dataset)",
        "url": "https://github.com/singgihbekti/WBC_Dataset",
        "licence": "MIT",
        "changes": "renamed",
    },
    "lmu": {
        "name": "AML-Cytomorphology_LMU (thumbnails)",
        "authors": "Matek C, Schwarz S, Marr C, Spiekermann K (2019), The Cancer Imaging Archive",
        "url": "https://doi.org/10.7937/tcia.2019.36f5o9ld",
        "licence": "CC BY 3.0",
        "changes": "reduced to 110 px and laid side by side",
    },
    "pbc": {
        "name": "A dataset for microscopic peripheral blood cell images (PBC)",
        "authors": "Acevedo A, Merino A, Alférez S, Molina Á, Boldú L, Rodellar J (2020), Mendeley Data v1",
        "url": "https://doi.org/10.17632/snkd93bnjr.1",
        "licence": "CC BY 4.0",
        "changes": "renamed into folders of class codes; some reduced to 72 px and laid side by side",
    },
}


def _describe(path: Path) -> Any:
    """Describe a cell whatever its rotation: mean and spread of Lab colour in five rings around the centre."""
    import cv2
    import numpy as np

    # Read by hand: OpenCV's own reader fails on non-ASCII paths on Windows.
    picture = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
    if picture is None:
        raise SystemExit(f"'{path}' is no picture: copy the data set again from its source")
    lab = cv2.cvtColor(cv2.resize(picture, (64, 64), interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2LAB).astype(float)
    yy, xx = np.mgrid[:64, :64] - 31.5
    ring = np.minimum(np.hypot(yy, xx) // 6.4, 4)
    parts = [lab[ring == r] for r in range(5)]
    return np.concatenate([np.concatenate([p.mean(0), p.std(0)]) for p in parts])


def spread_choice(paths: list[Path], n: int) -> list[Path]:
    """Choose `n` pictures that stand for different looks: the one nearest to the centre of each of `n` clusters.

    Rotated copies of one cell fall into one cluster, so that mostly different cells are chosen.
    """
    import numpy as np
    from sklearn.cluster import KMeans

    paths = sorted(paths)
    features = np.array([_describe(p) for p in paths])
    features = (features - features.mean(0)) / (features.std(0) + 1e-6)
    means = KMeans(n, n_init=10, random_state=0).fit(features)
    distance = np.linalg.norm(features[:, None] - means.cluster_centers_[None], axis=2)
    return [paths[i] for i in sorted({int(distance[:, k].argmin()) for k in range(n)})]


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def make_smears(data: Path, out: Path) -> list[dict[str, Any]]:
    """Copy the smear fields, byte for byte."""
    jobs = [("bccd", data / "smears_bccd/images" / f"BloodImage_{n}.jpg", f"bccd_{n}.jpg") for n in BCCD]
    jobs += [("chula", data / "smears_chula_wbc/images" / f"{n}.jpg", f"chula_{n}.jpg") for n in CHULA]
    entries = []
    for source, path, name in jobs:
        _copy(path, out / "smears" / name)
        title = f"{'Smear field, BCCD' if source == 'bccd' else 'Smear field, Chula'} {path.stem}"
        entries.append({"path": f"smears/{name}", "kind": "smear", "source": source, "title": title})
    return entries


def make_mosaic(data: Path, out: Path) -> list[dict[str, Any]]:
    """Lay cells of AML patients and controls side by side, one row a class, and write their pixel size into it."""
    import cv2
    import numpy as np
    from PIL import Image

    picture = np.full((len(MOSAIC_CLASSES) * THUMB, MOSAIC_COLUMNS * THUMB, 3), 255, np.uint8)
    for row, code in enumerate(MOSAIC_CLASSES):
        chosen = spread_choice(list((data / "cells_aml_lmu_thumbs" / code).glob("*.png")), MOSAIC_COLUMNS)
        for column, path in enumerate(chosen):
            with Image.open(path) as thumb:
                cell = np.asarray(thumb.convert("RGB"))
            if cell.shape[:2] != (THUMB, THUMB):
                cell = cv2.resize(cell, (THUMB, THUMB), interpolation=cv2.INTER_AREA)
            picture[row * THUMB : (row + 1) * THUMB, column * THUMB : (column + 1) * THUMB] = cell
    target = out / "mosaic" / "aml_cells.png"
    target.parent.mkdir(parents=True, exist_ok=True)
    dots = 25400 / MOSAIC_UM
    Image.fromarray(picture).save(target, optimize=True, dpi=(dots, dots))
    entry = {
        "path": "mosaic/aml_cells.png", "kind": "mosaic", "source": "lmu", "title": "Mosaic of AML patients' cells",
        "classes": list(MOSAIC_CLASSES), "tile_px": THUMB, "columns": MOSAIC_COLUMNS,
    }  # fmt: skip
    return [entry]


def make_sheet(data: Path, out: Path) -> list[dict[str, Any]]:
    """Lay normal cells of every PBC class side by side, one row a class."""
    import cv2
    import numpy as np
    from PIL import Image

    labels = sorted(PBC_CODES, key=PBC_CODES.__getitem__)
    picture = np.full((len(labels) * SHEET_PX, SHEET_COLUMNS * SHEET_PX, 3), 255, np.uint8)
    for row, label in enumerate(labels):
        paths = list((data / "cells_pbc" / "fullres_sample" / label).glob("*.jpg"))
        for column, path in enumerate(spread_choice(paths, SHEET_COLUMNS)):
            with Image.open(path) as whole:
                cell = cv2.resize(np.asarray(whole.convert("RGB")), (SHEET_PX, SHEET_PX), interpolation=cv2.INTER_AREA)
            picture[row * SHEET_PX :, column * SHEET_PX :][:SHEET_PX, :SHEET_PX] = cell
    target = out / "mosaic" / "normal_cells.jpg"
    target.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(target, quality=88, optimize=True)
    entry = {
        "path": "mosaic/normal_cells.jpg", "kind": "sheet", "source": "pbc", "title": "Sheet of normal cells",
        "classes": [PBC_CODES[label] for label in labels], "tile_px": SHEET_PX, "columns": SHEET_COLUMNS,
    }  # fmt: skip
    return [entry]


def make_cells(data: Path, out: Path) -> list[dict[str, Any]]:
    """Copy single-cell pictures of every PBC class into folders of class codes, byte for byte."""
    entries = []
    for source_label, code in sorted(PBC_CODES.items(), key=lambda item: item[1]):
        folder = data / "cells_pbc" / "fullres_sample" / source_label
        for path in spread_choice(list(folder.glob("*.jpg")), CELLS_PER_CLASS):
            name = f"cells/{code}/{path.name}"
            _copy(path, out / name)
            entries.append({"path": name, "kind": "cell", "source": "pbc", "title": path.stem, "classes": [code]})
    return entries


def make(data: Path, out: Path) -> list[dict[str, Any]]:
    """Write all samples and their index into `out`; return the index's pictures."""
    for part in ("smears", "mosaic", "cells"):
        shutil.rmtree(out / part, ignore_errors=True)
    pictures = make_smears(data, out) + make_mosaic(data, out) + make_sheet(data, out) + make_cells(data, out)
    text = json.dumps({"sources": SOURCES, "pictures": pictures}, indent=1, ensure_ascii=False)
    (out / "index.json").write_text(text + "\n", encoding="utf-8")
    return pictures


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the public data sets")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="where the samples go")
    chosen = parser.parse_args(arguments)
    if not chosen.data.is_dir():
        parser.error(f"there is no folder '{chosen.data}'")
    pictures = make(chosen.data, chosen.out)
    size = sum((chosen.out / entry["path"]).stat().st_size for entry in pictures)
    print(f"{len(pictures)} pictures, {size / 1e6:.2f} MB, in {chosen.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
