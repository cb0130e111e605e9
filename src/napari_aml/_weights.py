"""Weight files: read as tensors or refused. No file is ever unpickled beyond torch's tensors-only reader."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_aml.errors import BundleError, UnsafeWeightsError

if TYPE_CHECKING:
    import torch

#: Where training programs keep the network inside a checkpoint; averaged weights go first.
_NESTS = ("state_dict_ema", "model_ema", "ema_state_dict", "state_dict", "model_state_dict", "model", "net")
#: What wrappers (DataParallel, torch.compile, Lightning) put before each name.
_PREFIXES = ("_orig_mod.", "module.", "model.", "net.", "backbone.")


def read_safetensors(path: Path) -> dict[str, torch.Tensor]:
    """Read a safetensors file: tensors on the CPU, floating ones as float32.

    Raises
    ------
    UnsafeWeightsError
        When it is a pickle under a safetensors name.
    BundleError
        When it is missing, empty, truncated or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return _as_float32(load_file(path))
    except FileNotFoundError as error:
        raise BundleError(f"There is no weight file '{path}'.", "Check the path.") from error
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        if _looks_pickled(path):
            raise UnsafeWeightsError(
                f"'{path}' is called safetensors but is a pickle, which can run code; it was not opened.",
                "Ask its maker for a safetensors file.",
            ) from error
        raise BundleError(f"The weight file '{path}' is damaged: {error}.", "Copy it again.") from error


def read_checkpoint(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Read the network of a ``.pth`` (``.pt``, ``.bin``, ``.ckpt``, ``.tar``) or ``.safetensors`` file.

    Returns
    -------
    tuple
        The state dict without wrappers' prefixes, floating tensors as float32; and what else of plain values stood
        beside it (``arch``, ``epoch`` …).

    Raises
    ------
    UnsafeWeightsError
        When the file holds more than tensors and plain values.
    BundleError
        When it is missing, damaged, or holds no tensors.
    """
    if not path.is_file():
        raise BundleError(f"There is no weight file '{path}'.", "Check the path.")
    if path.suffix.lower() == ".safetensors":
        return _without_prefix(read_safetensors(path)), {}
    from napari_aml._torch import torch

    try:
        held = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if _damaged(str(error)):
            raise BundleError(f"The weight file '{path}' is damaged: {error}.", "Copy it again.") from error
        raise UnsafeWeightsError(
            f"'{path}' holds more than tensors, and reading that could run code; it was refused.",
            "Save the state dict alone (torch.save(model.state_dict(), …)) or as safetensors where it was trained.",
        ) from error
    except Exception as error:  # zip, struct and end-of-file errors of a damaged file
        raise BundleError(f"The weight file '{path}' is damaged or no torch file: {error}.") from error
    state, beside = _unnest(held)
    if not state:
        raise BundleError(f"'{path}' holds no tensors by name.", "Give a file that holds a network's state dict.")
    return _without_prefix(_as_float32(state)), beside


def _damaged(message: str) -> bool:
    """Tell a file that is no pickle at all from one whose content is refused."""
    signs = ("invalid load key", "pickle data was truncated", "unpickling stack underflow")
    return any(sign in message for sign in signs)


def _unnest(held: Any) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    from napari_aml._torch import torch

    if not isinstance(held, Mapping):
        return {}, {}
    for nest in _NESTS:
        inner = held.get(nest)
        if isinstance(inner, Mapping) and any(isinstance(v, torch.Tensor) for v in inner.values()):
            beside = {k: v for k, v in held.items() if isinstance(v, str | int | float)}
            return _tensors(inner), beside
    return _tensors(held), {}


def _tensors(state: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    from napari_aml._torch import torch

    return {str(k): v for k, v in state.items() if isinstance(v, torch.Tensor)}


def _without_prefix(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    stripped = True
    while stripped and state:
        stripped = False
        for prefix in _PREFIXES:
            if all(key.startswith(prefix) for key in state):
                state = {key[len(prefix) :]: value for key, value in state.items()}
                stripped = True
    return state


def _as_float32(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {k: v.float() if v.is_floating_point() else v for k, v in state.items()}


def _looks_pickled(path: Path) -> bool:
    with open(path, "rb") as stream:
        start = stream.read(4)
    return start[:2] == b"PK" or (start[:1] == b"\x80" and start[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"))


def check_finite(state: Mapping[str, torch.Tensor], path: Path) -> None:
    """Refuse weights with NaN or infinite values.

    Raises
    ------
    BundleError
        Naming the first such tensors.
    """
    bad = [key for key, value in state.items() if value.is_floating_point() and not bool(value.isfinite().all())]
    if bad:
        raise BundleError(
            f"'{path}' holds values that are not finite, in {_some(bad)}.", "The training went astray: train anew."
        )


def compare(expected: Mapping[str, tuple[int, ...]], state: Mapping[str, torch.Tensor]) -> str:
    """Say how a state dict differs from what a network expects; empty when it fits."""
    missing = [key for key in expected if key not in state]
    superfluous = [key for key in state if key not in expected]
    shapes = [
        f"{key} (is {tuple(state[key].shape)}, should be {tuple(expected[key])})"
        for key in expected
        if key in state and tuple(state[key].shape) != tuple(expected[key])
    ]
    parts = []
    for title, keys in (("missing: ", missing), ("unexpected: ", superfluous), ("of another shape: ", shapes)):
        if keys:
            parts.append(title + _some(keys))
    return "; ".join(parts)


def _some(keys: list[str], most: int = 4) -> str:
    more = f" and {len(keys) - most} more" if len(keys) > most else ""
    return ", ".join(keys[:most]) + more


def write_safetensors(path: Path, state: Mapping[str, torch.Tensor], *, half: bool) -> None:
    """Write tensors; with `half`, floating ones as float16.

    Raises
    ------
    BundleError
        When a value is not finite, or does not fit into float16.
    """
    from safetensors.torch import save

    from napari_aml._torch import torch

    held = {}
    for key, value in state.items():
        tensor = value.detach().cpu()
        if tensor.is_floating_point():
            tensor = tensor.to(torch.float16 if half else torch.float32)
        held[key] = tensor.clone(memory_format=torch.contiguous_format)
    check_finite(held, path)
    # Not save_file(): its files can be read by their owner alone.
    path.write_bytes(save(held))
