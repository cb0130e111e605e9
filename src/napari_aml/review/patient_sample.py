"""An expression file opened for review: every sample called and checked, ready to be held against pictures.

Plain values, so that panel, report and command line say the same. Reading, calling and explaining are done by the
expression room; here its results are put into the words that the comparison and its readers use.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_aml.review.sides import ExpressionCall

if TYPE_CHECKING:
    from napari_aml.expression.bundle import ExpressionBundle

#: Levels of a check, from best to worst; the last says that nothing can be said.
FINE, LOOK, BAD, NOT_KNOWN = "fine", "look", "bad", "not known"

#: Units that a person can say, (name, title).
UNITS = (
    ("counts", "counts (reads)"), ("tpm", "TPM"), ("fpkm", "FPKM"), ("cpm", "CPM"),
    ("normalised-counts", "normalised counts"), ("log2-tpm", "log2(TPM + 1)"), ("log2-fpkm", "log2(FPKM + 1)"),
    ("log2-cpm", "log2(CPM + 1)"), ("ln-tpm", "ln(TPM + 1)"), ("linear", "linear, of unknown kind"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Check:
    """One line of quality control.

    Attributes
    ----------
    name
        What was looked at.
    level
        `FINE`, `LOOK`, `BAD` or `NOT_KNOWN`.
    text
        What was found, in words.
    """

    name: str
    level: str
    text: str


@dataclass(frozen=True)
class GeneEvidence:
    """Which genes a call rests on.

    Attributes
    ----------
    target
        The class explained.
    genes
        (gene, attribution, what else is known of it), strongest first.
    note
        What the attributions start from, and the completeness check in words.
    complete
        Whether that check was passed.
    """

    target: str
    genes: tuple[tuple[str, float, str], ...]
    note: str
    complete: bool


@dataclass(frozen=True)
class SamplePlaces:
    """Samples as points.

    Attributes
    ----------
    samples, places
        (n,) names and float (n, 2) coordinates.
    groups
        Sample → group, for points that are no samples of the file (training classes).
    axes, note
        Titles of the axes; method, space and how well the classes part.
    """

    samples: tuple[str, ...]
    places: np.ndarray
    groups: Mapping[str, str] = field(default_factory=dict)
    axes: tuple[str, str] = ("", "")
    note: str = ""


@dataclass(frozen=True)
class OpenedExpression:
    """A file with all its samples called.

    Attributes
    ----------
    path, sha256
        The file or folder and its hash (`review.links.hash_steps`).
    format
        How it was read.
    samples
        In the file's order.
    classes
        Of the model.
    calls
        Sample → what the model says.
    quality
        Sample → checks, without that of the sex.
    remarks
        Sample → warnings about it alone.
    file_warnings
        Warnings about the whole file.
    facts
        Name and value of how it was read, without paths.
    set_level
        Share of cases in which a conformal set holds the true class, 0…1; None without sets.
    bundle, prepared
        The model and the samples as it reads them; needed to explain and to map.
    """

    path: Path
    sha256: str
    format: str
    samples: tuple[str, ...]
    classes: tuple[str, ...]
    calls: Mapping[str, ExpressionCall]
    quality: Mapping[str, tuple[Check, ...]] = field(default_factory=dict)
    remarks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    file_warnings: tuple[str, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    set_level: float | None = None
    bundle: ExpressionBundle | None = None
    prepared: Any = None

    @property
    def name(self) -> str:
        """The file's name, for people on this machine."""
        return self.path.name

    @property
    def summary(self) -> str:
        """How the file was read, in one line."""
        told = dict(self.facts)
        return f"Units: {told['Units'].split(' (')[0]}." if "Units" in told else ""

    def call(self, sample: str) -> ExpressionCall:
        """Return what the model says of a sample."""
        return self.calls[sample]

    def warnings(self, sample: str) -> tuple[str, ...]:
        """Return what to know before believing a sample's call."""
        return (*self.remarks.get(sample, ()), *self.file_warnings)

    def checks(self, sample: str, sex: str | None = None) -> tuple[Check, ...]:
        """Return a sample's quality control, with its sex held against a declared one."""
        return (*self.quality.get(sample, ()), sex_check(self.calls[sample].sex, sex))


def sex_check(found: str | None, declared: str | None) -> Check:
    """Hold the sex that XIST and the Y chromosome show against a declared one."""
    if found is None:
        said = f"; declared {declared}" if declared else ""
        return Check("Sex", NOT_KNOWN, f"XIST does not tell{said}.")
    if declared is None:
        return Check("Sex", NOT_KNOWN, f"{found} by XIST; none was declared.")
    if found == declared:
        return Check("Sex", FINE, f"{found} by XIST, as declared.")
    return Check("Sex", BAD, f"{found} by XIST, but declared {declared}: perhaps another person's sample.")
