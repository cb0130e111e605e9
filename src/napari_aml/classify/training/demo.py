"""The command that makes the demonstration bundle.

    python -m napari_aml.classify.training.demo --data ../shared/data --out src/napari_aml/bundles/demo

A teacher with ImageNet weights is fitted to four fifths of the cells; a ConvNeXt that starts from nothing
learns from its answers; the fifth that neither has ever seen gives the figures of the card, the temperature, the
conformal sets and the score of likeness. Stages are kept under ``--work``: a command that was interrupted goes
on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_aml import progress

from . import bank, evaluate, fit, groups, hints, sampling, teacher
from .augment import Variation
from .card import CROP_UM, TTA, demo_card
from .data import CLASS_CODES, CellSet, load_cells
from .together import Together

if TYPE_CHECKING:
    import torch

    from napari_aml.classify.bundle import ModelBundle
    from napari_aml.classify.trust.calibrating import Calibration

BACKBONE = "convnext_atto_ols"
CROP_PX = 96
SHARE = {"pbc": 0.65, "lmu": 0.35}
TEST_FOLD = 0
VERSION = "0.2.0"
#: What the teacher sees.
VARIATION = Variation(stain=0.7, transfer=0.4, neighbour=0.15, erase=0.1, blur=0.3)
#: What it sees when the student is nearly done: close to how cells will be shown to it.
MILD = Variation(
    field_um=(21.5, 36.0), shift_um=0.9, stain=0.35, transfer=0.2, neighbour=0.1, erase=0.05, blur=0.2, zoom_out=1.04
)
#: What a part of the student's views get on top.
HARD = Variation(stain=1.4, transfer=0.5, blur=0.5, neighbour=0, erase=0.1, pale=0.5, cut_off=0.15)
HARD_SHARE = {"coarse": 0.0, "fine": 0.3, "mild": 0.12, "long": 0.2}
VIEWS = tuple(evaluate.View(1 / view["zoom"], flip="flip" in view) for view in TTA["views"])


@dataclass(frozen=True)
class Plan:
    """How long each stage lasts, in pictures shown.

    Attributes
    ----------
    teacher : tuple of int
        Rounds of the teacher, each with its own warm-up and cosine.
    banks : int
        Views in the bank; the bank of mild views is smaller.
    coarse, fine, mild, long : int
        Student at 64 px, at full size, on milder views, and long on all of them.
    workers : int
        Processes, one thread each.
    """

    teacher: tuple[int, ...] = (20_000, 24_000, 56_000)
    banks: int = 40_000
    coarse: int = 100_000
    fine: int = 150_000
    mild: int = 58_000
    long: int = 336_000
    workers: int = 2

    def scaled(self, factor: float) -> Plan:
        """Return a shorter plan, for trying things out."""
        names = ("banks", "coarse", "fine", "mild", "long")
        cut = {name: max(128, round(getattr(self, name) * factor)) for name in names}
        return replace(self, teacher=tuple(max(64, round(n * factor)) for n in self.teacher), **cut)


def student_recipe(plan: Plan, stage: str) -> fit.Recipe:
    """Return the recipe of a student's stage (``coarse``, ``fine``, ``mild`` or ``long``)."""
    common = {"side": CROP_PX, "distil": 0.7, "hints": 1.0, "warm_up": 0.03}
    common["average"] = 0.999 if stage == "long" else 0.995
    return {
        "coarse": fit.Recipe(plan.coarse, learn_side=64, rate=2e-3, **common),
        "fine": fit.Recipe(plan.fine, rate=1.2e-3, seed=1, **common),
        "mild": fit.Recipe(plan.mild, rate=1e-3, seed=2, **common),
        "long": fit.Recipe(plan.long, rate=1.2e-3, seed=3, **common),
    }[stage]


def prepare_cells(data: Path, work: Path) -> CellSet:
    """Load, group and divide the cells; the groups are kept."""
    cells = load_cells(data, work / "cells")
    kept = work / "groups.npy"
    if not kept.exists():
        embed = teacher.embedder(teacher.imagenet_teacher(len(CLASS_CODES), 0))
        np.save(kept, groups.group_near_duplicates(cells, embed))
    table = cells.table
    table["group"] = np.load(kept)
    table["fold"] = groups.grouped_folds(table["group"].to_numpy(), (table["source"] + table["code"]).to_numpy())
    return cells


def drawn(cells: CellSet, rows: np.ndarray) -> np.ndarray:
    """Drawing weights of some rows; unlabelled pictures are a class of their own."""
    part = cells.table.iloc[rows]
    codes = part["code"].replace("", "unlabelled").to_numpy()
    return sampling.balanced_weights(codes, part["source"].to_numpy(), part["group"].to_numpy(), SHARE, 0.75)


def say(stage: str) -> Callable[[progress.Progress], None]:
    """Return a listener that prints where a stage is."""

    def listener(event: progress.Progress) -> None:
        print(f"{stage} {event.done}/{event.total} {event.message}", file=sys.stderr, flush=True)

    return listener


