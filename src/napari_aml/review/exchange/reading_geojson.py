"""GeoJSON comes in: napari-aml's own file, the same after QuPath wrote it again, or outlines drawn in QuPath."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari_aml.errors import InputError
from napari_aml.review.decisions import REGION, Decision
from napari_aml.review.exchange.incoming import (
    MISTAKEN,
    MOST_ROWS,
    Builder,
    ExchangeError,
    Incoming,
    decisions_from,
    saying_what_is_damaged,
)
from napari_aml.review.exchange.reading_coco import load_json
from napari_aml.review.exchange.shapes import filled
from napari_aml.review.regions import ROLES, Region

_FLAT = ("touches_border", "cam_has_evidence", "unlike_training")


@saying_what_is_damaged
def read_geojson(path: str | Path, slide_id: str = "", reader: str = "") -> Incoming:
    """Read a GeoJSON file of one slide.

    Parameters
    ----------
    path
        The file: a FeatureCollection, or a list of features as QuPath writes it.
    slide_id
        Of the slide; by default what the file says, else its stem.
    reader
        Who drew the regions of a file that carries no record of its own; none are taken where it is empty.

    Raises
    ------
    ExchangeError
        When it is no GeoJSON.
    """
    path = Path(path)
    data = load_json(path)
    features = data.get("features") if isinstance(data, dict) else data
    if isinstance(data, dict) and data.get("type") == "Feature":
        features = [data]
    if not isinstance(features, list):
        raise ExchangeError(f"'{path.name}' is no GeoJSON: it has no list of features.")
    if len(features) > MOST_ROWS:
        raise ExchangeError(f"'{path.name}' holds more than {MOST_ROWS:,} features.", "Split it.")
    told = data.get("napari_aml") if isinstance(data, dict) else None
    about: dict[str, Any] = told if isinstance(told, dict) else {}
    ours = about.get("format") == "napari-aml-geojson"
    slide = slide_id or str(about.get("slide_id") or _slide_of(features) or path.stem)
    shape = (int(about["height_px"]), int(about["width_px"])) if ours else None
    builder = Builder(slide, shape, about.get("pixel_size_um"), dict(about))
    remarks: list[str] = []
    broken, regions = 0, []
    for feature in features:
        try:
            properties = feature.get("properties") or {}
            if str(properties.get("objectType", "")).lower() == "annotation":
                regions.append(feature)
            else:
                _add(builder, feature, properties)
        except MISTAKEN:
            broken += 1
    if broken:
        remarks.append(f"{broken} features have no outline that can be filled and were passed over.")
    decisions = decisions_from(about.get("decisions") or [], remarks) if ours else []
    if not decisions and regions:
        decisions = _regions(regions, slide, reader, remarks)
    return Incoming([builder.done(remarks)], decisions, ours or _is_ours(builder), remarks)


def _slide_of(features: list[Any]) -> str:
    for feature in features[:50]:
        metadata = ((feature.get("properties") or {}).get("metadata") or {}) if isinstance(feature, dict) else {}
        if isinstance(metadata, dict) and metadata.get("slide_id"):
            return str(metadata["slide_id"])
    return ""


def _is_ours(builder: Builder) -> bool:
    """Tell whether all cells carry our metadata: the file was ours before QuPath wrote it again."""
    return bool(builder.rows) and all("confirmed" in row for row in builder.rows)


def _add(builder: Builder, feature: dict[str, Any], properties: dict[str, Any]) -> None:
    told: dict[str, Any] = {}
    measured = properties.get("measurements") or {}
    if isinstance(measured, list):  # QuPath before 0.4
        measured = {m["name"]: m["value"] for m in measured}
    metadata = properties.get("metadata") or {}
    if metadata.get("uid"):
        told |= {k: v for k, v in measured.items() if v is not None} | dict(metadata)
        told |= {k: bool(told[k]) for k in _FLAT if k in told}
    kind = properties.get("classification") or {}
    code = kind.get("name") if isinstance(kind, dict) else str(kind)
    if isinstance(kind, dict) and not code and kind.get("names"):
        code = ": ".join(map(str, kind["names"]))
    told["code_final"] = str(code or "")
    told.pop("slide_id", None)
    only_box = told.pop("box_only", "") == "True"
    mask = filled(_polygons(feature["geometry"]))
    if not mask[2].size:
        raise ValueError("empty")
    inner = feature.get("nucleusGeometry") or properties.get("nucleusGeometry")
    if only_box:
        y0, x0, inside = mask
        builder.add(told, (y0, x0, y0 + inside.shape[0], x0 + inside.shape[1]))
    else:
        builder.add(told, None, mask, filled(_polygons(inner)) if inner else None)


def _polygons(geometry: dict[str, Any]) -> list[Any]:
    if geometry["type"] == "Polygon":
        return [geometry["coordinates"]]
    if geometry["type"] == "MultiPolygon":
        return list(geometry["coordinates"])
    raise ValueError(geometry["type"])


def _regions(features: list[Any], slide: str, reader: str, remarks: list[str]) -> list[Decision]:
    """Turn annotations into regions of a reader; those whose name is none of `ROLES` are passed over."""
    found, passed = [], 0
    for feature in features:
        try:
            metadata = feature["properties"].get("metadata") or {}
            role = str(metadata.get("role") or feature["properties"].get("name") or "")
            if role not in ROLES or not reader or feature["geometry"]["type"] != "Polygon":
                raise ValueError
            points = tuple((float(y), float(x)) for x, y, *_ in feature["geometry"]["coordinates"][0][:-1])
            known = {"uid": str(metadata["uid"])} if metadata.get("uid") else {}
            region = Region(points, role, **known)
            found.append(Decision(region.uid, slide, region.to_geojson(), reader, REGION))
        except (*MISTAKEN, InputError):
            passed += 1
    if passed:
        remarks.append(
            f"{passed} annotations were passed over: a region to count is a polygon named '{ROLES[0]}' or '{ROLES[1]}'"
            + ("." if reader else ", and needs the name of the reader who drew it.")
        )
    return found
