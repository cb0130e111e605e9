"""A whole training run: dataset and settings in, a new bundle with its card out."""

from __future__ import annotations

import json
import shutil
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_aml._files import replacing
from napari_aml.classify.training.engine.building import build, settings_of
from napari_aml.classify.training.engine.cards import by_source, training_card
from napari_aml.classify.training.engine.checkpoints import Checkpoints, alone
from napari_aml.classify.training.engine.crops import Crops, cut_steps, nominal_field
from napari_aml.classify.training.engine.distilling import teacher_of
from napari_aml.classify.training.engine.finishing import calibrated_steps, drawing_chances
from napari_aml.classify.training.engine.judging import judged, temperature_of
from napari_aml.classify.training.engine.loop import Fit
from napari_aml.classify.training.engine.processes import Processes
from napari_aml.classify.training.engine.records import Epoch, Fitted, Material, TrainingDivergedError
from napari_aml.classify.training.engine.restaining import stains_steps
from napari_aml.classify.training.engine.settings import TrainConfig
from napari_aml.classify.training.engine.varying import margin_of
from napari_aml.datasets import Dataset, Split, check, split
from napari_aml.errors import InputError
from napari_aml.progress import Progress, Steps, run

if TYPE_CHECKING:
    import torch

    from napari_aml._torch import Device
    from napari_aml.classify.bundle import ModelBundle


@dataclass
class TrainResult:
    """What a run leaves.

    Attributes
    ----------
    bundle
        The new bundle; None in processes other than the first.
    figures
        Of the test part, see `judging.judged`; empty where there is none.
    history
        One entry an epoch.
    split
        Which picture was learnt from, watched and tested on.
    notes
        What a person should know.
    held_out
        ``rows, logits, targets`` of ``validation`` and ``test``.
    """

    bundle: ModelBundle | None
    figures: dict[str, Any]
    history: list[Epoch]
    split: Split
    notes: list[str]
    held_out: dict[str, dict[str, np.ndarray]]


def train(dataset: Dataset | str | Path, config: TrainConfig, out: str | Path, **options: Any) -> TrainResult:
    """Train; `train_steps` driven to its end."""
    return run(train_steps(dataset, config, out, **options))


def train_steps(
    dataset: Dataset | str | Path,
    config: TrainConfig,
    out: str | Path,
    *,
    base: ModelBundle | str | Path | None = None,
    division: Split | None = None,
    work: str | Path | None = None,
    fresh: bool = False,
    own_start: bool = False,
) -> Steps[TrainResult]:
    """Train a network on a dataset and write a bundle.

    Parameters
    ----------
    dataset
        A dataset or its folder.
    config
        The recipe.
    out
        The bundle's folder.
    base
        A bundle to start from; its backbone, crop and normalisation are taken over, its classes by code.
    division
        A split with parts ``train``, ``validation`` and ``test``; by default made by the recipe.
    work
        Folder for checkpoint, split, history and answers; by default ``OUT.training``. A run that was interrupted goes
        on from it, to the same result.
    fresh
        Throw an unfinished run in `work` away.
    own_start
        The bundle of ``config.start`` was made by an earlier stage of the same recipe on the same split: it is no
        parent that may have seen the test part.

    Yields
    ------
    Progress
        Payload: an `Epoch` when one is done, else None.

    Raises
    ------
    InputError
        Data or settings that cannot be trained on.
    TrainingDivergedError
        The loss stopped being a number; the best weights so far are kept as a bundle in ``WORK/last-good``.
    """
    dataset = dataset if isinstance(dataset, Dataset) else Dataset.open(dataset)
    out = Path(out)
    work = Path(work) if work is not None else out.with_name(out.name + ".training")
    yield Progress(0, 0, "Looking at the dataset")
    bundle = _base(base)
    if bundle is not None:
        config = settings_of(bundle, config)
    processes = Processes(config.device)
    try:
        with alone(work) if processes.first else nullcontext():
            return (yield from _run_steps(dataset, config, out, bundle, division, work, fresh, processes, own_start))
    finally:
        processes.leave()


def _base(base: ModelBundle | str | Path | None) -> ModelBundle | None:
    from napari_aml.classify.library import load_bundle

    return load_bundle(base) if base else None


