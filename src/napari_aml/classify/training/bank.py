"""A bank of varied views with the teacher's answers, made once and learnt from many times.

Making a view and asking the teacher cost as much as a step of a small student. A view that is turned by a
right angle or mirrored has the same answer, turned or mirrored likewise, so each serves eight-fold.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_aml.progress import Progress, Steps

from .augment import Variation, varied_colour
from .hints import standardised, teacher_answer

if TYPE_CHECKING:
    import torch

    from .data import CellSet
    from .fit import Batch, Recipe, Stream

_ARRAYS = ("views", "targets", "taught", "near", "far")


@dataclass
class ViewBank:
    """Views and what is known of them.

    Attributes
    ----------
    views : uint8 (n, side, side, 3)
    targets : int64 (n,)
        Class index, -1 = unlabelled.
    taught : float32 (n, k)
        The teacher's logits.
    near, far : float16 (n, c, g, g)
        The teacher's maps at strides 16 and 32, standardised.
    """

    views: np.ndarray
    targets: np.ndarray
    taught: np.ndarray
    near: np.ndarray
    far: np.ndarray

    def save(self, folder: Path) -> None:
        """Keep the arrays in a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in _ARRAYS:
            np.save(folder / f"{name}.npy", getattr(self, name))

    @staticmethod
    def open(folder: Path) -> ViewBank:
        """Open a kept bank; the arrays stay on disk and are shared between processes."""
        return ViewBank(*(np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in _ARRAYS))

    def stream(self, recipe: Recipe, start: int = 0) -> Iterator[Batch]:
        """Yield batches; each pass has a new order, each batch one of the eight orientations."""
        from napari_aml._torch import torch

        from .fit import Batch

        per_pass = len(self.targets) // recipe.batch
        for index in range(start, math.ceil(recipe.pictures / recipe.batch)):
            order = np.random.default_rng((recipe.seed, index // per_pass)).permutation(len(self.targets))
            taken = np.sort(order[index % per_pass * recipe.batch :][: recipe.batch])
            rng = np.random.default_rng((recipe.seed, 7, index))
            turns, mirrored = int(rng.integers(4)), rng.random() < 0.5

            def oriented(values: torch.Tensor, turns: int = turns, mirrored: bool = mirrored) -> torch.Tensor:
                values = torch.rot90(values, turns, (2, 3))
                return values.flip(3) if mirrored else values

            x = torch.from_numpy(self.views[taken]).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)
            yield Batch(
                oriented(x).contiguous(memory_format=torch.channels_last),
                torch.from_numpy(self.targets[taken]),
                torch.from_numpy(self.taught[taken]),
                [oriented(torch.from_numpy(m[taken]).float()) for m in (self.near, self.far)],
            )


def joint_stream(banks: list[ViewBank]) -> Stream:
    """Draw each batch from one of several banks, in proportion to their sizes."""

    def stream(recipe: Recipe, start: int) -> Iterator[Batch]:
        sizes = np.array([len(bank.targets) for bank in banks], dtype=float)
        streams = [bank.stream(recipe, start) for bank in banks]
        for index in range(start, math.ceil(recipe.pictures / recipe.batch)):
            rng = np.random.default_rng((recipe.seed, 9, index))
            yield next(streams[rng.choice(len(banks), p=sizes / sizes.sum())])

    return stream


def hardened(stream: Stream, variation: Variation, share: float) -> Stream:
    """Re-colour a share of each batch much more strongly than the teacher saw it.

    The teacher answers the view it knows; the student has to give the same answer for a stain, a light or a
    sharpness that the teacher would not have coped with.
    """

    def harder(recipe: Recipe, start: int) -> Iterator[Batch]:
        from napari_aml._torch import torch

        for index, batch in enumerate(stream(recipe, start), start):
            rows = slice(0, round(share * len(batch.targets)))
            order = np.random.default_rng((recipe.seed, 11, index)).permutation(len(batch.targets))[rows]
            generator = torch.Generator().manual_seed(recipe.seed * 1_000_003 + index)
            x = batch.pictures.clone()
            x[order] = varied_colour(x[order].add(1).mul_(0.5), variation, generator).mul_(2).sub_(1)
            yield replace(batch, pictures=x)

    return harder


def make_bank_steps(
    teacher: torch.nn.Module, cells: CellSet, rows: np.ndarray, weights: np.ndarray, recipe: Recipe
) -> Steps[ViewBank]:
    """Fill a bank with ``recipe.pictures`` views drawn by ``weights``."""
    from napari_aml._torch import torch

    from .fit import live_stream

    parts: dict[str, list[np.ndarray]] = {name: [] for name in _ARRAYS}
    total = math.ceil(recipe.pictures / recipe.batch)
    teacher.eval()
    for index, batch in enumerate(live_stream(cells, rows, weights)(recipe, 0)):
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=recipe.bfloat16):
            logits, maps = teacher_answer(teacher, batch.pictures)
        views = batch.pictures.add(1).mul_(127.5).round_().to(torch.uint8).permute(0, 2, 3, 1)
        found = (views, batch.targets, logits.float(), *(m.half() for m in maps))
        for name, value in zip(_ARRAYS, found, strict=True):
            parts[name].append(value.contiguous().numpy())
        if (index + 1) % 20 == 0 or index + 1 == total:
            yield Progress(index + 1, total, "Making views and asking the teacher")
    joined = {name: np.concatenate(values) for name, values in parts.items()}
    return ViewBank(**{n: standardised(v) if n in ("near", "far") else v for n, v in joined.items()})
