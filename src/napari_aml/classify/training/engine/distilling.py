"""Learning from a teacher: its answers (Hinton et al. 2015, arXiv 1503.02531) and its feature maps.

The maps follow Romero et al. 2015 (arXiv 1412.6550). The teacher sees the very view that the student sees, mixed as it
is (Beyer et al. 2022, arXiv 2106.05237).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_aml.classify.training.engine.settings import PRESETS, TrainConfig
from napari_aml.classify.training.engine.varying import coloured
from napari_aml.errors import BundleError

if TYPE_CHECKING:
    import torch

    from napari_aml._torch import Device

#: Feature maps of the last so many stages are learnt.
_STAGES = 2


class Teacher:
    """A network that answers for another; its weights never change.

    Parameters
    ----------
    network
        timm's network.
    px
        Side of the pictures that it was trained with.
    mean, std
        Its normalisation.
    columns
        Column of its logits for each class of the student, or None when it does not know the classes: then its feature
        maps alone are learnt.
    title
        What the card says of it.
    """

    def __init__(
        self, network: Any, px: int, mean: tuple[float, ...], std: tuple[float, ...], columns: list[int] | None,
        title: dict[str, Any],
    ) -> None:  # fmt: skip
        self.network = network.eval().requires_grad_(False)
        self.px, self.mean, self.std, self.columns, self.title = px, mean, std, columns, title

    def to(self, device: Device) -> Teacher:
        """Move it to a device."""
        from napari_aml._torch import torch

        self.device = device
        where = device.torch_device()
        self.network.to(where).to(memory_format=torch.channels_last)
        self._mean, self._std = (torch.tensor(v, device=where).view(1, 3, 1, 1) for v in (self.mean, self.std))
        return self

    def answer(self, x: torch.Tensor, maps: bool) -> tuple[torch.Tensor | None, list[torch.Tensor]]:
        """Logits (n, k), or None, and standardised feature maps of pictures float32 (n, 3, h, w) in 0…1."""
        from napari_aml._torch import torch

        x = (_resized(x, self.px) - self._mean) / self._std
        x = x.contiguous(memory_format=torch.channels_last)
        with torch.no_grad(), self.device.autocast():
            found: list[torch.Tensor] = []
            if maps:
                last, found = self.network.forward_intermediates(x, indices=_STAGES)
                logits = self.network.forward_head(last)
            else:
                logits = self.network(x)
        said = None if self.columns is None else logits.float()[:, self.columns]
        return said, [_standardised(m.float()) for m in found]


def teacher_of(config: TrainConfig, codes: tuple[str, ...]) -> Teacher | None:
    """Open the teacher that the settings name, or None.

    Raises
    ------
    BundleError
        When it does not know a class, or its weights do not fit.
    """
    if not config.teacher:
        return None
    if config.teacher_weights:
        return _of_weights(config)
    from napari_aml.classify.library import load_bundle
    from napari_aml.classify.network import create

    bundle = load_bundle(config.teacher)
    if absent := [c for c in codes if c not in bundle.codes]:
        raise BundleError(
            f"The teacher {bundle.name} does not know {', '.join(absent)}.",
            "Teach with a bundle that was trained on the same classes.",
        )
    network = create(bundle.backbone, len(bundle.codes), bundle.crop_px, bundle._arguments, bundle.path)
    network.load_state_dict(bundle.state_dict())
    columns = [bundle.codes.index(c) for c in codes]
    title = {"name": bundle.name, "backbone": bundle.backbone, "sha256": bundle.sha256,
             "licence": bundle.card.get("licence", "not stated")}  # fmt: skip
    return Teacher(network, bundle.crop_px, bundle.mean, bundle.std, columns, title)


def _of_weights(config: TrainConfig) -> Teacher:
    from napari_aml.classify.network import create
    from napari_aml.classify.training.engine.building import load_weights, statistics

    network = create(config.teacher, 2, config.px, {}, "the training settings")
    load_weights(network, config.teacher_weights)
    title = {"name": config.teacher, "backbone": config.teacher, "weights": Path(config.teacher_weights).name}
    return Teacher(network, config.px, *statistics(network), None, title)


def pupil(network: Any, teacher: Teacher, px: int) -> torch.nn.Module:
    """Wrap a network so that it gives ``(logits, maps)``, its last maps projected to the teacher's channels.

    Raises
    ------
    BundleError
        When either network gives no intermediate maps.
    """
    from napari_aml._torch import torch

    for kind, one in (("backbone", network), ("teacher", teacher.network)):
        if not hasattr(one, "forward_intermediates"):
            raise BundleError(f"The {kind} gives no feature maps to learn from.", "Set hints to 0.")
    training = network.training
    network.eval()
    with torch.no_grad():
        own = network.forward_intermediates(torch.zeros(1, 3, px, px), indices=_STAGES)[1]
        theirs = teacher.network.forward_intermediates(torch.zeros(1, 3, teacher.px, teacher.px), indices=_STAGES)[1]
    network.train(training)

    class Pupil(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network
            self.project = torch.nn.ModuleList(
                torch.nn.Conv2d(a.shape[1], b.shape[1], 1) for a, b in zip(own, theirs, strict=True)
            )

        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
            last, maps = self.network.forward_intermediates(x, indices=_STAGES)
            return self.network.forward_head(last), [p(m) for p, m in zip(self.project, maps, strict=True)]

    return Pupil()


def taught_loss(
    plain: torch.Tensor,
    logits: torch.Tensor,
    maps: list[torch.Tensor],
    said: tuple[torch.Tensor | None, list[torch.Tensor]],
    config: TrainConfig,
) -> torch.Tensor:
    """Weigh the loss to the labels with the divergence from the teacher's answers; add that of the maps."""
    from napari_aml._torch import torch

    taught, wanted = said
    loss = plain
    if taught is not None and config.distil > 0:
        t = config.softness
        log_softmax = torch.nn.functional.log_softmax
        soft = torch.nn.functional.kl_div(
            log_softmax(logits.float() / t, 1), log_softmax(taught / t, 1), reduction="batchmean", log_target=True
        )
        loss = (1 - config.distil) * plain + config.distil * t * t * soft
    if maps and wanted:
        loss = loss + config.hints * hint_loss(maps, wanted)
    return loss


