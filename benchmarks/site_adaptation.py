"""What a bundle learns of a new microscope from a hundred cells.

    python benchmarks/site_adaptation.py --data DATA [--model BUNDLE] [--repeats 5]

The white cells of BCCD, whose microscope the demonstration bundle has never seen: up to 100 of them, drawn evenly over
the types, adapt the bundle; all others judge it. Repeated with other draws. BCCD names five types; its neutrophils
count as right when they are called band or segmented.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from pathlib import Path

import numpy as np

TYPES = {"NEUTROPHIL": "NGS", "EOSINOPHIL": "EOS", "LYMPHOCYTE": "LYT", "MONOCYTE": "MON", "BASOPHIL": "BAS"}


def white_cells(data, crop_um, crop_px, known=()):
    """Return crops uint8 (n, px, px, 3) and codes of the pictures that hold one white cell of one type.

    Where stains are `known`, each crop is recoloured as its picture's stain asks for, as the main job does.
    """
    from defusedxml import ElementTree

    import napari_aml as aml
    from napari_aml.cells.stain import measure_stain
    from napari_aml.classify.recolouring import choose_stain

    crops, codes = [], []
    folder = data / "smears_bccd"
    for row in csv.DictReader(open(folder / "wbc_types.csv")):
        marks = ElementTree.parse(folder / "annotations_voc" / f"{row['image']}.xml").getroot().findall("object")
        boxes = {"WBC": [], "RBC": []}
        for mark in marks:
            box = [int(mark.find("bndbox").find(k).text) for k in ("ymin", "xmin", "ymax", "xmax")]
            boxes.setdefault(mark.find("name").text, []).append(box)
        if row["wbc_type"] not in TYPES or len(boxes["WBC"]) != 1 or not boxes["RBC"]:
            continue
        red = np.array(boxes["RBC"], float)
        whole = (red[:, :2] > 3).all(1) & (red[:, 2] < 476) & (red[:, 3] < 636)
        if not whole.any():
            continue
        red = red[whole]
        um = 7.2 / np.median(np.sqrt((red[:, 2] - red[:, 0]) * (red[:, 3] - red[:, 1])))
        y0, x0, y1, x1 = boxes["WBC"][0]
        slide = aml.open_slide(folder / "images" / f"{row['image']}.jpg", float(um))
        crop = aml.crops(slide, [(y0 + y1) / 2], [(x0 + x1) / 2], crop_um, crop_px)[0]
        choice = choose_stain(measure_stain(slide, aml.segment(slide)), known) if known else None
        crops.append(crop if choice is None or choice.recolouring is None else choice.recolouring(crop))
        codes.append(TYPES[row["wbc_type"]])
    return np.stack(crops), np.array(codes, object)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default=None)
    parser.add_argument("--cells", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--no-fine-tune", action="store_true", help="leave the slowest way out")
    args = parser.parse_args()

    import napari_aml as aml
    from napari_aml.classify import ArrayCrops, predict_steps
    from napari_aml.classify.recolouring import recoloured_steps
    from napari_aml.review.adaptation import adapt_steps, save_adapted

    bundle = aml.load_bundle(args.model)
    crops, codes = white_cells(args.data, bundle.crop_um, bundle.crop_px)
    print(f"{bundle.bundle_id}; BCCD: {dict(zip(*np.unique(codes, return_counts=True), strict=True))}")

    def right(said, truth):
        said = np.where(said == "NGB", "NGS", said)
        return [float((said == truth).mean()), float(np.mean([(said == truth)[truth == c].mean() for c in set(truth)]))]

    def named(model, pictures):
        """Codes of pictures as the main job shows them to the model: recoloured where their stain is strange to it."""
        seen, _ = aml.run(recoloured_steps(ArrayCrops(pictures, model.crop_px), model))
        return aml.run(predict_steps(model, seen)).code

    plain, before, after, ways, losses = [], [], [], [], []
    for seed in range(args.repeats):
        rng = np.random.default_rng(seed)
        turn = np.concatenate([rng.permutation(int((codes == c).sum())) for c in sorted(set(codes))])
        at = np.concatenate([np.flatnonzero(codes == c) for c in sorted(set(codes))])
        learn = at[np.argsort(turn, kind="stable")[: args.cells]]
        judge = np.setdiff1d(np.arange(len(codes)), learn)
        held = ArrayCrops(crops[learn], bundle.crop_px)
        done = aml.run(adapt_steps(bundle, held, codes[learn], seed=seed, fine_tune=not args.no_fine_tune))
        with tempfile.TemporaryDirectory() as folder:
            new = save_adapted(done, Path(folder) / "new", site="bccd")
            after.append(right(named(new, crops[judge]), codes[judge]))
        plain.append(right(aml.predict(bundle, crops[judge]).code, codes[judge]))
        before.append(right(named(bundle, crops[judge]), codes[judge]))
        ways.append(done.chosen)
        losses.append({a.way: (a.metrics["accuracy"]["value"], a.log_loss) for a in done.attempts})
        print(f"  draw {seed}: {len(learn)} learnt, {len(judge)} judged: {before[-1][0]:.3f} -> {after[-1][0]:.3f} "
              f"({done.chosen})", flush=True)
    for way in losses[0]:
        accuracy, loss = np.array([each[way] for each in losses]).mean(0)
        print(f"cross-validated on the cells learnt from, {way}: accuracy {accuracy:.3f}, log loss {loss:.3f}")
    for name, column in (("accuracy", 0), ("mean recall of the types judged", 1)):
        b, a = np.array(before)[:, column], np.array(after)[:, column]
        p = np.array(plain)[:, column]
        print(f"{name}: own colours {p.mean():.3f} ± {p.std():.3f}, recoloured {b.mean():.3f} ± {b.std():.3f}, "
              f"adapted {a.mean():.3f} ± {a.std():.3f}")


if __name__ == "__main__":
    main()
