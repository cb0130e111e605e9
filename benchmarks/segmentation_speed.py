"""Speed and peak memory of the segmentation of a large synthetic slide without a pyramid.

``python benchmarks/segmentation_speed.py [--side 20000] [--pixel-size 0.075] [--threads 2]``

The fields of the synthetic slide hold one white cell each, some hundred times more than normal blood has to the area:
the coarse network saves little here. CPU time stands beside wall time, since other jobs share the machine.
"""

from __future__ import annotations

import argparse
import resource
import time

from napari_aml.cells import get_segmenter, segment_steps
from napari_aml.slides import PixelSize, SyntheticSlide


def main() -> None:
    """Print Mpixel/s, the longest time between two events, peak memory."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=20_000)
    parser.add_argument("--pixel-size", type=float, default=0.075)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--segmenter", default="default")
    args = parser.parse_args()
    from napari_aml._torch import torch

    torch.set_num_threads(args.threads)
    segmenter = get_segmenter(args.segmenter)
    slide = SyntheticSlide(args.side, args.side, downsamples=(1,))
    slide = slide.with_pixel_size(PixelSize(args.pixel_size, "person"))
    for _ in segment_steps(SyntheticSlide(700, 700, downsamples=(1,)).with_pixel_size(slide.pixel_size), segmenter):
        pass  # imports and weights are loaded once a session, not once a slide
    wall, cpu = time.perf_counter(), time.process_time()
    last, longest, cells = wall, 0.0, None
    steps = segment_steps(slide, segmenter)
    while cells is None:
        try:
            next(steps)
            now = time.perf_counter()
            last, longest = now, max(longest, now - last)
        except StopIteration as stop:
            cells = stop.value
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    pixels = args.side**2 / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    print(f"{args.side} x {args.side} px at {args.pixel_size} µm/px, {args.threads} threads: {len(cells)} cells")
    print(f"wall {wall:.1f} s = {pixels / wall:.1f} Mpixel/s; cpu {cpu:.1f} s = {pixels / cpu:.1f} Mpixel/s a core")
    print(f"longest wait between events {longest:.2f} s; peak memory {peak:.2f} GB")


if __name__ == "__main__":
    main()
