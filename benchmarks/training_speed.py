"""Epoch time of `napari-aml train` against a plain timm loop on the same pictures, network, size and batch.

    python benchmarks/training_speed.py DATASET [--px 64] [--batch 32] [--epochs 3] [--cells 256] [--clock cpu]

Both loops train the same network from random weights with AdamW in the same process, epoch by epoch in turn, so that
what else the machine does hits both alike. The plain loop is what a timm user writes: ``create_dataset`` on class
folders, ``create_loader`` with timm's training transform (random resized crop, flip, colour jitter, RandAugment off),
cross-entropy, ``optimizer.step()``. Ours varies more (any angle, scale, dyes, light, focus) on cached crops. The time
that ours needs to fill its cache is printed beside: it is spent once. ``--clock cpu`` counts the processor's time of
this process (with one thread and no workers), for a machine that others use as well.

"Waiting" is the share of an epoch in which the network neither computes forwards nor backwards nor updates: on a GPU
that share of the time it would stand idle.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np

NOW = time.perf_counter


class Timed:
    """Counts the time spent in the network: forward, backward, update."""

    def __init__(self, synchronise):
        self.spent, self.synchronise = 0.0, synchronise

    def __enter__(self):
        self.synchronise()
        self.began = NOW()

    def __exit__(self, *_):
        self.synchronise()
        self.spent += NOW() - self.began


def plain_epochs(folder: Path, backbone: str, classes: int, px: int, batch: int, workers: int, device, synchronise):
    """Yield (seconds, seconds in the network) of each epoch of a plain timm loop."""
    import timm
    import torch
    from timm.data import create_dataset, create_loader

    data = create_dataset("", root=str(folder), split="train", is_training=True)
    loader = create_loader(
        data, (3, px, px), batch, is_training=True, num_workers=workers, device=torch.device(device),
        mean=(0.5,) * 3, std=(0.5,) * 3, persistent_workers=workers > 0, use_prefetcher=device != "cpu",
    )  # fmt: skip
    model = timm.create_model(backbone, num_classes=classes, **_arguments(backbone, px)).to(device).train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.05)
    while True:
        timed, began = Timed(synchronise), NOW()
        for pixels, targets in loader:
            pixels, targets = pixels.to(device), targets.to(device)
            with timed:
                loss = torch.nn.functional.cross_entropy(model(pixels), targets, label_smoothing=0.1)
                optimiser.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimiser.step()
        yield NOW() - began, timed.spent


def our_epochs(dataset, rows, backbone: str, px: int, batch: int, device, precise, synchronise, filled: list[float]):
    """Yield the same of ours; `filled` receives the time that filling the cache took."""
    from napari_aml import progress
    from napari_aml.classify.training.engine import TrainConfig
    from napari_aml.classify.training.engine.building import build
    from napari_aml.classify.training.engine.crops import cut_steps, nominal_field
    from napari_aml.classify.training.engine.loop import Fit
    from napari_aml.classify.training.engine.losses import epoch_order
    from napari_aml.classify.training.engine.processes import Processes
    from napari_aml.classify.training.engine.records import Material
    from napari_aml.classify.training.engine.varying import margin_of

    config = TrainConfig().changed(
        backbone=backbone, px=px, batch=batch, epochs=1000, rate=1e-3, drop_path=0.0, device=device, swa=0.0,
        backbone_args=_arguments(backbone, None), imbalance="none", mixup=0.0,
    )  # fmt: skip
    began = NOW()
    crops = progress.run(cut_steps(dataset, rows, nominal_field(dataset, rows), px, margin_of(config.variation)))
    filled.append(NOW() - began)
    codes = dataset.codes
    targets = dataset.table["code"].map({c: i for i, c in enumerate(codes)}).to_numpy(int)[crops.rows]
    network, mean, std, _ = build(config, codes, None)
    material = Material(crops, targets, cut_of_none(px), np.zeros(0, int), len(codes))
    fit = Fit(network, material, config, precise, mean, std, Processes(device), None)
    timed = Timed(synchronise)
    forward, backward, step = fit.network.forward, None, fit.optimiser.step

    def timed_forward(x):
        with timed:
            return forward(x)

    def timed_step(*a, **k):
        with timed:
            return step(*a, **k)

    fit.network.forward, fit.optimiser.step = timed_forward, timed_step
    import torch

    backward = torch.Tensor.backward

    def timed_backward(self, *a, **k):
        with timed:
            return backward(self, *a, **k)

    epoch = 0
    while True:
        timed.spent, began = 0.0, NOW()
        torch.Tensor.backward = timed_backward
        order = epoch_order(targets, config, epoch)
        for at in range(fit.per_epoch):
            fit._one_update(order[at * fit.batch : (at + 1) * fit.batch])
        synchronise()
        torch.Tensor.backward = backward
        epoch += 1
        yield NOW() - began, timed.spent


def cut_of_none(px: int):
    from napari_aml.classify.training.engine.crops import Crops

    return Crops(np.zeros((0, px, px, 3), np.uint8), np.zeros(0, int))


def _arguments(backbone: str, px: int | None) -> dict:
    arguments = {"ls_init_value": 0.3} if backbone.startswith("convnext") else {}
    if px and backbone.startswith("vit"):
        arguments["img_size"] = px
    return arguments


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--px", type=int, default=64)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=3, help="timed epochs of each loop, after one untimed")
    parser.add_argument("--workers", type=int, default=0, help="decoding processes of the plain loop")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--cells", type=int, default=0, help="use this many of the pictures; 0 = all")
    parser.add_argument("--precision", default="auto", help="of ours; the plain loop is timm's default, float32")
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--backbones", default="resnet10t,convnext_atto")
    given = parser.parse_args()
    global NOW
    if given.clock == "cpu":
        NOW = time.process_time
    import torch

    from napari_aml.classify.training.engine import TrainConfig
    from napari_aml.classify.training.engine.processes import Processes
    from napari_aml.classify.training.engine.running import _device
    from napari_aml.datasets import Dataset

    torch.set_num_threads(given.threads)
    synchronise = torch.cuda.synchronize if given.device.startswith("cuda") else lambda: None
    dataset = Dataset.open(given.dataset)
    settings = TrainConfig(device=given.device, precision=given.precision)
    precise = _device(Processes(given.device), settings)
    rows = np.random.default_rng(0).permutation(dataset.labelled)[: given.cells or None]
    n = len(rows)
    print(
        f"{dataset.name}: {n} pictures, {given.px} px, batch {given.batch}, {given.device}, {given.threads} thread(s)"
    )
    with tempfile.TemporaryDirectory() as folder:
        for row in rows:  # class folders with the same files
            file = dataset.path / dataset.table["picture"].iat[row]
            where = Path(folder) / dataset.table["code"].iat[row]
            where.mkdir(exist_ok=True)
            (where / file.name).symlink_to(file.resolve())
        print("| network | plain timm, s/epoch | waiting | ours, s/epoch | waiting | ratio | filling the cache, once |")
        print("|---|---|---|---|---|---|---|")
        for backbone in given.backbones.split(","):
            filled: list[float] = []
            common = (given.px, given.batch)
            loops = {
                "plain": plain_epochs(
                    Path(folder), backbone, len(dataset.codes), *common, given.workers, given.device, synchronise
                ),
                "ours": our_epochs(dataset, rows, backbone, *common, given.device, precise, synchronise, filled),
            }
            times: dict[str, list[tuple[float, float]]] = {"plain": [], "ours": []}
            for turn in range(given.epochs + 1):
                for name, loop in loops.items():
                    found = next(loop)
                    if turn:
                        times[name].append(found)
            ratio = median(a[0] / b[0] for a, b in zip(times["plain"], times["ours"], strict=True))
            cells = []
            for name in ("plain", "ours"):
                waiting = median(1 - inside / whole for whole, inside in times[name])
                cells += [f"{median(t[0] for t in times[name]):.2f}", f"{waiting:.0%}"]
            print(f"| {backbone} | {' | '.join(cells)} | {ratio:.2f} | {filled[0]:.1f} s |", flush=True)


if __name__ == "__main__":
    main()
