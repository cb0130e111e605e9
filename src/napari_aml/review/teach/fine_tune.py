"""Fine-tune a bundle in a process of its own: its memory is given back when it ends, and a crash there harms nothing.

The work is the training engine's (`napari_aml.classify.training.engine`), driven by `worker`; here a job is written
down, started, listened to, stopped and taken up again. A stopped job goes on from its checkpoint when started anew.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_aml._files import replacing
from napari_aml.errors import AmlError, InputError
from napari_aml.progress import Progress, Steps
from napari_aml.review.teach.comparing import Comparison

if TYPE_CHECKING:
    from napari_aml.classify import ModelBundle

JOB, RESULT, BUNDLE = "job.json", "result.json", "bundle"
#: Seconds between two signs of life, and until a process that was asked to stop is made to.
_LISTEN, _PATIENCE = 0.25, 5.0


class FineTuneError(AmlError):
    """The training process ended without a result."""


@dataclass(frozen=True)
class FineTuneSettings:
    """What a person chooses; everything else is as the training engine has it.

    Attributes
    ----------
    epochs
        Passes over the cells.
    rate
        Peak learning rate.
    batch
        Cells at once.
    train_only
        ``all`` of the network, or its ``head``.
    augmentation
        A name of the engine's presets.
    validation, test
        Shares that are watched, and that judge.
    min_cells
        Classes with fewer cells are left out.
    seed, device
        …
    """

    epochs: int = 10
    rate: float = 2e-4
    batch: int = 32
    train_only: str = "all"
    augmentation: str = "standard"
    validation: float = 0.15
    test: float = 0.2
    min_cells: int = 4
    seed: int = 0
    device: str = "auto"

    def engine(self) -> dict[str, Any]:
        """Return the settings of the engine: short runs from good weights need neither Mixup nor averaging."""
        return {**asdict(self), "mixup": 0.0, "swa": 0.0, "warm_up": 0.1, "split_seed": self.seed}


@dataclass(frozen=True)
class EpochDone:
    """How one epoch went.

    Attributes
    ----------
    epoch
        From 1.
    loss
        Mean training loss.
    figures
        On the watched part: ``accuracy``, ``balanced_accuracy``, ``macro_f1``, ``loss`` … as the engine gives them.
    """

    epoch: int
    loss: float
    figures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class FineTuned:
    """What a job leaves.

    Attributes
    ----------
    folder
        Of the bundle.
    history
        One entry an epoch.
    comparison
        Old and new bundle on the same cells, which training did not see.
    notes
        What a person should know.
    """

    folder: Path
    history: tuple[EpochDone, ...]
    comparison: Comparison
    notes: tuple[str, ...] = ()

    @property
    def bundle(self) -> ModelBundle:
        """Open the new bundle."""
        from napari_aml.classify import open_bundle

        return open_bundle(self.folder)


def write_job(
    folder: str | Path,
    dataset: str | Path,
    base: str | Path,
    settings: FineTuneSettings | None = None,
    *,
    name: str = "",
    decisions: int = 0,
) -> Path:
    """Write a job down and return its folder; an earlier job there with the same data and settings is taken up again.

    Parameters
    ----------
    folder
        Of the job: its checkpoint, figures and the new bundle lie there.
    dataset
        Folder of the dataset to learn from.
    base
        Folder of the bundle to start from.
    settings
        Of the run.
    name
        Of the new bundle; by default that of the base with ``-tuned``.
    decisions
        How many of the dataset's labels are decisions of this project; stands in the card.
    """
    folder = Path(folder)
    base = Path(base)
    job = {
        "dataset": str(Path(dataset).resolve()), "base": str(base.resolve()), "name": name or f"{base.name}-tuned",
        "settings": (settings or FineTuneSettings()).engine(), "decisions": int(decisions),
    }  # fmt: skip
    if (folder / RESULT).exists() and read_job(folder) != job:
        (folder / RESULT).unlink()
    with replacing(folder / JOB) as beside:
        beside.write_text(json.dumps(job, indent=1) + "\n", "utf-8")
    return folder


def read_job(folder: str | Path) -> dict[str, Any]:
    """Read a job.

    Raises
    ------
    InputError
        When there is none, or it cannot be read.
    """
    path = Path(folder) / JOB
    try:
        job = json.loads(path.read_text("utf-8"))
        return {key: job[key] for key in ("dataset", "base", "name", "settings", "decisions")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"'{folder}' holds no fine-tuning job: {error}.", "Start it anew from the dock.") from error


def fine_tune_steps(folder: str | Path) -> Steps[FineTuned]:
    """Run a job in a process of its own; closing the generator stops the process and keeps its checkpoint.

    Yields
    ------
    Progress
        Payload: an `EpochDone` when an epoch is over, else None.

    Raises
    ------
    AmlError
        What went wrong in the process, in its own words.
    FineTuneError
        When the process ended without a word (killed, out of memory).
    """
    folder = Path(folder)
    read_job(folder)
    yield Progress(0, 0, "Starting the training process")
    with (folder / "log.txt").open("w", encoding="utf-8") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "napari_aml.review.teach.worker", str(folder)],
            stdout=subprocess.PIPE, stderr=log, stdin=subprocess.DEVNULL, text=True, encoding="utf-8",
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
    try:
        yield from _listen(process)
        if process.wait() != 0 or not (folder / RESULT).exists():
            said = f"The training process ended without a result (code {process.returncode}). {_last_words(folder)}"
            raise FineTuneError(
                said.strip(),
                "Start it again: it goes on from its checkpoint. If memory was short, choose a smaller batch.",
            )
    finally:
        _stop(process)
    return read_result(folder)


def _listen(process: subprocess.Popen[str]) -> Steps[None]:
    """Yield what the process says, and a sign of life while it is silent."""
    heard: queue.Queue[str | None] = queue.Queue()

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            heard.put(line)
        heard.put(None)

    threading.Thread(target=read, daemon=True, name="fine-tune").start()
    last = Progress(0, 0, "Starting the training process")
    while True:
        try:
            line = heard.get(timeout=_LISTEN)
        except queue.Empty:
            yield last
            continue
        if line is None:
            return
        try:
            said = json.loads(line)
        except ValueError:
            continue  # something else that was printed
        if "error" in said:
            raise FineTuneError(said["error"], said.get("hint", ""))
        epoch = EpochDone(**said["epoch"]) if said.get("epoch") else None
        last = Progress(said["done"], said["total"], said["message"])
        yield Progress(last.done, last.total, last.message, epoch)


def _stop(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _last_words(folder: Path) -> str:
    try:
        lines = (folder / "log.txt").read_text("utf-8", errors="replace").strip().splitlines()
    except OSError:
        return ""
    return lines[-1][:300] if lines else ""


def read_result(folder: str | Path) -> FineTuned:
    """Read what a finished job left.

    Raises
    ------
    InputError
        When there is no result yet.
    """
    folder = Path(folder)
    try:
        held = json.loads((folder / RESULT).read_text("utf-8"))
        history = tuple(EpochDone(**e) for e in held["history"])
        return FineTuned(folder / BUNDLE, history, Comparison.from_dict(held["comparison"]), tuple(held["notes"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"'{folder}' holds no result of a fine-tuning: {error}.", "Run it first.") from error
