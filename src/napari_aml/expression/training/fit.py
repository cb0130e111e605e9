"""One network, or an ensemble of them, is fitted to log expression."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Generator
from typing import Any

import numpy as np

from napari_aml._torch import torch
from napari_aml.errors import InputError
from napari_aml.expression.models.building import Logistic, Standardised, build
from napari_aml.expression.models.gene_attention import GeneAttention
from napari_aml.expression.training.augment import Augmenter
from napari_aml.expression.training.settings import TrainingSettings
from napari_aml.progress import Progress, Steps
from napari_aml.statistics import grouped_stratified_folds

functional = torch.nn.functional

#: Added to each gene's spread: a gene that hardly varies in training is not to shout when it does later.
LEAST_SPREAD = 0.3
#: Inverse penalty of the logistic regression that values of gene-attention start from.
LINEAR_C = 0.01
_EVERY = 0.2


def fit_steps(
    x: np.ndarray,
    targets: np.ndarray,
    classes: int,
    settings: TrainingSettings,
    lengths: np.ndarray | None = None,
) -> Steps[Standardised]:
    """Fit an ensemble, yielding progress in epochs.

    Parameters
    ----------
    x
        (n, genes) log2(x + 1) of values that sum to one million over the panel.
    targets
        (n,) classes 0…classes-1.
    classes
        How many there are.
    settings
        How to train.
    lengths
        (genes,) bases, for ``length_jitter``.

    Returns
    -------
    Standardised
        In evaluation mode.

    Raises
    ------
    InputError
        When shapes do not fit, values are not finite, or fewer than two classes occur.
    """
    x, targets = np.asarray(x, np.float64), np.asarray(targets, np.int64)
    if x.ndim != 2 or len(x) != len(targets) or not np.isfinite(x).all():
        raise InputError("Training needs finite expression values, one row a sample, and a class for each row.")
    if len(np.unique(targets)) < 2:
        raise InputError("Training needs samples of at least two classes.", "Check the labels.")
    augmenter = Augmenter(x, settings, lengths)
    centre, spread = augmenter.scale()
    spread = spread + LEAST_SPREAD
    if settings.model == "logistic":
        network = _logistic(x, targets, classes, settings, centre, spread, augmenter)
        yield Progress(1, 1, "logistic regression")
        return network
    members = []
    start = None
    if settings.model == "gene-attention":
        fitted = _logistic(x, targets, classes, settings.but(decay=LINEAR_C), centre, spread, augmenter)
        linear = _linear(fitted.members[0])
        start = linear.weight.detach().double().numpy(), linear.bias.detach().double().numpy()
    for m in range(settings.members):
        fitting = _member(augmenter, targets, classes, settings, centre, spread, settings.seed + 1000 * m, start)
        while True:
            try:
                done = next(fitting)
            except StopIteration as stop:
                members.append(stop.value)
                break
            yield Progress(m * settings.epochs + done, settings.members * settings.epochs, f"member {m + 1}")
    return _standardised(members, centre, spread)


def _standardised(members: list[torch.nn.Module], centre: np.ndarray, spread: np.ndarray) -> Standardised:
    network = Standardised(members, len(centre))
    network.centre.copy_(torch.from_numpy(centre))
    network.spread.copy_(torch.from_numpy(spread))
    return network.eval()


def _member(
    augmenter: Augmenter,
    targets: np.ndarray,
    classes: int,
    settings: TrainingSettings,
    centre: np.ndarray,
    spread: np.ndarray,
    seed: int,
    start: tuple[np.ndarray, np.ndarray] | None,
) -> Generator[int, None, torch.nn.Module]:  # epochs done; the network
    rng = np.random.default_rng(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network: torch.nn.Module = build(settings.model, len(centre), classes, settings.model_args)
    if start is not None and isinstance(network, GeneAttention):
        network.start(np.clip((augmenter.x - centre) / spread, -6, 6), *start)
    # Its own generator would not reach dropout; the state is kept per step below instead, so that two jobs in two
    # threads, or a closed one, leave the same network.
    state = torch.Generator().manual_seed(seed).get_state()
    train, held = _held_out(targets, settings, seed)
    n, steps = len(train), settings.epochs * math.ceil(len(train) / settings.batch)
    parameters = [p for p in network.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(parameters, lr=settings.rate, weight_decay=settings.decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, settings.rate, total_steps=max(steps, 2))
    share = np.bincount(targets, minlength=classes) / len(targets)
    weight, prior = _balance(share, settings)
    goal = torch.from_numpy(targets)
    mean, scale = torch.from_numpy(centre).float(), torch.from_numpy(spread).float()
    averaged: torch.optim.swa_utils.AveragedModel | None = None
    best: tuple[float, dict[str, Any] | None] = (math.inf, None)
    waited = 0
    first_averaged = settings.epochs - max(1, round(settings.swa * settings.epochs)) if settings.swa else None
    last = time.monotonic()
    for epoch in range(settings.epochs):
        network.train()
        order = rng.permutation(train)
        for begin in range(0, n, settings.batch):
            rows = order[begin : begin + settings.batch]
            if len(rows) < 2 <= n:
                continue
            z = ((torch.from_numpy(augmenter.batch(rows, rng)).float() - mean) / scale).clamp(-6, 6)
            other = torch.from_numpy(rng.permutation(len(rows)))
            part = float(rng.beta(settings.mixup, settings.mixup)) if settings.mixup else 1.0
            mixed = part * z + (1 - part) * z[other]
            a, b = goal[rows], goal[rows][other]
            with torch.random.fork_rng(devices=[]):
                torch.set_rng_state(state)
                logits = network(mixed) + prior
                state = torch.get_rng_state()
            loss = part * _loss(logits, a, weight, settings) + (1 - part) * _loss(logits, b, weight, settings)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            if time.monotonic() - last > _EVERY:
                last = time.monotonic()
                yield epoch
        if first_averaged is not None and epoch >= first_averaged:
            averaged = averaged or torch.optim.swa_utils.AveragedModel(network)
            averaged.update_parameters(network)
        if settings.patience:
            network.eval()
            with torch.no_grad():
                z = ((torch.from_numpy(augmenter.x[held]).float() - mean) / scale).clamp(-6, 6)
                cost = float(functional.cross_entropy(network(z), goal[held]))
            waited = 0 if cost < best[0] else waited + 1
            if cost < best[0]:
                best = (cost, copy.deepcopy(network.state_dict()))
            if waited >= settings.patience:
                break
        yield epoch + 1
    if settings.patience and best[1] is not None:
        network.load_state_dict(best[1])
    elif averaged is not None:
        network = averaged.module
    return network.eval()


def _loss(logits: torch.Tensor, goal: torch.Tensor, weight: torch.Tensor, settings: TrainingSettings) -> torch.Tensor:
    each = functional.cross_entropy(logits, goal, reduction="none", label_smoothing=settings.smoothing)
    return (each * weight[goal]).mean()


def _balance(share: np.ndarray, settings: TrainingSettings) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the weight of a sample of each class and what is added to the logits."""
    present = np.maximum(share, 1e-6)
    weight, prior = np.ones_like(share), np.zeros_like(share)
    if settings.balance == "weights":
        weight = present**-settings.power
        weight = weight / (weight * share).sum()
    elif settings.balance == "logit-adjustment":
        prior = settings.power * np.log(present)
    return torch.from_numpy(weight).float(), torch.from_numpy(prior).float()


