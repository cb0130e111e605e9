"""Decoded crops, held in memory or in a memory-mapped file, so that the device never waits for a disk or a decoder."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np

from napari_aml._files import replacing
from napari_aml.classify.training.engine.augment import warped
from napari_aml.datasets import Dataset
from napari_aml.datasets.pictures import PictureError
from napari_aml.progress import Progress, Steps

#: More bytes than this are held in a file.
_IN_MEMORY = 2_000_000_000
_AT_ONCE = 256


@dataclass(frozen=True)
class Crops:
    """Crops of some rows of a dataset.

    Attributes
    ----------
    pixels
        uint8 (n, side, side, 3), in memory or memory-mapped.
    rows
        int64 (n,): rows of the dataset; those that could not be read are left out.
    unreadable
        Why pictures were left out.
    """

    pixels: np.ndarray
    rows: np.ndarray
    unreadable: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.rows)


def nominal_field(dataset: Dataset, rows: np.ndarray) -> float:
    """Return the field that most pictures show, µm: the median, else 28 where no scale is known."""
    known = dataset.table["crop_um"].to_numpy(float)[rows]
    known = known[np.isfinite(known)]
    return round(float(np.median(known)), 2) if len(known) else 28.0


def cut(pixels: np.ndarray, picture_um: float, crop_um: float, side: int) -> np.ndarray:
    """Cut the middle `crop_um` of a picture as uint8 (side, side, 3).

    Beyond the picture its mirror image is seen.
    """
    field_px = crop_um / picture_um * max(pixels.shape[:2])
    return warped(np.ascontiguousarray(pixels), side, float(field_px))


def cut_steps(
    dataset: Dataset,
    rows: np.ndarray,
    crop_um: float,
    side: int,
    margin: float = 1.0,
    *,
    cache: Path | None = None,
    in_file: bool = False,
    refuse: bool = False,
    what: str = "pictures",
) -> Steps[Crops]:
    """Decode and cut the crops of some rows.

    Parameters
    ----------
    crop_um, side
        What a crop shows, and at how many pixels.
    margin
        How much more of the surroundings is held, so that views may be turned and moved: both grow by this factor.
    cache
        Folder for the memory-mapped file; one that fits is used again.
    in_file
        Use the file whatever the size.
    refuse
        Stop at a picture that cannot be read instead of leaving it out.

    Raises
    ------
    PictureError
        With `refuse`.
    """
    plain_um = crop_um
    side, crop_um = round(side * margin), crop_um * round(side * margin) / side
    size = len(rows) * side * side * 3
    if cache is None or (size <= _IN_MEMORY and not in_file):
        pixels = np.empty((len(rows), side, side, 3), np.uint8)
        kept, unreadable = yield from _fill_steps(dataset, rows, plain_um, crop_um, pixels, refuse, what)
        return Crops(pixels if len(kept) == len(rows) else pixels[kept], rows[kept], unreadable)
    key = _key(dataset, rows, crop_um, side)
    file, listed = cache / f"crops-{key}.npy", cache / f"crops-{key}.json"
    if not (file.is_file() and listed.is_file()):
        with replacing(file) as beside:
            pixels = np.lib.format.open_memmap(beside, "w+", np.uint8, (len(rows), side, side, 3))
            _reserve(beside)
            kept, unreadable = yield from _fill_steps(dataset, rows, plain_um, crop_um, pixels, refuse, what)
            pixels.flush()
            del pixels
        with replacing(listed) as beside:
            beside.write_text(json.dumps({"kept": kept.tolist(), "unreadable": list(unreadable)}), "utf-8")
    held = json.loads(listed.read_text("utf-8"))
    kept = np.array(held["kept"], np.int64)
    mapped = np.load(file, mmap_mode="r", allow_pickle=False)
    return Crops(mapped if len(kept) == len(rows) else mapped[kept], rows[kept], tuple(held["unreadable"]))


def _reserve(file: Path) -> None:
    """Take the file's whole size from the disk now: on a full disk a mapped write would end the process."""
    if hasattr(os, "posix_fallocate"):
        with open(file, "r+b") as stream:
            os.posix_fallocate(stream.fileno(), 0, file.stat().st_size)


def _fill_steps(
    dataset: Dataset,
    rows: np.ndarray,
    plain_um: float,
    crop_um: float,
    pixels: np.ndarray,
    refuse: bool,
    what: str,
) -> Steps[tuple[np.ndarray, tuple[str, ...]]]:
    field = dataset.table["crop_um"].to_numpy(float)
    side = pixels.shape[1]

    def one(position: int) -> str:
        row = rows[position]
        try:
            picture = dataset.pixels(int(row))
        except PictureError as error:
            if refuse:
                raise
            return error.message
        # A picture of unknown scale is taken for one whole crop; in the margin its mirror image is seen.
        um = field[row] if np.isfinite(field[row]) else plain_um
        pixels[position] = cut(picture, um, crop_um, side)
        return ""

    failed: dict[int, str] = {}
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        for start in range(0, len(rows), _AT_ONCE):
            yield Progress(start, len(rows), f"Reading {what}: {start} of {len(rows)}")
            positions = range(start, min(start + _AT_ONCE, len(rows)))
            failed.update({p: why for p, why in zip(positions, pool.map(one, positions), strict=True) if why})
    kept = np.setdiff1d(np.arange(len(rows)), np.fromiter(failed, np.int64, len(failed)))
    return kept, tuple(failed.values())


def _key(dataset: Dataset, rows: np.ndarray, crop_um: float, side: int) -> str:
    text = f"{dataset.fingerprint()} {crop_um:.4f} {side} {sha256(rows.tobytes()).hexdigest()}"
    return sha256(text.encode()).hexdigest()[:16]


def batches(n: int, size: int) -> Iterator[slice]:
    """Yield slices of at most `size` that cover n items."""
    for start in range(0, n, size):
        yield slice(start, min(start + size, n))
