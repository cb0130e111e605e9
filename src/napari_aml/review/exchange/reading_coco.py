"""COCO comes in: napari-aml's own file whole, or the boxes and masks of another program."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

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
from napari_aml.review.exchange.shapes import filled, from_run_lengths

_OWN = ("uid", "label", "class", "code_final", "confirmed", "decided_by", "disputed", "tags", "note")


def load_json(path: Path) -> Any:
    """Read a JSON file of bearable size.

    Raises
    ------
    ExchangeError
        Naming the file and the line.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ExchangeError(f"'{path.name}' is larger than 4 GB.", "Split it by slide.")
        return json.loads(path.read_text("utf-8-sig"))
    except OSError as error:
        raise ExchangeError(f"Cannot read '{path}': {error.strerror or error}.", "Check the file's name.") from error
    except UnicodeDecodeError as error:
        raise ExchangeError(f"'{path.name}' is no text in UTF-8.", "Save it as UTF-8.") from error
    except (ValueError, RecursionError) as error:
        where = f" at line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise ExchangeError(f"'{path.name}' is no whole JSON{where}.", "Export or copy it again.") from error


@saying_what_is_damaged
def read_coco(path: str | Path) -> Incoming:
    """Read a COCO file.

    Parameters
    ----------
    path
        The JSON file. An image of another program gets its file's stem as slide id.

    Raises
    ------
    ExchangeError
        When it is no COCO, or has more annotations than any project.
    """
    path = Path(path)
    data = load_json(path)
    if not isinstance(data, dict) or not all(isinstance(data.get(k), list) for k in ("images", "annotations")):
        raise ExchangeError(f"'{path.name}' is no COCO file: it has no lists of images and annotations.")
    if len(data["annotations"]) > MOST_ROWS:
        raise ExchangeError(f"'{path.name}' holds more than {MOST_ROWS:,} annotations.", "Split it by image.")
    info = data.get("info")
    ours = isinstance(info, dict) and info.get("format") == "napari-aml-coco"
    remarks: list[str] = []
    names = {c.get("id"): str(c.get("name", "")) for c in data.get("categories") or [] if isinstance(c, dict)}
    builders: dict[Any, Builder] = {}
    for image in data["images"]:
        try:
            about = dict(image)
            slide_id = str(about.get("slide_id") or Path(str(about["file_name"])).stem)
            about["name"] = Path(str(about.get("file_name", ""))).stem
            shape = (int(about["height"]), int(about["width"]))
            builders[about["id"]] = Builder(slide_id, shape, about.get("pixel_size_um"), about)
        except MISTAKEN as error:
            raise ExchangeError(
                f"An image of '{path.name}' lacks its id, file_name, height or width: {str(image)[:80]}."
            ) from error
    lost = broken = 0
    for made in data["annotations"]:
        builder = builders.get(made.get("image_id")) if isinstance(made, dict) else None
        if builder is None:
            lost += 1
            continue
        try:
            _add(builder, made, names, ours)
        except MISTAKEN:
            broken += 1
    if lost:
        remarks.append(f"{lost} annotations belong to no image of the file and were passed over.")
    if broken:
        remarks.append(f"{broken} annotations have neither a readable box nor mask and were passed over.")
    decisions = decisions_from(data.get("decisions") or [], remarks) if ours else []
    return Incoming([b.done(remarks) for b in builders.values()], decisions, ours, remarks)


def _add(builder: Builder, made: dict[str, Any], names: dict[Any, str], ours: bool) -> None:
    told = {k: made[k] for k in _OWN if k in made}
    told |= dict(made.get("attributes") or {}) if ours else {}
    code = names.get(made.get("category_id"), "")
    # The category is what other programs change, so it stands above the copy in our own entry.
    told["code_final"] = "" if ours and code == "unclassified" else code
    mask = None
    if not made.get("box_only"):
        mask = _mask(made.get("segmentation"))
    nucleus = from_run_lengths(made["nucleus"]) if isinstance(made.get("nucleus"), dict) else None
    box = None
    if isinstance(made.get("bbox"), list) and len(made["bbox"]) == 4:
        x, y, w, h = (float(v) for v in made["bbox"])
        box = (y, x, y + h, x + w) if w > 0 and h > 0 else None
    if box is None and mask is None:
        raise ValueError("neither box nor mask")
    builder.add(told, box, mask, nucleus)


def _mask(segmentation: Any) -> Any:
    if isinstance(segmentation, dict):
        return from_run_lengths(segmentation)
    if isinstance(segmentation, list) and segmentation:
        polygons = [[list(zip(flat[::2], flat[1::2], strict=True))] for flat in segmentation]
        return filled(polygons)
    return None
