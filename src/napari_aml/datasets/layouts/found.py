"""What a layout's reader hands on: one row a picture, where the pictures come from, what is known of the set."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_aml.datasets.pictures import SUFFIXES
from napari_aml.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


class LayoutError(InputError):
    """A folder is not laid out as the set that it should hold."""


@dataclass
class Found:
    """A public set as found on disk.

    Attributes
    ----------
    rows
        One record a picture; ``source_label`` is the set's own label, verbatim.
    pictures
        Files, or pixels uint8 (h, w, 3), aligned with `rows`.
    meta
        name, licence, source, tissue, stain, scanner.
    patients
        One row a patient, where the set says something of them.
    notes
        What a person should know.
    """

    rows: list[dict[str, Any]]
    pictures: Sequence[Path] | Iterable[np.ndarray]
    meta: dict[str, Any]
    patients: pd.DataFrame | None = None
    notes: list[str] = field(default_factory=list)


def pictures_in(folder: Path) -> list[Path]:
    """Return the picture files under a folder, sorted; hidden ones and links that lead outside are left out."""
    inside = folder.resolve()
    return sorted(
        p for p in folder.rglob("*")
        if p.suffix.lower() in SUFFIXES and not p.name.startswith((".", "._")) and p.is_file()
        and p.resolve().is_relative_to(inside)
    )  # fmt: skip


def class_folders(root: Path, known: Iterable[str], deepest: int = 3) -> Path:
    """Return the folder whose sub-folders are classes: `root` or one below it.

    Raises
    ------
    LayoutError
        When no folder down to `deepest` levels has a sub-folder with a known name.
    """
    names = {k.casefold() for k in known}
    level = [root]
    for _ in range(deepest + 1):
        for folder in level:
            if any(p.is_dir() and p.name.casefold() in names for p in folder.iterdir()):
                return folder
        level = sorted(p for folder in level for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    zips = sorted(p.name for p in root.iterdir() if p.suffix.lower() in (".zip", ".tar", ".gz", ".7z"))
    hint = f"Unpack {', '.join(zips[:3])} first." if zips else "Give the folder that holds the class folders."
    some = ", ".join(list(dict.fromkeys(known))[:6])
    raise LayoutError(f"No class folder ({some} …) was found in '{root}'.", hint)


def by_class_folder(root: Path, known: Iterable[str]) -> tuple[list[Path], list[str]]:
    """Return the pictures in class folders and their labels (the folder's name, verbatim)."""
    top = class_folders(root, known)
    paths, labels = [], []
    for folder in sorted(p for p in top.iterdir() if p.is_dir() and not p.name.startswith(".")):
        here = pictures_in(folder)
        paths += here
        labels += [folder.name] * len(here)
    if not paths:
        raise LayoutError(f"The class folders in '{top}' hold no pictures ({', '.join(SUFFIXES)}).")
    return paths, labels
