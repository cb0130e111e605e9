"""Arrays and tables as Parquet: written whole, read fast, never a pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_aml import RESEARCH_USE
from napari_aml.review.project.errors import ProjectError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow

_KEY = b"napari_aml"
#: Rows wider than this are kept as bytes: lists of numbers are decoded ten times slower.
_WIDE = 64


def write_columns(path: Path, columns: Mapping[str, Any], about: Mapping[str, Any] | None = None) -> None:
    """Write columns of equal length.

    Parameters
    ----------
    path
        The file.
    columns
        Name → array (n,) or (n, …) of numbers, or a list of n bytes or str. Further axes are kept.
    about
        Stored as JSON beside the columns.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    arrays, shapes = {}, {}
    for name, column in columns.items():
        if isinstance(column, np.ndarray) and column.ndim > 1:
            shapes[name] = {"shape": list(column.shape[1:]), "dtype": column.dtype.newbyteorder("<").str}
            arrays[name] = _rows(np.ascontiguousarray(column, shapes[name]["dtype"]))
        else:
            arrays[name] = pa.array(column, from_pandas=True)
    told = {"research_use": RESEARCH_USE, "shapes": shapes, **(about or {})}
    table = pa.table(arrays).replace_schema_metadata({_KEY: json.dumps(told, default=str).encode()})
    # Fast to read before small: the largest columns are random-looking floats, which compress badly.
    narrow = {name: "lz4" for name in arrays if name not in shapes}
    wide = dict.fromkeys(shapes, "none")
    pq.write_table(table, path, compression=narrow | wide, use_dictionary=False, write_statistics=False)


def _rows(column: np.ndarray) -> pyarrow.Array:
    import pyarrow as pa

    width = int(np.prod(column.shape[1:]))
    if width == 0:  # a list of no entries has no length of its own: the shape is all there is
        return pa.nulls(len(column))
    if width <= _WIDE:
        return pa.FixedSizeListArray.from_arrays(pa.array(column.reshape(-1)), width)
    kind = pa.binary(width * column.dtype.itemsize)
    return pa.FixedSizeBinaryArray.from_buffers(kind, len(column), [None, pa.py_buffer(column)])


def read_columns(path: Path) -> tuple[pyarrow.Table, dict[str, Any]]:
    """Return the table of a file and what is told beside it.

    Raises
    ------
    ProjectError
        Missing or damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # Not pq.read_table: for one small file its machinery for data sets takes ten times as long.
        with pq.ParquetFile(path, memory_map=True) as file:
            table = file.read(use_threads=False)
        return table, json.loads((table.schema.metadata or {}).get(_KEY, b"{}"))
    except (OSError, pa.ArrowException, ValueError) as error:
        raise ProjectError(
            f"The file '{path.name}' of the project is missing or damaged ({path.parent}).",
            "Run: napari-aml project verify --repair on the project; decisions are kept elsewhere and are safe.",
        ) from error


def array(table: pyarrow.Table, name: str, about: Mapping[str, Any]) -> np.ndarray:
    """Return a column of numbers as an array (n,) or (n, …)."""
    column = table.column(name)
    told = about.get("shapes", {}).get(name)
    if told is None:
        return column.to_numpy()
    shape, dtype = tuple(told["shape"]), np.dtype(told["dtype"])
    if not len(column) or 0 in shape:
        return np.zeros((len(column), *shape), dtype)
    width = int(np.prod(shape))
    parts = []
    for chunk in column.chunks:
        if width > _WIDE:
            data, row = chunk.buffers()[1], width * dtype.itemsize
            parts.append(np.frombuffer(data, dtype, len(chunk) * width, chunk.offset * row))
        else:
            parts.append(chunk.flatten().to_numpy(zero_copy_only=False))
    # Wide rows are the many megabytes of embeddings: they are not copied once more, and are read-only.
    whole = parts[0] if len(parts) == 1 and width > _WIDE else np.concatenate(parts)
    return whole.reshape(-1, *shape)


def frame(table: pyarrow.Table, dtypes: Mapping[str, str]) -> pd.DataFrame:
    """Return the columns of `dtypes` as a data frame of these types."""
    return table.select(list(dtypes)).to_pandas().astype(dict(dtypes))
