"""The network to train: new, pretrained, from a weight file, or from a bundle whose classes may differ."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_aml.classify.training.engine.settings import TrainConfig
from napari_aml.errors import BundleError, InputError

if TYPE_CHECKING:
    import torch

    from napari_aml.classify.bundle import ModelBundle


def build(
    config: TrainConfig, codes: tuple[str, ...], base: ModelBundle | None
) -> tuple[torch.nn.Module, tuple[float, ...], tuple[float, ...], list[str]]:
    """Build the network with its starting weights.

    Returns
    -------
    tuple
        Network, channel means, channel deviations, and what a person should know of the start.

    Raises
    ------
    BundleError
        Unknown backbone, weights that do not fit, or a bundle that shares no class.
    InputError
        Pretrained weights that cannot be had.
    """
    from napari_aml._torch import torch

    torch.manual_seed(config.seed)
    mean, std = (0.5,) * 3, (0.5,) * 3
    notes: list[str] = []
    network = _create(config, codes, notes)
    if base is not None:
        notes += take_over(network, base, codes)
        mean, std = base.mean, base.std
    elif config.weights:
        notes.append(_from_file(network, Path(config.weights)))
        mean, std = _statistics(network)
    elif config.pretrained:
        _from_hub(network, config)
        mean, std = _statistics(network)
    if config.train_only == "head":
        network.requires_grad_(False)
        network.get_classifier().requires_grad_(True)
    return network, mean, std, notes


def settings_of(base: ModelBundle, config: TrainConfig) -> TrainConfig:
    """Return settings that fit the bundle that a run starts from: its backbone, crop and pixels."""
    return config.changed(
        backbone=base.backbone, px=base.crop_px, crop_um=base.crop_um, backbone_args=dict(base._arguments)
    )


def _create(config: TrainConfig, codes: tuple[str, ...], notes: list[str]) -> torch.nn.Module:
    from napari_aml.classify.network import create

    arguments = dict(config.backbone_args)
    where = "the training settings"
    if config.drop_path > 0:
        try:
            with_path = {**arguments, "drop_path_rate": config.drop_path}
            return create(config.backbone, len(codes), config.px, with_path, where)
        except BundleError as error:
            if "drop_path" not in str(error):
                raise
            notes.append(f"{config.backbone} has no drop path: trained without.")
    return create(config.backbone, len(codes), config.px, arguments, where)


def _statistics(network: Any) -> tuple[tuple[float, ...], tuple[float, ...]]:
    known = getattr(network, "pretrained_cfg", None) or {}
    return tuple(known.get("mean") or (0.5,) * 3), tuple(known.get("std") or (0.5,) * 3)


def head_name(network: Any) -> str:
    """Name of the last linear layer."""
    head = network.get_classifier()
    return next(name for name, module in network.named_modules() if module is head)


def _without_head(network: torch.nn.Module, state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    head = head_name(network) + "."
    return {k: v for k, v in state.items() if not k.startswith(head)}


def _load(network: torch.nn.Module, state: dict[str, torch.Tensor], where: str) -> None:
    own = network.state_dict()
    body = _without_head(network, own)
    missing = [k for k in body if k not in state]
    wrong = [k for k in body if k in state and state[k].shape != own[k].shape]
    if missing or wrong:
        some = ", ".join((missing or wrong)[:3])
        raise BundleError(
            f"The weights of '{where}' do not fit the backbone: {len(missing)} tensors are missing and {len(wrong)} of "
            f"another shape ({some} …).",
            "Name the backbone (and the size of its pictures) that they were trained with.",
        )
    network.load_state_dict({k: state[k] for k in body}, strict=False)


def _from_file(network: torch.nn.Module, path: Path) -> str:
    from napari_aml._weights import read_checkpoint

    state, _ = read_checkpoint(path)
    _load(network, state, str(path))
    return f"Started from the weights of {path.name}; the head is new."


def _from_hub(network: torch.nn.Module, config: TrainConfig) -> None:
    from napari_aml._torch import timm

    try:
        given = timm.create_model(config.backbone, pretrained=True, **config.backbone_args)
    except Exception as error:  # the hub client raises many kinds
        raise InputError(
            f"The pretrained weights of {config.backbone} cannot be had: {str(error).splitlines()[0][:160]}",
            "Connect to the Hugging Face hub once, give a weight file as the setting weights, or train from scratch.",
        ) from error
    _load(network, dict(given.state_dict()), config.backbone)


def take_over(network: torch.nn.Module, base: ModelBundle, codes: tuple[str, ...]) -> list[str]:
    """Take a bundle's weights into a network, the rows of its head by class code.

    Returns
    -------
    list of str
        Which classes are new, and which of the bundle's are given up.

    Raises
    ------
    BundleError
        When the two share no class.
    """
    from napari_aml._torch import torch

    shared = [c for c in codes if c in base.codes]
    if not shared:
        raise BundleError(
            f"The bundle {base.name} knows {', '.join(base.codes)}; the data hold {', '.join(codes)}: none is shared.",
            "Start from another bundle, or map the dataset's labels to the bundle's codes.",
        )
    state = base.state_dict()
    _load(network, state, str(base.path))
    head = head_name(network)
    own = network.get_classifier()
    with torch.no_grad():
        for name in ("weight", "bias"):
            kept, target = state.get(f"{head}.{name}"), getattr(own, name, None)
            if kept is None or target is None or kept.shape[1:] != target.shape[1:]:
                continue
            for code in shared:
                target[codes.index(code)] = kept[base.codes.index(code)]
    notes = []
    if new := [c for c in codes if c not in base.codes]:
        notes.append(f"Classes that {base.name} did not know start from nothing: {', '.join(new)}.")
    if gone := [c for c in base.codes if c not in codes]:
        notes.append(f"Classes of {base.name} without data here are given up: {', '.join(gone)}.")
    return notes