def _run_steps(
    dataset: Dataset,
    config: TrainConfig,
    out: Path,
    base: ModelBundle | None,
    division: Split | None,
    work: Path,
    fresh: bool,
    processes: Processes,
    own_start: bool,
) -> Steps[TrainResult]:
    device = _device(processes, config)
    codes, notes = usable_classes(dataset, config)
    start, teacher = _base(config.start), teacher_of(config, codes)
    division = division or split(
        dataset, seed=config.split_seed,
        fractions={"train": 1 - config.validation - config.test, "validation": config.validation, "test": config.test},
    )  # fmt: skip
    notes += list(division.notes)
    rows = {part: _rows(dataset, division, part, codes) for part in ("train", "validation", "test")}
    if not len(rows["train"]):
        raise InputError(f"No picture of '{dataset.name}' falls into the training part.", "Add data or change shares.")
    crop_um = config.crop_um or nominal_field(dataset, rows["train"])
    signature = {
        "settings": _named(config, start, teacher).decisive(), "codes": codes,
        "data": dataset.fingerprint(), "crop_um": crop_um,
        "base": base.sha256 if base else "", "rows": [int(r) for part in rows.values() for r in part],
        "processes": processes.count, "precision": device.precision,
    }  # fmt: skip
    checkpoints = Checkpoints(work, signature)
    if fresh and processes.first:
        checkpoints.discard()
    processes.wait()
    crops: dict[str, Crops] = {}
    for part, held in rows.items():
        crops[part] = yield from _crops_steps(dataset, held, crop_um, config, work, processes, part)
        notes += [f"Left out: {why}" for why in crops[part].unreadable]
    column = {code: i for i, code in enumerate(codes)}
    of_row = dataset.table["code"].map(column).fillna(-1).to_numpy(int)
    targets = {part: of_row[held.rows] for part, held in crops.items()}
    network, mean, std, said = build(config, codes, base, start)
    notes += said
    chance = drawing_chances(dataset, crops["train"].rows, config)
    stains = None
    if config.restain or config.calibrate:
        stains = yield from stains_steps(dataset, crops["train"].rows)
    exchanged = stains if config.restain and stains is not None and len(stains.names) > 1 else None
    if config.restain and exchanged is None:
        notes.append("Stains were not exchanged: fewer than two sources show theirs.")
    material = Material(
        crops["train"], targets["train"], crops["validation"], targets["validation"], len(codes), chance, exchanged
    )
    # Weights that were learnt elsewhere are kept longer in the lower layers.
    started = config.changed(layer_decay=0.75) if base is not None and not config.layer_decay else config
    fit = Fit(network, material, started, device, mean, std, processes, checkpoints, teacher)
    card_of = _Card(
        dataset, _named(config, start, teacher), codes, crop_um, mean, std, base, division,
        {p: len(r) for p, r in rows.items()}, start, own_start, teacher.title if teacher else None,
    )  # fmt: skip
    if processes.first:
        division.write(work / "split.json")
    try:
        fitted = yield from fit.steps()
    except TrainingDivergedError as error:
        raise _kept(error, fit, card_of, work) from error
    notes += fitted.notes
    network.load_state_dict(fitted.state)
    held_out: dict[str, dict[str, np.ndarray]] = {}
    for part in ("validation", "test"):
        logits = yield from fit.logits_steps(network, crops[part], f"Judging the {part} part")
        held_out[part] = {"rows": crops[part].rows, "logits": logits, "targets": targets[part]}
    temperature = temperature_of(held_out["validation"]["logits"], held_out["validation"]["targets"])
    figures: dict[str, Any] = {}
    if len(targets["test"]):
        of_groups = dataset.groups[crops["test"].rows]
        figures = judged(held_out["test"]["logits"], targets["test"], codes, temperature, of_groups)
    made = None
    if processes.first:
        _write_work(work, dataset, fitted, held_out)
        card = card_of.filled(fitted, temperature, figures, notes)
        card["metrics"] |= by_source(dataset, held_out["test"], codes, temperature)
        made = _save(out, fitted.state, card)
        if config.calibrate:
            made = yield from calibrated_steps(made, dataset, crops, targets["validation"], device, notes, stains)
        checkpoints.discard()
        for file in work.glob("crops-*"):
            file.unlink()
    processes.wait()
    return TrainResult(made, figures, fitted.history, division, notes, held_out)


def _named(config: TrainConfig, start: ModelBundle | None, teacher: Any) -> TrainConfig:
    """Return the settings with bundles named by what they hold, not by where they lie."""
    return config.changed(
        start=start.bundle_id if start else None,
        teacher=f"{teacher.title['name']} {teacher.title.get('sha256', '')}".strip() if teacher else None,
        teacher_weights=teacher.title.get("weights") if teacher else None,
        weights=Path(config.weights).name if config.weights else None,
    )


def _device(processes: Processes, config: TrainConfig) -> Device:
    """Choose the device; a CPU that convolves in bfloat16 trains in it, which is up to 1.7 times as fast."""
    from napari_aml._torch import choose_device, convolves_in_bfloat16

    device = choose_device(processes.device or config.device, config.precision)
    if config.precision == "auto" and device.type == "cpu" and convolves_in_bfloat16("cpu"):
        return replace(device, precision="bfloat16")
    return device


