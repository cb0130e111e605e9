"""What every network here is: it gives logits, and the layer before them."""

from __future__ import annotations

from napari_aml._torch import torch


class Network(torch.nn.Module):
    """A network whose last layer before the classes can be asked for."""

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        """Return the last layer before the classes, (n, d)."""
        raise NotImplementedError
