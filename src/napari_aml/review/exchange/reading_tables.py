"""CSV, Parquet and label images come in."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from napari_aml.cells.masks import CellMasks
from napari_aml.review.exchange.curated import CuratedSlide
from napari_aml.review.exchange.incoming import (
    MISTAKEN,
    MOST_BYTES,
    MOST_ROWS,
    Builder,
    ExchangeError,
    Incoming,
    decisions_from,
    saying_what_is_damaged,
)
from napari_aml.review.exchange.texts import restore

#: Names that other programs give to what we call so, in lower case.
_ALIASES = {
    "id": "uid", "cell": "uid", "cell_id": "uid", "slide": "slide_id", "image": "slide_id", "code": "code_final",
    "label_name": "code_final", "classification": "code_final", "ymin": "y0", "xmin": "x0", "ymax": "y1", "xmax": "x1",
    "centroid_y": "y", "centroid_x": "x", "reader": "decided_by", "comment": "note",
}  # fmt: skip


def read_csv_rows(path: Path) -> Iterator[dict[str, str]]:
    """Yield the rows of a CSV file (comma, semicolon or tab; UTF-8), texts restored.

    Raises
    ------
    ExchangeError
        Naming the file and the line.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ExchangeError(f"'{path.name}' is larger than 4 GB.", "Split it by slide.")
        with open(path, encoding="utf-8-sig", newline="") as stream:
            text = stream.read()
    except UnicodeDecodeError as error:
        raise ExchangeError(f"'{path.name}' is no text in UTF-8.", "Save it as CSV UTF-8.") from error
    except OSError as error:
        raise ExchangeError(f"Cannot read '{path}': {error.strerror or error}.", "Check the file's name.") from error
    if "\0" in text:
        raise ExchangeError(f"'{path.name}' is no CSV: it holds zero bytes.", "Save it as CSV UTF-8.")
    first = text[: text.find("\n") + 1 or len(text)]
    delimiter = max(",;\t", key=first.count)
    csv.field_size_limit(1 << 24)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        head = [str(restore(name)).strip() for name in next(reader, [])]
        if not head:
            raise ExchangeError(f"'{path.name}' is empty.")
        if len(set(head)) < len(head):
            raise ExchangeError(f"'{path.name}' has two columns of one name.", "Rename one of them.")
        for number, row in enumerate(reader, start=2):
            if not row:
                continue
            if len(row) != len(head):
                raise ExchangeError(
                    f"Line {reader.line_num} of '{path.name}' has {len(row)} cells, its head {len(head)}.",
                    "Check that line.",
                )
            if number > MOST_ROWS:
                raise ExchangeError(f"'{path.name}' has more than {MOST_ROWS:,} rows.", "Split it by slide.")
            yield dict(zip(head, (str(restore(v)) for v in row), strict=True))
    except csv.Error as error:
        raise ExchangeError(f"Line {reader.line_num} of '{path.name}' cannot be read: {error}.") from error


@saying_what_is_damaged
def read_table(path: str | Path) -> Incoming:
    """Read cells from a CSV or Parquet file, with the decisions and slides that lie beside it.

    Parameters
    ----------
    path
        ``cells.csv``, ``cells.parquet``, or a table of another program with a cell's id or box and its class.

    Raises
    ------
    ExchangeError
        When the file cannot be read or has none of the columns needed, naming them.
    """
    path = Path(path)
    remarks: list[str] = []
    rows = list(_rows(path))
    decisions, slides, ours = [], {}, False
    if path.stem == "cells":
        record, list_of_slides = (path.with_name(f"{name}{path.suffix}") for name in ("decisions", "slides"))
        if record.is_file():
            decisions, ours = decisions_from(_rows(record), remarks), True
        if list_of_slides.is_file():
            slides = {str(row["slide_id"]): row for row in _rows(list_of_slides) if row.get("slide_id")}
    names = {name: _ALIASES.get(name.lower(), name) for name in (rows[0] if rows else {})}
    for old, new in list(names.items()):
        if old != new and new in rows[0]:
            names[old] = old
    if rows and "class" in names and "code_final" not in names.values():
        names["class"] = "code_final"
    have = set(names.values())
    if rows and "code_final" not in have and "note" not in have and "tags" not in have:
        raise ExchangeError(
            f"'{path.name}' has no column with the class of the cells (code_final, code or class).",
            f"It has: {', '.join(list(names)[:20])}.",
        )
    if rows and "uid" not in have and not {"y0", "x0", "y1", "x1"} <= have:
        raise ExchangeError(
            f"'{path.name}' has neither a column uid nor the boxes y0, x0, y1, x1.", "Without them no cell is known."
        )
    builders: dict[str, Builder] = {}
    for slide_id, about in slides.items():
        builders[slide_id] = _builder(slide_id, about)
    for row in rows:
        told = {names[k]: v for k, v in row.items() if v not in ("", None) and v == v}
        slide_id = str(told.pop("slide_id", "") or _slide_in(str(told.get("uid", ""))))
        builders.setdefault(slide_id, Builder(slide_id)).add(told)
    for builder in builders.values():
        builder.about["columns"] = [name for name in names.values() if name != "slide_id"]
    return Incoming([b.done(remarks) for b in builders.values()], decisions, ours, remarks)


