from .errors import (
    CellValueError,
    ExpressionError,
    ExpressionReadError,
    GeneIdError,
    LengthsNeededError,
    PanelError,
    SampleNameError,
    TooLargeError,
    UnitsError,
)
from .lengths import GeneLengths, bundled_lengths, read_lengths
from .matrix import Detected, ExpressionMatrix
from .prepare import PreparedSamples, prepare, prepare_steps
from .quality import SampleQuality, quality, quality_table
from .reading import read_expression, read_expression_steps

__all__ = [
    "CellValueError",
    "Detected",
    "ExpressionError",
    "ExpressionMatrix",
    "ExpressionReadError",
    "GeneIdError",
    "GeneLengths",
    "LengthsNeededError",
    "PanelError",
    "PreparedSamples",
    "SampleNameError",
    "SampleQuality",
    "TooLargeError",
    "UnitsError",
    "bundled_lengths",
    "prepare",
    "prepare_steps",
    "quality",
    "quality_table",
    "read_expression",
    "read_expression_steps",
    "read_lengths",
]
