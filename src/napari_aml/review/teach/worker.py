"""The training process: ``python -m napari_aml.review.teach.worker JOB_FOLDER`` says how it goes, in lines of JSON.

It learns with the training engine, then asks the old and the new bundle about the same held-out cells.
"""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_aml._files import replacing
from napari_aml.errors import AmlError
from napari_aml.progress import Progress, Steps
from napari_aml.review.teach.comparing import Comparison, figures_of
from napari_aml.review.teach.fine_tune import BUNDLE, RESULT, read_job

if TYPE_CHECKING:
    from napari_aml.classify import ModelBundle
    from napari_aml.datasets import Dataset


def work_steps(folder: Path) -> Steps[None]:
    """Train, compare, write the bundle and the result."""
    from napari_aml.classify import load_bundle
    from napari_aml.classify.training.engine import TrainConfig, train_steps
    from napari_aml.datasets import Dataset

    job = read_job(folder)
    dataset, base = Dataset.open(job["dataset"]), load_bundle(job["base"])
    config = TrainConfig().changed(**job["settings"], name=job["name"])
    made = yield from train_steps(dataset, config, folder / BUNDLE, base=base, work=folder / "work")
    notes = list(made.notes)
    held = made.held_out.get("test", {"rows": np.zeros(0, int)})
    yield Progress(0, 0, "Comparing with the old bundle on the same cells")
    comparison = yield from compare_steps(dataset, held["rows"], base, load_bundle(folder / BUNDLE), config.device)
    _add_to_card(folder / BUNDLE, job, comparison)
    result = {
        "history": [{"epoch": e.epoch, "loss": e.loss, "figures": dict(e.validation)} for e in made.history],
        "comparison": comparison.to_dict(), "notes": notes,
    }  # fmt: skip
    with replacing(folder / RESULT) as beside:
        beside.write_text(json.dumps(result) + "\n", "utf-8")


def compare_steps(
    dataset: Dataset, rows: np.ndarray, old: ModelBundle, new: ModelBundle, device: str = "auto"
) -> Steps[Comparison]:
    """Ask two bundles about the same cells of a dataset, each with its own crop."""
    from napari_aml.classify import ArrayCrops, predict_steps
    from napari_aml.classify.recolouring import recoloured_steps

    table = dataset.table.iloc[rows]
    truth = tuple(table["code"].astype(str))
    said = {}
    for name, bundle in (("old", old), ("new", new)):
        if len(rows):
            crops = ArrayCrops(_crops(dataset, rows, bundle), bundle.crop_px)
            seen, _ = yield from recoloured_steps(crops, bundle)  # each sees them as it would in the main job
            said[name] = yield from predict_steps(bundle, seen, device)
    level = dataset.leakage.text
    if not said:
        return Comparison((), (), (), (), {}, {}, level)
    before, after = (tuple(said[name].code.tolist()) for name in ("old", "new"))
    figures, old_figures = (figures_of(truth, said[b].probabilities, said[b].codes) for b in ("new", "old"))
    return Comparison(tuple(table["uid"].astype(str)), truth, before, after, figures, old_figures, level)


def _crops(dataset: Dataset, rows: np.ndarray, bundle: ModelBundle) -> np.ndarray:
    from napari_aml.classify.training.engine.crops import cut

    fields = dataset.table["crop_um"].to_numpy(float)
    return np.stack(
        [
            cut(dataset.pixels(int(r)), fields[r] if np.isfinite(fields[r]) else bundle.crop_um, bundle.crop_um,
                bundle.crop_px)
            for r in rows
        ]
    )  # fmt: skip


def _add_to_card(folder: Path, job: dict[str, Any], comparison: Comparison) -> None:
    """Write into the card what was decided by people and how the bundle stands against its parent."""
    path = folder / "bundle.json"
    card = json.loads(path.read_text("utf-8"))
    card["decisions"] = job["decisions"]
    if len(comparison):
        gain, low, high = comparison.gain
        card["against_parent"] = {
            "cells": len(comparison), "accuracy_gain": round(gain, 4), "interval_95": [round(low, 4), round(high, 4)],
            "right_only_now": comparison.only_new, "right_only_before": comparison.only_old,
            "mcnemar_p": round(comparison.p_value, 6),
        }  # fmt: skip
    with replacing(path) as beside:
        beside.write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n", "utf-8")


def _say(event: Progress) -> None:
    from napari_aml.classify.training.engine import Epoch

    epoch = event.payload
    told = None
    if isinstance(epoch, Epoch):
        told = {"epoch": epoch.epoch, "loss": epoch.loss, "figures": dict(epoch.validation)}
    line = {"done": event.done, "total": event.total, "message": event.message, "epoch": told}
    print(json.dumps(line, default=float), flush=True)


def main(folder: str) -> int:
    """Run a job; 0 when it is done."""
    # Asked to stop, the process leaves at once: the last checkpoint is whole, for it was written beside and renamed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        for event in work_steps(Path(folder)):
            _say(event)
    except AmlError as error:
        print(json.dumps({"error": error.message, "hint": error.hint}), flush=True)
        return error.exit_code
    except MemoryError:
        print(json.dumps({"error": "There is not enough memory.", "hint": "Choose a smaller batch."}), flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
