"""A new project folder: built beside and renamed, so that it is there whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
import uuid
from pathlib import Path

from napari_aml import RESEARCH_USE
from napari_aml.errors import OutputError
from napari_aml.provenance import now_utc
from napari_aml.review.project.errors import ProjectError
from napari_aml.review.project.files import CARD, FORMAT, SLIDES, SUFFIX, flush_folder, is_project
from napari_aml.review.project.record import Record


def make(path: str | Path, name: str | None, reader: str) -> Path:
    """Make an empty project and return its folder; see `Project.create`."""
    folder = Path(path).expanduser()
    if folder.suffix != SUFFIX:
        folder = folder.with_name(folder.name + SUFFIX)
    if folder.exists():
        there = "a project" if is_project(folder) else "something else"
        raise ProjectError(f"There is {there} already at '{folder}'.", "Open it, or choose another name.")
    card = {
        "format": FORMAT, "project_id": uuid.uuid4().hex, "name": name or folder.stem, "created_utc": now_utc(),
        "research_use": RESEARCH_USE,
    }  # fmt: skip
    beside = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}")
    try:
        (beside / SLIDES).mkdir(parents=True)
        (beside / CARD).write_text(json.dumps(card, indent=1) + "\n", "utf-8")
        record = Record(beside, make=True)
        with record.writing() as db:
            db.executemany("INSERT INTO meta VALUES (?, ?)", list(card.items()))
            record.event(db, reader, "project created", card["project_id"], {"name": card["name"]})
        record.close()
        flush_folder(beside)
        os.rename(beside, folder)
    except OSError as error:
        raise OutputError(folder, error.strerror or str(error)) from error
    finally:
        if beside.exists():
            shutil.rmtree(beside, ignore_errors=True)
    return folder
