"""Memory for tables: whether one will fit, asked before it is read; arrays that are cheap to use for the first time."""

from __future__ import annotations

import math
import mmap
import os
from pathlib import Path

import numpy as np

from napari_aml.expression.errors import TooLargeError

#: A table is read into float32 and needs about this many times its own size on the way.
ROOM_FACTOR = 1.6


def zeros(shape: tuple[int, ...]) -> np.ndarray:
    """Return float32 zeros whose memory is taken from the system in small pages, as it is written to.

    NumPy asks for pages of 2 MB. A virtual machine that gives free ones back to its host (free page reporting) must
    then fetch each anew: 54 MB took 0.12 s where small pages took 0.025 s. Elsewhere both take about as long.
    """
    size = 4 * math.prod(shape)
    if size < 1 << 22:  # NumPy takes small pages, too
        return np.zeros(shape, np.float32)
    if hasattr(mmap, "MAP_ANONYMOUS"):
        held = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    else:
        held = mmap.mmap(-1, size)
    return np.frombuffer(held, np.float32).reshape(shape)


def available_bytes() -> int:
    """Memory that can be had now, in bytes; $NAPARI_AML_MEMORY_LIMIT (bytes) lowers it."""
    import psutil

    free = int(psutil.virtual_memory().available)
    limit = os.environ.get("NAPARI_AML_MEMORY_LIMIT", "")
    return min(free, int(limit)) if limit.isdigit() else free


def check_fits(path: str | Path, rows: int, columns: int, limit: int | None = None) -> None:
    """Refuse a table that would not fit.

    Parameters
    ----------
    path
        For the message.
    rows, columns
        Its size, estimated or known.
    limit
        Bytes that may be used; None asks the machine.

    Raises
    ------
    TooLargeError
        When float32 values and what reading needs besides exceed the limit.
    """
    needed = int(rows * columns * 4 * ROOM_FACTOR)
    limit = available_bytes() if limit is None else limit
    if needed > limit:
        raise TooLargeError(
            path,
            f"about {rows:,} rows x {columns:,} columns need about {_size(needed)} of memory, "
            f"and {_size(limit)} are free.",
            "Split the file into parts of fewer samples (a sample's call does not depend on the others), "
            "or use a machine with more memory.",
        )


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"
