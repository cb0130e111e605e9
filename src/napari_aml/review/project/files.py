"""Names of the files of a project folder, and how they get onto the disk."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: A project is a folder with this suffix.
SUFFIX = ".amlproj"
#: The record: slides, readers, decisions, links, runs.
RECORD = "project.sqlite"
#: A second copy of each decision, one JSON object a line, from which a damaged record is repaired.
MIRROR = "decisions.jsonl"
#: Says what the folder is.
CARD = "project.json"
FORMAT = "napari-aml-project"
#: One folder a slide; in it ``slide.json`` and one folder a revision of its cells.
SLIDES = "slides"
#: Where damaged files are kept by a repair, and older records by a migration.
KEPT = "kept"


def is_project(path: str | Path) -> bool:
    """Tell whether a path is a project folder (damaged or not)."""
    path = Path(path)
    names = (RECORD, MIRROR, CARD)
    return path.is_dir() and (path.suffix == SUFFIX or (path / CARD).is_file()) and any(
        (path / name).exists() for name in names
    )


def flush(path: Path) -> None:
    """Force a file or a folder's list of names onto the disk (folders: where the system can)."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:  # Windows opens no folders
        return
    try:
        os.fsync(handle)
    except OSError:  # some network drives know no fsync of folders
        if not path.is_dir():
            raise
    finally:
        os.close(handle)


def flush_folder(folder: Path) -> None:
    """Force all files of a folder, and the folder, onto the disk."""
    for path in folder.iterdir():
        if path.is_file():
            flush(path)
    flush(folder)


@contextmanager
def making_many() -> Iterator[None]:
    """Make a hundred thousand small objects that stay: looking for cycles among them is half of the time it takes."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