def fit_teacher(cells: CellSet, plan: Plan, work: Path) -> Path:
    """Fit the teacher to the training folds; return where its weights are kept."""
    from napari_aml._torch import torch

    rows = np.flatnonzero((cells.targets >= 0) & (cells.table["fold"] != TEST_FOLD))
    stream = fit.live_stream(cells, rows, drawn(cells, rows))
    state = None
    for turn, pictures in enumerate(plan.teacher):
        kept = work / f"teacher{turn}.pt"
        if not kept.exists():
            network = teacher.imagenet_teacher(len(CLASS_CODES))
            if state is not None:
                network.load_state_dict(state)
            recipe = fit.Recipe(
                pictures, side=CROP_PX, rate=1.2e-3, weight_decay=0.02, bfloat16=False, average=0.997,
                seed=turn,
                variation=VARIATION,
            )  # fmt: skip
            steps = fit.fit_steps(network, stream, recipe, kept.with_suffix(".ck"))
            _keep(progress.run(steps, say(f"teacher, round {turn + 1}")), kept)
        state = torch.load(kept, weights_only=True)
    return kept


#: Bank -> (seed, how views are varied, size as a share of ``Plan.banks``).
BANKS = {
    "train": (100, VARIATION, 1.0),
    "mild": (101, MILD, 0.64),
}


def fill_bank(cells: CellSet, which: str, plan: Plan, teacher_state: Path, work: Path) -> Path:
    """Fill one of :data:`BANKS`; return its folder."""
    from napari_aml._torch import torch

    folder = work / f"bank_{which}"
    if not (folder / "far.npy").exists():  # the last that is written
        seed, variation, share = BANKS[which]
        rows = np.flatnonzero(cells.table["fold"] != TEST_FOLD)
        network = teacher.imagenet_teacher(len(CLASS_CODES))
        network.load_state_dict(torch.load(teacher_state, weights_only=True))
        recipe = fit.Recipe(round(plan.banks * share), side=CROP_PX, seed=seed, variation=variation)
        steps = bank.make_bank_steps(network, cells, rows, drawn(cells, rows), recipe)
        progress.run(steps, say(f"bank ({which})")).save(folder)
    return folder


def new_student() -> torch.nn.Module:
    """Build the untrained student.

    Layer scales start at 0.3 instead of timm's 1e-6, which is meant for long training: with few steps the
    blocks
    would hardly take part.
    """
    from napari_aml._torch import timm, torch

    torch.manual_seed(0)
    return timm.create_model(BACKBONE, num_classes=len(CLASS_CODES), ls_init_value=0.3)


def train_student(rank: int, plan: Plan, stage: str, banks: list[Path], before: Path | None, kept: Path) -> None:
    """Train the student through one stage; one of ``plan.workers`` processes."""
    from napari_aml._torch import torch

    torch.set_num_threads(1)
    together = Together.join(rank, plan.workers, kept.with_suffix(".meet"))
    opened = [bank.ViewBank.open(folder) for folder in banks]
    channels = (opened[0].near.shape[1], opened[0].far.shape[1])
    network = hints.student_with_hints(new_student(), channels).to(memory_format=torch.channels_last)
    if before is not None:
        network.load_state_dict(torch.load(before, weights_only=True))
    stream = bank.joint_stream(opened)
    if HARD_SHARE[stage]:
        stream = bank.hardened(stream, HARD, HARD_SHARE[stage])
    steps = fit.fit_steps(network, stream, student_recipe(plan, stage), kept.with_suffix(".ck"), together)
    state = progress.run(steps, say(f"student ({stage})") if rank == 0 else None)
    if rank == 0:
        _keep(state, kept)
    together.leave()


def fit_student(plan: Plan, stage: str, banks: list[Path], before: Path | None, work: Path) -> Path:
    """Run one stage of the student in ``plan.workers`` processes; return where its weights are kept."""
    from napari_aml._torch import torch

    kept = work / f"student_{stage}.pt"
    if not kept.exists():
        kept.with_suffix(".meet").unlink(missing_ok=True)
        torch.multiprocessing.spawn(train_student, (plan, stage, banks, before, kept), nprocs=plan.workers)
    return kept


def student_state(kept: Path) -> dict[str, torch.Tensor]:
    """Return the student's weights under timm's names, without what it learnt the hints with."""
    from napari_aml._torch import torch

    state = torch.load(kept, weights_only=True)
    return {name[len("network.") :]: value for name, value in state.items() if name.startswith("network.")}


def judge(cells: CellSet, state: dict[str, torch.Tensor]) -> tuple[float, dict[str, Any]]:
    """Choose the temperature and count on the fold that training did not see.

    Returns
    -------
    temperature : float
    metrics : dict
        As they stand in the card.
    """
    network = new_student()
    network.load_state_dict(state)
    answers = {}
    for source, name in (("pbc", "PBC"), ("lmu", "AML-Cytomorphology_LMU")):
        fold = (cells.table["fold"] == TEST_FOLD) & (cells.table["source"] == source)
        rows = np.flatnonzero(fold & (cells.targets >= 0))
        answers[name] = (evaluate.view_logits(network, cells, rows, CROP_PX, VIEWS), cells.targets[rows])
        field = evaluate.view_logits(network, cells, rows, CROP_PX, field_um=CROP_UM)
        answers[f"{name}, one view of {CROP_UM:g} µm"] = (field, cells.targets[rows])
    temperature = evaluate.choose_temperature([answers["PBC"], answers["AML-Cytomorphology_LMU"]])
    metrics = {
        name: evaluate.summarise(evaluate.mean_probability(logits, temperature), truth, CLASS_CODES)
        for name, (logits, truth) in answers.items()
    }
    return temperature, metrics


