"""A dataset on disk: ``dataset.json``, ``manifest.csv``, ``pictures/``. Every importer and every export makes one."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_aml.datasets.leakage import Leakage, leakage_of, split_groups
from napari_aml.datasets.pictures import read_pixels
from napari_aml.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

FORMAT, FORMAT_VERSION = "napari-aml-dataset", 1
CARD, MANIFEST, PICTURES, PATIENTS = "dataset.json", "manifest.csv", "pictures", "patients.csv"
_LISTS = ("notes", "unreadable")

#: Columns of the manifest. Further columns are kept as they are.
COLUMNS = (
    "uid", "picture", "code", "source_label", "source", "patient", "slide", "field", "group", "pixel_size_um",
    "crop_um", "sex", "age", "site", "scanner", "reader", "sha256",
)  # fmt: skip
NUMBERS = ("pixel_size_um", "crop_um", "age")
_NEEDED = ("uid", "picture", "code")


class DatasetError(InputError):
    """A dataset's folder is missing, damaged or of another kind."""


@dataclass(eq=False)
class Dataset:
    """Pictures of single cells with what is known of each.

    Attributes
    ----------
    path
        The folder.
    meta
        The content of ``dataset.json``: name, licence, source, tissue, stain, scanner, mapping, leakage, notes.
    table
        The manifest, one row a picture, `COLUMNS` first. ``code`` is empty where the class is not known; texts are
        empty and numbers NaN where a thing is unknown.
    """

    path: Path
    meta: dict[str, Any]
    table: pd.DataFrame = field(repr=False)

    def __len__(self) -> int:
        return len(self.table)

    @classmethod
    def open(cls, path: str | Path) -> Dataset:
        """Open a dataset's folder; pictures are not read.

        Raises
        ------
        DatasetError
            Missing files, broken JSON, missing columns, a uid that stands twice, a picture outside the folder: the
            message names the file and the row.
        """
        path = Path(path)
        if not path.is_dir():
            what = "is a file, not a dataset's folder" if path.is_file() else "does not exist"
            raise DatasetError(f"The dataset '{path}' {what}.", "Make one with: napari-aml import")
        return cls(path, _read_card(path), read_manifest(path))

    @property
    def name(self) -> str:
        """Name of the dataset."""
        return str(self.meta.get("name") or self.path.name)

    @property
    def codes(self) -> tuple[str, ...]:
        """Class codes that occur, in the order of the taxonomy, others after them; UNK and empty ones left out."""
        from napari_aml.taxonomy import CLASSES

        found = set(self.table["code"]) - {"", "UNK"}
        known = [c.code for c in CLASSES if c.code in found]
        return (*known, *sorted(found - set(known)))

    @property
    def labelled(self) -> np.ndarray:
        """Rows with a class, int64."""
        return np.flatnonzero(~self.table["code"].isin(["", "UNK"]).to_numpy())

    @property
    def leakage(self) -> Leakage:
        """The level at which this dataset can be split."""
        return leakage_of(self.table)

    @cached_property
    def groups(self) -> np.ndarray:
        """Number of the group that a split must not part, int64 (n,)."""
        return split_groups(self.table)

    @property
    def patients(self) -> pd.DataFrame | None:
        """What is known of patients (``patients.csv``: patient, subtype, sex, age, manual differential …), or None."""
        return _read_csv(self.path / PATIENTS) if (self.path / PATIENTS).is_file() else None

    def pixels(self, row: int) -> np.ndarray:
        """Read the picture of one row, uint8 (h, w, 3).

        Raises
        ------
        PictureError
            When it is missing or damaged.
        """
        return read_pixels(self.path / self.table["picture"].iat[row])

    def fingerprint(self) -> str:
        """SHA-256 over uids, classes, groups and picture hashes: the same content gives the same text."""
        import hashlib

        digest = hashlib.sha256()
        for name in ("uid", "code", "sha256", "patient", "slide", "field", "group", "pixel_size_um"):
            # Not astype(str): pandas 3 leaves an unknown number a number there.
            digest.update("\x1f".join(map(str, self.table[name].tolist())).encode())
        return digest.hexdigest()

    def summary(self) -> str:
        """Say in a few lines what is in it."""
        counts = self.table["code"].replace("", "(none)").value_counts()
        classes = ", ".join(f"{code} {counts[code]}" for code in [*self.codes, "UNK", "(none)"] if code in counts)
        lines = [f"{self.name}: {len(self):,} pictures", f"  classes: {classes}"]
        for entry in ("source", "licence", "tissue", "stain", "scanner"):
            if self.meta.get(entry):
                lines.append(f"  {entry}: {self.meta[entry]}")
        if mapping := self.meta.get("mapping"):
            lines.append(f"  mapping: {mapping.get('name')} version {mapping.get('version')}")
        return "\n".join([*lines, f"  {self.leakage.text}"])


