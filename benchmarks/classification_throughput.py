"""Does the network ever wait for its crops? Cells a second of the pipeline over those of the bare network.

    python benchmarks/classification_throughput.py [--cells 1024] [--device cpu] [--model BUNDLE] [--repeats 5]
                                                   [--pictures FOLDER]

The bare network gets batches that lie ready, already normalised, on the device. The pipeline cuts the crops from a
slide (or decodes them from picture files), normalises, classifies and collects. Both run in turns in one process, so
that whatever else the machine does meets both; the ratio is the median over the turns. --clock cpu counts the
processor's time of this process: the network's share of all work, on a machine that others use as well. --pictures
names a folder of real single-cell pictures for the last job; without it they are noise, the costliest JPEG to decode.
"""

from __future__ import annotations

import argparse
import platform
import shutil
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np


def bare(now, network, batches):
    """Seconds that the network alone takes for prepared batches."""
    import torch

    started = now()
    with torch.inference_mode():
        for batch in batches:
            logits, _ = network.head(network.features(batch))
    float(logits.sum())
    return now() - started


def cost_of_reading(folder, bundle) -> float:
    """Return the processor time, ms a picture, that decoding and cutting take for all views of a folder's pictures."""
    from napari_aml.classify.folder import FolderCrops, list_pictures

    paths = list_pictures(Path(folder))
    zooms = sorted({view.zoom for view in bundle.tta.views})
    taken = []
    for _ in range(3):
        with FolderCrops(paths, bundle.crop_um, bundle.crop_px, most_zoom=zooms[-1]) as source:
            started = time.process_time()
            for first in range(0, len(paths), 64):
                for zoom in zooms:
                    source.read(source.order[first : first + 64], zoom)
            taken.append(time.process_time() - started)
    return 1e3 * statistics.median(taken) / len(paths)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=1024)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--model", default=None)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--pictures", type=Path, default=None)
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall")
    args = parser.parse_args()
    now = time.process_time if args.clock == "cpu" else time.perf_counter

    import torch
    from PIL import Image

    import napari_aml as aml
    from napari_aml._torch import choose_device
    from napari_aml.classify import SlideCrops, classify_folder_steps, predict_steps
    from napari_aml.classify.predict import choose_batch_size

    bundle, device = aml.load_bundle(args.model), choose_device(args.device)
    network = bundle.borrow(device)
    size = choose_batch_size(network, bundle.crop_px)
    rng = np.random.default_rng(0)
    side = 6000
    slide = aml.open_slide(rng.integers(120, 256, (side, side, 3), dtype=np.uint8), 0.1)
    y, x = rng.uniform(200, side - 200, (2, args.cells))
    source = SlideCrops(slide, y, x, bundle.crop_um, bundle.crop_px)
    crops = source.read(source.order)
    batches = [network.prepare(crops[i : i + size]) for i in range(0, len(crops), size)]
    views = len(bundle.tta.views)

    with tempfile.TemporaryDirectory() as folder:
        real = sorted(args.pictures.rglob("*.jpg")) if args.pictures else []
        for i in range(args.cells):
            to = Path(folder) / f"{i:05}.jpg"
            if real:
                shutil.copy(real[i % len(real)], to)
            else:
                Image.fromarray(rng.integers(0, 256, (360, 360, 3), dtype=np.uint8)).save(to)
        jobs = {
            "crops in memory": (lambda: aml.run(predict_steps(bundle, crops, device)), 1),
            "cells of a slide": (lambda: aml.run(predict_steps(bundle, source, device)), 1),
            f"folder of JPEGs, {views} view(s)": (
                lambda: aml.run(classify_folder_steps(folder, bundle, device)), views,
            ),
        }  # fmt: skip
        for job, _ in jobs.values():
            job()
        bare(now, network, batches)
        print(f"{bundle.bundle_id}, {bundle.backbone} at {bundle.crop_px} px; {args.cells} cells, batches of {size}")
        where = f"{platform.machine()}, {device.name} {device.precision}, {torch.get_num_threads()} threads"
        print(f"{where}, {args.clock} clock", flush=True)
        for title, (job, times) in jobs.items():
            ratios, rates = [], []
            for _ in range(args.repeats):
                before = bare(now, network, batches)
                started = now()
                job()
                taken = now() - started
                # The network before and after the job: a machine that slows down meanwhile does not flatter either.
                alone = (before + bare(now, network, batches)) / 2 * times
                ratios.append(alone / taken)
                rates.append(args.cells / taken)
            rate, share = statistics.median(rates), statistics.median(ratios)
            spread = f"{min(ratios):.2f}-{max(ratios):.2f}"
            print(f"{title:40s} {rate:8.0f} cells/s = {100 * share:5.1f} % of the bare network ({spread})", flush=True)
        own, network_ms = cost_of_reading(folder, bundle), 1e3 * statistics.median(
            bare(time.process_time, network, batches) for _ in range(args.repeats)
        ) / args.cells * views  # fmt: skip
        print(f"processor time a picture: {own:.2f} ms to decode and cut, {network_ms:.2f} ms in the bare network = "
              f"{100 * network_ms / (own + network_ms):.1f} %")  # fmt: skip


if __name__ == "__main__":
    main()
