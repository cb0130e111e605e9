"""report.html: one file that a haematologist reads on a screen or prints; no script is needed, nothing is loaded."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_aml import RESEARCH_USE, __version__
from napari_aml.export import charts
from napari_aml.export.expression_section import ExpressionPart, expression_context
from napari_aml.export.gallery import SIDE, Pictures, by_class, colours, data_uri
from napari_aml.export.overlay import UNNAMED, ink_on
from napari_aml.export.overview import Overview, outline
from napari_aml.review.blasts import blast_summary
from napari_aml.review.counting import SUMS, UNKNOWN, CountingSettings, sure_codes
from napari_aml.taxonomy import cell_class

if TYPE_CHECKING:
    import pandas as pd

    from napari_aml.analysis import Analysis

#: Long side of the report's picture, pixels.
PICTURE_LONGEST = 1800
#: A class that gets less probability than this is worth a second look.
DOUBTFUL = 0.5
_MOST_DOUBTFUL = 24
# Above these numbers of cells the picture shows dots in place of outlines, and no codes in place of codes.
_MOST_OUTLINES, _MOST_TAGS = 1500, 250
# A manual differential counts 100 to 200 leukocytes; below that the intervals are too wide to read much from them.
_FEW_LEUKOCYTES = 100
# Median diameters in µm between which a picture of white cells is believed: a small lymphocyte to a large monocyte.
_DIAMETERS = (6.0, 25.0)


@dataclass(frozen=True)
class Mark:
    """One cell in the picture: where, in which colour, what is said about it."""

    label: int
    code: str
    colour: str
    ink: str
    title: str
    points: str
    tag_x: float
    tag_y: float
    target: str


@dataclass(frozen=True)
class Card:
    """One cell in the gallery."""

    label: int
    code: str
    colour: str
    crop: str
    heatmap: str
    bars: list[tuple[str, str, float]]
    notes: list[str]
    measures: str
    anchor: bool


def report_html(
    analysis: Analysis,
    table: pd.DataFrame,
    counts: pd.DataFrame | None,
    overview: Overview,
    pictures: Pictures,
    told: dict[str, Any],
    settings: CountingSettings,
    expression: ExpressionPart | None = None,
) -> str:
    """Return the report as one HTML text.

    Parameters
    ----------
    analysis, table
        The analysed slide and ``analysis.table()``.
    counts
        Its differential; None without predictions.
    overview
        The slide's picture.
    pictures
        Of the cells that `gallery.by_class` and `doubtful_rows` chose.
    told
        Provenance, without paths.
    settings
        How cells were counted.
    expression
        What is said of the patient's expression, if a sample is linked.
    """
    import jinja2

    loader = jinja2.PackageLoader("napari_aml.export", "templates")
    page = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    groups = by_class(table)
    doubtful = doubtful_rows(table, settings)
    shown = {row for _, rows, _ in groups for row in rows}
    context = {
        "research_use": RESEARCH_USE,
        "version": __version__,
        "told": told,
        "slide": analysis.slide,
        "facts": _facts(analysis, table, counts),
        "warnings": _warnings(analysis, table, counts, told, settings),
        "n": len(table),
        **_picture(overview, analysis, table, shown, doubtful),
        **_differential(counts, settings),
        "groups": _groups(groups, table, pictures),
        "doubtful": [_card(table, row, pictures, anchor=False) for row in doubtful],
        "doubtful_limit": max(DOUBTFUL, settings.least_probability),
        "n_doubtful": _count_doubtful(table, settings),
        "scale": _scale(pictures),
        "side": SIDE,
        "method": _method(analysis, told, settings),
        "model": _model(analysis),
        "x": None if expression is None else expression_context(expression),
    }
    return page.get_template("report.html.j2").render(context)


def doubtful_rows(table: pd.DataFrame, settings: CountingSettings) -> list[int]:
    """Return the rows whose class is least sure, least sure first; none without predictions."""
    if "probability" not in table:
        return []
    sure = table["probability"].to_numpy()
    ranked = np.argsort(sure, kind="stable")
    limit = max(DOUBTFUL, settings.least_probability)
    return [int(row) for row in ranked if not sure[row] >= limit][:_MOST_DOUBTFUL]


def _count_doubtful(table: pd.DataFrame, settings: CountingSettings) -> int:
    if "probability" not in table:
        return 0
    return int((~(table["probability"] >= max(DOUBTFUL, settings.least_probability))).sum())


def _facts(analysis: Analysis, table: pd.DataFrame, counts: pd.DataFrame | None) -> list[tuple[str, str]]:
    """Return what stands at the head: name and value."""
    slide, size = analysis.slide, analysis.slide.pixel_size
    height, width = slide.shape
    where = {"file": "from the file", "person": "given by a person", "red cells": "measured from the red cells"}
    where["nuclei"] = "guessed from the nuclei"
    um = "unknown" if size.um is None else f"{size.um:.4f} µm/px, {where.get(size.source, size.source)}"
    facts = [("Slide", slide.slide_id), ("Picture", f"{_thousands(width)} × {_thousands(height)} px")]
    facts.append(("Pixel size", um))
    if size.um is not None:
        facts.append(("Area", _area(height * size.um, width * size.um)))
    facts.append(("Nucleated cells", _thousands(len(table))))
    if counts is not None:
        facts.append(("Leukocytes counted", _thousands(_row(counts, "LEUKOCYTES")["count"])))
    return facts


def _thousands(number: int) -> str:
    return f"{number:,}".replace(",", "\u202f")


def _area(height_um: float, width_um: float) -> str:
    if max(height_um, width_um) >= 1000:
        return f"{width_um / 1000:.2f} × {height_um / 1000:.2f} mm"
    return f"{width_um:.0f} × {height_um:.0f} µm"


def _row(counts: pd.DataFrame, code: str) -> dict[str, Any]:
    return counts[counts["code"] == code].iloc[0].to_dict()


def _warnings(
    analysis: Analysis,
    table: pd.DataFrame,
    counts: pd.DataFrame | None,
    told: dict[str, Any],
    settings: CountingSettings,
) -> list[str]:
    """Return what a reader must know before believing a number."""
    out = [str(w) for w in told.get("warnings") or []]
    if len(table):
        diameter = 2 * math.sqrt(float(table["area_um2"].median()) / math.pi)
        if not _DIAMETERS[0] <= diameter <= _DIAMETERS[1]:
            out.append(
                f"Half of the cells are {'smaller' if diameter < _DIAMETERS[0] else 'larger'} than {diameter:.1f} µm "
                "across, which white cells are not: the pixel size is probably wrong, and with it all that follows."
            )
    cut = int(table["touches_border"].sum()) if len(table) else 0
    if cut:
        out.append(
            f"{cut} of {len(table)} cells are cut off by the edge of the picture; they are counted, and marked below."
        )
    if counts is None:
        return out
    doubtful = _count_doubtful(table, settings)
    if doubtful > 0.1 * len(table):
        out.append(
            f"The model is unsure of {doubtful} of {len(table)} cells (probability below "
            f"{max(DOUBTFUL, settings.least_probability):.2f}); they are shown under “Doubtful cells”."
        )
    white = int(_row(counts, "LEUKOCYTES")["count"])
    if len(table) and white < _FEW_LEUKOCYTES:
        out.append(
            f"Only {white} leukocytes were counted. A manual differential counts 100 to 200 or more: "
            "mind the width of the intervals."
        )
    if settings.least_probability > 0:
        codes = sure_codes(table["class"].tolist(), table["probability"], None, settings.least_probability)
        out.append(
            f"{int((codes == UNKNOWN).sum())} cells got less than {settings.least_probability:.0%} probability for any "
            "class. They count as unknown (UNK) and are left out of the percentages."
        )
    bilobed = counts[(counts["code"] == "PMB") & (counts["count"] > 0)]
    if len(bilobed):
        out.append(
            f"{int(bilobed['count'].iloc[0])} cells were named bilobed promyelocyte (PMB). These are blast equivalents "
            "in acute promyelocytic leukaemia (APL) only and are not in the sum of blasts. This tool can neither "
            "confirm nor exclude APL, whether PMB is found or not; follow your laboratory's urgent-review procedure."
        )
    return out


def _picture(
    overview: Overview, analysis: Analysis, table: pd.DataFrame, shown: set[int], doubtful: list[int]
) -> dict[str, Any]:
    """Return the picture and the marks of its cells."""
    import cv2

    height, width = overview.rgb.shape[:2]
    shrink = min(1.0, PICTURE_LONGEST / max(height, width))
    size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
    small = cv2.resize(overview.rgb, size, interpolation=cv2.INTER_AREA) if shrink < 1 else overview.rgb
    scale = overview.scale * shrink
    outlines = len(table) <= _MOST_OUTLINES
    # On a crowded slide only the cells that have a picture below are outlined, over the dots of all.
    marked = range(len(table)) if outlines else sorted(shown.union(doubtful))
    return {
        "picture": data_uri(small, 88),
        "picture_width": size[0],
        "picture_height": size[1],
        "marks": [_mark(analysis, table, row, scale, row in shown) for row in marked],
        "dots": [] if outlines else _dots(table, scale),
        "outlines": outlines,
        "tags": len(table) <= _MOST_TAGS,
        # So many units of the picture make one pixel of a screen, whatever its shape: see .picture in report.css.
        "unit": max(size[0] / 1050, size[1] / 900),
    }


def _dots(table: pd.DataFrame, scale: float) -> list[tuple[str, str]]:
    """Return one colour and one SVG path for each class: a dot for each cell, far smaller than one element a cell."""
    classes = table["class"] if "class" in table else np.full(len(table), "")
    out = []
    for code, part in table.groupby(np.asarray(classes, object), sort=False):
        places = part[["x", "y"]].to_numpy() * scale
        colour = cell_class(str(code)).colour if code else UNNAMED
        out.append((colour, "".join(f"M{x:.1f} {y:.1f}h0" for x, y in places)))
    return out


def _mark(analysis: Analysis, table: pd.DataFrame, row: int, scale: float, has_card: bool) -> Mark:
    label = int(table["label"].iat[row])
    code = str(table["class"].iat[row]) if "class" in table else ""
    kind = cell_class(code) if code else None
    colour = kind.colour if kind else UNNAMED
    title = f"Cell {label}"
    if kind:
        title += f": {code} {kind.name}, {float(table['probability'].iat[row]):.2f}"
    points = outline(analysis.cells.masks, label, scale)
    x, y = float(table["x"].iat[row]) * scale, float(table["y"].iat[row]) * scale
    middle, top = (np.ptp(points[:, 0]) / 2 + points[:, 0].min(), points[:, 1].min()) if len(points) else (x, y)
    target = f"cell-{label}" if has_card else f"class-{code or 'none'}"
    drawn = " ".join(f"{px:.1f},{py:.1f}" for px, py in points)
    return Mark(label, code, colour, ink_on(colour), title, drawn, float(middle), float(top), target)


def _differential(counts: pd.DataFrame | None, settings: CountingSettings) -> dict[str, Any]:
    """Return the rows of the differential with their bars, and the blasts."""
    if counts is None:
        return {"rows": [], "sums": [], "apart": [], "blasts": None}
    per_white = counts[(counts["of"] == "leukocytes") & ~counts["code"].isin(SUMS)]
    rest = counts[(counts["of"] != "leukocytes") & ~counts["code"].isin(SUMS)]
    sums = counts[counts["code"].isin(["BLASTS", "BLASTS+PMB", "IMMATURE"])]
    if not len(counts[counts["code"] == "PMB"]):
        sums = sums[sums["code"] != "BLASTS+PMB"]
    end = charts.nice_end(float(np.nanmax([*per_white["high"], *sums["high"], 10.0])))

    def lines(part: pd.DataFrame, bars: bool) -> list[dict[str, Any]]:
        out = []
        for line in part.to_dict("records"):
            colour = cell_class(line["code"]).colour if line["code"] not in SUMS else "#8896a5"
            drawn = charts.bar(line["percent"], line["low"], line["high"], colour, end) if bars else ""
            out.append({**line, "colour": colour, "bar": drawn, "figure": _percent(line)})
        return out

    blasts = blast_summary(counts, settings)
    return {
        "rows": lines(per_white, True), "sums": lines(sums, True), "apart": lines(rest, False),
        "axis": charts.axis(end), "blasts": blasts, "gauge": charts.gauge(blasts, settings.blast_cut_offs),
        "interval": f"{100 * settings.confidence:g} %",
    }  # fmt: skip


def _percent(line: dict[str, Any]) -> tuple[str, str]:
    """Return the figure and its interval as they are printed."""
    if not math.isfinite(line["percent"]):
        return "–", "–"
    high = f"{line['high']:.1f}" if math.isfinite(line["high"]) else "∞"
    return f"{line['percent']:.1f}", f"{line['low']:.1f} – {high}"


def _groups(groups: list[tuple[str, list[int], int]], table: pd.DataFrame, pictures: Pictures) -> list[dict[str, Any]]:
    out = []
    for code, rows, count in groups:
        kind = cell_class(code) if code else None
        out.append({
            "code": code, "name": kind.name if kind else "cells without a class",
            "colour": kind.colour if kind else UNNAMED, "ink": ink_on(kind.colour if kind else UNNAMED),
            "count": count, "more": count - len(rows),
            "cards": [_card(table, row, pictures, anchor=True) for row in rows],
        })  # fmt: skip
    return out


def _card(table: pd.DataFrame, row: int, pictures: Pictures, *, anchor: bool) -> Card:
    line = table.iloc[row]
    code = str(line["class"]) if "class" in table else ""
    bars = []
    if code:
        columns = [c for c in table.columns if c.startswith("p_")]
        values = line[columns].to_numpy(float)
        for k in np.argsort(-values, kind="stable")[:3]:
            name = columns[k][2:]
            bars.append((name, cell_class(name).colour, float(values[k])))
    notes = ["cut off by the edge"] if line["touches_border"] else []
    heatmap = pictures.heatmaps.get(row, "")
    if "cam_has_evidence" in table and math.isfinite(pictures.strongest) and not line["cam_has_evidence"]:
        notes.append("no positive evidence")
    measures = f"{line['area_um2']:.0f} µm², nucleus {line['nc_ratio']:.0%}"
    if heatmap and math.isfinite(line["cam_in_nucleus"]):
        measures += f", evidence in nucleus ×{line['cam_in_nucleus']:.1f}"
    colour = cell_class(code).colour if code else UNNAMED
    return Card(int(line["label"]), code, colour, pictures.crops[row], heatmap, bars, notes, measures, anchor)


def _scale(pictures: Pictures) -> dict[str, Any] | None:
    """Return the colour scale of the heatmaps; None where there are none."""
    if not math.isfinite(pictures.strongest):
        return None
    ramp = colours(np.linspace(0, 1, 128))[None].repeat(8, 0)
    return {"picture": data_uri(ramp, 95), "strongest": f"{pictures.strongest:.3g}"}


def _method(analysis: Analysis, told: dict[str, Any], settings: CountingSettings) -> list[tuple[str, str]]:
    """Return how the results were made: name and value."""
    maps, size = analysis.heatmaps, analysis.slide.pixel_size
    out = [
        ("Picture, SHA-256", analysis.slide.sha256),
        ("Pixel size", f"{size} – {size.detail}" if size.detail else str(size)),
        ("Segmentation", analysis.cells.segmenter),
        ("Model", "none" if analysis.predictions is None else analysis.predictions.bundle_id),
    ]
    if maps is not None:
        out.append(("Heatmaps", f"{maps.method}, stage {maps.stage} of the network, for the class named"))
    out.append((
        "Counting",
        "percent of leukocytes; erythroblasts per 100 leukocytes; smudge cells apart; platelets, artefacts and "
        f"unknowns excluded; exact (Clopper–Pearson) {100 * settings.confidence:g} % intervals; "
        f"least probability {settings.least_probability:g}",
    ))  # fmt: skip
    for key, title in (("device", "Device"), ("precision", "Precision"), ("started_utc", "Started (UTC)")):
        if told.get(key):
            out.append((title, str(told[key])))
    out.append(("Written (UTC)", str(told.get("written_utc", ""))))
    out.append(("Versions", ", ".join(f"{k} {v}" for k, v in (told.get("versions") or {}).items())))
    return out


def _model(analysis: Analysis) -> list[str]:
    """Return the card of the model in lines; empty where there is no bundle."""
    summary = getattr(analysis.bundle, "card_summary", None)
    return [line.strip() for line in summary().splitlines() if line.strip()] if callable(summary) else []
