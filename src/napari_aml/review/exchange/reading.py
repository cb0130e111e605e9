"""Read a file or an export's folder by what it is."""

from __future__ import annotations

from pathlib import Path

from napari_aml.review.exchange.incoming import ExchangeError, Incoming
from napari_aml.review.exchange.reading_coco import load_json, read_coco
from napari_aml.review.exchange.reading_geojson import read_geojson
from napari_aml.review.exchange.reading_tables import read_labels, read_table

_HINT = "Give a CSV, Parquet, COCO or GeoJSON file, a label TIFF, or the folder of an export."
_IMAGES = (".tif", ".tiff", ".png")


def read_annotations(path: str | Path, slide_id: str = "", reader: str = "") -> Incoming:
    """Read annotations of cells from a file, or from the folder of an export.

    Parameters
    ----------
    path
        The file or folder. Of a folder the fullest format is read: masks and record before masks, masks before boxes.
    slide_id
        Of the slide, where the file does not say it (GeoJSON of another program, label images).
    reader
        Who drew regions in a file that does not say it.

    Raises
    ------
    ExchangeError
        When there is nothing that can be read, or the file is damaged.
    """
    path = Path(path)
    if path.is_dir():
        return _folder(path, slide_id, reader)
    if not path.is_file():
        raise ExchangeError(f"There is no file '{path}'.", _HINT)
    suffix = path.suffix.lower()
    if suffix in (".csv", ".tsv", ".parquet"):
        return _named(read_table(path), slide_id)
    if suffix in _IMAGES:
        return read_labels(path, slide_id)
    if suffix in (".geojson", ".json"):
        data = load_json(path)
        if isinstance(data, dict) and "annotations" in data:
            return _named(read_coco(path), slide_id)
        return read_geojson(path, slide_id, reader)
    raise ExchangeError(f"'{path.name}' is of no kind that can be read.", _HINT)


def _named(found: Incoming, slide_id: str) -> Incoming:
    """Let a person name the one slide of a file of another program."""
    if slide_id and len(found.slides) == 1 and found.slides[0].slide_id != slide_id:
        from dataclasses import replace

        slide = found.slides[0]
        table = slide.table.assign(slide_id=slide_id)
        found.slides = [replace(slide, slide_id=slide_id, table=table)]
    return found


def _folder(path: Path, slide_id: str, reader: str) -> Incoming:
    if (path / "coco.json").is_file():
        return read_coco(path / "coco.json")
    inside = path / "geojson" if (path / "geojson").is_dir() else path
    if parts := sorted(inside.glob("*.geojson")):
        return _joined([read_geojson(part, slide_id if len(parts) == 1 else "", reader) for part in parts])
    inside = path / "labels" if (path / "labels").is_dir() else path
    if parts := sorted(inside.glob("*_cells.tif")):
        return _joined([read_labels(part, slide_id if len(parts) == 1 else "") for part in parts])
    for name in ("cells.parquet", "cells.csv"):
        if (path / name).is_file():
            return read_table(path / name)
    raise ExchangeError(f"The folder '{path}' holds no annotations.", _HINT)


def _joined(parts: list[Incoming]) -> Incoming:
    return Incoming(
        [s for p in parts for s in p.slides], [d for p in parts for d in p.decisions],
        all(p.ours for p in parts), list(dict.fromkeys(r for p in parts for r in p.remarks)),
    )  # fmt: skip
