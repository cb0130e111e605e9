"""Parquet, Feather and AnnData files become tables."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_aml.expression.columns import are_row_numbers, described, left_out, only_tested
from napari_aml.expression.errors import CellValueError, ExpressionReadError
from napari_aml.expression.genes import known_share
from napari_aml.expression.layout import is_number
from napari_aml.expression.matrix import RawTable
from napari_aml.expression.memory import check_fits
from napari_aml.progress import Progress, Steps

if TYPE_CHECKING:
    import pyarrow as pa

#: What pandas calls a data frame's index without a name of its own.
_INDEX = re.compile(r"__index_level_\d+__")


def read_columnar_steps(path: Path, kind: str, limit: int | None = None) -> Steps[RawTable]:
    """Read a Parquet or Feather (Arrow) file, yielding progress; see `read_rows_steps` for errors."""
    yield Progress(0, 0, f"Opening {path.name}")
    if kind == "parquet":
        import pyarrow.parquet as pq

        try:
            file = pq.ParquetFile(path)
        except Exception as error:
            raise ExpressionReadError(path, "the Parquet file is damaged.", "Copy it again.") from error
        check_fits(path, file.metadata.num_rows, file.metadata.num_columns, limit)
        table = yield from _parquet_steps(path, file)
        name = "Parquet"
    else:
        import pyarrow.feather as feather

        try:
            table = feather.read_table(path)
        except Exception as error:
            raise ExpressionReadError(path, "the Feather file is damaged.", "Copy it again.") from error
        check_fits(path, table.num_rows, table.num_columns, limit)
        name = "Feather"
    try:
        table.validate(full=True)
        table.column_names  # noqa: B018
    except ValueError as error:
        raise ExpressionReadError(path, f"the {name} file is damaged.", "Copy it again.") from error
    return (yield from _from_arrow_steps(path, table, name))


def _parquet_steps(path: Path, file: Any) -> Steps[pa.Table]:
    import pyarrow as pa

    parts = []
    try:
        for group in range(file.num_row_groups):
            parts.append(file.read_row_group(group))
            yield Progress(group + 1, file.num_row_groups, f"Reading {path.name}")
    except Exception as error:
        raise ExpressionReadError(path, "the Parquet file is damaged.", "Copy it again.") from error
    return pa.concat_tables(parts) if parts else file.schema_arrow.empty_table()


def _from_arrow_steps(path: Path, table: pa.Table, name: str) -> Steps[RawTable]:
    import pyarrow as pa

    if not table.num_rows:
        raise ExpressionReadError(path, "the table has no rows.", "Export it again.")

    def is_text(column: pa.ChunkedArray) -> bool:
        kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
        return pa.types.is_string(kind) or pa.types.is_large_string(kind) or str(kind) == "string_view"

    names = [str(n) for n in table.column_names]
    describing, lengths, tested = described(names)
    index = [i for i, name in enumerate(names) if _INDEX.fullmatch(name)]
    heads = {i: [str(v) for v in table.column(i).slice(0, 2000).to_pylist()] for i in range(table.num_columns)
             if is_text(table.column(i)) or i in describing or i in index}  # fmt: skip
    shares = {i: 0.0 if are_row_numbers(cells[:50]) else known_share(cells) for i, cells in heads.items()}
    # Names are text, or Entrez numbers in the index or a column of ids. Numbers as text are values, to be refused.
    texts = [i for i, cells in heads.items() if shares[i] > 0.5 or (is_text(table.column(i)) and (
        i in index or i in describing or not all(map(is_number, cells))))]  # fmt: skip
    if not texts:
        raise ExpressionReadError(path, "no column holds names of genes or samples.",
                                  "Write the names as a column, or as the index of a data frame.")  # fmt: skip
    best = max(texts, key=lambda i: (shares[i] > 0.5, is_text(table.column(i)), i in index, -i))
    beside = [i for i in sorted({*texts, *describing, *lengths, *tested, *index}) if i != best]
    columns = [i for i in range(table.num_columns) if i != best and i not in beside]
    labels = [str(v) for v in table.column(best).to_pylist()]
    if not columns:
        raise ExpressionReadError(path, only_tested([names[i] for i in sorted(tested)]) if tested else
                                  "no column holds numbers.", "Write the values as columns of numbers.")  # fmt: skip
    values = np.empty((table.num_rows, len(columns)), np.float32)
    for place, i in enumerate(columns):
        column = table.column(i)
        kind = column.type
        if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
            raise CellValueError(path, f"column '{names[i][:60]}' holds {kind}, not numbers.",
                                 "Write its values as numbers, or leave it out.")  # fmt: skip
        if column.null_count:
            row = column.is_null().to_pylist().index(True)
            raise CellValueError(path, f"the cell of row '{labels[row][:40]}' and column '{names[i][:60]}' is empty.",
                                 "Nothing is filled in silently: leave that gene or sample out.")  # fmt: skip
        values[:, place] = column.cast(pa.float32(), safe=False).to_numpy()
        if place % 64 == 63:
            yield Progress(place, len(columns), f"Reading {path.name}")
    check_finite(path, values, labels, [names[i] for i in columns])
    others = [i for i in texts if i != best and shares[i] > 0.5]
    symbols = [str(v) for v in table.column(others[0]).to_pylist()] if others else None
    said = [names[i] for i in beside if i not in index and i not in others[:1]]
    made = RawTable(labels, [names[i] for i in columns], values, name, row_symbols=symbols)
    made.notes += [left_out(said)] if said else []
    length = min(lengths, default=None)
    if length is not None and pa.types.is_primitive(table.column(length).type):
        made.row_lengths = np.asarray(table.column(length).cast(pa.float32(), safe=False).to_numpy(), np.float32)
    return made


def check_finite(path: Path, values: np.ndarray, rows: list[str], columns: list[str]) -> None:
    """Name the first value that is not finite, if there is one.

    Raises
    ------
    CellValueError
    """
    if np.isfinite(values).all():
        return
    row, column = (int(i) for i in np.argwhere(~np.isfinite(values))[0])
    raise CellValueError(path, f"the cell of row '{rows[row][:40]}' and column '{columns[column][:60]}' is "
                         f"{values[row, column]:g}.", "Nothing is filled in silently: leave that gene or sample "
                         "out, or put the value in.")  # fmt: skip


def read_anndata_steps(path: Path, limit: int | None = None) -> Steps[RawTable]:
    """Read an AnnData file (.h5ad), its X, yielding progress.

    Raises
    ------
    ExpressionReadError
        Where the extra is not installed, or the file is no AnnData.
    """
    try:
        import anndata
    except ImportError:
        raise ExpressionReadError(
            path, "AnnData files need the package 'anndata', which is not installed.",
            'Install it with: pip install "napari-aml[anndata]"; or save the matrix as CSV or Parquet.',
        ) from None  # fmt: skip
    yield Progress(0, 0, f"Opening {path.name}")
    try:
        data = anndata.read_h5ad(path, backed="r")
    except Exception as error:
        raise ExpressionReadError(path, "it is no AnnData file, or it is damaged.") from error
    samples, genes = data.shape
    check_fits(path, samples, genes, limit)
    values = np.empty((samples, genes), np.float32)
    for start in range(0, samples, 256):
        part = data.X[start : start + 256]
        values[start : start + 256] = part.toarray() if hasattr(part, "toarray") else part
        yield Progress(start, samples, f"Reading {path.name}")
    rows, columns = [str(n) for n in data.obs_names], [str(n) for n in data.var_names]
    check_finite(path, values, rows, columns)
    return RawTable(rows, columns, values, "AnnData", ["The values are those of X."])
