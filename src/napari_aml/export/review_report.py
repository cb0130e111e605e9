"""The review report: one HTML file on a slide or a project that a second person can check the work by."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from napari_aml import RESEARCH_USE, __version__
from napari_aml._files import replacing
from napari_aml.export import charts
from napari_aml.export.review_cells import CellGroup, cells_steps
from napari_aml.progress import Progress, Steps
from napari_aml.provenance import now_utc
from napari_aml.review.agreement import AgreementSummary, agreement, confusion, disagreements, readings
from napari_aml.review.counted import Count, count_by, count_cells, evenness, field_names, summary_by
from napari_aml.review.counting import SUMS, CountingSettings
from napari_aml.review.decisions import ADJUDICATOR, CLASS, NOTE, REGION, TAG, Decision
from napari_aml.review.exchange.curated import CuratedSlide, Curation, pseudonymous, regions_of
from napari_aml.review.exchange.projects import curation_of_project, pseudonyms_of
from napari_aml.taxonomy import cell_class

if TYPE_CHECKING:
    from napari_aml.review.project import Project

_REPEATS = 500
#: Fields with fewer leukocytes are not compared: chance rules them.
_FIELD_LEUKOCYTES = 5


@dataclass(frozen=True)
class SlideSection:
    """What the report says of one slide."""

    slide: CuratedSlide
    count: Count
    fields: int
    uneven: float
    groups: list[CellGroup]


def project_report_steps(
    project: Project,
    path: str | Path,
    slide_ids: Sequence[str] | None = None,
    *,
    reader: str | None = None,
    names: bool = False,
    settings: CountingSettings | None = None,
) -> Steps[Path]:
    """Write the review report of a project, or of some of its slides.

    Parameters
    ----------
    project
        Open.
    path
        The HTML file.
    slide_ids
        All slides with cells by default.
    reader
        Whose words are final.
    names
        Keep the names of readers, slides and patients, and what people wrote; else pseudonyms stand for them.
    settings
        How cells are counted.
    """
    curation = curation_of_project(project, slide_ids, reader=reader)
    events = project.events
    if not names:
        curation = pseudonymous(curation, pseudonyms_of(project))
    return (yield from review_report_steps(curation, path, settings, events=events))


def review_report_steps(
    curation: Curation,
    path: str | Path,
    settings: CountingSettings | None = None,
    *,
    events: Sequence[Mapping[str, Any]] = (),
) -> Steps[Path]:
    """Write the review report of curated slides.

    Parameters
    ----------
    curation
        Slides and the record of decisions on them.
    path
        The HTML file.
    settings
        How cells are counted.
    events
        What happened besides decisions; see `Project.events`.

    Raises
    ------
    OutputError
        When the file cannot be written.
    """
    settings, path = settings or CountingSettings(), Path(path)
    said = readings(curation.decisions)
    differ = {uid: {r: c for r, c in words.items() if c} for uid, _, words in disagreements(said)}
    sections = []
    tables: list[pd.DataFrame] = []
    for number, slide in enumerate(curation):
        start, share = 900 * number / len(curation), 900 / len(curation)
        yield Progress(round(start), 1000, f"Counting {slide.slide_id}")
        section_steps = _section_steps(slide, curation, settings, differ)
        try:
            while True:
                event = next(section_steps)
                yield Progress(round(start + share * event.fraction), 1000, event.message)
        except StopIteration as stop:
            sections.append(stop.value)
        finally:
            section_steps.close()
        columns = ["uid", "slide_id", "code_final", "confirmed"]
        tables.append(slide.table[[*columns, *(c for c in ("class", "probability") if c in slide.table)]])
    yield Progress(900, 1000, "Comparing the readers")
    summary = agreement(said, repeats=_REPEATS) if len(said.readers) > 1 else None
    page = _page(curation, sections, tables, settings, said, summary, events)
    with replacing(path) as beside:
        beside.write_text(page, "utf-8")
    yield Progress(1000, 1000, "Report written")
    return path


def _section_steps(
    slide: CuratedSlide, curation: Curation, settings: CountingSettings, differ: Mapping[str, Mapping[str, str]]
) -> Steps[SlideSection]:
    regions = regions_of(curation.decisions, slide.slide_id)
    count = count_cells(
        slide.table, settings, classes=slide.codes or None, card=slide.card, regions=regions,
        pixel_size_um=slide.pixel_size_um,
    )  # fmt: skip
    named = slide.table[slide.table["code_final"] != ""]
    fields = count_by(named, field_names(named, slide.pixel_size_um), settings=settings) if slide.pixel_size_um else {}
    large = {k: c for k, c in fields.items() if c.blasts.leukocytes >= _FIELD_LEUKOCYTES}
    groups = yield from cells_steps(slide, differ)
    return SlideSection(slide, count, len(large), evenness(large), groups)


def _page(
    curation: Curation, sections: list[SlideSection], tables: list[pd.DataFrame], settings: CountingSettings, said: Any,
    summary: AgreementSummary | None, events: Sequence[Mapping[str, Any]],
) -> str:
    import jinja2

    loader = jinja2.PackageLoader("napari_aml.export", "templates")
    page = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    cells = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()
    confirmed = int(cells["confirmed"].sum()) if len(cells) else 0
    facts = [
        ("Slides", str(len(sections))), ("Cells", f"{len(cells):,}"), ("Confirmed by a person", f"{confirmed:,}"),
        ("Readers", str(len(said.readers))), ("Decisions", f"{len(curation.decisions):,}"),
        ("Written (UTC)", now_utc().replace("T", " ").replace("+00:00", "")),
    ]  # fmt: skip
    if curation.name:
        facts.insert(0, ("Project", curation.name))
    context = {
        "research_use": RESEARCH_USE, "version": __version__, "facts": facts,
        "hidden": curation.pseudonyms, "licence": curation.licence, "source": curation.source,
        "warnings": _warnings(sections, cells, confirmed),
        "summary": _summary({s.slide.slide_id: s.count for s in sections}, settings),
        "patients": _patients(sections, settings), "readers": _readers(curation.decisions, cells),
        "agreement": _agreement(summary, said), "sections": [_slide(s, settings) for s in sections],
        "models": _models(sections), "audit": _audit(curation.decisions, events),
        "rules": settings.rules(), "interval": f"{100 * settings.confidence:g} %",
    }  # fmt: skip
    return page.get_template("review.html.j2").render(context)


def _warnings(sections: list[SlideSection], cells: pd.DataFrame, confirmed: int) -> list[str]:
    out = []
    if len(cells) and not confirmed:
        out.append("No person has confirmed a single cell: every class here is a model's.")
    elif confirmed < len(cells):
        share = confirmed / len(cells)
        out.append(f"{share:.0%} of the cells were confirmed by a person; the classes of the others are a model's.")
    missing = [s.slide.slide_id for s in sections if s.slide.slide is None]
    if missing:
        out.append(f"The pictures of these slides are not at hand, so no cells are shown: {', '.join(missing)}.")
    uneven = [s.slide.slide_id for s in sections if s.uneven < 0.01]
    if uneven:
        out.append(
            f"The share of blasts differs between fields by more than chance ({', '.join(uneven)}): the intervals, "
            "which take cells for independent, are too narrow there."
        )
    return out


def _summary(counts: Mapping[str, Count], settings: CountingSettings) -> dict[str, Any]:
    """Return one line a group with a bar for its blasts."""
    table = summary_by(counts)
    high = float(np.nanmax([*table["high"].fillna(0), *settings.blast_cut_offs, 10.0])) if len(table) else 10.0
    end = charts.nice_end(high)
    rows = [
        {
            **row, "bar": charts.bar(row["percent"], row["low"], row["high"], "#d62728", end),
            "figure": _figure(row["percent"], row["low"], row["high"]),
            "corrected": "–" if not math.isfinite(row["corrected"]) else f"{row['corrected']:.1f}",
        }
        for row in table.to_dict("records")
    ]  # fmt: skip
    return {"rows": rows, "axis": charts.axis(end)}


def _patients(sections: list[SlideSection], settings: CountingSettings) -> dict[str, Any] | None:
    """Return one line a patient where any patient has more than one slide."""
    names = [s.slide.patient for s in sections]
    if not any(n > 1 for name, n in Counter(names).items() if name):
        return None
    counts = {}
    for name in dict.fromkeys(n for n in names if n):
        mine = [s for s in sections if s.slide.patient == name]
        kept = [_counted_rows(s, settings) for s in mine]
        card = mine[0].slide.card if len({s.slide.model for s in mine}) == 1 else None
        counts[name] = count_cells(pd.concat(kept, ignore_index=True), settings, card=card)
    return _summary(counts, settings)


def _counted_rows(section: SlideSection, settings: CountingSettings) -> pd.DataFrame:
    from napari_aml.review.regions import counted

    table = section.slide.table
    # What regions left out was left out slide by slide; here only whole tables can be joined.
    regions = section.count.regions
    return table[counted(regions, table["y"].to_numpy(float), table["x"].to_numpy(float))] if regions else table


def _figure(percent: float, low: float, high: float) -> tuple[str, str]:
    if not math.isfinite(percent):
        return "–", "–"
    return f"{percent:.1f}", f"{low:.1f} – {high:.1f}" if math.isfinite(high) else f"{low:.1f} – ∞"


def _readers(decisions: Sequence[Decision], cells: pd.DataFrame) -> list[dict[str, Any]]:
    """Return who looked at what: cells, slides, days, and how often the model was contradicted."""
    model = dict(zip(cells["uid"], cells["class"], strict=True)) if "class" in cells else {}
    found: dict[str, list[Decision]] = {}
    for d in decisions:
        found.setdefault(d.reader, []).append(d)
    out = []
    for reader, rows in found.items():
        newest = {d.uid: d for d in rows if d.kind == CLASS}
        standing = {uid: d for uid, d in newest.items() if d.value is not None}
        compared = [d for uid, d in standing.items() if model.get(uid)]
        other = sum(d.value != model[d.uid] for d in compared)
        blinded = sum(bool(d.shown.get("blinded")) for d in standing.values())
        out.append({
            "reader": "adjudicated" if reader == ADJUDICATOR else reader, "cells": len(standing),
            "slides": len({d.slide_id for d in standing.values()}),
            "tags": sum(d.kind == TAG and d.value == "on" for d in rows), "notes": sum(d.kind == NOTE for d in rows),
            "blinded": blinded, "changed": f"{other} of {len(compared)}" if compared else "–",
            "first": min(d.time for d in rows)[:16].replace("T", " "),
            "last": max(d.time for d in rows)[:16].replace("T", " "),
        })  # fmt: skip
    return out


def _agreement(summary: AgreementSummary | None, said: Any) -> dict[str, Any] | None:
    if summary is None or summary.alpha is None:
        return None
    rows = [(f"{p.a} and {p.b}", str(p.kappa), str(p.tolerant), p.kappa.n) for p in summary.pairs]
    tables = [
        {"a": p.a, "b": p.b, "codes": list(t.columns), "rows": [(c, t.loc[c].tolist()) for c in t.index]}
        for p in summary.pairs[:3]
        if len(t := confusion(said, p.a, p.b))
    ]
    open_cells = disagreements(said, open_only=True)
    return {
        "rows": rows, "fleiss": str(summary.fleiss), "alpha": str(summary.alpha), "tables": tables,
        "differ": len(disagreements(said)), "open": len(open_cells),
    }  # fmt: skip


def _slide(section: SlideSection, settings: CountingSettings) -> dict[str, Any]:
    slide, count = section.slide, section.count
    table = count.side_by_side()
    white = table[table["of"] == "leukocytes"]
    sums = white[white["code"].isin(SUMS)]
    if not ((table["code"] == "PMB") & (table["count"] > 0)).any():
        sums = sums[sums["code"] != "BLASTS+PMB"]
    classes = white[~white["code"].isin(SUMS)]
    high = [v for v in [*classes["high"], *sums["high"], 10.0] if math.isfinite(v)]
    end = charts.nice_end(max(high))

    def lines(part: pd.DataFrame) -> list[dict[str, Any]]:
        out = []
        for row in part.to_dict("records"):
            colour = "#8896a5" if row["code"] in SUMS else cell_class(row["code"]).colour
            fixed = _figure(row["corrected"], row["corrected_low"], row["corrected_high"])
            out.append({
                **row, "colour": colour, "figure": _figure(row["percent"], row["low"], row["high"]),
                "people": _figure(row["people_percent"], row["people_low"], row["people_high"])[0],
                "fixed": fixed if fixed[0] != "–" else None,
                "bar": charts.bar(row["percent"], row["low"], row["high"], colour, end, 180),
            })  # fmt: skip
        return out

    return {
        "id": slide.slide_id, "name": "" if slide.name == slide.slide_id else slide.name, "patient": slide.patient,
        "rows": lines(classes[(classes["count"] > 0) | (classes["people_count"] > 0)]), "sums": lines(sums),
        "absent": [r["code"] for r in classes.to_dict("records") if not r["count"] and not r["people_count"]],
        "apart": lines(table[(table["of"] != "leukocytes") & ~table["code"].isin(SUMS) & (table["count"] > 0)]),
        "axis": charts.axis(end, 180), "sentences": count.sentences(),
        "gauge": charts.gauge(count.blasts, settings.blast_cut_offs),
        "fields": section.fields, "uneven": None if math.isnan(section.uneven) else f"{section.uneven:.2g}",
        "groups": section.groups, "model": slide.model or "none", "segmenter": slide.segmenter,
        "pixel_size": "unknown" if slide.pixel_size_um is None else f"{slide.pixel_size_um:.4f} µm/px",
        "sha256": slide.sha256,
    }  # fmt: skip


def _models(sections: list[SlideSection]) -> list[dict[str, Any]]:
    out: dict[str, dict[str, Any]] = {}
    for s in sections:
        name = s.slide.model or "none"
        lines: list[str] = []
        if s.slide.card is not None:
            from napari_aml.classify.card import summarise_card

            lines = [line.strip() for line in summarise_card(dict(s.slide.card), name).splitlines()[1:]]
        entry = out.setdefault(name, {"name": name, "slides": 0, "lines": lines})
        entry["slides"] += 1
    return list(out.values())


def _audit(decisions: Sequence[Decision], events: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Return the record in figures."""
    kinds = Counter(d.kind for d in decisions)
    names = {CLASS: "classes", TAG: "tags", NOTE: "notes", REGION: "regions"}
    out = [("Rows of the record", f"{len(decisions):,}")]
    if kinds:
        out.append(("Of these", ", ".join(f"{n:,} on {names.get(kind, kind)}" for kind, n in kinds.most_common())))
        changed = sum(d.kind == CLASS and d.previous is not None for d in decisions)
        back = sum(d.value is None for d in decisions)
        out.append(("Changed an earlier word; took one back", f"{changed:,}; {back:,}"))
        times = [d.time for d in decisions]
        out.append(("From, to (UTC)", f"{min(times)[:19]}, {max(times)[:19]}".replace("T", " ")))
        imported = sum(bool(d.shown.get("imported")) for d in decisions)
        if imported:
            out.append(("Imported from a file", f"{imported:,}"))
    actions = Counter(str(e.get("action", "")) for e in events)
    if actions:
        out.append(("Other events", ", ".join(f"{name} {n}" for name, n in actions.most_common())))
    out.append((
        "How it is kept",
        "rows are only ever added, each with its reader, time and what was on the screen; a project chains their "
        "hashes, so that napari-aml project verify notices a row that was changed later",
    ))  # fmt: skip
    return out
