"""On which side of a table the genes are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from napari_aml.expression.errors import ExpressionError, ExpressionReadError
from napari_aml.expression.genes import known_share
from napari_aml.expression.matrix import GENES_IN_ROWS, SAMPLES_IN_ROWS, Detected


def find_orientation(
    path: Path | str, rows: Sequence[str], columns: Sequence[str], given: str | None = None
) -> Detected:
    """Say whether genes are in rows or in columns, by which names are genes.

    Parameters
    ----------
    path
        For messages.
    rows, columns
        Names of both sides.
    given
        ``genes-in-rows`` or ``samples-in-rows`` as a person says, else None.

    Raises
    ------
    ExpressionReadError
        Where both sides look like genes.
    """
    if given is not None:
        if given not in (GENES_IN_ROWS, SAMPLES_IN_ROWS):
            raise ExpressionError(f"'{given}' is no orientation.", f"Known: {GENES_IN_ROWS}, {SAMPLES_IN_ROWS}.")
        return Detected(given, "as given", "person")
    in_rows, in_columns = known_share(rows), known_share(columns)
    said = f"{100 * in_rows:.0f} % of the row names and {100 * in_columns:.0f} % of the column names are human genes"
    few, many = sorted((len(rows), len(columns)))
    # S1, A2 and p3 were names of genes once, too: a few samples of such names do not make their side the genes'.
    chance = few < 10 and few * 5 < many
    if min(in_rows, in_columns) > 0.5 and abs(in_rows - in_columns) < 0.2 and few > 2 and not chance:
        raise ExpressionReadError(path, f"{said}: which side is the genes cannot be told.",
                                  f"Say it: --orientation {GENES_IN_ROWS} or {SAMPLES_IN_ROWS}.")  # fmt: skip
    long = len(rows) >= len(columns)
    on_short, on_long = (in_columns, in_rows) if long else (in_rows, in_columns)
    by_chance = on_long < on_short and on_short * few < 10 and few * 5 < many
    if max(in_rows, in_columns) < 0.05 or by_chance:
        # The longer side, so that the message names what stands there.
        return Detected(GENES_IN_ROWS if long else SAMPLES_IN_ROWS, f"{said}; genes are the longer side", sure=False)
    if chance and on_long > 0.5:
        return Detected(GENES_IN_ROWS if long else SAMPLES_IN_ROWS, said)
    return Detected(GENES_IN_ROWS if in_rows >= in_columns else SAMPLES_IN_ROWS, said)
