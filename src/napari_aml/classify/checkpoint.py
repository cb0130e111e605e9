"""A weight file from somewhere else becomes a bundle."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_aml.classify.bundle import ModelBundle, save_bundle
from napari_aml.errors import BundleError

if TYPE_CHECKING:
    import torch

# What timm's own ImageNet networks take, and most networks fine-tuned from them.
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def import_checkpoint(
    path: str | Path,
    out: str | Path,
    *,
    class_codes: Sequence[str],
    crop_um: float,
    crop_px: int,
    backbone: str | None = None,
    mean: Sequence[float] = IMAGENET_MEAN,
    std: Sequence[float] = IMAGENET_STD,
    name: str | None = None,
    version: str = "1",
    card: Mapping[str, Any] | None = None,
    half: bool = False,
) -> ModelBundle:
    """Turn a ``.pth`` or ``.safetensors`` state dict into a bundle's folder.

    The file is read with ``weights_only=True`` and nothing else; prefixes of wrappers (``module.``, ``_orig_mod.``)
    are taken off; names of the architecture's original publication are translated by timm's own function for it.

    Parameters
    ----------
    path
        The weight file.
    out
        The bundle's folder.
    class_codes
        One code an output of the network, in its order.
    crop_um, crop_px
        Side of the crops it was trained on, in µm and pixels.
    backbone
        timm's name of the architecture; by default what the checkpoint says (``arch``).
    mean, std
        Channel means and deviations of its normalisation (values 0…1).
    name, version
        Of the bundle; the name is the file's stem by default.
    card
        Further entries of ``bundle.json`` (training data, licence, metrics …). What is not known stays unsaid.
    half
        Store the weights as float16.

    Raises
    ------
    UnsafeWeightsError
        When the file holds more than tensors.
    BundleError
        When weights, backbone and codes do not fit; keys and shapes are named.
    """
    from napari_aml._weights import check_finite, read_checkpoint

    path = Path(path)
    state, beside = read_checkpoint(path)
    check_finite(state, path)
    backbone = backbone or beside.get("arch")
    if not isinstance(backbone, str):
        raise BundleError(
            f"'{path}' does not say which backbone its weights belong to.", "Name it, e.g. backbone='convnext_tiny'."
        )
    extra = dict(card or {})
    state = _translated(state, backbone, len(class_codes), crop_px, extra.get("backbone_args") or {}, path)
    entries = {
        "name": name or path.stem, "version": version, "backbone": backbone, "class_codes": list(class_codes),
        "crop_um": crop_um, "crop_px": crop_px, "mean": list(mean), "std": list(std),
        "training_data": [], "licence": "not stated", "split_level": "not stated", "metrics": {},
        "intended_use": "Not stated. Research use only.", "limits": f"Imported from {path.name}; not evaluated here.",
    }  # fmt: skip
    return save_bundle(out, state, entries | extra, half=half)


def _translated(
    state: dict[str, torch.Tensor],
    backbone: str,
    classes: int,
    crop_px: int,
    arguments: Mapping[str, Any],
    path: Path,
) -> dict[str, torch.Tensor]:
    """Return the state dict by timm's names."""
    from napari_aml._torch import torch
    from napari_aml._weights import compare
    from napari_aml.classify.network import create

    with torch.device("meta"):
        model = create(backbone, classes, crop_px, arguments, path)
    expected = {k: tuple(v.shape) for k, v in model.state_dict().items()}
    difference = compare(expected, state)
    translate = getattr(sys.modules[type(model).__module__], "checkpoint_filter_fn", None)
    if difference and translate is not None:
        try:
            translated = dict(translate(dict(state), model))
        except (KeyError, RuntimeError, AttributeError, ValueError, NotImplementedError):
            translated = state
        if not compare(expected, translated):
            return translated
    if difference:
        raise BundleError(
            f"The weights of '{path}' do not fit the backbone '{backbone}' with {classes} classes. {difference}.",
            "Check backbone and class codes.",
        )
    return state
