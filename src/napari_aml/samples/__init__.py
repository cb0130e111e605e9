"""Pictures that ship with the package: whole smear fields, a mosaic of AML cells, a folder of single cells.

Who took them and under which licence is in ``index.json`` beside them and in the NOTICE file.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

Kind = Literal["smear", "mosaic", "sheet", "cell"]

#: µm per pixel of the mosaic: its thumbnails show the 400 px, 14.14 px/µm originals at 110 px.
MOSAIC_UM = 400 / 14.14 / 110


def folder() -> Path:
    """Return the folder that holds the samples."""
    return Path(str(files("napari_aml.samples")))


@cache
def _index() -> dict[str, Any]:
    return json.loads((folder() / "index.json").read_text(encoding="utf-8"))


def index() -> list[dict[str, Any]]:
    """Return one entry a picture: path (relative), kind, source, title, classes.

    The value of ``source`` is a key of `sources`.
    """
    return [dict(entry) for entry in _index()["pictures"]]


def sources() -> dict[str, dict[str, str]]:
    """Return what the pictures come from: name, authors, url, licence, changes."""
    return {key: dict(source) for key, source in _index()["sources"].items()}


def sample_paths(kind: Kind = "smear") -> list[Path]:
    """Return the pictures of one kind.

    Parameters
    ----------
    kind
        ``smear``: whole fields of two microscopes; ``mosaic``: cells of AML patients side by side, one row a class;
        ``sheet``: normal cells side by side; ``cell``: single-cell pictures in class folders.
    """
    return [folder() / entry["path"] for entry in _index()["pictures"] if entry["kind"] == kind]


def mosaic_path() -> Path:
    """Return the mosaic of AML patients' cells."""
    return sample_paths("mosaic")[0]


def expression_path() -> Path:
    """Return the example of an expression file: synthetic samples, drawn from class summaries, nobody's profile."""
    return folder() / "expression" / "synthetic_expression_tpm.csv"


def cells_folder() -> Path:
    """Return the folder of single-cell pictures, one sub-folder a class code."""
    return folder() / "cells"


__all__ = [
    "MOSAIC_UM",
    "Kind",
    "cells_folder",
    "expression_path",
    "folder",
    "index",
    "mosaic_path",
    "sample_paths",
    "sources",
]
