"""ImageFolder: one PNG a cell in a folder named after its class, as torchvision and most trainers read it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from napari_aml import RESEARCH_USE
from napari_aml.export.formats.options import ExportOptions, Written
from napari_aml.export.formats.pictures import chosen_rows, cut, why_not
from napari_aml.export.formats.tables import write_csv_steps
from napari_aml.progress import Progress, Steps

if TYPE_CHECKING:
    from napari_aml.review.exchange.curated import Curation

_EVERY = 16


def write_steps(curation: Curation, folder: Path, options: ExportOptions) -> Steps[Written]:
    """Write ``imagefolder/CODE/UID.png`` and ``imagefolder.csv`` with one row a picture."""
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    told = PngInfo()
    told.add_text("Comment", f"{RESEARCH_USE} Licence: {curation.licence or 'not stated'}.")
    made: list[Path] = []
    rows: list[dict[str, Any]] = []
    remarks: list[str] = []
    for number, slide in enumerate(curation):
        if reason := why_not(slide):
            remarks.append(reason)
            continue
        chosen = chosen_rows(slide, options)
        for i, (row, picture) in enumerate(cut(slide, chosen, options)):
            line = slide.table.iloc[row]
            path = Path("imagefolder", safe_name(line["code_final"]), f"{safe_name(line['uid'])}.png")
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(folder / path, pnginfo=told)
            made.append(path)
            rows.append({
                "picture": path.as_posix(), "uid": line["uid"], "code": line["code_final"],
                "confirmed": bool(line["confirmed"]), "decided_by": line["decided_by"], "slide_id": slide.slide_id,
                "patient": slide.patient, "crop_um": options.crop_um or slide.crop_um,
                "um_per_px": (options.crop_um or slide.crop_um) / options.crop_px,
            })  # fmt: skip
            if i % _EVERY == 0:
                done = (number + i / len(chosen)) / len(curation)
                yield Progress(round(1000 * done), 1000, "Cutting the cells")
    (folder / "imagefolder").mkdir(exist_ok=True)
    columns = "picture uid code confirmed decided_by slide_id patient crop_um um_per_px".split()
    table = pd.DataFrame(rows, columns=columns)
    yield from write_csv_steps([table], folder / "imagefolder.csv")
    if not rows:
        remarks.append("No cell had a class, or none was confirmed: the image folder is empty.")
    return Written((*made, Path("imagefolder.csv")), tuple(remarks))


def safe_name(text: str) -> str:
    """Return a text as a file's name on any system."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", text).strip(".") or "_"
