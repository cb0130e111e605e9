"""A folder of one-sample files becomes one table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

from napari_aml.expression.errors import ExpressionReadError
from napari_aml.expression.formats import SUFFIXES
from napari_aml.expression.matrix import RawTable
from napari_aml.progress import Progress, Steps

_COUNTED = ("quant.genes.sf", "readspergene.out.tab", ".genes.results", "augmented_star_gene_counts.tsv",
            "gene_abundances.tsv")  # fmt: skip
_BESIDE = (".summary", ".log", ".md", "readme.txt", "manifest.txt", "annotations.txt")


def sample_files(folder: Path) -> list[Path]:
    """List the one-sample files of a folder: those of a counting program in any depth, else all tables in it.

    Raises
    ------
    ExpressionReadError
        Where there are none.
    """
    inside = [p for p in sorted(folder.rglob("*")) if p.is_file() and not any(
        part.startswith(".") for part in p.relative_to(folder).parts)]  # fmt: skip
    for end in _COUNTED:
        if found := [p for p in inside if p.name.lower().removesuffix(".gz").endswith(end)]:
            return found
    tables = [p for p in inside if p.parent == folder and p.name.lower().endswith(SUFFIXES)
              and not p.name.lower().removesuffix(".gz").endswith(_BESIDE)]  # fmt: skip
    if not tables:
        raise ExpressionReadError(folder, "there are no expression files in this folder.",
                                  "Name a file, or a folder of one-sample files.")  # fmt: skip
    return tables


def read_folder_steps(folder: Path, read: Callable[[Path], Steps[RawTable]]) -> Steps[RawTable]:
    """Read a folder of one-sample files, yielding progress.

    Parameters
    ----------
    folder
        The folder.
    read
        Reads one file.

    Raises
    ------
    ExpressionReadError
        Files of several formats, of several samples, or of other genes than the first.
    """
    paths = sample_files(folder)
    first: RawTable | None = None
    made, place, sizes, samples = np.empty(0, np.float32), {}, [], []
    said: Counter[str] = Counter()
    for number, path in enumerate(paths):
        table = yield from _quiet(read(path), Progress(number, len(paths), f"Reading {path.name}"))
        if len(table.columns) != 1:
            raise ExpressionReadError(path, f"it holds {len(table.columns)} samples; a folder must hold one-sample "
                                      "files.", "Read this file by itself.")  # fmt: skip
        if first is None:
            first, place = table, {name: i for i, name in enumerate(table.rows)}
            made = np.empty((len(table.rows), len(paths)), np.float32)
        if table.format != first.format:
            raise ExpressionReadError(path, f"it is {table.format}, and '{paths[0].name}' is {first.format}.",
                                      "Put files of one kind into the folder.")  # fmt: skip
        if table.rows == first.rows:
            made[:, number] = table.values[:, 0]
        else:
            made[:, number] = _in_order(path, paths[0], table, place)
        samples.append(table.columns[0])
        said.update(note.split(":")[0].rstrip(".") for note in table.notes)  # behind a colon are figures of one file
        sizes.append(None if table.library_sizes is None else float(table.library_sizes[0]))
    assert first is not None
    notes = [note for note in first.notes if said[note.split(":")[0].rstrip(".")] == len(paths)]
    notes += [f"{note}: in {count} of {len(paths)} files." for note, count in said.items() if count < len(paths)]
    notes = [*notes, f"{len(paths)} files of one sample each ({first.format})."]
    known = np.array(sizes, float) if all(size is not None for size in sizes) else None
    return RawTable(first.rows, samples, made, first.format, notes, first.row_lengths, first.units, known,
                    first.row_symbols)  # fmt: skip


def _in_order(path: Path, other: Path, table: RawTable, place: dict[str, int]) -> np.ndarray:
    strange = [name for name in table.rows if name not in place]
    lacking = set(place) - set(table.rows)
    if strange or lacking or len(table.rows) != len(place):
        name = strange[0] if strange else next(iter(sorted(lacking)), table.rows[0])
        raise ExpressionReadError(
            path, f"its genes are not those of '{other.name}': {len(strange):,} more and {len(lacking):,} fewer, such "
            f"as '{name[:40]}'.", "Count all samples against one annotation; missing genes are not filled in.",
        )  # fmt: skip
    values = np.empty(len(place), np.float32)
    values[[place[name] for name in table.rows]] = table.values[:, 0]
    return values


def _quiet(steps: Steps[RawTable], progress: Progress) -> Steps[RawTable]:
    """Drive one file's reading under the progress of the folder; closing it closes the file."""
    try:
        while True:
            next(steps)
            yield progress
    except StopIteration as stop:
        return stop.value
    finally:
        steps.close()
