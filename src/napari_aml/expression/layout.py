"""How a text table is laid out: delimiter, header, which column holds what. Looks at its first lines only."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from napari_aml.expression.columns import are_row_numbers, described, is_heading, left_out, only_tested
from napari_aml.expression.errors import ExpressionReadError
from napari_aml.expression.genes import known_share

DELIMITERS = {"\t": "tabs", ",": "commas", ";": "semicolons", "|": "bars", " ": "spaces"}
#: What stands for "no value" in tables; none of them is ever taken for a number.
MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "-", "--", ".", "#n/a", "#div/0!", "#value!", "#ref!"})
# As many lines of a title above the header are told from a file that is no table.
_TITLES = 5
_QUOTED = re.compile(r'"[^"]*"')
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|[+-]?(?:inf|infinity)", re.IGNORECASE)
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+(?:[eE][+-]?\d+)?")


@dataclass(frozen=True)
class Layout:
    """How a text table is laid out.

    Attributes
    ----------
    delimiter
        One character.
    decimal
        ``.`` or ``,``.
    skip
        Lines before the first line of values.
    names
        Names of all columns.
    id
        The column of row names.
    values
        Columns of values, ascending.
    length
        A column of gene lengths, else None.
    symbol
        A second column of gene names, else None.
    whole
        Whether the first values are whole numbers, all of them.
    format
        For people.
    notes
        What a person should know.
    """

    delimiter: str
    decimal: str
    skip: int
    names: tuple[str, ...]
    id: int
    values: tuple[int, ...]
    length: int | None = None
    symbol: int | None = None
    whole: bool = False
    format: str = "CSV"
    notes: tuple[str, ...] = field(default=())

    @property
    def sample_names(self) -> list[str]:
        """Names of the columns of values."""
        return [self.names[i] for i in self.values]

    @property
    def trailing(self) -> bool:
        """Whether the values are the last columns, one beside the other."""
        return self.values == tuple(range(len(self.names) - len(self.values), len(self.names)))

    def with_values(self, columns: Sequence[int], **changes: Any) -> Layout:
        """Return the same layout with other columns of values."""
        return replace(self, values=tuple(columns), **changes)


def split(line: str, delimiter: str) -> list[str]:
    """Split a line, quotes honoured, cells stripped of blanks and quotes."""
    if '"' in line:
        import csv

        with suppress(csv.Error):  # a line that is damaged is split as it stands: it is refused for what it holds
            return [cell.strip() for cell in next(csv.reader([line], delimiter=delimiter))]
    cells = line.split(delimiter)
    return cells if line.split(maxsplit=1) == [line] else [cell.strip() for cell in cells]  # no blanks at all


def is_number(cell: str, decimal: str = ".") -> bool:
    """Whether a cell is a number (infinity is one here, so that it is found and named later)."""
    if cell.isdecimal() and cell.isascii():  # the common case, at once
        return True
    return bool(_NUMBER.fullmatch(cell.replace(",", ".") if decimal == "," else cell))


def is_missing(cell: str) -> bool:
    """Whether a cell says that there is no value."""
    return cell.lower() in MISSING


def find_delimiter(path: Path, lines: Sequence[str]) -> str:
    """Return what stands between the cells.

    Raises
    ------
    ExpressionReadError
        Where nothing splits the lines into as many cells each.
    """
    if best := _delimiter(lines):
        return best
    table = "a table with tabs, commas or semicolons between the cells"
    above = next((n for n in range(1, _TITLES + 1) if len(lines) > n + 2 and _delimiter(lines[n:])), 0)
    remedy = f"It must be {table}."
    if above:
        remedy = f"From line {above + 1} on it is {table}: delete the lines above."
    shown = lines[0][:60]
    raise ExpressionReadError(
        path, f"no delimiter splits its lines into as many cells each; the first line is '{shown}'.", remedy
    )


def _delimiter(lines: Sequence[str]) -> str:
    """Return what splits a header and the lines below it into as many cells, empty where nothing does."""
    bare = [_QUOTED.sub("", line) for line in lines[:30]]
    best, most = "", 0
    for delimiter in DELIMITERS:
        counts = [line.count(delimiter) for line in bare]
        body = Counter(counts[1:] or counts).most_common(1)[0]
        # R writes no name for the column of row names: the header may be one cell short.
        fits = body[0] > 0 and counts[0] in (body[0], body[0] - 1) and body[1] >= 0.8 * max(1, len(counts) - 1)
        # Spaces and bars also stand inside names: they count only where nothing else splits.
        if fits and body[0] > most and (delimiter not in " |" or not most):
            best, most = delimiter, body[0]
    return best


def find_layout(path: Path, lines: Sequence[str], delimiter: str | None = None, skip: int = 0) -> Layout:
    """Find out how a table is laid out.

    Parameters
    ----------
    path
        For messages.
    lines
        Its first lines.
    delimiter
        As a person gives it; None looks.
    skip
        Lines to pass over at the beginning; comment lines after them are passed over as well.

    Raises
    ------
    ExpressionReadError
        One column only, a header alone, or no column of numbers.
    """
    # Spreadsheets read, and some programs write, a first line that names the delimiter: sep=;
    while skip < len(lines) and (lines[skip].startswith(("#", "sep=", '"sep=')) or not lines[skip].strip()):
        skip += 1
    body = [line for line in lines[skip:] if line.strip()]
    if len(body) < 2:
        raise ExpressionReadError(path, "it has a header at most, and no lines of values.")
    given = delimiter is not None
    delimiter = delimiter or find_delimiter(path, body)
    header, rows = split(body[0], delimiter), [split(line, delimiter) for line in body[1:40]]
    width = Counter(len(row) for row in rows).most_common(1)[0][0]
    if width < 2:
        said = DELIMITERS.get(delimiter, repr(delimiter))
        raise ExpressionReadError(
            path, f"split at {said} it has one column only; its first line is '{body[0][:60]}'.",
            "Leave the delimiter out to have it found." if given else "",
        )  # fmt: skip
    rows = [row for row in rows if len(row) == width]
    second = _second_header(rows)
    rows = rows[1:] if second else rows
    decimal = _decimal(rows)
    headless = _is_headless(header, rows, decimal, width)
    if headless:
        rows.insert(0, header)
        above = split(lines[skip - 1].lstrip("# "), delimiter) if skip and lines[skip - 1].startswith("#") else []
        names = above if len(above) == width else ["", *(f"column {i + 1}" for i in range(1, width))]
    else:
        # A header one cell short is R's, where lines do not merely end with a delimiter.
        ended = len(header) == width - 1 and not any(row[-1] for row in rows)
        names = [*header, ""] if ended else ["", *header] if len(header) == width - 1 else header
    if len(names) != width:
        raise ExpressionReadError(path, f"the header has {len(header)} cells and the lines after it have {width}.",
                                  "Export the table again, or repair the header.")  # fmt: skip
    layout = _roles(path, names, rows, decimal, delimiter)
    made = {"\t": "TSV", ",": "CSV", ";": "CSV (semicolons)"}.get(delimiter, "text table")
    notes = ("Numbers have a decimal comma.", *layout.notes) if decimal == "," else layout.notes
    if second:
        notes = (f"Its second line ('{second[:40]}') heads columns, too, and was left out.", *notes)
    return replace(layout, skip=skip + (0 if headless else 2 if second else 1), format=made, notes=notes)


def _decimal(rows: Sequence[Sequence[str]]) -> str:
    cells = [cell for row in rows for cell in row[1:200]]
    return "," if sum(bool(_DECIMAL_COMMA.fullmatch(cell)) for cell in cells) > 0.2 * len(cells) else "."


def _second_header(rows: Sequence[Sequence[str]]) -> str:
    """Return the first cell of a second line of headings (portals of TCGA say there what is counted), else nothing."""
    if len(rows) < 3 or not is_heading(rows[0][0]):
        return ""
    cells = rows[0][1:]
    below = [is_number(cell) or is_number(cell, ",") for cell in rows[1][1:]]
    said = [cell for cell, number in zip(cells, below, strict=True) if number]
    words = not any(is_missing(cell) or is_number(cell) or is_number(cell, ",") for cell in said)
    return rows[0][0] if said and words and len(set(said)) == 1 else ""


def _is_headless(header: Sequence[str], rows: Sequence[Sequence[str]], decimal: str, width: int) -> bool:
    if len(header) != width or not header[0] or is_heading(header[0]):
        return False
    numeric = [i for i in range(1, width) if is_number(rows[0][i], decimal)]
    if not numeric or not all(is_number(header[i], decimal) for i in numeric):
        return False
    # Samples may be called 1, 2, 3: then the first cell names the column and is no gene.
    return header[0].startswith(("N_", "__")) or known_share([header[0]]) > 0


def _roles(path: Path, names: list[str], rows: list[list[str]], decimal: str, delimiter: str) -> Layout:
    columns = list(zip(*rows, strict=True))
    whole = [_all_digits(cells) for cells in columns]
    describing, lengths, tested = described(names)
    texts, values = [], []
    for i, cells in enumerate(columns):
        others = [] if whole[i] else [cell for cell in cells if not is_number(cell, decimal)]
        numbers, wordy = len(cells) - len(others), sum(not is_missing(cell) for cell in others)
        # A second column of row numbers, of a table that was written and read twice, bears no name of its own.
        again = names[i].lower().startswith(("unnamed", "...")) and are_row_numbers(cells)
        if i == 0 or (wordy and not numbers) or i in describing or again or not (names[i] or any(cells)):
            texts.append(i)
        elif i not in lengths and i not in tested:
            values.append(i)
    if not values:
        if tested:
            raise ExpressionReadError(path, only_tested([names[i] for i in sorted(tested)]),
                                      "Give the table of counts, TPM or FPKM that the test was made from.")  # fmt: skip
        raise ExpressionReadError(
            path, f"no column holds numbers; the cell under '{names[1][:40]}' is '{rows[0][1][:40]}'.",
            "Export the values as plain numbers, one delimiter between the cells.",
        )  # fmt: skip
    counting = {i for i in texts if are_row_numbers(columns[i])}
    genes = {i: 0.0 if i in counting else known_share(columns[i]) for i in texts}

    def as_names(i: int) -> tuple[bool, bool, bool, int]:
        named = names[i].lower() in ("gene_id", "geneid", "ensembl")
        return genes[i] > 0.5, named, genes[i] > 0.5 or (i not in counting and len(set(columns[i])) == len(rows)), -i

    best = max(texts, key=as_names)
    others = [i for i in texts if i != best and genes[i] > 0.5]
    symbol, length = others[0] if others else None, min(lengths - {best}, default=None)
    beside = [i for i in sorted({*texts, *tested, *lengths} - {best, symbol, length} - counting) if names[i]]
    notes = (left_out([names[i] for i in beside]),) if beside else ()
    all_whole = all(whole[i] for i in values)
    return Layout(delimiter, decimal, 0, tuple(names), best, tuple(values), length, symbol, all_whole, notes=notes)


def _all_digits(cells: Sequence[str]) -> bool:
    """Whether all cells are whole numbers without a sign."""
    return all(cells) and (joined := "".join(cells)).isdecimal() and joined.isascii()
