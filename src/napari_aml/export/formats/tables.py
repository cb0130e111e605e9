"""Cells, decisions and slides as CSV that a spreadsheet opens safely, and as Parquet that says what it is."""

from __future__ import annotations

import csv
import json
from collections.abc import Generator, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from napari_aml._files import replacing
from napari_aml.export.formats.options import ExportOptions, Written
from napari_aml.export.tables import write_parquet
from napari_aml.progress import Progress, Steps
from napari_aml.review.exchange.texts import defuse

if TYPE_CHECKING:
    from napari_aml.review.decisions import Decision
    from napari_aml.review.exchange.curated import Curation

_ROWS = 2000


def slides_table(curation: Curation) -> pd.DataFrame:
    """Return one row a slide: id, hash, size, scale, names (empty in a pseudonymous export), model."""
    rows = [
        {
            "slide_id": s.slide_id, "sha256": s.sha256, "height_px": s.shape[0], "width_px": s.shape[1],
            "pixel_size_um": s.pixel_size_um, "cells": len(s), "confirmed": int(s.table["confirmed"].sum()),
            "name": s.name, "patient": s.patient, "model": s.model, "classes": " ".join(s.codes),
            "segmenter": s.segmenter, "crop_um": s.crop_um, "licence": curation.licence, "source": curation.source,
        }
        for s in curation
    ]  # fmt: skip
    return pd.DataFrame(rows)


def decisions_table(decisions: Iterable[Decision]) -> pd.DataFrame:
    """Return one row a decision; ``taken_back`` tells a missing value from an empty text, ``first`` likewise."""
    rows = [
        {
            "seq": d.seq, "time": d.time, "id": d.id, "slide_id": d.slide_id, "uid": d.uid, "kind": d.kind,
            "name": d.name, "value": d.value or "", "taken_back": d.value is None, "previous": d.previous or "",
            "first": d.previous is None, "reader": d.reader,
            "shown": json.dumps(dict(d.shown), sort_keys=True, ensure_ascii=False, default=str),
        }
        for d in decisions
    ]  # fmt: skip
    columns = "seq time id slide_id uid kind name value taken_back previous first reader shown".split()
    return pd.DataFrame(rows, columns=columns)


def write_steps(curation: Curation, folder: Path, options: ExportOptions, kind: str) -> Steps[Written]:
    """Write cells, decisions and slides of a curation; `kind` is ``csv`` or ``parquet``."""
    made = []
    jobs = (("cells", None), ("decisions", decisions_table(curation.decisions)), ("slides", slides_table(curation)))
    for name, table in jobs:
        path = folder / f"{name}.{kind}"
        if kind == "parquet":
            if table is None:
                table = joined(curation)
            about = {"licence": curation.licence, "source": curation.source, "pseudonyms": curation.pseudonyms}
            write_parquet(table, path, about)
            yield Progress(0, 0, f"Writing {path.name}")
        elif table is None:
            yield from write_csv_steps((s.table for s in curation), path)
        else:
            yield from write_csv_steps([table], path)
        made.append(Path(path.name))
    return Written(tuple(made))


def joined(curation: Curation) -> pd.DataFrame:
    """Return the cells of all slides in one table; a column that a slide lacks is empty there."""
    tables = [s.table for s in curation]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def write_csv_steps(tables: Iterable[pd.DataFrame], path: Path) -> Generator[Progress, None, None]:
    """Write tables below each other as CSV (UTF-8, comma, point), exactly: every text and float comes back.

    The columns are those of the first table, then what further tables add; texts that begin a formula are defused.
    """
    tables = list(tables)
    columns = list(dict.fromkeys(c for table in tables for c in table.columns))
    total, done = sum(map(len, tables)), 0
    with replacing(path) as beside, open(beside, "w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow([defuse(c) for c in columns])
        for table in tables:
            for start in range(0, len(table), _ROWS):
                part = table.iloc[start : start + _ROWS]
                texts = [_texts(part[c]) if c in part else [""] * len(part) for c in columns]
                writer.writerows(zip(*texts, strict=True))
                done += len(part)
                yield Progress(done, total, f"Writing {path.name}")
        stream.close()  # before it is renamed, which Windows refuses for an open file


def _texts(column: pd.Series) -> list[Any]:
    """Return the texts of a column: the shortest that give the same number again; nothing for what is missing."""
    values = column.to_numpy()
    if values.dtype.kind == "f":
        missing = np.isnan(values)
        return ["" if gone else str(v) for gone, v in zip(missing, values, strict=True)]
    if values.dtype.kind in "biu":
        return [str(v) for v in values]
    return ["" if v is None or v != v else defuse(str(v)) for v in column.astype(object)]
