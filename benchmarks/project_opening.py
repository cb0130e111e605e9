"""How long a project of 100,000 cells takes to open, and a decision to be on the disk.

Run: python benchmarks/project_opening.py [--cells 100000] [--decisions 100000]

Prints seconds from `Project.open` to everything that the review needs (cells, masks, predictions, embeddings of 384
numbers, decisions and one reader's view), in a process that has the package's libraries loaded; and one decision's
way to the disk beside the disk's own time for one forced write, for that is what it waits for. Processor time is
printed, too: on a machine that does other work the clock says how busy it is, not how long opening takes.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from napari_aml.analysis import Analysis
from napari_aml.cells import CellMasks, Cells, validate
from napari_aml.cells.table import COLUMNS
from napari_aml.classify import Predictions
from napari_aml.review.decisions import Decision
from napari_aml.review.project import Project
from napari_aml.review.reader_view import ReaderView
from napari_aml.slides import ArraySlide, PixelSize

CODES = ("BAS", "EBO", "EOS", "KSC", "LYA", "LYT", "MMZ", "MOB", "MON", "MYB", "MYO", "NGB", "NGS", "PMB", "PMO", "PLT")
SIDE, PATCH, UM = 110, 96, 0.125


def make(n: int) -> Analysis:
    """A slide with n round cells on a grid, masks of 96 x 96 pixels, predictions of 16 classes, 384 features."""
    columns = int(np.ceil(np.sqrt(n)))
    rows = -(-n // columns)
    white = np.broadcast_to(np.uint8(235), (rows * SIDE, columns * SIDE, 3))
    slide = ArraySlide([white], "grid", pixel_size=PixelSize(UM, "person"))
    y, x = np.divmod(np.arange(n), columns)
    y0, x0 = y * SIDE + 5, x * SIDE + 5
    grid = np.hypot(*(np.mgrid[:PATCH, :PATCH] - PATCH / 2 + 0.5))
    patches = [((grid < 34 + i) + (grid < 20 + i)).astype(np.uint8) for i in range(10)]
    masks = CellMasks(slide.shape)
    for label in range(1, n + 1):
        masks.put(label, int(y0[label - 1]), int(x0[label - 1]), patches[label % 10])
    area = np.array([(p > 0).sum() for p in patches])[np.arange(1, n + 1) % 10] * UM**2
    table = pd.DataFrame({
        "uid": [f"{slide.slide_id}-{k:06d}" for k in range(1, n + 1)], "slide_id": slide.slide_id,
        "label": np.arange(1, n + 1), "y": y0 + PATCH / 2, "x": x0 + PATCH / 2, "y0": y0, "x0": x0,
        "y1": y0 + PATCH, "x1": x0 + PATCH, "area_um2": area, "nucleus_area_um2": area / 3, "nc_ratio": 1 / 3,
        "eccentricity": 0.0, "solidity": 1.0, "touches_border": False,
    }).astype(COLUMNS)[list(COLUMNS)]  # fmt: skip
    rng, f = np.random.default_rng(0), np.float32
    p = rng.dirichlet(np.full(len(CODES), 0.2), n).astype(f)
    said = Predictions(CODES, p, rng.normal(size=(n, 384)).astype(f), np.full(n, np.nan, f), "grid")
    return Analysis(slide, Cells(slide.slide_id, masks, validate(table), UM, "grid"), said)


def opened(folder: Path) -> dict[str, float]:
    clock, cpu = time.perf_counter(), time.process_time()
    marks = {}
    with Project.open(folder, "ada") as project:
        marks["record"] = time.perf_counter()
        decisions = project.decisions()
        view = ReaderView("ada", decisions)
        marks["decisions and view"] = time.perf_counter()
        slide_id = project.slides()[0].slide_id
        cells = project.cells(slide_id)
        marks["cells and masks"] = time.perf_counter()
        said = project.predictions(slide_id)
        marks["predictions and embeddings"] = time.perf_counter()
        assert len(cells) == len(said) and view.decided and cells.masks.patches[1].any()
    out, before = {}, clock
    for name, mark in marks.items():
        out[name], before = round(mark - before, 3), mark
    return {**out, "in all": round(before - clock, 3), "processor time of all": round(time.process_time() - cpu, 3)}


def forced_write(folder: Path) -> float:
    with open(folder / "probe", "wb", buffering=0) as stream:
        times = []
        for _ in range(60):
            stream.write(bytes(8192))
            start = time.perf_counter()
            os.fdatasync(stream.fileno()) if hasattr(os, "fdatasync") else os.fsync(stream.fileno())
            times.append(time.perf_counter() - start)
    return float(np.median(times))


def decision_time(project: Project, uids: list[str]) -> float:
    times = []
    for uid in uids:
        start = time.perf_counter()
        project.record([Decision(uid, "S", "MYO", "ada", shown={"code": "MYO", "probability": 0.5})])
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", type=int, default=100_000)
    parser.add_argument("--decisions", type=int, default=100_000)
    parser.add_argument("--open", type=Path, help="only open this project (used by the script itself)")
    args = parser.parse_args()
    if args.open:
        import pyarrow.parquet  # noqa: F401  (the review has it loaded by then)

        print(json.dumps(opened(args.open)))
        return
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as place:
        analysis = make(args.cells)
        uids = analysis.cells.table["uid"].tolist()
        with Project.create(Path(place) / "grid", reader="ada") as project:
            start = time.perf_counter()
            project.add_slide(analysis.slide, analysis)
            print(f"{args.cells} cells written in {time.perf_counter() - start:.1f} s")
            rng = np.random.default_rng(1)
            codes = rng.choice(CODES, args.decisions)
            rows = [
                Decision(uids[i % len(uids)], analysis.slide.slide_id, str(code), "ada", shown={"code": str(code)})
                for i, code in enumerate(codes)
            ]
            start = time.perf_counter()
            project.record(rows)
            print(f"{args.decisions} decisions at once in {time.perf_counter() - start:.1f} s")
            disk, one = forced_write(Path(place)), decision_time(project, uids[:60])
            print(f"one decision on the disk: {1e3 * one:.1f} ms; the disk's forced write alone {1e3 * disk:.1f} ms: "
                  f"{one / disk:.1f} times")  # fmt: skip
            folder = project.folder
        size = sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()) / 1e6
        print(f"on disk {size:.0f} MB")
        for _ in range(3):
            again = [sys.executable, __file__, "--open", folder]
            done = subprocess.run(again, capture_output=True, text=True, check=True)
            print("opened:", ", ".join(f"{k} {v} s" for k, v in json.loads(done.stdout).items()))


if __name__ == "__main__":
    main()
