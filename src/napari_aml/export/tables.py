"""Tables leave as CSV that a spreadsheet opens safely and as Parquet that says what it is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from napari_aml import RESEARCH_USE
from napari_aml._files import replacing
from napari_aml.progress import Progress, Steps, run

if TYPE_CHECKING:
    import pandas as pd

#: A spreadsheet takes a text that begins with one of these for a formula (CWE-1236).
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
_ROWS = 2000


def defused(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with an apostrophe before each text that a spreadsheet would run as a formula.

    Numbers and logical values stay as they are. Column names are texts, too.
    """
    import pandas as pd

    out = table.copy(deep=False)
    for position in range(table.shape[1]):
        column = table.iloc[:, position]
        if pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
            continue
        out.isetitem(position, column.astype(object).map(_defuse))
    out.columns = [_defuse(name) for name in table.columns]
    return out


def _defuse(value: object) -> object:
    if not isinstance(value, str):
        return value
    # A lone carriage return is a new row to half of all readers, and Python's writer does not quote it.
    safe = f"'{value}" if value.startswith(FORMULA_STARTS) else value
    return safe.replace("\r\n", "\n").replace("\r", " ")


def write_csv(table: pd.DataFrame, path: str | Path) -> Path:
    """Write a table as CSV (UTF-8, comma, point), whole or not at all.

    Floats carry seven significant digits, all that float32 holds. Missing values are empty.

    Raises
    ------
    OutputError
        When the file cannot be written.
    """
    return run(write_csv_steps(table, path))


def write_csv_steps(table: pd.DataFrame, path: str | Path) -> Steps[Path]:
    """Write a table as CSV, yielding progress in rows; see `write_csv`."""
    with replacing(path) as beside, open(beside, "w", encoding="utf-8", newline="") as stream:
        for start in range(0, max(len(table), 1), _ROWS):
            part = defused(table.iloc[start : start + _ROWS])
            part.to_csv(stream, index=False, header=start == 0, float_format="%.7g", lineterminator="\n")
            yield Progress(min(start + _ROWS, len(table)), len(table), f"Writing {Path(path).name}")
        stream.close()  # before it is renamed, which Windows refuses for an open file
    return Path(path)


def write_parquet(table: pd.DataFrame, path: str | Path, about: Mapping[str, object] | None = None) -> Path:
    """Write a table as Parquet, whole or not at all.

    Parameters
    ----------
    table
        Any table.
    path
        The file.
    about
        What made it; stored as JSON in the file's metadata under ``napari_aml`` beside the research-use sentence.

    Raises
    ------
    OutputError
        When the file cannot be written.
    """
    import pyarrow
    import pyarrow.parquet

    arrow = pyarrow.Table.from_pandas(table, preserve_index=False)
    told = json.dumps({"research_use": RESEARCH_USE, **(about or {})}, default=str)
    arrow = arrow.replace_schema_metadata({**(arrow.schema.metadata or {}), b"napari_aml": told.encode()})
    with replacing(path) as beside:
        pyarrow.parquet.write_table(arrow, beside, compression="zstd")
    return Path(path)
