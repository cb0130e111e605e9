"""The training loop: supervised, or by distillation from a teacher that sees the same varied views."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_aml.progress import Progress, Steps

from .augment import Variation, varied_colour, varied_geometry
from .data import FIELD_UM, CellSet
from .hints import hint_loss
from .together import Together

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Recipe:
    """Settings of one training run.

    Attributes
    ----------
    pictures : int
        Varied pictures shown in the whole run.
    side : int
        Side of the views, px: what the teacher sees.
    learn_side : int
        Side to which views are reduced for the network itself while it learns coarse features cheaply; 0 =
        ``side``.
    rate : float
        Peak learning rate; warm-up, then cosine to zero.
    smoothing : float
        Label smoothing of the hard-label loss.
    distil : float
        Weight of the teacher's answers, 0…1; the rest goes to the labels.
    softness : float
        Temperature at which the teacher's answers are compared.
    hints : float
        Weight of the teacher's feature maps (for a network that gives maps too).
    mixup : float
        Alpha of Mixup; 0 = none.
    average : float
        Decay of the running average of the weights that is kept in the end (EMA); 0 = last weights.
    """

    pictures: int
    side: int = 96
    learn_side: int = 0
    batch: int = 64
    rate: float = 1e-3
    weight_decay: float = 0.05
    warm_up: float = 0.05
    smoothing: float = 0.05
    distil: float = 0.0
    softness: float = 2.0
    hints: float = 0.0
    mixup: float = 0.0
    average: float = 0.998
    bfloat16: bool = True
    seed: int = 0
    variation: Variation = field(default_factory=Variation)


@dataclass
class Batch:
    """What one step learns from.

    Attributes
    ----------
    pictures : float32 (b, 3, side, side) in -1…1
    targets : int64 (b,)
        Class index, -1 = unlabelled.
    taught : float32 (b, k), optional
        The teacher's logits.
    maps : list of float32 (b, c, g, g), optional
        The teacher's standardised feature maps.
    """

    pictures: torch.Tensor
    targets: torch.Tensor
    taught: torch.Tensor | None = None
    maps: list[torch.Tensor] | None = None


#: (recipe, index of the first batch) -> batches.
Stream = Callable[["Recipe", int], Iterator[Batch]]


def live_stream(cells: CellSet, rows: np.ndarray, weights: np.ndarray) -> Stream:
    """Views that are made as they are needed, without a teacher.

    Every batch has its own seed, so a run that is taken up again sees what it would have seen.
    The next batch is made while the network works on the last.
    """
    targets = cells.targets
    sources = cells.table["source"].to_numpy()
    chances = np.cumsum(weights / weights.sum())

    def make(recipe: Recipe, index: int) -> Batch:
        from napari_aml._torch import torch

        rng = np.random.default_rng((recipe.seed, index))
        drawn = rows[np.minimum(np.searchsorted(chances, rng.random(recipe.batch)), len(rows) - 1)]
        views = np.stack(
            [varied_geometry(cells.image(r), FIELD_UM[sources[r]], recipe.side, recipe.variation, rng) for r in drawn]
        )
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        x = torch.from_numpy(views).permute(0, 3, 1, 2).float().div_(255)
        x = varied_colour(x, recipe.variation, generator).mul_(2).sub_(1)
        return Batch(x.contiguous(memory_format=torch.channels_last), torch.from_numpy(targets[drawn]))

    def stream(recipe: Recipe, start: int) -> Iterator[Batch]:
        total = math.ceil(recipe.pictures / recipe.batch)
        with ThreadPoolExecutor(1) as pool:
            coming = pool.submit(make, recipe, start)
            for index in range(start, total):
                now = coming.result()
                if index + 1 < total:
                    coming = pool.submit(make, recipe, index + 1)
                yield now

    return stream


def learning_rate(step: int, total: int, recipe: Recipe) -> float:
    """Learning rate at a step: linear warm-up, then half a cosine."""
    warm = max(1, round(recipe.warm_up * total))
    if step < warm:
        return recipe.rate * (step + 1) / warm
    return recipe.rate * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, total - warm)))


def loss_of(logits: torch.Tensor, targets: torch.Tensor, taught: torch.Tensor | None, recipe: Recipe) -> torch.Tensor:
    """Weigh the cross-entropy to the labels and the divergence from the teacher by ``recipe.distil``.

    Unlabelled pictures count in the second term alone.
    """
    from napari_aml._torch import torch

    cross_entropy = torch.nn.functional.cross_entropy
    kl_div = torch.nn.functional.kl_div
    log_softmax = torch.nn.functional.log_softmax
    softmax = torch.nn.functional.softmax

    known = targets >= 0
    loss = torch.zeros(())
    if recipe.distil < 1 and known.any():
        hard = cross_entropy(logits[known], targets[known], label_smoothing=recipe.smoothing)
        loss = loss + (1 - recipe.distil) * hard
    if taught is not None and recipe.distil > 0:
        t = recipe.softness
        soft = kl_div(log_softmax(logits / t, 1), softmax(taught / t, 1), reduction="batchmean") * t * t
        loss = loss + recipe.distil * soft
    return loss


def mixed(batch: Batch, recipe: Recipe, rng: np.random.Generator) -> tuple[Batch, float]:
    """Mixup (Zhang et al. 2018, arXiv 1710.09412): the batch mixed with its reverse, and the share kept."""
    if recipe.mixup <= 0:
        return batch, 1.0
    part = float(rng.beta(recipe.mixup, recipe.mixup))
    x = part * batch.pictures + (1 - part) * batch.pictures.flip(0)
    maps = batch.maps and [part * m + (1 - part) * m.flip(0) for m in batch.maps]
    return replace(batch, pictures=x, maps=maps), part


def reduced(x: torch.Tensor, side: int) -> torch.Tensor:
    """Reduce a batch (b, 3, h, w) to ``side`` px without aliasing."""
    from napari_aml._torch import torch

    small = torch.nn.functional.interpolate(x, size=(side, side), mode="bilinear", antialias=True)
    return small.contiguous(memory_format=torch.channels_last)


class Average:
    """Running average of a network's weights (EMA), floating-point buffers included."""

    def __init__(self, network: torch.nn.Module, decay: float) -> None:
        self.decay, self.steps = decay, 0
        self.state = {k: v.detach().clone() for k, v in network.state_dict().items()}

    def update(self, network: torch.nn.Module) -> None:
        """Take the present weights in; early steps count more, so that the start is forgotten."""
        self.steps += 1
        decay = min(self.decay, self.steps / (self.steps + 10))
        for key, value in network.state_dict().items():
            if value.dtype.is_floating_point:
                self.state[key].lerp_(value.detach(), 1 - decay)
            else:
                self.state[key].copy_(value)


