"""All results of one slide, written into one folder: whole or not at all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Generator
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_aml import RESEARCH_USE
from napari_aml._files import replacing_folder
from napari_aml.export.expression_section import FILE as EXPRESSION
from napari_aml.export.expression_section import ExpressionPart, write_expression
from napari_aml.export.folder import FORMAT, PROVENANCE, check_replaceable
from napari_aml.export.gallery import by_class, pictures_steps
from napari_aml.export.overlay import draw_overlay_steps
from napari_aml.export.overview import Overview, overview_steps
from napari_aml.export.rasters import heatmap_tiles, label_tiles, write_tiff_steps
from napari_aml.export.report import doubtful_rows, report_html
from napari_aml.export.tables import write_csv, write_csv_steps, write_parquet
from napari_aml.progress import Progress, Result, Steps, run
from napari_aml.provenance import now_utc, versions
from napari_aml.review.counting import CountingSettings, differential

if TYPE_CHECKING:
    import pandas as pd

    from napari_aml.analysis import Analysis

#: Every file of a results folder; cam.tif only where there are heatmaps, differential.csv only with predictions.
RESULT_FILES = (
    "labels.tif", "nuclei.tif", "cells.csv", "cells.parquet", "cam.tif", "overlay.png", "differential.csv",
    PROVENANCE, "report.html",
)  # fmt: skip
#: Those, and what is there only where a sample of expression was linked to the slide.
_OURS = (*RESULT_FILES, EXPRESSION)
#: Long side of overlay.png, pixels, for slides that are larger.
OVERLAY_LONGEST = 4096
_SCALE = 1000


def write_results(
    analysis: Analysis,
    folder: str | Path,
    *,
    cam: bool = True,
    settings: CountingSettings | None = None,
    expression: ExpressionPart | None = None,
) -> Path:
    """Write all results of one slide into a folder; `write_results_steps` driven to its end.

    Parameters
    ----------
    analysis
        The analysed slide; predictions and heatmaps may be missing.
    folder
        The folder for this slide's files. It is built beside and renamed, so that it is there whole or not at all.
        Older results there are replaced; files that a person put there are kept.
    cam
        Whether cam.tif and the report's heatmaps are written.
    settings
        How cells are counted.
    expression
        What is said of the expression of the slide's patient (from `pipeline.expression_part`), if a sample is linked.

    Returns
    -------
    pathlib.Path
        The folder.

    Raises
    ------
    OutputError
        When the folder cannot be written, or holds files of the same names that are no results.

    Examples
    --------
    >>> import napari_aml as aml
    >>> aml.write_results(aml.analyse("smear.png"), "results/smear")  # doctest: +SKIP
    """
    return run(write_results_steps(analysis, folder, cam=cam, settings=settings, expression=expression))


def write_results_steps(
    analysis: Analysis,
    folder: str | Path,
    *,
    cam: bool = True,
    settings: CountingSettings | None = None,
    expression: ExpressionPart | None = None,
) -> Steps[Path]:
    """Write all results of one slide, yielding progress; see `write_results`."""
    folder, settings = Path(folder), settings or CountingSettings()
    check_replaceable(folder, _OURS)
    yield Progress(0, _SCALE, "Writing the results")
    table = analysis.table()
    with replacing_folder(folder, _OURS) as beside:
        yield from _share(_rasters(analysis, beside, cam), 0, 500)
        counts = yield from _share(_tables(analysis, table, beside, settings), 500, 550)
        overview = yield from _share(_overlay(analysis, table, beside), 550, 750)
        told = provenance(analysis, settings)
        rows = [row for _, shown, _ in by_class(table) for row in shown] + doubtful_rows(table, settings)
        pictures = yield from _share(pictures_steps(analysis, rows, cam=cam), 750, 900)
        html = report_html(analysis, table, counts, overview, pictures, told, settings, expression)
        if expression is not None:
            write_expression(expression, beside)
        (beside / "report.html").write_text(html, "utf-8")
        told["files"] = yield from _share(_hashes(beside), 900, 990)
        (beside / PROVENANCE).write_text(json.dumps(told, indent=2, ensure_ascii=False) + "\n", "utf-8")
        yield Progress(_SCALE, _SCALE, "Results written")
    return folder


def _share(steps: Steps[Result], start: int, end: int) -> Generator[Progress, None, Result]:
    """Map the progress of one part into that of the whole; closing this closes the part."""
    try:
        while True:
            event = next(steps)
            yield replace(event, done=round(start + (end - start) * event.fraction), total=_SCALE)
    except StopIteration as stop:
        return stop.value
    finally:
        steps.close()


def _rasters(analysis: Analysis, folder: Path, cam: bool) -> Generator[Progress, None, None]:
    """Write labels.tif, nuclei.tif and cam.tif."""
    slide, masks = analysis.slide, analysis.cells.masks
    um, labels = slide.pixel_size.um, analysis.cells.table["label"].to_numpy()
    what = "Integer labels of {}, ids as in cells.csv, 0 = background."
    jobs: list[tuple[str, Any, type[np.generic], str]] = [
        ("labels.tif", label_tiles(masks, "cell", labels), np.int32, what.format("whole nucleated cells")),
        ("nuclei.tif", label_tiles(masks, "nucleus", labels), np.int32, what.format("nuclei")),
    ]
    if cam and analysis.heatmaps is not None:
        maps = analysis.heatmaps
        said = f"Composite heatmap ({maps.method}, stage {maps.stage}), raw evidence, 0 where there is none."
        jobs.append(("cam.tif", heatmap_tiles(maps, masks, labels), np.float32, said))
    for i, (name, source, dtype, said) in enumerate(jobs):
        steps = write_tiff_steps(folder / name, source, slide.shape, dtype, um, said)
        yield from _share(steps, _SCALE * i // len(jobs), _SCALE * (i + 1) // len(jobs))


def _tables(
    analysis: Analysis, table: pd.DataFrame, folder: Path, settings: CountingSettings
) -> Steps[pd.DataFrame | None]:
    """Write the cell table and the differential, and return the differential (None without predictions)."""
    yield from write_csv_steps(table, folder / "cells.csv")
    about = {"slide_id": analysis.slide.slide_id, "pixel_size_um": analysis.slide.pixel_size.um}
    write_parquet(table, folder / "cells.parquet", about)
    if analysis.predictions is None:
        return None
    counts = differential(
        table["code_final"].tolist(), table["confirmed"].to_numpy(), settings,
        probabilities=table["probability"].to_numpy(), classes=analysis.predictions.codes,
    )  # fmt: skip
    write_csv(counts, folder / "differential.csv")
    return counts


def _overlay(analysis: Analysis, table: pd.DataFrame, folder: Path) -> Steps[Overview]:
    """Write overlay.png and return the overview that it is drawn on."""
    overview = yield from _share(overview_steps(analysis.slide, OVERLAY_LONGEST), 0, 500)
    codes = table["code_final"].tolist() if "code_final" in table else None
    steps = draw_overlay_steps(overview, analysis.cells.masks, table["label"].tolist(), codes)
    drawn = yield from _share(steps, 500, _SCALE)
    _write_png(folder / "overlay.png", drawn)
    yield Progress(_SCALE, _SCALE, "Writing overlay.png")
    return overview


def _hashes(folder: Path) -> Steps[dict[str, str]]:
    """Return the SHA-256 of each file of a folder."""
    paths, found = sorted(folder.iterdir()), {}
    for i, path in enumerate(paths):
        digest = hashlib.sha256()
        with open(path, "rb") as stream:
            while block := stream.read(1 << 24):
                digest.update(block)
                yield Progress(i, len(paths), "Checking what was written")
        found[path.name] = digest.hexdigest()
    return found


def provenance(analysis: Analysis, settings: CountingSettings) -> dict[str, Any]:
    """Return what made the results, for provenance.json: hashes, never paths or file names."""
    slide, maps = analysis.slide, analysis.heatmaps
    said = {
        "format": FORMAT,
        "format_version": 1,
        "research_use": RESEARCH_USE,
        "written_utc": now_utc(),
        "slide_id": slide.slide_id,
        "slide": {
            "slide_id": slide.slide_id, "sha256": slide.sha256, "height_px": slide.shape[0], "width_px": slide.shape[1],
            "pixel_size_um": slide.pixel_size.um, "pixel_size_source": slide.pixel_size.source,
            "pixel_size_detail": slide.pixel_size.detail,
        },
        "cells": len(analysis.cells),
        "segmenter": analysis.cells.segmenter,
        "model": None if analysis.predictions is None else analysis.predictions.bundle_id,
        "heatmaps": None if maps is None else {"method": maps.method, "stage": maps.stage},
        "counting": asdict(settings),
        "versions": versions(),
        "warnings": list(slide.notes),
    }  # fmt: skip
    return _without_paths({**said, **analysis.provenance, **{k: said[k] for k in ("format", "slide_id")}}, analysis)


def _without_paths(value: Any, analysis: Analysis) -> Any:
    """Replace the slide's path and file name wherever they stand: either may name a patient."""
    path = analysis.slide.path
    name = analysis.slide.name
    names = [] if path is None else [str(path.absolute()), str(path), path.name]
    # A short name ("1", "a") would be found inside other words: it is replaced only where it stands in quotes.
    names += [f"'{name}'", *([name] if len(name) > 5 else [])]

    def clean(value: Any) -> Any:
        if isinstance(value, dict):
            return {str(k): clean(v) for k, v in value.items()}
        if isinstance(value, list | tuple):
            return [clean(v) for v in value]
        if isinstance(value, Path):
            return clean(str(value))
        if isinstance(value, np.generic):
            return value.item()
        if isinstance(value, str):
            for name in names:
                value = value.replace(name, analysis.slide.slide_id)
        return value if isinstance(value, str | int | float | bool | None) else str(value)

    return clean(value)


def _write_png(path: Path, rgb: np.ndarray) -> None:
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    told = PngInfo()
    told.add_text("Comment", RESEARCH_USE)
    Image.fromarray(rgb).save(path, pnginfo=told, compress_level=3)
