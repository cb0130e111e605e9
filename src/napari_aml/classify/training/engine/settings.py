"""The recipe of a training run: every setting with its default, read from TOML, checked by name and range."""

from __future__ import annotations

import dataclasses
import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from napari_aml.errors import InputError


@dataclass(frozen=True)
class Views:
    """How training pictures are varied, on the device.

    Attributes
    ----------
    turn
        Turn by any angle and mirror.
    scale
        Smallest and largest factor of the field of view.
    shift
        Largest shift of the cell, as a share of the picture's side.
    stain
        Strength of changes in amount and mixture of dyes, hue, light and contrast; 1 = strong.
    transfer
        Share of pictures that take the colour statistics of another picture of the batch.
    pale
        Share of pictures that lose dye and contrast.
    blur
        Share of pictures that lose sharpness.
    erase
        Share of pictures whose surroundings are blanked.
    """

    turn: bool = True
    scale: tuple[float, float] = (0.85, 1.2)
    shift: float = 0.04
    stain: float = 0.7
    transfer: float = 0.3
    pale: float = 0.1
    blur: float = 0.2
    erase: float = 0.1

    @property
    def geometry(self) -> bool:
        """Whether pictures are moved at all."""
        return self.turn or self.shift > 0 or tuple(self.scale) != (1.0, 1.0)

    @property
    def colour(self) -> bool:
        """Whether colours are changed at all."""
        return any(v > 0 for v in (self.stain, self.transfer, self.pale, self.blur, self.erase))


_PLAIN = Views(stain=0.0, transfer=0.0, pale=0.0, blur=0.0, erase=0.0)
_TURNS = dataclasses.replace(_PLAIN, scale=(1.0, 1.0), shift=0.0)
#: Augmentation by name, for configs and the ablation.
PRESETS: dict[str, Views] = {
    "none": dataclasses.replace(_TURNS, turn=False),
    "turns": _TURNS,
    "geometry": _PLAIN,
    "stain": Views(scale=(1.0, 1.0), shift=0.0),
    "standard": Views(),
    "strong": Views(scale=(0.75, 1.3), shift=0.07, stain=1.2, transfer=0.5, pale=0.3, blur=0.4, erase=0.2),
}

IMBALANCE = ("none", "logit-adjustment", "class-weights", "balanced-sampling")
MONITORS = ("macro_f1", "balanced_accuracy", "accuracy", "loss")


