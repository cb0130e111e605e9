"""Fit a head to bags."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from napari_aml.patients.bags import Bag
from napari_aml.patients.features import FEATURES
from napari_aml.patients.heads import AttentionHead, Head, LinearHead


@dataclass(frozen=True)
class FitSettings:
    """How heads are fitted.

    Attributes
    ----------
    strength
        Inverse ridge penalty of the logistic regressions (scikit-learn's ``C``).
    width, gate
        Features of a cell and of the attention's gate.
    epochs, rate, weight_decay, dropout
        Of the attention head; AdamW, cosine rate.
    cells
        Cells of a patient that are drawn anew in each epoch, so that no single cell can be learnt by heart.
    seed
        Of the weights and of the draws.
    """

    strength: float = 1.0
    width: int = 32
    gate: int = 16
    epochs: int = 80
    rate: float = 3e-3
    weight_decay: float = 0.05
    dropout: float = 0.25
    cells: int = 256
    seed: int = 0


def fit_head(
    name: str, bags: Sequence[Bag], targets: np.ndarray, classes: int, codes: Sequence[str], settings: FitSettings
) -> Iterator[Head | None]:
    """Fit one head, yielding None as a sign of life and the head in the end.

    Parameters
    ----------
    name
        One of `heads.HEADS`.
    bags
        Patients.
    targets
        int (patients,), 0…classes - 1.
    classes
        Number of subtypes.
    codes
        Class codes of the image model.
    settings
        How.
    """
    if name == "attention":
        yield from _fit_attention(bags, targets, classes, settings)
    else:
        yield _fit_linear(name, bags, targets, classes, codes, settings)


def _fit_linear(
    name: str, bags: Sequence[Bag], targets: np.ndarray, classes: int, codes: Sequence[str], settings: FitSettings
) -> LinearHead:
    from sklearn.linear_model import LogisticRegression

    x = np.stack([FEATURES[name](bag, codes)[0] for bag in bags])
    mean, scale = x.mean(0), np.maximum(x.std(0), 1e-3)
    present = np.unique(targets)
    weight, bias = np.zeros((classes, x.shape[1])), np.full(classes, -20.0)
    bias[present] = 0
    if len(present) > 1:
        model = LogisticRegression(C=settings.strength, class_weight="balanced", max_iter=2000)
        model.fit((x - mean) / scale, targets)
        if len(present) == 2:  # scikit-learn keeps one row for two classes
            weight[present[0]], weight[present[1]] = -model.coef_[0] / 2, model.coef_[0] / 2
            bias[present[0]], bias[present[1]] = -model.intercept_[0] / 2, model.intercept_[0] / 2
        else:
            weight[present], bias[present] = model.coef_, model.intercept_
    return LinearHead(name, tuple(codes), mean, scale, weight, bias)


def _fit_attention(
    bags: Sequence[Bag], targets: np.ndarray, classes: int, settings: FitSettings
) -> Iterator[AttentionHead | None]:
    from napari_aml._torch import one_thread, torch

    rng = np.random.default_rng(settings.seed)
    cells = np.concatenate([bag.embedding for bag in bags]).astype(float)
    mean, scale = cells.mean(0), np.maximum(cells.std(0), 1e-3)
    x = [torch.from_numpy(((bag.embedding - mean) / scale).astype(np.float32)) for bag in bags]
    generator = torch.Generator().manual_seed(settings.seed)
    d, h, a, c = cells.shape[1], settings.width, settings.gate, classes

    def start(rows: int, columns: int) -> torch.Tensor:
        return (torch.randn(rows, columns, generator=generator) / columns**0.5).requires_grad_()

    def zeros(n: int) -> torch.Tensor:
        return torch.zeros(n, requires_grad=True)

    p = {
        "reduce_weight": start(h, d), "reduce_bias": zeros(h), "tanh_weight": start(a, h), "tanh_bias": zeros(a),
        "gate_weight": start(a, h), "gate_bias": zeros(a), "attend": start(c, a), "weight": start(c, h),
        "bias": zeros(c),
    }  # fmt: skip
    optimiser = torch.optim.AdamW(p.values(), lr=settings.rate, weight_decay=settings.weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, settings.epochs)
    counts = np.bincount(targets, minlength=classes)
    # Each present subtype weighs the same, however many patients it has.
    share = torch.from_numpy(np.where(counts > 0, len(bags) / (np.maximum(counts, 1) * (counts > 0).sum()), 0)).float()
    truth = torch.from_numpy(np.asarray(targets, np.int64))
    keep = 1 - settings.dropout

    def epoch() -> None:
        for batch in np.array_split(rng.permutation(len(bags)), max(1, len(bags) // 8)):
            logits = []
            for i in batch:
                drawn = rng.permutation(len(x[i]))[: settings.cells]
                f = torch.relu(x[i][drawn] @ p["reduce_weight"].T + p["reduce_bias"])
                f = f * (torch.rand(f.shape, generator=generator) < keep) / keep
                gate = torch.sigmoid(f @ p["gate_weight"].T + p["gate_bias"])
                raw = torch.tanh(f @ p["tanh_weight"].T + p["tanh_bias"]) * gate @ p["attend"].T
                logits.append((torch.softmax(raw, 0) * (f @ p["weight"].T)).sum(0) + p["bias"])
            loss = torch.nn.functional.cross_entropy(torch.stack(logits), truth[batch], weight=share)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        schedule.step()

    for _ in range(settings.epochs):
        yield None
        with one_thread():
            epoch()
    yield AttentionHead(mean, scale, **{name: value.detach().numpy().astype(float) for name, value in p.items()})
