"""Several processes on one or more machines, started by ``torchrun`` or ``accelerate launch``; one process by default.

The work is Accelerate's (Hugging Face, Apache-2.0); alone, nothing of it is loaded.
"""

from __future__ import annotations

import contextlib
import os
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch


class Processes:
    """The place of this process among those that train together.

    Attributes
    ----------
    rank, count
        Which one, of how many. Rank 0 writes files and speaks.
    """

    def __init__(self, device: str = "auto") -> None:
        self.count = int(os.environ.get("WORLD_SIZE", "1"))
        self.rank = int(os.environ.get("RANK", "0")) if self.count > 1 else 0
        self._accelerator: Any = None
        if self.count > 1:
            from accelerate import Accelerator

            self._accelerator = Accelerator(cpu=device == "cpu")

    @property
    def first(self) -> bool:
        """Whether this process writes files."""
        return self.rank == 0

    @property
    def device(self) -> str | None:
        """The device that the launcher gave to this process, or None when alone."""
        return None if self._accelerator is None else str(self._accelerator.device)

    def shared(self, network: torch.nn.Module) -> torch.nn.Module:
        """Wrap a network so that its gradients are averaged over the processes."""
        return network if self._accelerator is None else self._accelerator.prepare_model(network)

    def alone(self, network: torch.nn.Module) -> AbstractContextManager[None]:
        """Within it, gradients are gathered without speaking to the other processes."""
        if self._accelerator is None:
            return contextlib.nullcontext()
        return self._accelerator.no_sync(network)

    def wait(self) -> None:
        """Wait until every process is here."""
        if self._accelerator is not None:
            self._accelerator.wait_for_everyone()

    def part(self, rows: np.ndarray) -> np.ndarray:
        """Return this process's share of a batch; the batch is a multiple of the count."""
        return rows[self.rank :: self.count]

    def joined(self, mine: torch.Tensor, n: int) -> torch.Tensor:
        """Join the parts (m, …) that the processes made of n items dealt by `part`, in their order."""
        from napari_aml._torch import torch

        if self._accelerator is None:
            return mine
        most = -(-n // self.count)
        padded = torch.zeros((most, *mine.shape[1:]), dtype=mine.dtype, device=mine.device)
        padded[: len(mine)] = mine
        every = self._accelerator.gather(padded).view(self.count, most, *mine.shape[1:])
        return every.transpose(0, 1).reshape(self.count * most, *mine.shape[1:])[:n]

    def mean(self, value: float) -> float:
        """Mean of a number over the processes."""
        from napari_aml._torch import torch

        if self._accelerator is None:
            return value
        mine = torch.tensor([value], device=self._accelerator.device)
        return float(self._accelerator.gather(mine).mean())

    def leave(self) -> None:
        """Part from the others."""
        if self._accelerator is not None:
            self._accelerator.end_training()
            from napari_aml._torch import torch

            if torch.distributed.is_initialized():
                torch.distributed.destroy_process_group()
