"""report.html: complete, self-contained, escaped, bounded."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest

from napari_aml.analysis import Analysis
from napari_aml.classify.predictions import Predictions
from napari_aml.explain.heatmap import Heatmaps
from napari_aml.export import charts, write_results
from napari_aml.export.gallery import PER_CLASS, blend, by_class, strongest_evidence
from napari_aml.review import blast_summary, differential

# Elements that have no end tag.
VOID = {"meta", "img", "br", "image", "polygon", "rect", "line", "circle", "path"}


class Page(HTMLParser):
    """Collects what a browser would make of the report."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.sources: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        if tag not in VOID:
            self.open.append(tag)
        if "id" in given:
            self.ids.append(given["id"])
        if tag == "a":
            self.links.append(given["href"])
        self.sources += [given[k] for k in ("src", "data", "poster", "srcset") if k in given]
        if tag in ("image", "use", "link"):
            self.sources.append(given.get("href", ""))

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag, f"</{tag}> closes another element"

    def handle_data(self, data):
        if not self.open or self.open[-1] not in ("style", "script"):
            self.text += data


def read(folder) -> tuple[str, Page]:
    html = (folder / "report.html").read_text("utf-8")
    return html, Page(html)


@pytest.fixture
def page(tmp_path, analysis) -> Page:
    return read(write_results(analysis, tmp_path / "field"))[1]


def test_the_page_is_well_formed_and_loads_nothing(tmp_path, analysis):
    html, page = read(write_results(analysis, tmp_path / "field"))
    assert page.open == []
    assert page.sources and all(s.startswith("data:image/jpeg;base64,") for s in page.sources)
    assert not re.search(r"(?:https?:)?//[a-z]", re.sub(r"//[^\n]*comment|// A local reader[^\n]*", "", html))
    assert "url(" not in html and "@import" not in html
    assert all(link.startswith("#") for link in page.links)
    assert "default-src 'none'" in html


def test_every_link_leads_somewhere_and_every_id_stands_once(page):
    assert len(page.ids) == len(set(page.ids))
    assert {link[1:] for link in page.links} <= set(page.ids)


def test_every_cell_stands_in_picture_and_gallery(page, analysis):
    for label in analysis.cells.table["label"]:
        assert f"at-{label}" in page.ids
        assert f"cell-{label}" in page.ids


def test_what_a_reader_must_know_is_said(page, analysis):
    for text in (
        "For Research Use Only. Not for use in diagnostic procedures.",
        analysis.slide.slide_id,
        "0.2000 µm/px, measured from the red cells",
        "1 of 6 cells are cut off by the edge",
        "Only 4 leukocytes were counted",
        "2 of 4 leukocytes (50.0 %) were counted as blasts; exact 95 % interval 6.8 to 93.2 %.",
        "The interval includes the published cut-offs of 10 % and 20 %.",
        "myeloblast", "neutrophil, segmented", "no positive evidence", "the same scale for all cells",
        "1 of 6 cells got less than 0.50",
    ):  # fmt: skip
        assert text in page.text, text


def test_cells_of_an_impossible_size_are_a_warning(tmp_path, analysis):
    analysis.cells.table["area_um2"] /= 10
    assert "Half of the cells are smaller than 3.5 µm" in read(write_results(analysis, tmp_path / "small"))[1].text


def test_it_never_gives_a_diagnosis(page):
    assert not re.search(r"\b(AML|leukaemia is|diagnosis|diagnosed|positive for|negative for)\b", page.text)


def test_hostile_text_is_escaped(tmp_path, analysis):
    evil = '"><script>alert(1)</script><img src=x onerror=alert(1)>'
    codes = (evil, *analysis.predictions.codes[1:])
    slide = analysis.slide
    slide.pixel_size = replace(slide.pixel_size, detail=evil)
    hostile = replace(
        analysis,
        predictions=replace(analysis.predictions, codes=codes, bundle_id=evil),
        provenance={"warnings": [evil], "device": evil, "versions": {evil: evil}},
    )
    html, page = read(write_results(hostile, tmp_path / "field"))
    assert page.open == []
    assert html.count("<script>") == 1  # the report's own
    assert "<img src=x" not in html
    assert "alert(1)" in page.text


