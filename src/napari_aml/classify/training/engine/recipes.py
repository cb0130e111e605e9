"""Recipes of several stages: a teacher that is trained first, and stages that go on from one another.

A recipe is a TOML file of settings with, perhaps, a table ``[teacher]`` and tables ``[[stages]]``, each holding the
settings in which it differs. Shipped recipes lie in ``recipes/`` and are called by name.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_aml._files import replacing
from napari_aml.classify.training.engine.checkpoints import alone
from napari_aml.classify.training.engine.running import TrainResult, train_steps
from napari_aml.classify.training.engine.settings import TrainConfig, flat, read_toml
from napari_aml.datasets import Dataset, Split, split
from napari_aml.errors import AmlError, InputError
from napari_aml.progress import Progress, Steps

if TYPE_CHECKING:
    from napari_aml.classify.bundle import ModelBundle

SHIPPED = Path(__file__).resolve().parents[1] / "recipes"
#: What a change from outside means for the teacher, too: how a run goes, not what is learnt.
_FOR_TEACHER = (
    "epochs", "batch", "accumulate", "seed", "device", "precision", "cache", "unreadable", "checkpoint_minutes",
    "validation", "test", "split_seed", "min_cells", "crop_um",
)  # fmt: skip


@dataclass(frozen=True)
class Recipe:
    """Settings, and what is trained before and after one another.

    Attributes
    ----------
    config
        The settings that all stages share.
    teacher
        Settings in which the teacher differs; None where none is trained.
    stages
        Settings in which each stage differs; empty = one stage.
    """

    config: TrainConfig
    teacher: Mapping[str, Any] | None = None
    stages: tuple[Mapping[str, Any], ...] = ()
    _changes: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def read(cls, name: str | Path) -> Recipe:
        """Read a recipe: a file, or the name of a shipped one.

        Raises
        ------
        InputError
            When there is none, or it holds settings that do not exist.
        """
        path = Path(name)
        if not path.is_file() and not path.suffix:
            known = sorted(p.stem for p in SHIPPED.glob("*.toml"))
            if path.name not in known:
                raise InputError(
                    f"There is no file and no recipe '{name}'.", f"Shipped recipes: {', '.join(known)}; or give a file."
                )
            path = SHIPPED / f"{path.name}.toml"
        held = read_toml(path)
        teacher, stages = held.pop("teacher", None), held.pop("stages", [])
        if isinstance(teacher, str):  # a bundle, not a table: a plain setting
            held["teacher"], teacher = teacher, None
        if not isinstance(stages, list) or not all(isinstance(s, Mapping) for s in stages):
            raise InputError(f"'stages' of '{path}' are no tables.", "Write each stage below a line [[stages]].")
        made = cls(TrainConfig().changed(**flat(held)), teacher and flat(teacher), tuple(flat(s) for s in stages))
        made.parts()  # settings that do not exist are named now
        return made

    def changed(self, **changes: Any) -> Recipe:
        """Return the recipe with settings changed in every stage, those of how a run goes in the teacher, too."""
        changes = {k: v for k, v in changes.items() if v is not None}
        made = Recipe(self.config, self.teacher, self.stages, {**self._changes, **changes})
        made.parts()
        return made

    @property
    def staged(self) -> bool:
        """Whether more than one training is needed."""
        return self.teacher is not None or len(self.stages) > 1

    def parts(self) -> list[tuple[str, TrainConfig]]:
        """Name and whole settings of each training, in their order."""
        found = []
        if self.teacher is not None:
            own = {k: v for k, v in self._changes.items() if k in _FOR_TEACHER}
            found.append(("teacher", _plain(self.config).changed(**self.teacher).changed(**own)))
        for number, stage in enumerate(self.stages or ({},), 1):
            found.append((f"stage-{number}", self.config.changed(**stage).changed(**self._changes)))
        return found


def _plain(config: TrainConfig) -> TrainConfig:
    """Return the settings of a teacher: without those that belong to the student alone."""
    base = TrainConfig()
    alone = ("backbone_args", "start", "weights", "pretrained", "teacher", "teacher_weights", "harder", "restain",
             "tta", "name", "version", "title", "layer_decay", "freeze", "train_only", "drop_path")  # fmt: skip
    return config.changed(**{name: getattr(base, name) for name in alone})


def recipe_steps(
    dataset: Dataset | str | Path,
    recipe: Recipe,
    out: str | Path,
    *,
    base: ModelBundle | str | Path | None = None,
    division: Split | None = None,
    fresh: bool = False,
) -> Steps[TrainResult]:
    """Train a recipe and write a bundle; with one stage it is `train_steps`.

    Parameters
    ----------
    dataset, out, base, division, fresh
        As for `train_steps`; `base` is where the first stage starts. All stages learn from the same part of one split.

    Raises
    ------
    InputError
        As `train_steps`; and for stages in several processes.
    """
    dataset = dataset if isinstance(dataset, Dataset) else Dataset.open(dataset)
    parts, out = recipe.parts(), Path(out)
    if not recipe.staged:
        return (yield from train_steps(dataset, parts[0][1], out, base=base, division=division, fresh=fresh))
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise InputError("A recipe of stages runs in one process.", "Start it without torchrun or accelerate.")
    work = out.with_name(out.name + ".training")
    with alone(work):
        return (yield from _staged_steps(dataset, parts, out, work, base, division, fresh))


def _staged_steps(
    dataset: Dataset,
    parts: list[tuple[str, TrainConfig]],
    out: Path,
    work: Path,
    base: ModelBundle | str | Path | None,
    division: Split | None,
    fresh: bool,
) -> Steps[TrainResult]:
    config = parts[-1][1]
    division = division or split(
        dataset, seed=config.split_seed,
        fractions={"train": 1 - config.validation - config.test, "validation": config.validation, "test": config.test},
    )  # fmt: skip
    if fresh:
        shutil.rmtree(work, ignore_errors=True)
    division.write(work / "split.json")
    taught, before = "", ""
    for number, (name, plain) in enumerate(parts):
        last = number == len(parts) - 1
        settings = plain if name == "teacher" else plain.changed(
            teacher=taught or None, start=before or None, calibrate=None if last else False,
        )  # fmt: skip
        folder = work / name
        target = out if last else folder / "bundle"
        done, signature = folder / "done.json", _signature(dataset, plain, division, taught, before, base)
        if last or not _finished(done, signature):
            what = f"{name} ({number + 1} of {len(parts)})"
            first = base if not before and name != "teacher" else None
            steps = train_steps(
                dataset, settings, target, base=first, division=division, work=folder, fresh=fresh,
                own_start=bool(before),
            )  # fmt: skip
            result = yield from _named_steps(steps, what)
            with replacing(done) as beside:
                beside.write_text(json.dumps({"signature": signature}) + "\n", "utf-8")
        if name == "teacher":
            taught = str(target)
        else:
            before = str(target)
    return result


def _named_steps(steps: Steps[TrainResult], what: str) -> Steps[TrainResult]:
    try:
        while True:
            event = next(steps)
            yield Progress(event.done, event.total, f"{what}: {event.message}", event.payload)
    except StopIteration as stop:
        return stop.value
    finally:
        steps.close()


def _signature(dataset: Dataset, config: TrainConfig, division: Split, taught: str, before: str, base: Any) -> str:
    from napari_aml.classify.library import load_bundle

    hashes = [load_bundle(b).sha256 if b else "" for b in (taught, before, base)]
    parts = {p: sorted(map(str, division.uids[division.part == p])) for p in division.parts}
    text = json.dumps([config.decisive(), dataset.fingerprint(), parts, hashes], sort_keys=True)
    return sha256(text.encode()).hexdigest()


def _finished(done: Path, signature: str) -> bool:
    """Whether a stage with this very signature was finished and its bundle is still whole."""
    from napari_aml.classify.bundle import open_bundle

    if not done.is_file():
        return False
    try:
        open_bundle(done.parent / "bundle").verify()
        return bool(json.loads(done.read_text("utf-8"))["signature"] == signature)
    except (AmlError, ValueError, KeyError, OSError):
        return False
