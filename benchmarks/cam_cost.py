"""What a heatmap costs: extra time over classification alone, and against pytorch-grad-cam.

    python benchmarks/cam_cost.py [--cells 64] [--device cpu] [--model BUNDLE] [--stage 3] [--repeats 7]

"ours" classifies a batch and makes its maps in the same pass. "batched" is pytorch-grad-cam's own call on the same
batch (which also classifies it), "one by one" the same call a cell at a time. All run in turns in one process on the
same crops, and the raw maps are compared. pytorch-grad-cam runs on the network as timm makes it (weights that want
gradients, memory layout by channel); with --channels-last it gets our memory layout instead. --clock cpu counts the
processor's time of this process, which says more than the wall clock on a machine that others use as well.
"""

from __future__ import annotations

import argparse
import copy
import platform
import statistics
import threading
import time

import numpy as np


def clock(now, work, *arguments) -> float:
    """Seconds that a call takes."""
    import torch

    started = now()
    work(*arguments)
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return now() - started


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=64)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--model", default=None)
    parser.add_argument("--stage", type=int, default=3)
    parser.add_argument("--methods", nargs="+", default=["gradcam", "hirescam"])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall")
    args = parser.parse_args()
    now = time.process_time if args.clock == "cpu" else time.perf_counter

    import pytorch_grad_cam
    import torch
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    import napari_aml as aml
    from napari_aml._torch import Device, choose_device
    from napari_aml.classify.predict import choose_batch_size, plain_pass
    from napari_aml.explain.layers import choose_target
    from napari_aml.explain.methods import METHODS
    from napari_aml.explain.passes import CamPass

    bundle = aml.load_bundle(args.model)
    # Full precision on both sides: pytorch-grad-cam knows no autocast.
    network = bundle.borrow(Device(choose_device(args.device).name, "float32"))
    size = min(args.cells, choose_batch_size(network, bundle.crop_px))
    rng = np.random.default_rng(0)
    crops = rng.integers(0, 256, (args.cells, bundle.crop_px, bundle.crop_px, 3), dtype=np.uint8)
    prepared = [network.prepare(crops[i : i + size]) for i in range(0, args.cells, size)]
    layout = torch.channels_last if args.channels_last else torch.contiguous_format
    theirs = copy.deepcopy(network.model).requires_grad_(True).to(memory_format=layout)
    their_layer = choose_target(theirs, args.stage)
    their_batches = [batch.contiguous(memory_format=layout) for batch in prepared]
    stop = threading.Event()

    def classify():
        for i, batch in enumerate(prepared):
            plain_pass(network, batch, np.arange(len(batch)) + i * size, stop)

    def ours(method):
        look = CamPass(method, args.stage, lambda rows, logits: logits.argmax(1))
        return [look(network, b, np.arange(len(b)) + i * size, stop)[2] for i, b in enumerate(prepared)]

    def library(method, batches):
        made = getattr(pytorch_grad_cam, METHODS[method].implementation)
        with made(theirs, [their_layer.layer], reshape_transform=their_layer.reshape) as cam:
            for batch in batches:
                cam(batch, None)

    def raw_library(method, targets):
        made = getattr(pytorch_grad_cam, METHODS[method].implementation)

        class Recording(made):
            def get_cam_image(self, *arguments, **named):
                kept.append(super().get_cam_image(*arguments, **named))
                return kept[-1]

        kept = []
        with Recording(theirs, [their_layer.layer], reshape_transform=their_layer.reshape) as cam:
            for batch, wanted in zip(their_batches, targets, strict=True):
                cam(batch, [ClassifierOutputTarget(int(t)) for t in wanted])
        return np.concatenate(kept)

    singles = [one for batch in their_batches for one in batch.split(1)]
    print(f"{bundle.bundle_id}, {bundle.backbone} at {bundle.crop_px} px, stage {args.stage} ({their_layer.name})")
    layout_name = "channels last" if args.channels_last else "as timm makes it"
    print(f"{platform.machine()}, {network.device.name}, {torch.get_num_threads()} threads, {args.clock} clock")
    print(f"{args.cells} cells in batches of {size}; pytorch-grad-cam's network {layout_name}")
    for method in args.methods:
        made = ours(method)
        expected = raw_library(method, [target for _, target in made])
        difference = np.abs(np.concatenate([maps for maps, _ in made]) - expected).max()
        taken = {"classify": [], "ours": [], "batched": [], "one by one": []}
        for _ in range(args.repeats):
            taken["classify"].append(clock(now, classify))
            taken["ours"].append(clock(now, ours, method))
            taken["batched"].append(clock(now, library, method, their_batches))
            taken["one by one"].append(clock(now, library, method, singles))
        typical = {name: statistics.median(values) for name, values in taken.items()}
        ratio = {name: statistics.median(np.divide(taken[name], taken["ours"])) for name in taken}
        extra = statistics.median(np.divide(taken["ours"], taken["classify"])) - 1
        largest = np.abs(expected).max()
        print(
            f"{method}: largest difference of raw maps {difference:.1e} (their largest value {largest:.2g})", flush=True
        )
        print("  ms a cell: " + ", ".join(f"{name} {1000 * t / args.cells:.2f}" for name, t in typical.items()))
        print(
            f"  heatmaps cost {100 * extra:+.1f} % over classification; pytorch-grad-cam batched takes "
            f"{ratio['batched']:.1f}x, one by one {ratio['one by one']:.1f}x as long"
        )


if __name__ == "__main__":
    main()