@dataclass(frozen=True)
class TrainConfig:
    """Settings of one training run. Defaults are ours; none is taken from a paper that does not state it.

    Attributes
    ----------
    backbone
        timm's name of the architecture.
    pretrained
        Take timm's pretrained weights (they are downloaded, or found in the Hugging Face cache).
    weights
        A file with weights to start from (safetensors, or a state dict saved by torch).
    backbone_args
        Further arguments of ``timm.create_model``.
    start
        A bundle, of any backbone and size, whose tensors of the same layer name and shape are taken over.
    drop_path
        Stochastic depth (Huang et al. 2016), where the backbone has it.
    train_only, freeze
        ``all`` or ``head``; the first stages that keep their weights, the stem counting as one.
    teacher, teacher_weights
        A bundle whose answers are learnt as well (Hinton et al. 2015); or timm's name of a network together with a
        file of its weights, whose feature maps alone are learnt.
    restain
        Share of each batch that is recoloured towards the stain of another source, with a teacher after it has seen the
        batch; see `.restaining`. Needs two sources.
    distil, softness, hints, harder
        Weight of the teacher's answers, the rest going to the labels; temperature at which they are compared; weight
        of its feature maps (Romero et al. 2015); share of each batch that is re-coloured strongly after the teacher
        has seen it.
    px, crop_um
        Side of a crop in pixels and µm; 0 µm = the median field of the dataset's pictures.
    epochs, batch, accumulate
        Passes over the data; pictures per update over all processes; micro-batches that an update is made of.
    optimiser, rate, weight_decay, momentum, layer_decay
        timm's name of the optimiser; peak learning rate; …; factor per layer from the head downwards, 0 = 0.75 when
        the start is pretrained and none otherwise.
    schedule, warm_up, least_rate, clip
        ``cosine`` or ``constant`` after a linear warm-up over this share of all updates, down to this share of the
        rate; largest gradient norm, 0 = unbounded.
    label_smoothing, mixup
        Szegedy et al. 2016; alpha of Mixup (Zhang et al. 2018), 0 = none.
    swa, swa_rate
        Share of the epochs at the end whose weights are averaged (Izmailov et al. 2018), 0 = none; the constant
        learning rate meanwhile as a share of the peak.
    ema
        Decay of the exponential average of the weights, 0 = none.
    augmentation, views
        A name of `PRESETS`; entries of `Views` that differ from it.
    imbalance, tau
        One of `IMBALANCE` (they exclude each other); strength of logit adjustment (Menon et al. 2021).
    source_share, power
        With balanced sampling: share of the draws that each source gets, and draws of a class within it as its number
        of groups to this power (0 = every class alike).
    monitor, patience
        What is watched on the validation part; epochs without progress before the run stops, 0 = never.
    validation, test, split_seed, min_cells
        Shares of the split, its seed (independent of the training seed), and the fewest pictures of a class.
    seed, device, precision, channels_last
        …; precision ``auto`` is bfloat16 or float16 on CUDA, bfloat16 on a CPU that convolves in it, else float32.
    cache
        Where decoded crops are held: ``memory``, ``file`` (memory-mapped) or ``auto``.
    checkpoint_minutes
        A checkpoint is written after every epoch, and within epochs that last longer than this.
    unreadable
        ``skip`` or ``refuse`` pictures that cannot be read.
    calibrate
        Fit conformal sets and the score of likeness to the validation part, too.
    tta
        How the bundle looks at a cell when predicting; see docs/model-bundles.md.
    name, version, title
        Of the new bundle.
    """

    backbone: str = "convnext_tiny"
    pretrained: bool = False
    weights: str = ""
    backbone_args: dict[str, Any] = field(default_factory=dict)
    start: str = ""
    drop_path: float = 0.1
    train_only: str = "all"
    freeze: int = 0
    teacher: str = ""
    teacher_weights: str = ""
    distil: float = 0.7
    softness: float = 2.0
    hints: float = 1.0
    harder: float = 0.0
    restain: float = 0.0
    px: int = 224
    crop_um: float = 0.0
    epochs: int = 30
    batch: int = 64
    accumulate: int = 1
    optimiser: str = "adamw"
    rate: float = 3e-4
    weight_decay: float = 0.05
    momentum: float = 0.9
    layer_decay: float = 0.0
    schedule: str = "cosine"
    warm_up: float = 0.05
    least_rate: float = 0.0
    clip: float = 1.0
    label_smoothing: float = 0.1
    mixup: float = 0.2
    swa: float = 0.25
    swa_rate: float = 0.1
    ema: float = 0.0
    augmentation: str = "standard"
    views: dict[str, Any] = field(default_factory=dict)
    imbalance: str = "logit-adjustment"
    tau: float = 1.0
    source_share: dict[str, float] = field(default_factory=dict)
    power: float = 0.0
    monitor: str = "macro_f1"
    patience: int = 0
    validation: float = 0.15
    test: float = 0.15
    split_seed: int = 0
    min_cells: int = 2
    seed: int = 0
    device: str = "auto"
    precision: str = "auto"
    channels_last: bool = True
    cache: str = "auto"
    checkpoint_minutes: float = 5.0
    unreadable: str = "skip"
    calibrate: bool = True
    tta: dict[str, Any] = field(default_factory=dict)
    name: str = ""
    version: str = "0.1.0"
    title: str = ""

    #: What changes how a run goes, not what comes out of it.
    FREE = ("checkpoint_minutes", "cache", "calibrate", "tta", "name", "version", "title")

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise InputError(
                    f"The setting {name} is {getattr(self, name)!r}; it is one of {', '.join(choices)}.",
                    "Ways to meet class imbalance exclude each other: choose one." if name == "imbalance" else "",
                )
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
                raise InputError(f"The setting {name} is {value!r}; it is a number from {low:g} to {high:g}.")
        if self.validation + self.test >= 0.9:
            raise InputError("Validation and test take 90 % of the data or more: nothing is left to learn from.")
        if self.batch % self.accumulate:
            raise InputError(f"A batch of {self.batch} cannot be cut into {self.accumulate} equal micro-batches.")
        if self.source_share and self.imbalance != "balanced-sampling":
            raise InputError("source_share is for the imbalance balanced-sampling.", "Set both, or source_share={}.")
        _ = self.variation

    @property
    def variation(self) -> Views:
        """The views: the named preset with `views` on top."""
        known = {f.name for f in dataclasses.fields(Views)}
        for name in self.views:
            if name not in known:
                raise _unknown("views", name, known)
        changes: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in self.views.items()}
        return dataclasses.replace(PRESETS[self.augmentation], **changes)

    def changed(self, **changes: Any) -> TrainConfig:
        """Return a copy with some settings changed; values that are None are left as they are.

        Raises
        ------
        InputError
            For a setting that does not exist (with the nearest that do) or a value out of range.
        """
        changes = {k: v for k, v in changes.items() if v is not None}
        known = {f.name: f for f in dataclasses.fields(self)}
        for name, value in changes.items():
            if name not in known:
                raise _unknown("settings", name, set(known))
            changes[name] = _as_type(name, value, getattr(self, name))
        return dataclasses.replace(self, **changes)

    @classmethod
    def read(cls, path: str | Path) -> TrainConfig:
        """Read a TOML file; tables other than those in `TABLES` only group settings."""
        return cls().changed(**flat(read_toml(path)))

    def to_dict(self) -> dict[str, Any]:
        """Return all settings as plain values."""
        return dataclasses.asdict(self)

    def decisive(self) -> dict[str, Any]:
        """Return the settings that a result depends on."""
        return {k: v for k, v in self.to_dict().items() if k not in self.FREE}