def _held_out(targets: np.ndarray, settings: TrainingSettings, seed: int) -> tuple[np.ndarray, np.ndarray]:
    everything = np.arange(len(targets))
    if not settings.patience:
        return everything, everything[:0]
    out = grouped_stratified_folds(targets, None, 6, seed) == 0
    return everything[~out], everything[out]


def _logistic(
    x: np.ndarray, targets: np.ndarray, classes: int, settings: TrainingSettings,
    centre: np.ndarray, spread: np.ndarray, augmenter: Augmenter,
) -> Standardised:  # fmt: skip
    """Fit a logistic regression; the penalty is `decay`, as scikit-learn's C."""
    from sklearn.linear_model import LogisticRegression

    versions = [x] if settings.length_jitter is False else [x, augmenter.corrected(1.0)]
    z = np.concatenate([np.clip((v - centre) / spread, -6, 6) for v in versions])
    share = np.bincount(targets, minlength=classes) / len(targets)
    weight = _balance(share, settings)[0].numpy()
    goal = np.tile(targets, len(versions))
    model = LogisticRegression(C=settings.decay, max_iter=3000).fit(z, goal, sample_weight=weight[goal])
    with torch.random.fork_rng(devices=[]):
        network = build("logistic", x.shape[1], classes, {})
    coefficients, intercepts = model.coef_, model.intercept_
    if len(model.classes_) == 2:
        coefficients = np.stack([-coefficients[0], coefficients[0]]) / 2
        intercepts = np.array([-intercepts[0], intercepts[0]]) / 2
    linear = _linear(network)
    with torch.no_grad():
        linear.weight.zero_()
        linear.bias.fill_(-30.0)  # a class without samples is never said
        linear.weight[model.classes_] = torch.from_numpy(coefficients).float()
        linear.bias[model.classes_] = torch.from_numpy(intercepts).float()
    return _standardised([network], centre, spread)


def _linear(network: torch.nn.Module) -> torch.nn.Linear:
    """Return the one layer of a logistic regression."""
    if not isinstance(network, Logistic):
        raise TypeError(f"{type(network).__name__} is no logistic regression.")
    return network.linear


def logits_of(network: torch.nn.Module, x: np.ndarray, block: int = 512) -> np.ndarray:
    """Return logits of log expression, float64 (n, classes)."""
    return _applied(network, network, x, block)


def embeddings_of(network: Any, x: np.ndarray, block: int = 512) -> np.ndarray:
    """Return the last layer before the classes of a network that has `embed`, float64 (n, d)."""
    return _applied(network, network.embed, x, block)


def _applied(
    network: torch.nn.Module, function: Callable[[torch.Tensor], torch.Tensor], x: np.ndarray, block: int
) -> np.ndarray:
    network.eval()
    out = []
    with torch.inference_mode():
        # One row at a time would be slow, and one row must not depend on its neighbours: see `predict`.
        for start in range(0, len(x), block):
            part = torch.from_numpy(np.ascontiguousarray(x[start : start + block], np.float32))
            out.append(function(part).double().numpy())
    return np.concatenate(out) if out else np.zeros((0, 0))