def make_demo_bundle(data: Path, out: Path, work: Path, plan: Plan) -> None:
    """Run all stages and write the bundle."""
    work.mkdir(parents=True, exist_ok=True)
    cells = prepare_cells(data, work)
    taught = fit_teacher(cells, plan, work)
    train, mild = (fill_bank(cells, which, plan, taught, work) for which in BANKS)
    state = fit_student(plan, "coarse", [train], None, work)
    state = fit_student(plan, "fine", [train], state, work)
    for stage in ("mild", "long"):
        state = fit_student(plan, stage, [mild, train], state, work)
    write_bundle(cells, student_state(state), out, work)


def write_bundle(cells: CellSet, state: dict[str, torch.Tensor], out: Path, work: Path) -> None:
    """Judge a student on the held-out fold and write the bundle, calibrated on that fold."""
    from napari_aml.classify.bundle import save_bundle
    from napari_aml.classify.trust.calibrating import save_calibrated

    temperature, metrics = judge(cells, state)
    (work / "metrics.json").write_text(json.dumps(metrics, indent=2), "utf-8")
    counts = cells.table[cells.table["fold"] != TEST_FOLD].groupby("source").size().to_dict()
    card = demo_card(
        backbone=BACKBONE,
        crop_px=CROP_PX,
        temperature=temperature,
        counts=counts,
        metrics=metrics,
        version=VERSION,
    )
    saved = save_bundle(out, state, card)
    calibration, entries = calibrated(cells, saved)
    print(save_calibrated(saved, calibration, out, entries).card_summary())


def calibrated(cells: CellSet, bundle: ModelBundle) -> tuple[Calibration, dict[str, Any]]:
    """Fit sets and likeness on the held-out fold as cells of slides are seen: one view of the bundle's field.

    Returns
    -------
    calibration : Calibration
        At the bundle's temperature.
    entries : dict
        Of the card: ``picture_statistics``, mean and std of the training cells' pixels (0…1), each source weighing
        the same; ``confusion`` of the held-out cells.
    """
    from napari_aml.classify.predict import predict
    from napari_aml.classify.trust.calibrating import calibrate
    from napari_aml.statistics import confusion

    table = cells.table
    rows = np.flatnonzero((cells.targets >= 0) & (table["fold"] == TEST_FOLD))
    said = predict(bundle, evaluate.views_of(cells, rows, CROP_PX, evaluate.View(), CROP_UM))
    fitted = calibrate(
        said.probabilities, said.embedding, cells.targets[rows], bundle.codes, bundle.temperature,
        refit_temperature=False,
    )  # fmt: skip
    learnt = np.flatnonzero(table["fold"] != TEST_FOLD)
    rng = np.random.default_rng(0)
    moments = []
    for source in SHARE:
        drawn_rows = rng.permutation(learnt[(table["source"] == source).to_numpy()[learnt]])[:300]
        pixels = evaluate.views_of(cells, drawn_rows, CROP_PX, evaluate.View(), CROP_UM).reshape(-1, 3) / 255
        moments.append((pixels.mean(0), pixels.std(0)))
    mean, std = (np.mean([m[i] for m in moments], axis=0).round(4).tolist() for i in (0, 1))
    counts = confusion(cells.targets[rows], said.index, len(bundle.codes))
    source = f"{len(rows):,} held-out cells of both sources, one view of {CROP_UM:g} µm"
    return fitted, {
        "picture_statistics": {"mean": mean, "std": std},
        "confusion": {"codes": list(bundle.codes), "counts": counts.tolist(), "source": source},
    }


def _keep(state: dict[str, torch.Tensor], path: Path) -> None:
    from napari_aml._torch import torch

    beside = path.with_suffix(".part")
    torch.save(state, beside)
    beside.replace(path)


def main(arguments: list[str] | None = None) -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m napari_aml.classify.training.demo", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with cells_pbc and cells_aml_lmu_*")
    parser.add_argument("--out", type=Path, required=True, help="folder of the bundle")
    parser.add_argument(
        "--work", type=Path, default=Path("demo-training"), help="folder for what can be taken up again"
    )
    parser.add_argument("--workers", type=int, default=2, help="processes, one thread each")
    parser.add_argument("--scale", type=float, default=1.0, help="part of the full length, for trying things out")
    given = parser.parse_args(arguments)
    from napari_aml._torch import torch

    torch.set_num_threads(given.workers)
    make_demo_bundle(given.data, given.out, given.work, replace(Plan().scaled(given.scale), workers=given.workers))


if __name__ == "__main__":
    main()
