"""Where results go: names of folders, and checks before work is done or a folder replaced."""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from napari_aml.errors import OutputError

if TYPE_CHECKING:
    from napari_aml.slides.slide import Slide

#: Marks a folder as made by `write_results`; its files may be replaced by newer results.
FORMAT = "napari-aml-results"
PROVENANCE = "provenance.json"


def check_writable(folder: str | Path) -> None:
    """Check that files can be made in a folder, which need not exist yet; creates nothing that stays.

    Raises
    ------
    OutputError
        Naming the folder and the reason.
    """
    folder = Path(folder)
    there = folder.absolute()
    while not there.exists() and there != there.parent:
        there = there.parent
    if not there.is_dir():
        raise OutputError(folder, f"'{there}' is a file, not a folder")
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        raise OutputError(folder, error.strerror or str(error)) from error


def check_replaceable(folder: Path, ours: tuple[str, ...]) -> None:
    """Check that results may be written at `folder`: no file of a person would be lost.

    Parameters
    ----------
    folder
        Where to; need not exist.
    ours
        Names of the files of results.

    Raises
    ------
    OutputError
        When a file stands there, or a folder that holds no results but files of the same names.
    """
    if folder.exists() and not folder.is_dir():
        raise OutputError(folder, "a file of that name stands there")
    if folder.is_dir() and read_provenance(folder) is None:
        taken = sorted(name for name in ours if (folder / name).exists())
        if taken:
            raise OutputError(folder, f"it holds files that are no results of napari-aml ({', '.join(taken)})")


def read_provenance(folder: Path) -> dict[str, object] | None:
    """Return the provenance of a results folder; None where the folder holds no results."""
    try:
        found = json.loads((folder / PROVENANCE).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and found.get("format") == FORMAT else None


def results_folder(parent: str | Path, slide: Slide) -> Path:
    """Return the folder for a slide's results inside a folder of results, named after the slide.

    A name whose folder is taken by another slide or by other files gets the slide's id appended.
    """
    name = re.sub(r'[\x00-\x1f<>:"/\\|?*]+', "_", slide.name).strip(" .") or slide.slide_id
    folder = Path(parent) / name
    told = read_provenance(folder)
    if not folder.exists() or (told is not None and told.get("slide_id") == slide.slide_id):
        return folder
    return Path(parent) / f"{name}_{slide.slide_id}"
