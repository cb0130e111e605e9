"""COCO: boxes, masks and classes in one JSON; the extra entries of an annotation make it come back whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_aml import RESEARCH_USE, __version__
from napari_aml.cells.table import COLUMNS
from napari_aml.export.formats.options import POLYGONS, ExportOptions, Written, records
from napari_aml.export.formats.tables import decisions_table
from napari_aml.progress import Progress, Steps
from napari_aml.provenance import now_utc
from napari_aml.review.exchange.shapes import outlines, run_lengths
from napari_aml.taxonomy import CLASSES, cell_class

if TYPE_CHECKING:
    from napari_aml.review.exchange.curated import CuratedSlide, Curation

#: The category of cells that nobody has classified.
UNCLASSIFIED = "unclassified"
#: Entries of their own in an annotation; all other columns of the table stand under ``attributes``.
_OWN = ("uid", "label", "class", "code_final", "confirmed", "decided_by", "disputed", "tags", "note")
_EVERY = 200


def write_steps(curation: Curation, folder: Path, options: ExportOptions) -> Steps[Written]:
    """Write coco.json."""
    path = folder / "coco.json"
    known = [c.code for c in CLASSES]
    seen: dict[str, int] = {code: i for i, code in enumerate(known, start=1)}
    images: list[dict[str, Any]] = []
    remarks: list[str] = []
    number = 0
    with open(path, "w", encoding="utf-8") as stream:
        # Annotations are written as they come: a project's masks need not fit into memory together.
        stream.write('{"annotations":[')
        for image_id, slide in enumerate(curation, start=1):
            images.append(_image(slide, image_id, curation.pseudonyms))
            if slide.masks is None:
                remarks.append(f"Slide {slide.slide_id} has no masks: coco.json holds the boxes of its cells alone.")
            for row, told in enumerate(records(slide.table)):
                code = told.get("code_final") or UNCLASSIFIED
                category = seen.setdefault(code, len(seen) + 1)
                number += 1
                made = _annotation(slide, row, told, options) | {
                    "id": number, "image_id": image_id, "category_id": category,
                }  # fmt: skip
                stream.write((",\n" if number > 1 else "\n") + json.dumps(made, ensure_ascii=False, allow_nan=False))
                if row % _EVERY == 0:
                    done = (image_id - 1 + row / len(slide)) / len(curation)
                    yield Progress(round(1000 * done), 1000, "Writing coco.json")
        rest = {
            "info": {
                "description": f"Cells of blood smears. {RESEARCH_USE}", "version": __version__,
                "date_created": now_utc(), "format": "napari-aml-coco", "format_version": 1, "source": curation.source,
                "pseudonyms": curation.pseudonyms,
            },
            "licenses": [{"id": 1, "name": curation.licence or "not stated", "url": ""}],
            "images": images,
            "categories": [_category(code, i) for code, i in seen.items()],
            "decisions": list(records(decisions_table(curation.decisions))),
        }  # fmt: skip
        stream.write("\n]," + json.dumps(rest, ensure_ascii=False, allow_nan=False)[1:] + "\n")
    yield Progress(1000, 1000, "Writing coco.json")
    return Written((Path(path.name),), tuple(remarks))


def _image(slide: CuratedSlide, image_id: int, hidden: bool) -> dict[str, Any]:
    name = slide.slide.path.name if slide.slide is not None and slide.slide.path is not None else slide.name
    return {
        "id": image_id, "file_name": slide.slide_id if hidden else name or slide.slide_id, "height": slide.shape[0],
        "width": slide.shape[1], "license": 1, "slide_id": slide.slide_id, "pixel_size_um": slide.pixel_size_um,
        "sha256": slide.sha256, "patient": slide.patient, "model": slide.model, "classes": list(slide.codes),
        "segmenter": slide.segmenter, "crop_um": slide.crop_um, "columns": list(slide.table.columns),
    }  # fmt: skip


def _category(code: str, number: int) -> dict[str, Any]:
    kind = cell_class(code)
    name = "not classified yet" if code == UNCLASSIFIED else kind.name
    return {
        "id": number, "name": code, "supercategory": "/".join(kind.lineage), "full_name": name,
        "ontology_id": kind.ontology_id, "colour": kind.colour,
    }  # fmt: skip


def _annotation(slide: CuratedSlide, row: int, told: dict[str, Any], options: ExportOptions) -> dict[str, Any]:
    box = [told["x0"], told["y0"], told["x1"] - told["x0"], told["y1"] - told["y0"]]
    found = slide.mask(row)
    out: dict[str, Any] = {"bbox": box, "area": box[2] * box[3], "iscrowd": 0}
    if found is not None:
        y0, x0, mask = found
        out["area"] = int(mask.sum())
        out["segmentation"] = _segmentation(mask, y0, x0, slide.shape, options)
        if (nucleus := slide.mask(row, "nucleus")) is not None:
            out["nucleus"] = run_lengths(nucleus[2], nucleus[0], nucleus[1], slide.shape)
    else:
        x, y, w, h = box
        out["segmentation"] = [[x, y, x + w, y, x + w, y + h, x, y + h]]
        out["box_only"] = True
    out |= {name: told[name] for name in _OWN if name in told}
    if "probability" in told:
        out["score"] = told["probability"]
    out["attributes"] = {
        k: v for k, v in told.items() if k not in _OWN and k not in ("slide_id", "y0", "x0", "y1", "x1")
    }
    assert set(COLUMNS) <= {*told}
    return out


def _segmentation(mask: Any, y0: int, x0: int, shape: tuple[int, int], options: ExportOptions) -> Any:
    if options.coco_masks == POLYGONS:
        pieces = outlines(mask)
        if all(len(rings) == 1 for rings in pieces):
            return [(rings[0] + (x0, y0)).ravel().tolist() for rings in pieces]
    return run_lengths(mask, y0, x0, shape)
