"""Run all arms of a comparison, one after another; what is done stays done when the command is started again."""

from __future__ import annotations

import json
import os
import shutil
import time
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from napari_aml._files import replacing
from napari_aml.classify.training.benchmark.comparing import Run
from napari_aml.classify.training.benchmark.suites import SUITES, Arm, arms_of
from napari_aml.classify.training.engine import TrainConfig, TrainResult, train_steps
from napari_aml.classify.training.engine.running import usable_classes
from napari_aml.datasets import Dataset, Split, split
from napari_aml.errors import AmlError, Cancelled, InputError
from napari_aml.progress import Progress, Steps
from napari_aml.provenance import now_utc


@dataclass
class BenchmarkResult:
    """What a comparison leaves.

    Attributes
    ----------
    report
        The HTML page; a Markdown page of the same content lies beside it.
    table
        The main table as Markdown.
    failed
        Arms that could not be trained, with the reason.
    """

    report: Path
    table: str
    failed: list[str]


def benchmark_steps(
    dataset: Dataset,
    config: TrainConfig,
    out: str | Path,
    *,
    suites: tuple[str, ...] = ("backbones",),
    seeds: int = 3,
    backbones: tuple[str, ...] | None = None,
) -> Steps[BenchmarkResult]:
    """Train every arm with every seed on one split, and write the report.

    Parameters
    ----------
    dataset
        What to learn from and test on.
    config
        The recipe that the axes vary; every arm sees the same number of pictures.
    out
        Folder; ``runs/`` holds one folder a run. Runs that are there already, of the same recipe and data, are not
        repeated; a run that was interrupted goes on where it stopped.
    suites
        Names of `SUITES`, or ``all``.
    seeds
        Runs of each arm, with the seeds 0, 1, ….
    backbones
        Of the backbones' axis.

    Raises
    ------
    InputError
        An unknown axis, or data that cannot be trained on.
    """
    from napari_aml.classify.training.benchmark.report import write_report

    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise InputError("A comparison runs in one process.", "Start it without torchrun or accelerate.")
    out = Path(out)
    wanted = SUITES if "all" in suites else tuple(dict.fromkeys(suites))
    arms = {suite: arms_of(suite, config, backbones) for suite in wanted}
    codes, notes = usable_classes(dataset, config)
    division = split(
        dataset, seed=config.split_seed,
        fractions={"train": 1 - config.validation - config.test, "validation": config.validation, "test": config.test},
    )  # fmt: skip
    division.write(out / "split.json")
    jobs = [(arm, seed) for seed in range(seeds) for suite in wanted for arm in arms[suite]]
    runs: dict[str, dict[str, list[Run]]] = {suite: {arm.name: [] for arm in arms[suite]} for suite in wanted}
    failed: list[str] = []
    for position, (arm, seed) in enumerate(jobs):
        what = f"{position + 1} of {len(jobs)}: {arm.suite}, {arm.name}, seed {seed}"
        try:
            folder = yield from _run_steps(dataset, arm, seed, division, out, position, len(jobs), what)
        except (Cancelled, InputError):
            raise
        except AmlError as error:
            failed.append(f"{what}: {error.message}")
            continue
        runs[arm.suite][arm.name].append(_read(folder, seed))
    if not any(found for suite in runs.values() for found in suite.values()):
        raise InputError(f"No arm could be trained. The first: {failed[0] if failed else 'none'}")
    yield Progress(len(jobs), len(jobs), "Writing the report")
    return write_report(out, dataset, config, division, codes, arms, runs, [*notes, *division.notes], failed)


def _signature(dataset: Dataset, config: TrainConfig, division: Split) -> str:
    parts = {p: sorted(map(str, division.uids[division.part == p])) for p in division.parts}
    text = json.dumps([config.decisive(), dataset.fingerprint(), parts], sort_keys=True)
    return sha256(text.encode()).hexdigest()


def _run_steps(
    dataset: Dataset, arm: Arm, seed: int, division: Split, out: Path, position: int, total: int, what: str
) -> Steps[Path]:
    """Train one arm with one seed unless that was done before; return its folder."""
    config = arm.config.changed(seed=seed, calibrate=False)  # the bundle is judged and thrown away
    signature = _signature(dataset, config, division)
    # The same recipe may stand in several axes: it is trained once.
    folder = out / "runs" / signature[:16]
    if (folder / "result.json").is_file():
        return folder
    yield Progress(position, total, what)
    steps = train_steps(dataset, config, folder / "bundle", work=folder, division=division)
    try:
        while True:
            event = next(steps)
            yield Progress(position, total, f"{what}: {event.message}", event.payload)
    except StopIteration as stop:
        result: TrainResult = stop.value
    finally:
        steps.close()
    assert result.bundle is not None
    record = _record(arm, config, result, signature)
    with replacing(folder / "result.json") as beside:
        beside.write_text(json.dumps(record, indent=1) + "\n", "utf-8")
    # The answers on the test part are kept; a folder of weights for each of dozens of runs is not.
    shutil.rmtree(folder / "bundle", ignore_errors=True)
    return folder


def _record(arm: Arm, config: TrainConfig, result: TrainResult, signature: str) -> dict[str, Any]:
    bundle = result.bundle
    assert bundle is not None
    parameters = sum(int(v.numel()) for v in bundle.state_dict().values() if v.is_floating_point())
    n = bundle.card["training_data"][0]["n"]
    spent = [e.seconds for e in result.history]
    return {
        "signature": signature, "suite": arm.suite, "arm": arm.name, "seed": config.seed, "made": now_utc(),
        "settings": config.to_dict(), "parameters": parameters, "temperature": bundle.temperature,
        "trained_per_second": round(n / float(np.median(spent)), 2), "seconds": round(sum(spent), 1),
        "predicted_per_second": round(_throughput(bundle), 2), "kept": bundle.card["training"]["weights_kept"],
        "history": [asdict(e) for e in result.history], "notes": result.notes,
        "versions": bundle.card["training"]["versions"],
    }  # fmt: skip


def _throughput(bundle: Any, batch: int = 32, seconds: float = 0.5) -> float:
    """Pictures per second when predicting, float32 on the CPU or as the device does it."""
    from napari_aml._torch import torch

    network = bundle.network("auto")
    x = network.prepare(np.zeros((batch, bundle.crop_px, bundle.crop_px, 3), np.uint8))
    with torch.inference_mode():
        network.head(network.features(x))
        done, began = 0, time.perf_counter()
        while time.perf_counter() - began < seconds:
            network.head(network.features(x))[0].cpu()
            done += batch
    return done / (time.perf_counter() - began)


def _read(folder: Path, seed: int) -> Run:
    record = json.loads((folder / "result.json").read_text("utf-8"))
    with np.load(folder / "test.npz", allow_pickle=False) as held:
        return Run(seed, held["logits"] / record["temperature"], held["targets"], held["group"], record)
