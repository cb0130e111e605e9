"""One call writes a curation in any number of formats into one folder, whole or not at all, with its provenance."""

from __future__ import annotations

import importlib
import json
from collections.abc import Generator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from napari_aml import RESEARCH_USE
from napari_aml._files import replacing_folder
from napari_aml.errors import InputError, OutputError
from napari_aml.export.formats.options import ExportOptions, Written
from napari_aml.progress import Progress, Steps, run
from napari_aml.provenance import file_sha256, now_utc, versions
from napari_aml.review.exchange.curated import Curation, pseudonymous
from napari_aml.review.exchange.pseudonyms import Pseudonyms

__all__ = ["FORMATS", "ExportOptions", "export_curation", "export_curation_steps"]

#: Format → what it writes, in words. The module of the same name has ``write_steps(curation, folder, options)``.
FORMATS: dict[str, str] = {
    "csv": "cells.csv, decisions.csv, slides.csv: for spreadsheets",
    "parquet": "cells.parquet, decisions.parquet, slides.parquet: for pandas, R, DuckDB",
    "coco": "coco.json: boxes, masks and classes for detection and segmentation networks",
    "geojson": "geojson/SLIDE.geojson: outlines of cells and nuclei, opens in QuPath",
    "labels": "labels/SLIDE_cells.tif and _nuclei.tif: label images, with cells.csv",
    "imagefolder": "imagefolder/CODE/UID.png: one picture a cell, for torchvision and others",
    "h5ad": "cells.h5ad: features and classes as AnnData, for scanpy (needs the extra 'anndata')",
    "dataset": "dataset/: a data set folder that napari-aml trains on",
}
_MODULES = {"csv": "tables", "parquet": "tables"}
FORMAT, PROVENANCE, README = "napari-aml-export", "provenance.json", "README.txt"
_SCALE = 1000


def export_curation(curation: Curation, folder: str | Path, formats: Sequence[str] = ("csv",), **choices: Any) -> Path:
    """Write a curation in some formats; `export_curation_steps` driven to its end."""
    return run(export_curation_steps(curation, folder, formats, **choices))


def export_curation_steps(
    curation: Curation,
    folder: str | Path,
    formats: Sequence[str] = ("csv",),
    *,
    options: ExportOptions | None = None,
    pseudonyms: Pseudonyms | bool = True,
    notes: bool = False,
) -> Steps[Path]:
    """Write a curation in some formats, yielding progress.

    Parameters
    ----------
    curation
        What leaves.
    folder
        Built beside and renamed. An earlier export there is replaced; other files are not touched.
    formats
        Keys of `FORMATS`.
    options
        Choices of the formats.
    pseudonyms
        Replace the names of readers, patients and slides: True with a new key, or the `Pseudonyms` to use.
    notes
        Keep free text in a pseudonymous export.

    Raises
    ------
    InputError
        For a format that does not exist.
    OutputError
        When the folder cannot be written or holds something else than an export.
    """
    folder, options = Path(folder), options or ExportOptions()
    formats = tuple(dict.fromkeys(formats))
    if unknown := [name for name in formats if name not in FORMATS]:
        raise InputError(f"There is no format '{unknown[0]}'.", f"Choose among {', '.join(FORMATS)}.")
    if not formats:
        raise InputError("No format was chosen.", f"Choose among {', '.join(FORMATS)}.")
    earlier = _earlier(folder)
    if pseudonyms:
        words = pseudonyms if isinstance(pseudonyms, Pseudonyms) else None
        curation = pseudonymous(curation, words, notes=notes)
    yield Progress(0, _SCALE, "Exporting")
    remarks: list[str] = []
    with replacing_folder(folder, earlier) as beside:
        files: list[Path] = []
        for i, name in enumerate(formats):
            writer = importlib.import_module(f"napari_aml.export.formats.{_MODULES.get(name, name)}")
            arguments = (name,) if name in _MODULES else ()
            steps = writer.write_steps(curation, beside, options, *arguments)
            start, end = _SCALE * i // len(formats), _SCALE * (i + 1) // len(formats)
            written: Written = yield from share(steps, start, end)
            files += written.files
            remarks += [r for r in written.remarks if r not in remarks]
        told = provenance(curation, formats, options, remarks)
        told["files"] = {path.as_posix(): file_sha256(beside / path) for path in sorted(set(files))[:10_000]}
        (beside / PROVENANCE).write_text(json.dumps(told, indent=2, ensure_ascii=False) + "\n", "utf-8")
        (beside / README).write_text(_readme(told), "utf-8")
    yield Progress(_SCALE, _SCALE, " ".join(remarks) or "Exported")
    return folder


def share(steps: Steps[Any], start: int, end: int) -> Generator[Progress, None, Any]:
    """Map the progress of one part into that of the whole; closing this closes the part."""
    try:
        while True:
            event = next(steps)
            yield replace(event, done=round(start + (end - start) * event.fraction), total=_SCALE)
    except StopIteration as stop:
        return stop.value
    finally:
        steps.close()


def provenance(
    curation: Curation, formats: Sequence[str], options: ExportOptions, remarks: Sequence[str] = ()
) -> dict[str, Any]:
    """Return what an export says about itself."""
    from napari_aml.export.formats.tables import slides_table

    slides = slides_table(curation)
    return {
        "format": FORMAT, "format_version": 1, "research_use": RESEARCH_USE, "written_utc": now_utc(),
        "formats": list(formats), "name": curation.name, "licence": curation.licence or "not stated",
        "source": curation.source or "not stated", "pseudonyms": curation.pseudonyms,
        "options": asdict(options), "decisions": len(curation.decisions),
        "slides": json.loads(slides.to_json(orient="records")), "about": dict(curation.about),
        "versions": versions(), "remarks": list(remarks),
    }  # fmt: skip


def _readme(told: dict[str, Any]) -> str:
    lines = [
        RESEARCH_USE, "", f"Exported by napari-aml on {told['written_utc']} (UTC).",
        f"Licence of the pictures and labels: {told['licence']}.", f"Source: {told['source']}.",
        "Names of readers, patients and slides were replaced by pseudonyms." if told["pseudonyms"]
        else "This export holds the names of readers, slides and patients as they were given: do not pass it on.",
        "A cell has the same uid in every file. provenance.json says what made what.", "",
        *(f"{name}: {FORMATS[name]}" for name in told["formats"]), *(["", *told["remarks"]] if told["remarks"] else []),
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _earlier(folder: Path) -> list[str]:
    """Return what an earlier export left in a folder, which a new one replaces."""
    if folder.exists() and not folder.is_dir():
        raise OutputError(folder, "a file of that name stands there")
    try:
        told = json.loads((folder / PROVENANCE).read_text("utf-8"))
        ours = told.get("format") == FORMAT
    except (OSError, ValueError, AttributeError):
        ours = False
    if not ours:
        if folder.is_dir() and any(folder.iterdir()):
            raise OutputError(folder, "it holds files that are no export of napari-aml; choose an empty folder")
        return []
    return [*{Path(name).parts[0] for name in told.get("files", {})}, PROVENANCE, README]
