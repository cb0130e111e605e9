"""What can be wrong with an expression file, each naming the file and the row, column or gene."""

from __future__ import annotations

from pathlib import Path

from napari_aml.errors import InputError


class ExpressionError(InputError):
    """An expression file, or a setting that goes with it, cannot be used."""


class ExpressionReadError(ExpressionError):
    """A file is missing, empty, damaged, or no table of expression values."""

    def __init__(self, path: str | Path, reason: str, hint: str = "") -> None:
        default = "It must be a table of genes and samples; docs/expression-files.md lists the formats."
        super().__init__(f"Cannot read the expression file '{path}': {reason}", hint or default)
        self.path, self.reason = path, reason


class CellValueError(ExpressionReadError):
    """A cell that is empty, text, not finite, or below zero where nothing can be."""


class GeneIdError(ExpressionReadError):
    """The gene ids are of another species, of transcripts, of probes, or of nothing known."""


class SampleNameError(ExpressionReadError):
    """Two samples bear one name, or a sample that was asked for is not there."""


class UnitsError(ExpressionReadError):
    """The units cannot be told, contradict each other, or cannot be used."""


class LengthsNeededError(ExpressionError):
    """Reads must be divided by gene lengths, and these are not there."""


class PanelError(ExpressionError):
    """The file holds too few of the genes that a model needs."""


class TooLargeError(ExpressionReadError):
    """The values would not fit into memory."""


class WholeTableNeeded(Exception):
    """What a table holds cannot be told from the lines that were kept of it."""