def _rows(path: Path) -> Iterable[dict[str, Any]]:
    if path.suffix.lower() != ".parquet":
        return read_csv_rows(path)
    import pyarrow.lib
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.read_table(path)
    except (pyarrow.lib.ArrowException, OSError) as error:
        raise ExchangeError(f"'{path.name}' is no readable Parquet file.", "Export or copy it again.") from error
    return table.to_pylist()


def _slide_in(uid: str) -> str:
    """Return the slide's id that a uid begins with."""
    return uid.rpartition("-")[0]


def _builder(slide_id: str, about: dict[str, Any]) -> Builder:
    def number(name: str) -> float:
        try:
            return float(about.get(name) or "nan")
        except MISTAKEN:
            return float("nan")

    height, width, um = number("height_px"), number("width_px"), number("pixel_size_um")
    shape = (int(height), int(width)) if height > 0 and width > 0 else None
    told = {**about, "classes": str(about.get("classes") or "").split()}
    return Builder(slide_id, shape, um if um > 0 else None, told)


@saying_what_is_damaged
def read_labels(path: str | Path, slide_id: str = "", nuclei: str | Path | None = None) -> Incoming:
    """Read cells from a label image, with the nuclei and the table that lie beside it.

    Parameters
    ----------
    path
        TIFF, PNG … of integers, 0 = background; a label may have several parts.
    slide_id
        Of the slide; by default the name before ``_cells``.
    nuclei
        Label image of the nuclei; by default ``NAME_nuclei.tif`` beside ``NAME_cells.tif`` where there is one.

    Raises
    ------
    ExchangeError
        When it is no image of integers.
    """
    path = Path(path)
    stem = path.stem.removesuffix("_cells")
    beside = path.with_name(f"{stem}_nuclei{path.suffix}")
    inner = Path(nuclei) if nuclei else beside if beside.is_file() and path.stem.endswith("_cells") else None
    cells = _label_image(path)
    kernels = _label_image(inner) if inner else None
    if inner is not None and kernels is not None and kernels.shape != cells.shape:
        raise ExchangeError(f"'{inner.name}' has another size than '{path.name}'.")
    masks = CellMasks.from_arrays(cells, kernels)
    slide_id = slide_id or stem
    for table in (path.with_name("cells.csv"), path.parent.parent / "cells.csv"):
        if table.is_file():
            found = read_table(table)
            mine = [s for s in found.slides if s.slide_id == slide_id]
            if mine:
                return _with_masks(mine[0], masks, found)
    builder = Builder(slide_id, masks.shape)
    for label in masks:
        y0, x0, _, _ = masks.boxes[label]
        patch = masks.patches[label]
        builder.add({"label": label}, None, (y0, x0, patch > 0), (y0, x0, patch == 2))
    remarks: list[str] = []
    return Incoming([builder.done(remarks)], [], False, remarks)


def _with_masks(slide: CuratedSlide, masks: CellMasks, found: Incoming) -> Incoming:
    from dataclasses import replace

    bare = set(masks) - set(slide.table["label"].tolist())
    remarks = list(found.remarks)
    if bare:
        remarks.append(f"{len(bare)} labels of the image stand in no row of cells.csv and were passed over.")
    masks = masks.only(label for label in masks if label not in bare)
    return Incoming(
        [replace(slide, masks=masks)], [d for d in found.decisions if d.slide_id == slide.slide_id], found.ours, remarks
    )


def _label_image(path: Path) -> np.ndarray:
    try:
        if path.suffix.lower() in (".tif", ".tiff"):
            import tifffile

            with tifffile.TiffFile(path) as file:
                page = file.pages[0]
                if page.size > 1 << 32:
                    raise ExchangeError(f"'{path.name}' is too large to be read at once.", "Cut it into parts.")
                image = page.asarray()
        else:
            from PIL import Image

            with Image.open(path) as opened:
                image = np.asarray(opened)
    except ExchangeError:
        raise
    except Exception as error:  # decoders raise dozens of types
        raise ExchangeError(f"Cannot read the label image '{path}': {error}.", "Export it again as TIFF.") from error
    if image.ndim != 2 or image.dtype.kind not in "iub" or (image.size and (image.min() < 0 or image.max() >= 2**31)):
        raise ExchangeError(
            f"'{path.name}' is no label image: it has the shape {image.shape} and the type {image.dtype}.",
            "A label image has one channel of whole numbers, 0 = background.",
        )
    return image.astype(np.int32)