#: Settings that are tables themselves.
TABLES = ("views", "backbone_args", "source_share", "tta")


def read_toml(path: str | Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises
    ------
    InputError
        When it cannot be read or is none.
    """
    path = Path(path)
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise InputError(f"Cannot read the settings '{path}': {error.strerror or error}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"'{path}' is no TOML file: {error}.") from error


def flat(held: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings without the tables that only group them."""
    out: dict[str, Any] = {}
    for name, value in held.items():
        if isinstance(value, Mapping) and name not in TABLES:
            out.update(value)
        else:
            out[name] = value
    return out


_CHOICES = {
    "augmentation": tuple(PRESETS), "imbalance": IMBALANCE, "monitor": MONITORS, "schedule": ("cosine", "constant"),
    "cache": ("auto", "memory", "file"), "unreadable": ("skip", "refuse"), "train_only": ("all", "head"),
    "precision": ("auto", "float32", "float16", "bfloat16"),
}  # fmt: skip
_RANGES = {
    "drop_path": (0, 0.9), "px": (16, 2048), "crop_um": (0, 1000), "epochs": (1, 100_000), "batch": (1, 65_536),
    "accumulate": (1, 4096), "rate": (1e-9, 100), "weight_decay": (0, 10), "momentum": (0, 1), "layer_decay": (0, 1),
    "warm_up": (0, 0.9), "least_rate": (0, 1), "clip": (0, 1e6), "label_smoothing": (0, 0.9), "mixup": (0, 10),
    "swa": (0, 0.95), "swa_rate": (0, 1), "ema": (0, 0.99999), "tau": (0, 10), "patience": (0, 100_000),
    "validation": (0.01, 0.8), "test": (0.01, 0.8), "split_seed": (0, 2**31), "min_cells": (2, 10**6),
    "seed": (0, 2**31), "checkpoint_minutes": (0, 1e5), "freeze": (0, 1000), "distil": (0, 1), "softness": (0.1, 100),
    "hints": (0, 1000), "harder": (0, 1), "restain": (0, 1), "power": (0, 1),
}  # fmt: skip


def _unknown(where: str, name: str, known: set[str]) -> InputError:
    near = difflib.get_close_matches(name, sorted(known), 3)
    hint = f"Did you mean {', '.join(near)}?" if near else f"There are {', '.join(sorted(known))}."
    return InputError(f"There is no '{name}' among the {where} of a training.", hint)


def _as_type(name: str, value: Any, default: Any) -> Any:
    """Bring a value (perhaps a text from the command line) to the type of the setting's default."""
    wanted = type(default)
    if isinstance(value, str) and wanted is not str:
        try:
            value = tomllib.loads(f"x = {value}")["x"]
        except tomllib.TOMLDecodeError as error:
            raise InputError(f"The setting {name} cannot be {value!r}.", f"It is a {wanted.__name__}.") from error
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if wanted is int and isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool):
        raise InputError(f"The setting {name} cannot be {value!r}.", f"It is a {wanted.__name__}.")
    return value
