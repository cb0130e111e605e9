"""Quality of a segmentation backend per source: detection F1 at box IoU 0.5, whole-cell Dice, red-cell diameters.

``python benchmarks/segmentation_quality.py [--segmenter default | --weights DIR] [--step 4] [--data ../shared/data]``

BCCD: boxes of white cells and hand-made masks of whole white cells. Chula: boxes of white cells, once as the set has
them and once with 15 white cells more that carry no box (``segmentation_unboxed_chula.csv``, found by looking through
all 62 fields). Nuclei have no hand-made masks: they are held against Otsu's threshold inside the hand-made cells. The
pixel size is the one that the red cells of the source give (`PIXEL_UM`), so that a wrong one does not hide behind the
segmenter; ``--magnify 0.75`` and ``--magnify 1.33`` show what a wrong one costs, ``--pixel-size`` measures it, too.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np

from napari_aml.cells import get_segmenter, segment
from napari_aml.cells.unet import UNetSegmenter
from napari_aml.slides import measure_pixel_size, open_slide

PIXEL_UM = {"bccd": 0.075, "chula": 0.092}


def bccd(data: Path) -> Iterator[tuple[Path, list, np.ndarray | None]]:
    """Yield picture, boxes of white cells, mask of whole white cells."""
    for path in sorted((data / "smears_bccd/images").glob("*")):
        root = ElementTree.parse(data / f"smears_bccd/annotations_voc/{path.stem}.xml").getroot()
        boxes = [
            [int(o.find("bndbox").find(k).text) for k in ("xmin", "ymin", "xmax", "ymax")]
            for o in root.iter("object") if o.find("name").text == "WBC"
        ]  # fmt: skip
        mask = cv2.imread(str(data / f"smears_bccd/nucleus_masks/{path.stem}.png"), cv2.IMREAD_GRAYSCALE) > 127
        yield path, boxes, mask


def chula(data: Path) -> Iterator[tuple[Path, list, np.ndarray | None]]:
    """Yield picture, boxes of white cells, None."""
    boxes: dict[str, list] = {}
    with (data / "smears_chula_wbc/boxes.csv").open() as file:
        for row in csv.DictReader(file):
            boxes.setdefault(row["image"], []).append([float(row[k]) for k in ("x0", "y0", "x1", "y1")])
    for image, here in sorted(boxes.items()):
        yield data / "smears_chula_wbc/images" / image, here, None


def chula_completed(data: Path) -> Iterator[tuple[Path, list, np.ndarray | None]]:
    """Yield the fields of `chula` with the boxes of the white cells that carry none."""
    more: dict[str, list] = {}
    with Path(__file__).with_name("segmentation_unboxed_chula.csv").open() as file:
        for row in csv.DictReader(file):
            more.setdefault(row["image"], []).append([float(row[k]) for k in ("x0", "y0", "x1", "y1")])
    for path, boxes, mask in chula(data):
        yield path, boxes + more.get(path.stem, []), mask


def iou(a, b) -> float:
    """Return the intersection over union of two boxes x0, y0, x1, y1."""
    w, h = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    both = max(0, w) * max(0, h)
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


def matches(found: list, truth: list) -> list[float]:
    """Pair boxes one to one for the largest total IoU; return the IoUs of at least 0.5."""
    from scipy.optimize import linear_sum_assignment

    if not found or not truth:
        return []
    table = np.array([[iou(f, t) for t in truth] for f in found])
    rows, columns = linear_sum_assignment(-table)
    return [v for v in table[rows, columns] if v >= 0.5]


def nuclei_inside(rgb: np.ndarray, mask: np.ndarray, um: float) -> np.ndarray:
    """Return the nuclei that Otsu's threshold finds inside hand-made cells."""
    from scipy.ndimage import label

    from napari_aml.cells.training.pseudo import nucleus_inside

    pieces, n = label(mask)
    out = np.zeros(mask.shape, bool)
    for i in range(1, n + 1):
        if (pieces == i).sum() >= 200:
            out |= nucleus_inside(rgb, pieces == i, um)
    return out


def dice(a: np.ndarray, b: np.ndarray) -> float:
    """Return the Dice overlap of two masks."""
    return float(2 * (a & b).sum() / max(1, a.sum() + b.sum()))


def main() -> None:
    """Print one line a source."""
    from scipy.ndimage import find_objects

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--segmenter", default="default")
    parser.add_argument("--weights", type=Path, help="folder that napari_aml.cells.training.fit wrote")
    parser.add_argument("--step", type=int, default=1, help="take every n-th picture")
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[2] / "shared/data")
    parser.add_argument("--magnify", type=float, default=1.0, help="factor on the true pixel size")
    parser.add_argument("--own-ground", action="store_true", help="leave light and ground as they are")
    parser.add_argument("--pixel-size", action="store_true", help="measure the pixel size of each picture, too")
    parser.add_argument("--only", default="", help="only sources whose name holds this word")
    args = parser.parse_args()
    segmenter = UNetSegmenter(weights=args.weights) if args.weights else get_segmenter(args.segmenter)
    for name, source in (("bccd", bccd), ("chula", chula), ("chula, boxes completed", chula_completed)):
        if args.only not in name:
            continue
        um = PIXEL_UM[name[:5].rstrip(",")]
        right = n_found = n_true = 0
        overlaps, whole, core, sizes = [], [], [], []
        for path, boxes, mask in list(source(args.data))[:: args.step]:
            slide = open_slide(path)
            rgb = slide.region(0, 0, 0, *slide.shape)
            if args.own_ground:
                masks = segmenter.segment(rgb, um * args.magnify)
                cells, nuclei = masks.cells, masks.nuclei
            else:
                masks = segment(open_slide(path, um * args.magnify), segmenter).masks
                cells, nuclei = masks.to_array("cell"), masks.to_array("nucleus")
            found = [(b[1].start, b[0].start, b[1].stop, b[0].stop) for b in find_objects(cells) if b]
            pairs = matches(found, boxes)
            right, n_found, n_true = right + len(pairs), n_found + len(found), n_true + len(boxes)
            overlaps += pairs
            if mask is not None:
                whole.append(dice(cells > 0, mask))
                core.append(dice((nuclei > 0) & mask, nuclei_inside(rgb, mask, um)))
            if args.pixel_size and (measured := measure_pixel_size(slide)).pixel_size_um:
                sizes.append(measured.pixel_size_um / um)
        line = f"{name}: {n_true} white cells, found {n_found}, right {right}, F1 {2 * right / (n_found + n_true):.3f}"
        line += f", box IoU {np.mean(overlaps):.3f}"
        line += f", Dice of whole cells {np.mean(whole):.3f}, of nuclei {np.mean(core):.3f}" if whole else ""
        if sizes:
            near = np.mean(np.abs(np.array(sizes) - 1) < 0.15)
            line += f"; pixel size: median ratio {np.median(sizes):.2f}, {near:.0%} within 15 % of the source's"
        print(line, flush=True)


if __name__ == "__main__":
    main()
