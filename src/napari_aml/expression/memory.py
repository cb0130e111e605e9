"""Memory for tables: whether one will fit, asked before it is read; arrays that are cheap to use for the first time."""

from __future__ import annotations

import math
import mmap
import os
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from threading import Thread

import numpy as np

from napari_aml.expression.errors import TooLargeError
from napari_aml.expression.threads import threads

#: A table is read into float32 and needs about this many times its own size on the way.
ROOM_FACTOR = 1.6
#: Linux from 5.14 on: bring pages in as if they were written to, and leave what they hold.
_POPULATE_WRITE = 23
_FETCHED_AT_ONCE, _LEAST_FETCHED = 1 << 20, 1 << 21


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


def fetch_ahead(values: np.ndarray) -> None:
    """Have another core bring in the memory of an array from `zeros` that will be written to soon.

    The system clears memory when it is first used, which takes half as long as filling it with values. What the array
    holds stays as it is, and it may be written to at once. Does nothing where there is one core, or no way to ask.
    """
    ask = _madvise()
    if ask is None or values.nbytes < _LEAST_FETCHED or threads() < 2:
        return
    page = mmap.PAGESIZE
    start, stop = -(-values.ctypes.data // page) * page, (values.ctypes.data + values.nbytes) // page * page

    def fetch(held: np.ndarray) -> None:  # holds the memory until it is done
        for place in range(start, stop, _FETCHED_AT_ONCE):
            if ask(place, min(_FETCHED_AT_ONCE, stop - place), _POPULATE_WRITE):
                return  # an older system: pages come when they are written to

    Thread(target=fetch, args=(values,), name="memory", daemon=True).start()


@cache
def _madvise() -> Callable[[int, int, int], int] | None:
    """The system's call, which lets other threads run; None where there is none."""
    if sys.platform != "linux":
        return None
    import ctypes

    try:
        call = ctypes.CDLL(None).madvise
    except (OSError, AttributeError):
        return None
    call.argtypes, call.restype = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int), ctypes.c_int
    return call


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
