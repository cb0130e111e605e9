"""Masks on disk: one compressed patch a cell, decompressed when it is looked at."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_aml.cells.masks import CellMasks
from napari_aml.review.project.columns import read_columns, write_columns
from napari_aml.review.project.files import making_many

if TYPE_CHECKING:
    import pyarrow


class StoredPatches(MutableMapping[int, np.ndarray]):
    """Label → patch, as in `CellMasks.patches`; a patch of the file is decompressed each time it is asked for.

    A hundred thousand cells would fill a gigabyte; compressed they fill some thirty megabytes.
    """

    def __init__(
        self, stored: pyarrow.Array, rows: dict[int, int], shapes: np.ndarray, changed: dict[int, np.ndarray]
    ) -> None:
        self._stored, self._rows, self._shapes, self._changed = stored, rows, shapes, changed

    def __getitem__(self, label: int) -> np.ndarray:
        if label in self._changed:
            return self._changed[label]
        row = self._rows[label]
        return np.frombuffer(zlib.decompress(self._stored[row].as_buffer()), np.uint8).reshape(self._shapes[row])

    def __setitem__(self, label: int, patch: np.ndarray) -> None:
        self._changed[label] = patch
        self._rows.pop(label, None)

    def __delitem__(self, label: int) -> None:
        if self._changed.pop(label, None) is None:
            del self._rows[label]

    def __iter__(self) -> Iterator[int]:
        yield from self._rows
        yield from self._changed

    def __len__(self) -> int:
        return len(self._rows) + len(self._changed)

    def copy(self) -> StoredPatches:
        """Return a mapping that can be changed apart from this one; the file's bytes are shared."""
        return StoredPatches(self._stored, dict(self._rows), self._shapes, dict(self._changed))

    def compressed(self, label: int) -> bytes:
        """Return the bytes of a patch as they are written."""
        if label in self._rows:
            return self._stored[self._rows[label]].as_py()
        return zlib.compress(self._changed[label].tobytes(), 1)


def write_masks(path: Path, masks: CellMasks) -> None:
    """Write masks."""
    labels = list(masks)
    boxes = np.array([masks.boxes[k] for k in labels], np.int32).reshape(-1, 4)
    patches = masks.patches
    if isinstance(patches, StoredPatches):
        data = [patches.compressed(k) for k in labels]
    else:
        data = [zlib.compress(np.ascontiguousarray(patches[k], np.uint8).tobytes(), 1) for k in labels]
    columns = {"label": np.array(labels, np.int32), "box": boxes, "patch": data}
    about = {"shape": list(masks.shape), "last": masks.last, "values": "0 outside, 1 cell, 2 nucleus"}
    write_columns(path, columns, about)


def read_masks(path: Path) -> CellMasks:
    """Read masks; see `StoredPatches`."""
    import pyarrow as pa

    from napari_aml.review.project.columns import array

    table, about = read_columns(path)
    labels = array(table, "label", about).tolist()
    boxes = array(table, "box", about)
    chunks = [chunk.cast(pa.large_binary()) for chunk in table.column("patch").chunks]
    stored = pa.concat_arrays(chunks) if chunks else pa.array([], pa.large_binary())
    with making_many():
        rows = dict(zip(labels, range(len(labels)), strict=True))
        where = dict(zip(labels, zip(*boxes.T.tolist(), strict=True), strict=True)) if labels else {}
    patches = StoredPatches(stored, rows, boxes[:, 2:] - boxes[:, :2], {})
    height, width = about["shape"]
    return CellMasks((height, width), where, patches, int(about["last"]))
