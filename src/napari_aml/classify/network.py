"""A timm backbone with the bundle's weights: pictures in, features and logits out, the same for every architecture."""

from __future__ import annotations

import copy
import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_aml._weights import compare
from napari_aml.errors import BundleError

if TYPE_CHECKING:
    import torch

    from napari_aml._torch import Device
    from napari_aml.classify.bundle import ModelBundle


def create(
    backbone: str, classes: int, crop_px: int, arguments: Mapping[str, Any], where: str | Path
) -> torch.nn.Module:
    """Create a timm network without weights from anywhere.

    Parameters
    ----------
    backbone
        timm's name of the architecture; a pretrained tag after a dot is ignored.
    classes
        Number of outputs.
    crop_px
        Side of the pictures; position embeddings of transformers are laid out for it.
    arguments
        Further arguments of ``timm.create_model``.
    where
        Bundle or file, for messages.

    Raises
    ------
    BundleError
        For a name that timm does not know (with the nearest it knows), or arguments that the backbone refuses.
    """
    from napari_aml._torch import timm

    architecture = backbone.split(".")[0]
    if not timm.is_model(architecture):
        near = difflib.get_close_matches(architecture, timm.list_models(), 3)
        hint = f"Did you mean {', '.join(near)}?" if near else "timm.list_models() lists them."
        message = f"'{where}' names the backbone '{backbone}', which timm {timm.__version__} does not know."
        raise BundleError(message, hint)
    settings = dict(pretrained=False, num_classes=classes, **arguments)
    try:
        model = timm.create_model(architecture, **settings)
        laid_out = getattr(getattr(model, "patch_embed", None), "img_size", None)
        if laid_out is not None and tuple(laid_out) != (crop_px, crop_px) and "img_size" not in settings:
            model = timm.create_model(architecture, img_size=crop_px, **settings)
    except (TypeError, ValueError, AssertionError, RuntimeError, KeyError) as error:
        raise BundleError(f"The backbone '{backbone}' of '{where}' cannot be built: {error}.") from error
    return model


def check_fit(
    backbone: str,
    classes: int,
    crop_px: int,
    arguments: Mapping[str, Any],
    where: str | Path,
    state: Mapping[str, torch.Tensor],
) -> torch.nn.Module:
    """Compare weights with what the backbone expects; return the network, whose tensors are not allocated.

    Raises
    ------
    BundleError
        Naming the keys that are missing, unexpected or of another shape.
    """
    from napari_aml._torch import torch

    with torch.device("meta"):
        model = create(backbone, classes, crop_px, arguments, where)
    difference = compare({k: tuple(v.shape) for k, v in model.state_dict().items()}, state)
    if difference:
        raise BundleError(
            f"The weights of '{where}' do not fit the backbone '{backbone}' with {classes} classes. {difference}.",
            "Check that backbone, class codes and weights belong together.",
        )
    return model


class Network:
    """A backbone on a device, in evaluation mode, its weights frozen.

    Attributes
    ----------
    model
        The timm network.
    device
        Where and how precisely it runs.
    """

    def __init__(self, model: torch.nn.Module, device: Device, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        from napari_aml._torch import torch

        where = device.torch_device()
        self.device = device
        # timm's networks share methods that torch's Module does not know.
        self.model: Any = model.eval().requires_grad_(False).to(where).to(memory_format=torch.channels_last)
        shape = (1, 3, 1, 1)
        # (v / 255 - mean) / std in one multiplication and one addition.
        self._scale = torch.tensor([1 / (255 * s) for s in std], device=where).view(shape)
        self._shift = torch.tensor([-m / s for m, s in zip(mean, std, strict=True)], device=where).view(shape)

    @classmethod
    def build(cls, bundle: ModelBundle, device: Device) -> Network:
        """Build the network of a bundle, weights and all.

        Raises
        ------
        BundleError
            As `ModelBundle.verify`.
        """
        state = bundle.state_dict()
        wanted = (bundle.backbone, len(bundle.codes), bundle.crop_px, bundle._arguments, bundle.path)
        model = check_fit(*wanted, state)
        held = model.state_dict()
        if any(name not in held for name, _ in model.named_buffers()):
            # Buffers that no weight file carries (position tables of Swin …) are computed when a network is made.
            model = create(*wanted)
        # Taking the read tensors as they are saves initialising a network only to overwrite it.
        model.load_state_dict(state, assign=True)
        return cls(model, device, bundle.mean, bundle.std)

    def twin(self) -> Network:
        """Return a second network on the same weights: one whose layers nobody else hooks into meanwhile."""
        other = copy.copy(self)
        kept = {id(tensor): tensor for tensor in (*self.model.parameters(), *self.model.buffers())}
        other.model = copy.deepcopy(self.model, kept)
        return other

    def prepare(self, crops: np.ndarray) -> torch.Tensor:
        """Move crops uint8 (n, h, w, 3) to the device and normalise them: float32 (n, 3, h, w), channels last."""
        from napari_aml._torch import torch

        # torch asks for writable memory; crops that a person holds may be read-only.
        pixels = torch.from_numpy(np.require(crops, np.uint8, ["C", "W"]))
        where = self.device.torch_device()
        if self.device.type == "cuda":
            pixels = pixels.pin_memory().to(where, non_blocking=True)
        else:
            pixels = pixels.to(where)
        # A batch of h, w, c pictures is a channels-last batch of c, h, w pictures: no copy is made here.
        return torch.addcmul(self._shift, pixels.permute(0, 3, 1, 2).float(), self._scale)

    def features(self, pictures: torch.Tensor) -> torch.Tensor:
        """Run all but the head: the output of the last stage, float32."""
        with self.device.autocast():
            found = self.model.forward_features(pictures)
        return found.float()

    def head(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Run the head in float32: logits (n, k) and embedding (n, d), the input of the last linear layer."""
        embedding = self.model.forward_head(features, pre_logits=True)
        return self.model.get_classifier()(embedding), embedding

    @property
    def dim(self) -> int:
        """Length of an embedding."""
        return int(getattr(self.model, "head_hidden_size", None) or self.model.num_features)
