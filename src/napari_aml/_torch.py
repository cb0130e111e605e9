"""The only door to torch and timm: lazy import, device choice, precision, out-of-memory fallback.

``from napari_aml._torch import torch`` (inside a function) imports torch when that line runs, not before; so does
``timm``. A torch that does not fit its torchvision is reported as what it is.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_aml.errors import DeviceError, InputError

if TYPE_CHECKING:
    import timm
    import torch

__all__ = ["DEVICES", "Device", "choose_device", "is_out_of_memory", "one_thread", "release_memory", "timm", "torch"]

DEVICES = ("auto", "cpu", "cuda", "mps")


def __getattr__(name: str) -> Any:
    if name not in ("torch", "timm"):
        raise AttributeError(f"module 'napari_aml._torch' has no attribute {name!r}")
    if name in sys.modules:
        return sys.modules[name]
    try:
        _load_triton_apart()
        return importlib.import_module(name)
    except (ImportError, RuntimeError) as error:
        raise InputError(
            f"{name} cannot be imported: {error}",
            "Install torch and torchvision together, from the same index, so that they are a matching pair.",
        ) from error


def _load_triton_apart() -> None:
    """Load triton so that it keeps to its own LLVM where OpenGL has brought another one.

    Mesa's drivers (Intel, AMD, software rendering) load ``libLLVM`` for everybody; triton, which CUDA builds of
    torch bring and import, carries its own and crashes the process when it finds the other. A no-op elsewhere.
    """
    if "triton" in sys.modules or not hasattr(os, "RTLD_DEEPBIND"):
        return
    with contextlib.suppress(OSError):
        with open("/proc/self/maps") as maps:
            if "libLLVM" not in maps.read():
                return
    flags = sys.getdlopenflags()
    sys.setdlopenflags(flags | os.RTLD_DEEPBIND)
    try:
        importlib.import_module("triton")
    except ImportError:
        pass
    finally:
        sys.setdlopenflags(flags)


@dataclass(frozen=True)
class Device:
    """Where and how precisely a network runs.

    Attributes
    ----------
    name
        A torch device string: ``cpu``, ``cuda``, ``cuda:1``, ``mps``.
    precision
        ``float32``, ``float16`` or ``bfloat16``: the autocast type (float32 means no autocast).
    """

    name: str
    precision: str

    @property
    def type(self) -> str:
        """Device kind without its index."""
        return self.name.split(":")[0]

    def torch_device(self) -> torch.device:
        """Return the torch device."""
        import torch

        return torch.device(self.name)

    @contextlib.contextmanager
    def autocast(self) -> Iterator[None]:
        """Autocast to `precision`; a no-op for float32."""
        import torch

        if self.precision == "float32":
            yield
            return
        with torch.autocast(self.type, dtype=getattr(torch, self.precision)):
            yield


def choose_device(name: str = "auto", precision: str = "auto") -> Device:
    """Choose a device at run time.

    Parameters
    ----------
    name
        ``auto`` (CUDA, else MPS, else CPU), ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
    precision
        ``auto`` (bfloat16 on CUDA where the card has it, else float16; float32 on MPS and CPU), or a torch
        dtype name.

    Raises
    ------
    DeviceError
        When the named device is not there; the message says what is.
    """
    _load_triton_apart()
    import torch

    kind = name.split(":")[0]
    if kind not in DEVICES:
        raise DeviceError(f"There is no device called '{name}'.", f"Use one of {', '.join(DEVICES)}.")
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        name = kind = next(k for k in ("cuda", "mps", "cpu") if available[k])
    if not available[kind]:
        raise DeviceError(
            f"The device '{name}' was asked for, but this machine has none that torch can use.",
            "Use --device auto or --device cpu, or install a torch build for your GPU.",
        )
    if kind == "cuda" and ":" in name and int(name.split(":")[1]) >= torch.cuda.device_count():
        raise DeviceError(f"There is no '{name}': torch sees {torch.cuda.device_count()} GPU(s).")
    if precision == "auto":
        precision = "float32"
        if kind == "cuda":
            precision = "bfloat16" if torch.cuda.is_bf16_supported() else "float16"
    return Device(name, precision)


def convolves_in_bfloat16(device_type: str) -> bool:
    """Tell whether a device convolves in bfloat16 faster than in float32 (AVX-512-BF16 or AMX; CUDA from Ampere on)."""
    import torch

    if device_type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device_type != "cpu" or not hasattr(torch.cpu, "get_capabilities"):
        return False
    has = torch.cpu.get_capabilities()
    return bool(has.get("avx512_bf16") or has.get("amx_bf16"))


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an exception means that the device's memory is full."""
    import torch

    return isinstance(error, torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and "out of memory" in str(error).lower()
    )


def release_memory(device: Device) -> None:
    """Give cached device memory back."""
    import torch

    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Compute in one thread meanwhile: for tensors so small that threads wait for each other longer than they work.

    On a machine whose cores are busy the difference is hundredfold, for each of thousands of small operations then
    waits until every thread has had its turn.
    """
    from napari_aml._torch import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