def parameter_groups(network: torch.nn.Module, recipe: Recipe) -> list[dict]:
    """Weight decay for matrices and kernels alone; scales and biases go without."""
    trained = [p for p in network.parameters() if p.requires_grad]
    return [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]


def fit_steps(
    network: torch.nn.Module,
    stream: Stream,
    recipe: Recipe,
    checkpoint: Path | None = None,
    together: Together = Together(),
) -> Steps[dict[str, torch.Tensor]]:
    """Train a network in place and return the averaged weights.

    Parameters
    ----------
    network : torch.nn.Module
        Gives logits (b, k), or logits and maps (see `hints`).
    stream : callable
        `live_stream` or ``ViewBank.stream``.
    recipe : Recipe
    together : Together, optional
        The processes that share the work; each draws its own batches.
    checkpoint : path, optional
        Kept up to date; an interrupted run with the same recipe goes on from it.

    Returns
    -------
    dict
        State of the averaged network (see ``Recipe.average``).
    """
    from napari_aml._torch import torch

    optimiser = torch.optim.AdamW(parameter_groups(network, recipe), lr=recipe.rate)
    total = math.ceil(recipe.pictures / recipe.batch / together.count)
    average = Average(network, recipe.average)
    step = _take_up(checkpoint, network, optimiser, average, recipe)
    network.train()
    seen, right, summed = 0, 0, 0.0
    for batch in stream(together.part_of(recipe), step):
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(step, total, recipe)
        batch, part = mixed(batch, recipe, np.random.default_rng((recipe.seed, 1, step)))
        x = reduced(batch.pictures, recipe.learn_side) if recipe.learn_side else batch.pictures
        with torch.autocast("cpu", torch.bfloat16, enabled=recipe.bfloat16):
            answer = network(x)
        logits, maps = answer if isinstance(answer, tuple) else (answer, None)
        logits, targets = logits.float(), batch.targets
        loss = part * loss_of(logits, targets, batch.taught, recipe)
        if part < 1:
            other = None if batch.taught is None else batch.taught.flip(0)
            loss = loss + (1 - part) * loss_of(logits, targets.flip(0), other, recipe)
        if maps is not None and batch.maps is not None and recipe.hints > 0:
            loss = loss + recipe.hints * hint_loss(maps, batch.maps)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        together.average_gradients(network)
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimiser.step()
        average.update(network)
        step += 1
        seen += int((targets >= 0).sum())
        right += int(((logits.argmax(1) == targets) & (targets >= 0)).sum())
        summed = 0.98 * summed + 0.02 * loss.item() if step > 1 else loss.item()
        if step % 50 == 0 or step == total:
            message = f"loss {summed:.3f}, right on varied pictures {right / max(1, seen):.3f}"
            yield Progress(step, total, message)
            seen = right = 0
        if checkpoint is not None and together.rank == 0 and (step % 100 == 0 or step == total):
            _keep(checkpoint, network, optimiser, average, recipe, step)
    return average.state if recipe.average > 0 else network.state_dict()


def _signature(recipe: Recipe) -> str:
    from dataclasses import asdict

    return json.dumps(asdict(recipe), sort_keys=True)


def _keep(path: Path, network, optimiser, average: Average, recipe: Recipe, step: int) -> None:
    from napari_aml._torch import torch

    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".part")
    torch.save(
        {
            "signature": _signature(recipe),
            "step": step,
            "network": network.state_dict(),
            "optimiser": optimiser.state_dict(),
            "average": average.state,
            "average_steps": average.steps,
        },
        beside,
    )
    beside.replace(path)


def _take_up(path: Path | None, network, optimiser, average: Average, recipe: Recipe) -> int:
    from napari_aml._torch import torch

    if path is None or not path.exists():
        return 0
    kept = torch.load(path, map_location="cpu", weights_only=True)
    if kept["signature"] != _signature(recipe):
        return 0
    network.load_state_dict(kept["network"])
    optimiser.load_state_dict(kept["optimiser"])
    average.state, average.steps = kept["average"], kept["average_steps"]
    return kept["step"]
