"""What a bundle made by the demonstration recipe gets right on cells that it has never seen (docs/demo-model.md).

    python benchmarks/demo_model.py --data DATA --cache FOLDER --model BUNDLE

Version 0.2.0 was made on another split and has learnt most of these cells: see `--rows`.

PBC and AML-Cytomorphology_LMU: the test part of the recipe. Single-cell pictures without pixel size are taken whole,
under the bundle's views, as `napari-aml classify-crops` does; "28 µm" is how a cell of a slide is seen. BCCD: fields
with one white cell of known type, a microscope that no part of the training has seen. Every class stays open.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from demo_cells import demo_cells, held_out
from site_adaptation import white_cells

from napari_aml.classify import load_bundle, predict
from napari_aml.classify.dataset_crops import DatasetCrops
from napari_aml.classify.predict import predict_steps
from napari_aml.classify.sources import centre_square
from napari_aml.progress import run
from napari_aml.statistics import exact_interval
from napari_aml.taxonomy import within_one_stage

FIVE = ("EOS", "LYT", "MON", "MYO", "NGS")


class Whole:
    """Pictures of a dataset, each taken whole, whatever its scale."""

    def __init__(self, dataset, rows, px) -> None:
        self.dataset, self.rows, self.px = dataset, rows, px
        self.order = np.arange(len(rows))

    def __len__(self):
        return len(self.rows)

    def read(self, rows, zoom=1.0):
        """Read some pictures: uint8 (n, px, px, 3)."""
        return np.stack([centre_square(self.dataset.pixels(int(self.rows[r])), self.px, zoom) for r in rows])


def share(hits) -> str:
    """Percentage with its exact 95 % interval."""
    low, high = exact_interval(int(hits.sum()), len(hits))
    return f"{100 * hits.mean():.1f} % ({100 * low:.1f} to {100 * high:.1f})"


def line(title: str, said, truth, of) -> None:
    """Print one row of the table."""
    right = said.code[of] == truth[of]
    near = np.array([within_one_stage(a, b) for a, b in zip(said.code[of], truth[of], strict=True)])
    print(f"| {title} | {of.sum()} | {share(right)} | {share(near)} | {100 * said.confidence[of].mean():.1f} % |")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True, help="folder that keeps the dataset between runs")
    parser.add_argument("--model", required=True)
    parser.add_argument("--rows", type=Path, help="a text file of uids: judge these alone")
    args = parser.parse_args()
    bundle, dataset = load_bundle(args.model), demo_cells(args.data, args.cache)
    rows = held_out(dataset)
    if args.rows:
        rows = rows[np.isin(dataset.table["uid"].to_numpy(str)[rows], args.rows.read_text().split())]
    truth = dataset.table["code"].to_numpy(str)[rows]
    of = {name: dataset.table["source"].to_numpy(str)[rows] == name for name in ("pbc", "lmu")}
    titles = {"pbc": "PBC", "lmu": "AML-Cytomorphology_LMU"}

    print(bundle.bundle_id)
    whole = run(predict_steps(bundle, Whole(dataset, rows, bundle.crop_px), views=bundle.tta.views))
    cut = predict(bundle, DatasetCrops(dataset, rows, bundle.crop_um, bundle.crop_px))
    print("| held-out cells | n | right | right or one maturation stage off | mean confidence |\n|---|---|---|---|---|")
    for name, title in titles.items():
        line(title, whole, truth, of[name])
        line(f"{title}, one view of 28 µm", cut, truth, of[name])
    line("AML-Cytomorphology_LMU, EOS LYT MON MYO NGS", whole, truth, of["lmu"] & np.isin(truth, FIVE))

    print("\n| class | PBC | LMU |\n|---|---|---|")
    for code in bundle.codes:
        cells = [of[name] & (truth == code) for name in titles]
        told = [f"{100 * (whole.code[c] == code).mean():.0f} % ({c.sum()})" if c.any() else "–" for c in cells]
        print(f"| {code} | {' | '.join(told)} |")

    for title, known in (("own colours", ()), ("as the main job sees them", bundle.stains)):
        crops, codes = white_cells(args.data, bundle.crop_um, bundle.crop_px, known)
        said = predict(bundle, crops)
        five = np.isin(bundle.codes, sorted({*codes}))
        among = np.array(bundle.codes)[five][said.probabilities[:, five].argmax(1)]
        bands = np.where(said.code == "NGB", "NGS", said.code)
        print(f"\nBCCD, {title}, {len(codes)} cells: {share(said.code == codes)}; bands as segmented: "
              f"{share(bands == codes)}; its own classes alone open: {share(among == codes)}; "
              f"mean confidence {100 * said.confidence.mean():.1f} %")  # fmt: skip


if __name__ == "__main__":
    main()