def hint_loss(said: list[torch.Tensor], wanted: list[torch.Tensor]) -> torch.Tensor:
    """Mean squared error between maps, the teacher's averaged onto the student's grid."""
    from napari_aml._torch import torch

    adaptive_avg_pool2d = torch.nn.functional.adaptive_avg_pool2d
    mse_loss = torch.nn.functional.mse_loss

    total = torch.zeros(())
    for mine, theirs in zip(said, wanted, strict=True):
        if theirs.shape[-2:] != mine.shape[-2:]:
            theirs = adaptive_avg_pool2d(theirs, (mine.shape[-2], mine.shape[-1]))
        total = total + mse_loss(mine.float(), theirs)
    return total / len(said)


def hardened(x: torch.Tensor, share: float, generator: torch.Generator) -> torch.Tensor:
    """Re-colour a share of a batch strongly: the answer stays that of the view which the teacher could read."""
    k = round(share * len(x))
    if not k:
        return x
    x = x.clone()
    x[:k] = coloured(x[:k].clone(), PRESETS["strong"], generator)
    return x


def _resized(x: torch.Tensor, px: int) -> torch.Tensor:
    from napari_aml._torch import torch

    if x.shape[-1] == px:
        return x
    return torch.nn.functional.interpolate(x, size=(px, px), mode="bilinear", antialias=True)


def _standardised(maps: torch.Tensor) -> torch.Tensor:
    """Maps (n, c, h, w) with mean 0 and deviation 1 per channel over the batch, clipped to ±6."""
    from napari_aml._torch import torch

    return torch.nn.functional.batch_norm(maps, None, None, training=True, eps=1e-3).clamp_(-6, 6)
