"""GeoJSON that QuPath opens: each cell with its nucleus, class, measurements; regions as annotations.

What QuPath keeps when it writes the file again (name, classification, measurements, metadata) is enough to bring every
cell back under its uid.
"""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_aml import RESEARCH_USE, __version__
from napari_aml.export.formats.options import ExportOptions, Written, records
from napari_aml.export.formats.tables import decisions_table
from napari_aml.progress import Progress, Steps
from napari_aml.review.exchange.curated import regions_of
from napari_aml.review.exchange.shapes import geometry
from napari_aml.taxonomy import cell_class

if TYPE_CHECKING:
    from napari_aml.review.exchange.curated import CuratedSlide, Curation

#: QuPath asks for UUIDs; these are made of the uid and so are the same in every export.
NAMESPACE = uuid.UUID("6f1c3b52-2f0e-5f63-9d8e-5b8c8f1c6a11")
#: What QuPath keeps as an object's metadata, beside every other text.
METADATA = (
    "uid", "slide_id", "label", "class", "runner_up", "code_final", "confirmed", "decided_by", "disputed", "tags",
    "note",
)  # fmt: skip
_EVERY = 100


def write_steps(curation: Curation, folder: Path, options: ExportOptions) -> Steps[Written]:
    """Write one GeoJSON a slide."""
    inside = folder / "geojson"
    inside.mkdir()
    made, remarks = [], []
    for number, slide in enumerate(curation):
        path = inside / f"{slide.slide_id}.geojson"
        if slide.masks is None:
            remarks.append(f"Slide {slide.slide_id} has no masks: its cells are boxes in GeoJSON.")
        with open(path, "w", encoding="utf-8") as stream:
            stream.write('{"type":"FeatureCollection","features":[')
            first = True
            for row, told in enumerate(records(slide.table)):
                stream.write(("\n" if first else ",\n") + _dumps(_feature(slide, row, told)))
                first = False
                if row % _EVERY == 0:
                    done = (number + row / len(slide)) / len(curation)
                    yield Progress(round(1000 * done), 1000, f"Writing {path.name}")
            for region in regions_of(curation.decisions, slide.slide_id):
                drawn = json.loads(region.to_geojson())
                drawn["properties"]["metadata"] = {"uid": region.uid, "slide_id": slide.slide_id, "role": region.role}
                drawn["id"] = str(uuid.uuid5(NAMESPACE, region.uid))
                stream.write(("\n" if first else ",\n") + _dumps(drawn))
                first = False
            stream.write("\n]," + _dumps({"napari_aml": _about(curation, slide)})[1:] + "\n")
        made.append(path.relative_to(folder))
    yield Progress(1000, 1000, "Writing GeoJSON")
    return Written(tuple(made), tuple(remarks))


def _dumps(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _feature(slide: CuratedSlide, row: int, told: dict[str, Any]) -> dict[str, Any]:
    found, nucleus = slide.mask(row), slide.mask(row, "nucleus")
    if found is not None:
        shape = geometry(found[2], found[0], found[1])
    else:
        shape = geometry(np.ones((told["y1"] - told["y0"], told["x1"] - told["x0"]), bool), told["y0"], told["x0"])
    code = told.get("code_final") or ""
    numbers = {
        k: v for k, v in told.items() if k not in METADATA and isinstance(v, int | float) and not isinstance(v, bool)
    }
    numbers |= {k: int(v) for k, v in told.items() if k not in METADATA and isinstance(v, bool)}
    properties: dict[str, Any] = {
        "objectType": "cell" if found is not None and nucleus is not None else "detection",
        "name": told["uid"],
        "measurements": numbers,
        "metadata": {
            k: str(v) for k, v in told.items() if (k in METADATA or isinstance(v, str)) and v not in (None, "")
        }
        | ({} if found is not None else {"box_only": "True"}),
    }
    if code:
        properties["classification"] = {"name": code, "color": _rgb(cell_class(code).colour)}
    out: dict[str, Any] = {
        "type": "Feature", "id": str(uuid.uuid5(NAMESPACE, told["uid"])), "geometry": shape, "properties": properties,
    }  # fmt: skip
    if nucleus is not None and found is not None:
        out["nucleusGeometry"] = geometry(nucleus[2], nucleus[0], nucleus[1])
    return out


def _rgb(colour: str) -> list[int]:
    return [int(colour[i : i + 2], 16) for i in (1, 3, 5)]


def _about(curation: Curation, slide: CuratedSlide) -> dict[str, Any]:
    return {
        "format": "napari-aml-geojson", "format_version": 1, "version": __version__, "research_use": RESEARCH_USE,
        "licence": curation.licence or "not stated", "source": curation.source or "not stated",
        "pseudonyms": curation.pseudonyms, "slide_id": slide.slide_id, "sha256": slide.sha256,
        "height_px": slide.shape[0], "width_px": slide.shape[1], "pixel_size_um": slide.pixel_size_um,
        "name": slide.name, "patient": slide.patient, "model": slide.model, "classes": list(slide.codes),
        "segmenter": slide.segmenter, "crop_um": slide.crop_um,
        "columns": list(slide.table.columns),
        "decisions": list(records(decisions_table(curation.of_slide(slide.slide_id)))),
    }  # fmt: skip