def _read_card(path: Path) -> dict[str, Any]:
    card = path / CARD
    if not card.is_file():
        raise DatasetError(
            f"'{path}' is no dataset: it has no {CARD}.",
            "Public sets and folders of pictures are turned into one by: napari-aml import",
        )
    try:
        meta = json.loads(card.read_text("utf-8"))
    except (ValueError, OSError) as error:
        raise DatasetError(f"Cannot read '{card}': {error}.", "Import the dataset again.") from error
    if not isinstance(meta, dict) or meta.get("format") != FORMAT:
        raise DatasetError(f"'{card}' is no card of a dataset: its \"format\" is not {FORMAT!r}.")
    version = meta.get("format_version")
    if version != FORMAT_VERSION:
        newer = isinstance(version, int) and version > FORMAT_VERSION
        raise DatasetError(
            f"The dataset '{path}' has format version {version!r}; this program reads {FORMAT_VERSION}.",
            "Update napari-aml." if newer else "Import it again.",
        )
    for entry in _LISTS:
        if not isinstance(meta.get(entry, []), list):
            raise DatasetError(f"'{card}': its \"{entry}\" is no list.", "Import the dataset again.")
    return meta


def _read_csv(path: Path) -> pd.DataFrame:
    import pandas as pd

    try:
        return pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig").map(_armed)
    except (ValueError, OSError, UnicodeError) as error:
        raise DatasetError(f"Cannot read '{path}': {error}.", "Import the dataset again.") from error


def _armed(text: str) -> str:
    """Take back the apostrophe that keeps a spreadsheet from running a text."""
    return text[1:] if len(text) > 1 and text[0] == "'" and text[1] in "=+-@\t" else text


def read_manifest(path: Path) -> pd.DataFrame:
    """Read and check a dataset's manifest.

    Raises
    ------
    DatasetError
        Naming the column or row that is wrong.
    """
    import pandas as pd

    file = path / MANIFEST
    if not file.is_file():
        raise DatasetError(f"The dataset '{path}' has no {MANIFEST}.", "Import it again.")
    table = _read_csv(file)
    if missing := [name for name in _NEEDED if name not in table]:
        raise DatasetError(f"'{file}' lacks the column {', '.join(missing)}.", f"It needs {', '.join(_NEEDED)}.")
    if not len(table):
        raise DatasetError(f"'{file}' lists no pictures.")
    for name in COLUMNS:
        if name not in table:
            table[name] = ""
    for name in NUMBERS:
        table[name] = _numbers(table[name], file)
    twice = table["uid"][table["uid"].duplicated()]
    if len(twice):
        raise DatasetError(f"The uid '{twice.iloc[0]}' stands twice in '{file}'.", "Each picture needs its own.")
    for row, picture in enumerate(table["picture"]):
        if not _inside(picture):
            raise DatasetError(
                f"Row {row + 2} of '{file}' names the picture '{picture}', which lies outside the dataset.",
                "Pictures are named relative to the dataset's folder, below it.",
            )
    table["code"] = table["code"].str.strip()
    return pd.DataFrame(table[[*COLUMNS, *(c for c in table.columns if c not in COLUMNS)]])


def _numbers(column: pd.Series, file: Path) -> pd.Series:
    import pandas as pd

    values = pd.to_numeric(column.where(column != "", None), errors="coerce").astype(float)
    wrong = np.flatnonzero((column != "").to_numpy() & values.isna().to_numpy() & ~column.str.lower().eq("nan"))
    if len(wrong):
        raise DatasetError(f"Row {wrong[0] + 2} of '{file}': {column.name} is '{column.iloc[wrong[0]]}', not a number.")
    return values


def _inside(picture: str) -> bool:
    parts = PurePosixPath(picture.replace("\\", "/"))
    return bool(picture) and not parts.is_absolute() and ".." not in parts.parts and ":" not in picture
