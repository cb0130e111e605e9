"""From a set's own labels to our class codes: tables with a name and a version that a person can read and replace.

The tables that ship lie in ``mappings/``. A code of "" means: the label is known, but is coarser than any of our
classes (a neutrophil that may be band or segmented); such pictures stay without a class.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from napari_aml.errors import InputError
from napari_aml.taxonomy import BY_CODE


@dataclass(frozen=True)
class Mapping:
    """A versioned table from source labels to class codes.

    Attributes
    ----------
    name, version
        What it is called in a dataset's card.
    table
        Source label → code, or "".
    note
        What a person should know of it.
    """

    name: str
    version: str
    table: dict[str, str] = field(repr=False)
    note: str = ""

    def code(self, label: str) -> str | None:
        """Return the code of a label, however it is written; None for a label that the table does not know."""
        if label in self.table:
            return self.table[label]
        folded = {_folded(known): code for known, code in self.table.items()}
        return folded.get(_folded(label))

    def to_dict(self) -> dict[str, Any]:
        """Return what stands in a dataset's card."""
        return {"name": self.name, "version": self.version, "table": dict(self.table)}

    def text(self) -> str:
        """Return the table in words, one label a line."""
        lines = [f"{self.name}, version {self.version}", *([self.note] if self.note else [])]
        for label, code in self.table.items():
            meaning = f"{code}  {BY_CODE[code].name}" if code in BY_CODE else (code or "(no class: too coarse)")
            lines.append(f"  {label:28} {meaning}")
        return "\n".join(lines)


def _folded(label: str) -> str:
    return "".join(c for c in label.casefold() if c.isalnum())


def load_mapping(spec: str | Path) -> Mapping:
    """Load a shipped table by its name, or a person's own from a JSON file.

    Raises
    ------
    InputError
        No such table, broken JSON, or a code that the taxonomy does not know (the message lists the codes).
    """
    shipped = Path(str(files("napari_aml.datasets") / "mappings" / f"{spec}.json"))
    path = shipped if shipped.is_file() else Path(spec)
    try:
        held = json.loads(path.read_text("utf-8"))
        found = Mapping(str(held["name"]), str(held["version"]), dict(held["table"]), str(held.get("note", "")))
    except OSError as error:
        raise InputError(f"There is no mapping table '{spec}'.", "Give a JSON file, or a shipped name.") from error
    except (ValueError, KeyError, TypeError) as error:
        what = 'It needs "name", "version" and "table" (label to code).'
        raise InputError(f"The mapping table '{path}' cannot be read: {error}.", what) from error
    for label, code in found.table.items():
        if code != "" and code not in BY_CODE:
            raise InputError(
                f"The mapping table '{path}' gives '{label}' the code '{code}', which is none of the taxonomy.",
                f"Codes are {', '.join(BY_CODE)}; an empty one leaves the pictures without a class.",
            )
    return found