def test_pictures_in_the_report_are_the_cells(tmp_path, analysis):
    html, _ = read(write_results(analysis, tmp_path / "field"))
    coded = re.search(r'<img src="data:image/jpeg;base64,([^"]+)" alt="cell 5"', html).group(1)
    crop = cv2.imdecode(np.frombuffer(base64.b64decode(coded), np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    assert crop.shape == (112, 112, 3)
    assert np.abs(crop[56, 56].astype(int) - (90, 50, 140)).max() < 12  # the nucleus lies in the middle
    assert np.abs(crop[4, 4].astype(int) - (235, 225, 230)).max() < 12


def many(analysis: Analysis, n: int) -> Analysis:
    """The same slide with the fifth cell n times."""
    from napari_aml.cells import CellMasks, Cells

    masks = CellMasks(analysis.slide.shape)
    y0, x0, _, _ = analysis.cells.masks.boxes[5]
    for label in range(1, n + 1):
        masks.put(label, y0, x0, analysis.cells.masks.patches[5])
    table = analysis.cells.table.iloc[[4] * n].reset_index(drop=True)
    table["label"] = np.arange(1, n + 1, dtype=np.int32)
    table["uid"] = [f"c{i}" for i in range(n)]
    p = np.random.default_rng(0).dirichlet(np.ones(16) * 0.3, n).astype(np.float32)
    codes = tuple("BAS EBO EOS KSC LYA LYT MMZ MOB MON MYB MYO NGB NGS PMB PMO PLT".split())
    nan = np.full(n, np.nan, np.float32)
    rows = np.full(n, 4)
    heat = analysis.heatmaps.take(rows)
    return replace(
        analysis,
        cells=Cells(analysis.cells.slide_id, masks, table, 0.2, "painted 1"),
        predictions=Predictions(codes, p, np.zeros((n, 2), np.float32), nan, "painted 1"),
        heatmaps=heat,
    )


def test_twenty_thousand_cells_stay_below_fifteen_megabytes(tmp_path, analysis):
    from napari_aml.export.gallery import pictures_steps
    from napari_aml.export.overview import Overview
    from napari_aml.export.report import doubtful_rows, report_html
    from napari_aml.progress import run
    from napari_aml.review import CountingSettings

    crowd = many(analysis, 20_000)
    table = crowd.table()
    rows = [row for _, shown, _ in by_class(table) for row in shown] + doubtful_rows(table, CountingSettings())
    picture = np.random.default_rng(0).integers(0, 255, (700, 1100, 3), np.uint8)
    counts = differential(table["class"].tolist())
    pictures = run(pictures_steps(crowd, rows))
    html = report_html(crowd, table, counts, Overview(picture, 1.0), pictures, {}, CountingSettings())
    assert len(html.encode()) < 15e6
    assert re.search(r"… and [\d,]+ more; cells.csv lists them all", html)
    page = Page(html)
    assert page.open == []
    assert {link[1:] for link in page.links} <= set(page.ids)


def test_the_gallery_shows_the_surest_first_and_says_how_many_there_are(analysis):
    table = many(analysis, 900).table()
    for code, rows, count in by_class(table):
        of_class = table[table["class"] == code]
        assert count == len(of_class)
        assert len(rows) == min(count, PER_CLASS)
        assert table["probability"].iloc[rows].is_monotonic_decreasing
        assert table["probability"].iloc[rows].min() >= of_class["probability"].nlargest(PER_CLASS).min()


def test_evidence_keeps_one_scale_for_all_cells(analysis):
    maps = analysis.heatmaps
    strongest = strongest_evidence(maps)
    crop = np.full((112, 112, 3), 128, np.uint8)
    weak, strong = (blend(crop, maps.maps[i], strongest).astype(int) for i in (0, 5))
    # Grey has no colour; the weak map (about 1) takes up less of it than the strong one (about 6).
    assert np.ptp(weak, axis=2).mean() > 0
    assert strong[..., 0].mean() > weak[..., 0].mean() + 20
    none = blend(crop, maps.maps[2], strongest)
    assert (none == 128).all()


def test_without_any_evidence_there_is_no_scale(analysis):
    maps = analysis.heatmaps
    dead = Heatmaps(
        -np.abs(maps.maps), maps.target, "gradcam", 3, maps.box, maps.in_cell, maps.in_nucleus, np.zeros(6, bool)
    )
    assert np.isnan(strongest_evidence(dead))
    assert np.isnan(strongest_evidence(None))


def test_a_bar_is_as_long_as_its_percentage():
    svg = charts.bar(25.0, 10.0, 45.0, "#d62728", 50.0, width=300)
    assert 'width="150.0" height="12" fill="#d62728"' in svg
    assert 'x1="60.0" x2="270.0"' in svg
    assert charts.bar(float("nan"), 0, 0, "#d62728", 50.0) == ""


@pytest.mark.parametrize(("value", "end"), [(0, 10), (10, 10), (10.1, 20), (49, 50), (51, 60), (61, 80), (100, 100)])
def test_axes_end_on_round_figures_that_hold_the_value(value, end):
    assert charts.nice_end(value) == end


def test_the_gauge_shows_the_cut_offs():
    svg = charts.gauge(blast_summary(differential(["MYO"] * 3 + ["NGS"] * 13)), (10.0, 20.0))
    assert "10 %" in svg and "20 %" in svg
    assert charts.gauge(blast_summary(differential([])), (10.0, 20.0)) == ""