def usable_classes(dataset: Dataset, config: TrainConfig) -> tuple[tuple[str, ...], list[str]]:
    """Return the classes that can be trained on, and what a person should know of the data.

    Raises
    ------
    InputError
        With fewer than two classes, or two that are one.
    """
    notes = []
    for finding in check(dataset):
        if finding.severity == "error":
            raise InputError(
                f"'{dataset.name}' cannot be trained on. {finding.text}", "Mend the labels or the mapping."
            )
        notes.append(finding.text)
    counts = dataset.table["code"].value_counts()
    codes = tuple(code for code in dataset.codes if counts[code] >= config.min_cells)
    few = [f"{code} ({counts[code]})" for code in dataset.codes if code not in codes]
    if few:
        notes.append(f"Classes of fewer than {config.min_cells} pictures are left out: {', '.join(few)}.")
    if len(codes) < 2:
        raise InputError(
            f"'{dataset.name}' has {len(codes)} class(es) of {config.min_cells} pictures or more; two are needed.",
            "Add pictures, or lower min_cells.",
        )
    return codes, notes


def _rows(dataset: Dataset, division: Split, part: str, codes: tuple[str, ...]) -> np.ndarray:
    rows = division.rows(part)
    return rows[dataset.table["code"].isin(codes).to_numpy()[rows]]


def _crops_steps(
    dataset: Dataset, rows: np.ndarray, crop_um: float, config: TrainConfig, work: Path, processes: Processes, part: str
) -> Steps[Crops]:
    margin = margin_of(config.variation) if part == "train" else 1.0
    in_file = config.cache == "file" or processes.count > 1
    cache = None if config.cache == "memory" and processes.count == 1 else work
    if not processes.first:
        processes.wait()  # the first one fills the file, the others map it
    made = yield from cut_steps(
        dataset, rows, crop_um, config.px, margin, cache=cache, in_file=in_file,
        refuse=config.unreadable == "refuse", what=f"{part} pictures",
    )  # fmt: skip
    if processes.first:
        processes.wait()
    return made


@dataclass
class _Card:
    """What the card says of a run before it is over."""

    dataset: Dataset
    config: TrainConfig
    codes: tuple[str, ...]
    crop_um: float
    mean: tuple[float, ...]
    std: tuple[float, ...]
    base: ModelBundle | None
    division: Split
    sizes: dict[str, int]
    start: ModelBundle | None = None
    own_start: bool = False
    teacher: dict[str, Any] | None = None

    def filled(self, fitted: Fitted, temperature: float, figures: dict[str, Any], notes: list[str]) -> dict[str, Any]:
        """Return the card."""
        card = training_card(
            self.dataset, self.config, codes=self.codes, crop_um=self.crop_um, mean=self.mean, std=self.std,
            parent=self.base or (None if self.own_start else self.start),
            division=self.division, sizes=self.sizes, chosen=fitted.chosen,
            epochs=len(fitted.history), temperature=temperature, figures=figures, notes=notes,
        )  # fmt: skip
        if self.own_start and self.start is not None:  # what the recipe's first stage started from
            card |= {k: v for k, v in self.start.card.items() if k == "parent"}
        if self.teacher is not None:
            card["teacher"] = self.teacher
        if self.config.tta:
            card["tta"] = self.config.tta
        return card


def _save(out: Path, state: dict[str, torch.Tensor], card: dict[str, Any]) -> ModelBundle:
    from napari_aml.classify.bundle import save_bundle

    return save_bundle(out, state, card)


def _kept(error: TrainingDivergedError, fit: Fit, card_of: _Card, work: Path) -> TrainingDivergedError:
    """Keep the best weights so far as a bundle; return the error, which then says where they are."""
    state = fit.best["state"]
    if state is None or not fit.processes.first:
        return error
    fitted = Fitted(state, f"epoch {fit.best['epoch']}, before the loss stopped being a number", fit.history)
    _save(work / "last-good", state, card_of.filled(fitted, 1.0, {}, [error.message]))
    return TrainingDivergedError(
        f"{error.message} The best weights so far (epoch {fit.best['epoch']}) lie in '{work / 'last-good'}'.",
        error.hint + " A new run can start from them with --base.",
    )


def _write_work(work: Path, dataset: Dataset, fitted: Fitted, held_out: dict[str, dict[str, np.ndarray]]) -> None:
    """Keep the history and the answers on the held-out parts beside the bundle."""
    work.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(work / "last-good", ignore_errors=True)
    with replacing(work / "history.json") as beside:
        beside.write_text(json.dumps([asdict(e) for e in fitted.history], indent=1) + "\n", "utf-8")
    uids = dataset.table["uid"].to_numpy(str)
    for part, held in held_out.items():
        with replacing(work / f"{part}.npz") as beside:
            np.savez(
                beside, uid=uids[held["rows"]], logits=held["logits"], targets=held["targets"],
                group=dataset.groups[held["rows"]],
            )  # fmt: skip
