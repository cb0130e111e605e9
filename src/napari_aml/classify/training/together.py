"""Training in several single-threaded processes that average their gradients.

On a shared machine two threads of one process wait for each other at every layer; two processes wait once a
batch. With two cores in use by others too this was measured to be about five times as fast
(docs/benchmarks/classifier.md).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from .fit import Recipe


@dataclass(frozen=True)
class Together:
    """The place of this process among those that train together.

    Attributes
    ----------
    rank, count : int
        Which one, of how many; rank 0 reports and keeps checkpoints.
    """

    rank: int = 0
    count: int = 1

    @staticmethod
    def join(rank: int, count: int, meeting_point: str | Path) -> Together:
        """Meet the other processes at a file (which must be absent before the first comes)."""
        from napari_aml._torch import torch

        if count > 1:
            torch.distributed.init_process_group(
                "gloo", init_method=f"file://{Path(meeting_point).absolute()}", rank=rank, world_size=count,
                timeout=timedelta(minutes=10),
            )  # fmt: skip
        return Together(rank, count)

    def part_of(self, recipe: Recipe) -> Recipe:
        """Return the recipe of this process: its share of the pictures, drawn with a seed of its own."""
        return replace(recipe, pictures=math.ceil(recipe.pictures / self.count), seed=recipe.seed + 1000 * self.rank)

    def average_gradients(self, network: torch.nn.Module) -> None:
        """Replace every gradient by its mean over the processes."""
        from napari_aml._torch import torch

        if self.count == 1:
            return
        gradients = [p.grad for p in network.parameters() if p.grad is not None]
        flat = torch.cat([g.flatten() for g in gradients])
        torch.distributed.all_reduce(flat)
        flat /= self.count
        at = 0
        for gradient in gradients:
            gradient.copy_(flat[at : at + gradient.numel()].view(gradient.shape))
            at += gradient.numel()

    def leave(self) -> None:
        """Part."""
        from napari_aml._torch import torch

        if self.count > 1:
            torch.distributed.destroy_process_group()
