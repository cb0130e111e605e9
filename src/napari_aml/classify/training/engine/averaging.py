"""Averages of a network's weights: exponential (EMA) and over the last epochs (SWA)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from napari_aml.classify.training.engine.settings import TrainConfig

if TYPE_CHECKING:
    import torch


def has_batch_norm(network: torch.nn.Module) -> bool:
    """Tell whether a network keeps batch statistics; a ConvNeXt or ViT does not."""
    from napari_aml._torch import torch

    kind = torch.nn.modules.batchnorm._BatchNorm
    return any(isinstance(m, kind) and m.track_running_stats for m in network.modules())


class Averages:
    """The averaged copies that a run keeps.

    Attributes
    ----------
    ema, swa
        ``torch.optim.swa_utils.AveragedModel`` or None.
    """

    def __init__(self, network: torch.nn.Module, config: TrainConfig) -> None:
        from torch.optim.swa_utils import AveragedModel

        self.ema = self.swa = None
        if config.ema > 0:
            self.ema = AveragedModel(network, multi_avg_fn=_exponential(config.ema), use_buffers=True)
        if config.swa > 0:
            self.swa = AveragedModel(network)

    def after_update(self, network: torch.nn.Module) -> None:
        """Take the weights of an update into the exponential average."""
        if self.ema is not None:
            self.ema.update_parameters(network)

    def after_epoch(self, network: torch.nn.Module) -> None:
        """Take the weights of an epoch into the stochastic average."""
        if self.swa is not None:
            self.swa.update_parameters(network)

    @property
    def epochs_averaged(self) -> int:
        """How many epochs the stochastic average holds."""
        return 0 if self.swa is None else int(self.swa.n_averaged)

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint keeps."""
        return {name: kept.state_dict() for name in ("ema", "swa") if (kept := getattr(self, name)) is not None}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what a checkpoint kept."""
        for name, held in state.items():
            getattr(self, name).load_state_dict(held)


def _exponential(decay: float) -> Callable[..., None]:
    """Average that weighs the past by `decay`, and less at first, so that the random start is soon forgotten."""
    from napari_aml._torch import torch

    @torch.no_grad()
    def update(kept: list[torch.Tensor], now: list[torch.Tensor], number: torch.Tensor | int) -> None:
        n = int(number)
        weight = 1 - min(decay, (1 + n) / (10 + n))
        if kept[0].is_floating_point():
            torch._foreach_lerp_(list(kept), list(now), weight)
        else:
            for a, b in zip(kept, now, strict=True):
                a.copy_(b)

    return update


def refresh_batch_norm(network: torch.nn.Module, inputs: Iterable[torch.Tensor]) -> bool:
    """Compute batch statistics anew from plain training pictures, where the network keeps any; say whether it did.

    Averaged weights never saw the statistics that they produce (Izmailov et al. 2018, section 3.2). Networks without
    batch norm are left alone: `inputs` is not even read.
    """
    from napari_aml._torch import torch

    if not has_batch_norm(network):
        return False
    from torch.optim.swa_utils import update_bn

    with torch.no_grad():
        update_bn(inputs, network)
    network.eval()
    return True
