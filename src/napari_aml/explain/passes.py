"""Classify a batch and explain it in the same pass through the network.

Grad-CAM's gradient is that of one logit with respect to the features of one layer, and only what lies behind that
layer takes part in it. Behind the last stage that is the head alone: a gradient through pooling, norm and one linear
layer, for features that the classification has computed anyway. For finer stages, the network is cut at the
stage: what lies before it runs without a graph, what lies behind it is run once, forward and back.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_aml.errors import Cancelled
from napari_aml.explain.layers import LAST, choose_target
from napari_aml.explain.methods import get_method, raw_maps

if TYPE_CHECKING:
    import torch

    from napari_aml.classify.network import Network

#: (rows, logits) → int64 (n,): the class that each row's map explains.
ChooseTargets = Callable[[np.ndarray, "torch.Tensor"], "torch.Tensor"]


class CamPass:
    """A classification pass that hands out heatmaps; fits `predict_steps(inspect=…)`.

    Parameters
    ----------
    method
        Key of `METHODS`.
    stage
        3 = last.
    targets
        Chooses the class of each row.
    """

    def __init__(self, method: str, stage: int, targets: ChooseTargets) -> None:
        self.kind = get_method(method)
        self.method, self.stage, self.targets = method, stage, targets

    def __call__(
        self, network: Network, pictures: torch.Tensor, rows: np.ndarray, stop: threading.Event
    ) -> tuple[torch.Tensor, torch.Tensor, tuple[np.ndarray, np.ndarray]]:
        """Return logits, embedding, and (maps float32 (n, g, g), target int (n,))."""
        if self.stage == LAST and ends_in_features(network.model):
            return self._through_head(network, pictures, rows, stop)
        return self._through_cut(network, pictures, rows, stop)

    def _through_head(self, network: Network, pictures: Any, rows: np.ndarray, stop: threading.Event) -> Any:
        from napari_aml._torch import torch

        with torch.no_grad():
            features = network.features(pictures)
        with torch.enable_grad():
            leaf = features.detach().requires_grad_(self.kind.gradients)
            logits, embedding = network.head(leaf)
        chosen = self.targets(rows, logits.detach())
        gradients = self._gradients(logits, chosen, leaf)
        return logits, embedding, self._maps(network, leaf.detach(), gradients, pictures, chosen, stop)

    def _through_cut(self, network: Network, pictures: Any, rows: np.ndarray, stop: threading.Event) -> Any:
        from napari_aml._torch import torch

        target = choose_target(network.model, self.stage)
        kept: dict[str, torch.Tensor] = {}

        def cut(_module: Any, _inputs: Any, output: torch.Tensor) -> torch.Tensor:
            kept["leaf"] = output.detach().requires_grad_(self.kind.gradients)
            torch.set_grad_enabled(self.kind.gradients)
            # A copy, for layers that write into their input.
            return kept["leaf"].clone()

        hook = target.layer.register_forward_hook(cut)
        try:
            with torch.no_grad():  # on leaving it, gradient mode is what it was before
                logits, embedding = network.head(network.features(pictures))
        finally:
            hook.remove()
        chosen = self.targets(rows, logits.detach())
        gradients = self._gradients(logits, chosen, kept["leaf"])
        activations = target.reshape(kept["leaf"].detach()).float()
        gradients = None if gradients is None else target.reshape(gradients).float()
        return logits, embedding, self._maps(network, activations, gradients, pictures, chosen, stop)

    def _gradients(self, logits: torch.Tensor, chosen: torch.Tensor, leaf: torch.Tensor) -> torch.Tensor | None:
        from napari_aml._torch import torch

        if not self.kind.gradients:
            return None
        # Rows do not influence each other, so that the gradient of the sum is each row's own gradient.
        return torch.autograd.grad(logits.gather(1, chosen[:, None]).sum(), leaf)[0]

    def _maps(
        self,
        network: Network,
        activations: torch.Tensor,
        gradients: torch.Tensor | None,
        pictures: torch.Tensor,
        chosen: torch.Tensor,
        stop: threading.Event,
    ) -> tuple[np.ndarray, np.ndarray]:
        target = chosen.cpu().numpy()
        if gradients is not None and self.method in ("gradcam", "hirescam"):
            return weighted_sum(activations, gradients, self.method).cpu().numpy(), target
        model = stoppable(network, stop) if self.kind.slow else network.model
        held = activations.cpu().numpy()
        slopes = None if gradients is None else gradients.cpu().numpy()
        step, parts = 1 if self.kind.slow else 4, []
        for start in range(0, len(held), step):
            if stop.is_set():
                raise Cancelled
            part = slice(start, start + step)
            gradient = None if slopes is None else slopes[part]
            parts.append(raw_maps(self.method, model, held[part], gradient, pictures[part], target[part]))
        return np.concatenate(parts), target


def weighted_sum(activations: torch.Tensor, gradients: torch.Tensor, method: str) -> torch.Tensor:
    """Return Grad-CAM's or HiResCAM's maps (n, g, g) of activations and gradients (n, c, g, g)."""
    from napari_aml._torch import torch

    if method == "gradcam":
        return torch.einsum("nc,nchw->nhw", gradients.mean((2, 3)), activations)
    return torch.einsum("nchw,nchw->nhw", gradients, activations)


def ends_in_features(model: torch.nn.Module) -> bool:
    """Tell whether the head gets the last stage's output as it is (ConvNeXt, ResNet)."""
    from napari_aml._torch import torch

    if hasattr(model, "stages") and hasattr(model, "norm_pre"):
        return isinstance(model.norm_pre, torch.nn.Identity)
    return all(hasattr(model, name) for name in ("layer4", "global_pool", "fc"))


def stoppable(network: Network, stop: threading.Event) -> torch.nn.Module:
    """Wrap a network so that a job which runs it hundreds of times a cell can be stopped in between."""
    from napari_aml._torch import torch

    class Stoppable(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = network.model

        def forward(self, pictures: torch.Tensor) -> torch.Tensor:
            if stop.is_set():
                raise Cancelled
            logits, _ = network.head(network.features(pictures))
            return logits

    return Stoppable()
