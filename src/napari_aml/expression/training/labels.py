"""A table of labels: which sample has which subtype."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from napari_aml.errors import InputError

_SAMPLE_NAMES = ("sample", "sample_id", "sampleid", "id", "barcode", "bcr_patient_barcode", "patient", "case", "name")
_LABEL_NAMES = ("subtype", "label", "class", "group", "fusion", "diagnosis", "category")
_TCGA = ("bcr_patient_barcode", "leukemia_french_american_british_morphology_code", "cytogenetic_abnormalities")
_BARCODE = re.compile(r"(TCGA-[A-Z0-9]{2}-[A-Z0-9]{4})", re.IGNORECASE)

#: How labels are made from the clinical table of TCGA-LAML, which names no fusions.
TCGA_RULE = (
    "PML::RARA = FAB M3 or t(15;17); RUNX1::RUNX1T1 = t(8;21); CBFB::MYH11 = inv(16); other = all the rest, "
    "samples without cytogenetics among them"
)


@dataclass(frozen=True)
class Labels:
    """Labels by sample.

    Attributes
    ----------
    by_sample
        Name as in the table → label.
    source
        File name.
    rule
        How the labels were made, in words; empty where the table holds them.
    """

    by_sample: dict[str, str]
    source: str
    rule: str = ""

    def match(self, samples: Sequence[str]) -> np.ndarray:
        """Return the label of each sample, object (n,), None where the table has none.

        A name fits when it is equal; else when it is equal but for case and ``.``, ``-``, ``_``; else, for TCGA, when
        the patient's barcode is equal.
        """
        loose = _unique({_plain(k): v for k, v in self.by_sample.items()}, self.by_sample, _plain)
        barcodes = _unique(
            {b: v for k, v in self.by_sample.items() if (b := _barcode(k))}, self.by_sample, _barcode
        )  # fmt: skip
        out = np.empty(len(samples), object)
        for i, name in enumerate(samples):
            found = self.by_sample.get(name) or loose.get(_plain(name))
            barcode = _barcode(name)
            out[i] = found or (barcodes.get(barcode) if barcode else None)
        return out


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "-", str(name)).strip("-").lower()


def _barcode(name: str) -> str:
    found = _BARCODE.search(re.sub(r"[._]", "-", str(name)))
    return found[1].upper() if found else ""


def _unique(made: dict[str, str], of: dict[str, str], key: Callable[[str], str]) -> dict[str, str]:
    """Leave out short names that stand for samples with different labels."""
    said: dict[str, set[str]] = {}
    for name, label in of.items():
        said.setdefault(key(name), set()).add(label)
    return {k: v for k, v in made.items() if len(said[k]) == 1}


def read_labels(path: str | Path, *, sample_column: str | None = None, label_column: str | None = None) -> Labels:
    """Read a table of labels: CSV or TSV with a header.

    Parameters
    ----------
    path
        The file. The clinical table of TCGA-LAML is recognised and turned into labels by `TCGA_RULE`.
    sample_column, label_column
        Their names; by default the usual ones (``sample``, ``subtype`` …), else the first and the second column.

    Raises
    ------
    InputError
        Naming the file and the row or column.
    """
    path = Path(path)
    try:
        with open(path, encoding="utf-8-sig") as stream:
            header = stream.readline()
        delimiter = max("\t,;", key=header.count)
        table = pd.read_csv(path, sep=delimiter, dtype=str, encoding="utf-8-sig", keep_default_na=False)
    except FileNotFoundError as error:
        raise InputError(f"There is no table of labels '{path}'.", "Check the path.") from error
    except (ValueError, OSError) as error:  # pandas' parser errors and wrong encodings are ValueErrors
        reason = f"Cannot read the table of labels '{path}': {error}."
        raise InputError(reason, "Save it as CSV with a header.") from error
    table.columns = [str(c).strip() for c in table.columns]
    if label_column is None and set(_TCGA) <= set(table.columns):
        return Labels(_tcga(table), path.name, TCGA_RULE)
    sample = _column(table, sample_column, _SAMPLE_NAMES, 0, path)
    label = _column(table, label_column, _LABEL_NAMES, 1, path)
    by_sample: dict[str, str] = {}
    for row, (name, said) in enumerate(zip(table[sample], table[label], strict=True), start=2):
        name, said = name.strip(), said.strip()
        if not name or not said:
            continue  # a sample without a label is left out of training, and counted there
        if by_sample.setdefault(name, said) != said:
            raise InputError(
                f"'{path}', row {row}: the sample '{name}' is labelled '{by_sample[name]}' and '{said}'.",
                "Give each sample one label.",
            )
    if not by_sample:
        raise InputError(f"'{path}' holds no labels.", f"Its columns are {', '.join(table.columns)}.")
    return Labels(by_sample, path.name)


def _column(table: pd.DataFrame, given: str | None, names: Sequence[str], place: int, path: Path) -> str:
    columns = list(table.columns)
    if given is not None:
        if given not in columns:
            raise InputError(f"'{path}' has no column '{given}'.", f"It has {', '.join(columns)}.")
        return given
    by_lower = {c.lower(): c for c in reversed(columns)}
    found = next((by_lower[n] for n in names if n in by_lower), None)
    if found is not None:
        return found
    if len(columns) <= place:
        raise InputError(f"'{path}' has {len(columns)} column(s).", "Give a column of samples and one of subtypes.")
    return columns[place]


def _tcga(table: pd.DataFrame) -> dict[str, str]:
    out = {}
    for name, fab, text in table[list(_TCGA)].itertuples(index=False):
        apl = fab.strip().upper() == "M3" or "t(15;17)" in text
        out[name.strip()] = (
            "PML::RARA" if apl
            else "RUNX1::RUNX1T1" if "t(8;21)" in text
            else "CBFB::MYH11" if "inv(16)" in text or "t(16;16)" in text
            else "other"
        )  # fmt: skip
    return {k: v for k, v in out.items() if k}
