"""What made this: input hashes, model hash, versions, seed, settings."""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

PACKAGES = (
    "napari-aml", "napari", "torch", "torchvision", "timm", "grad-cam", "scikit-image", "opencv-python-headless",
    "numpy", "pandas", "safetensors", "tifffile",
)  # fmt: skip


def file_sha256(path: str | Path, *, block: int = 1 << 22) -> str:
    """Return the SHA-256 of a file, read in blocks."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while chunk := stream.read(block):
            digest.update(chunk)
    return digest.hexdigest()


def array_sha256(array: Any) -> str:
    """Return the SHA-256 of an array's shape, type and bytes."""
    import numpy as np

    array = np.ascontiguousarray(array)
    digest = hashlib.sha256(f"{array.shape}{array.dtype.str}".encode())
    digest.update(array.data)
    return digest.hexdigest()


def package_version(name: str) -> str | None:
    """Return a package's installed version, or None."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that shape a result."""
    found = {"python": platform.python_version()}
    found.update({name: v for name in PACKAGES if (v := package_version(name))})
    return found


def now_utc() -> str:
    """Return the current time, UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
