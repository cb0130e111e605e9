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
            width = int(np.prod(column.shape[1:]))
            shapes[name] = list(column.shape[1:])
            flat = pa.array(np.ascontiguousarray(column).reshape(-1))
            # A list of no entries has no length of its own: what has no width is kept in the shape alone.
            arrays[name] = pa.FixedSizeListArray.from_arrays(flat, width) if width else pa.nulls(len(column))
        else:
            arrays[name] = pa.array(column, from_pandas=True)
    told = {"research_use": RESEARCH_USE, "shapes": shapes, **(about or {})}
    table = pa.table(arrays).replace_schema_metadata({_KEY: json.dumps(told, default=str).encode()})
    # Fast to read before small: the largest columns are random-looking floats, which compress badly.
    pq.write_table(table, path, compression="lz4", use_dictionary=False, write_statistics=False)


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
        table = pq.read_table(path, memory_map=True)
        return table, json.loads((table.schema.metadata or {}).get(_KEY, b"{}"))
    except (OSError, pa.ArrowException, ValueError) as error:
        raise ProjectError(
            f"The file '{path.name}' of the project is missing or damaged ({path.parent}).",
            "Run: napari-aml project verify --repair on the project; decisions are kept elsewhere and are safe.",
        ) from error


def array(table: pyarrow.Table, name: str, about: Mapping[str, Any]) -> np.ndarray:
    """Return a column of numbers as an array (n,) or (n, …)."""
    import pyarrow as pa

    column = table.column(name)
    shape = about.get("shapes", {}).get(name)
    if shape is None:
        return column.to_numpy()
    if 0 in shape:
        return np.zeros((len(column), *shape), np.float32)
    whole = column.combine_chunks()
    if isinstance(whole, pa.ChunkedArray):
        whole = pa.concat_arrays(whole.chunks) if whole.num_chunks else pa.array([], column.type)
    return np.array(whole.flatten().to_numpy(zero_copy_only=False)).reshape(-1, *shape)


def frame(table: pyarrow.Table, dtypes: Mapping[str, str]) -> pd.DataFrame:
    """Return the columns of `dtypes` as a data frame of these types."""
    return table.select(list(dtypes)).to_pandas().astype(dict(dtypes))
