"""How an expression model is trained. Every default was chosen on inner folds; see docs/expression-models.md."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any

from napari_aml.errors import InputError

BALANCES = ("none", "weights", "logit-adjustment")


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """Options of one training.

    Attributes
    ----------
    model
        ``attention-aml``, ``gene-attention``, ``mlp`` or ``logistic``.
    model_args
        Sizes of the architecture, e.g. {"hidden": 512}; see `models.building.build`.
    members
        Networks of the ensemble, each with its own seed; logits are averaged.
    epochs, batch, rate, decay
        Passes over the samples, samples a step, greatest learning rate (one cycle), weight decay (AdamW).
    balance
        ``weights``: each sample counts by its class's rarity to the power `power`; ``logit-adjustment``: the logarithm
        of the class's share is added to the logits while training (Menon et al. 2021, arXiv:2007.07314); ``none``.
    power
        0 is no weighting, 1 makes classes count alike.
    mixup
        Alpha of Mixup (Zhang et al. 2018, arXiv:1710.09412); 0 is off.
    smoothing
        Of the labels.
    swa
        Share of the epochs, from the end, over which weights are averaged (Izmailov et al. 2018, arXiv:1803.05407);
        0 is off. The networks hold no batch statistics, so none are renewed.
    patience
        Epochs without a better held-out likelihood after which a member stops; 0 is off. Costs a sixth of the samples.
    jitter
        Deviation, in log2 units, of random offsets a gene that a batch shares: differences of platforms.
    length_jitter
        Random partial division by gene length, so that counts and TPM are read alike; needs gene lengths.
    seed
        Of everything random.
    """

    model: str = "gene-attention"
    model_args: dict[str, float] = field(default_factory=dict)
    members: int = 3
    epochs: int = 30
    batch: int = 32
    rate: float = 5e-3
    decay: float = 1e-2
    balance: str = "weights"
    power: float = 0.5
    mixup: float = 0.2
    smoothing: float = 0.0
    swa: float = 0.25
    patience: int = 0
    jitter: float = 0.0
    length_jitter: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        limits = {
            "members": (1, 100), "epochs": (1, 10000), "batch": (2, 100000), "rate": (1e-6, 10), "decay": (0, 10),
            "power": (0, 1), "mixup": (0, 10), "smoothing": (0, 0.5), "swa": (0, 1), "patience": (0, 10000),
            "jitter": (0, 5),
        }  # fmt: skip
        for name, (low, high) in limits.items():
            if not low <= getattr(self, name) <= high:
                raise InputError(f"{name} is {getattr(self, name)}.", f"Give a number from {low:g} to {high:g}.")
        if self.balance not in BALANCES:
            raise InputError(f"There is no balance '{self.balance}'.", f"Use one of {', '.join(BALANCES)}.")

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for a card."""
        return asdict(self)

    def but(self, **changes: Any) -> TrainingSettings:
        """Return a copy with other values."""
        return replace(self, **changes)


_DEFAULTS: dict[str, dict[str, Any]] = {
    "gene-attention": {"epochs": 10, "rate": 1e-3, "power": 0.25},
    "attention-aml": {"epochs": 20, "rate": 1e-3, "members": 3, "model_args": {"dropout": 0.3}},
    "mlp": {"epochs": 20, "rate": 1e-3, "members": 3, "model_args": {"dropout": 0.3}},
    "logistic": {"members": 1, "decay": 1e-2},
}


def default_settings(model: str, **changes: Any) -> TrainingSettings:
    """Return the defaults of a model, with changes; those that are None are left out.

    Raises
    ------
    InputError
        When the model is unknown or a value is out of range.
    """
    if model not in _DEFAULTS:
        raise InputError(f"There is no expression model '{model}' to train.", f"Use one of {', '.join(_DEFAULTS)}.")
    given = {k: v for k, v in changes.items() if v is not None}
    arguments = {**_DEFAULTS[model].get("model_args", {}), **given.pop("model_args", {})}
    return TrainingSettings(**{**_DEFAULTS[model], **given, "model": model, "model_args": arguments})
