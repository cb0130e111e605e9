"""Decided cells become a dataset: crops with the classes that people gave, and what a split must keep together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_aml.errors import InputError
from napari_aml.progress import Steps

if TYPE_CHECKING:
    import pandas as pd

    from napari_aml.datasets import Dataset
    from napari_aml.slides import Slide

#: Codes that no model should learn: they say that a person does not know, or that there is no cell.
LEFT_OUT = ("UNK", "")
#: A split by patient or by slide needs at least this many of them, a split by place on the slide as many places.
_FEWEST = {"patient": 5, "slide": 5, "field": 12}
#: How much more than the model's crop is stored, so that varied views do not look beyond it.
_MARGIN = 1.3


@dataclass(frozen=True, eq=False)
class SlideCells:
    """Decided cells of one slide.

    Attributes
    ----------
    slide
        Its pixel size known.
    table
        One row a cell: ``uid, y, x`` (level-0 pixels).
    patient
        A pseudonym, or empty.
    """

    slide: Slide
    table: pd.DataFrame
    patient: str = ""


def gather_steps(
    slides: Sequence[SlideCells],
    decided: Mapping[str, str],
    folder: str | Path,
    crop_um: float,
    *,
    reader: str = "",
    more: Sequence[Dataset] = (),
    name: str = "decisions",
) -> Steps[Dataset]:
    """Write the decided cells as a dataset.

    Parameters
    ----------
    slides
        With all or only the decided cells.
    decided
        uid → class code; `LEFT_OUT` codes are left out.
    folder
        Of the dataset; replaced once the new one is complete.
    crop_um
        Field of the model, µm; a little more is stored.
    reader
        Whose decisions they are.
    more
        Datasets whose labelled pictures are learnt from as well, so that classes which were not decided are not
        forgotten.
    name
        Of the dataset.

    Raises
    ------
    InputError
        When fewer than two classes were decided on these slides.
    """
    from napari_aml.datasets.writing import write_dataset_steps

    parts = [(s, _decided(s, decided)) for s in slides]
    parts = [(s, t) for s, t in parts if len(t)]
    rows = _manifest(parts, crop_um * _MARGIN, reader)
    codes = set(rows["code"]) if len(rows) else set()
    for other in more:
        codes |= set(other.codes)
    if not len(rows) or len(codes) < 2:
        raise InputError(
            f"{len(rows)} decided cells of {len(codes)} class(es) are too few to train on.",
            "Decide cells of two or more classes, or add a dataset.",
        )
    import pandas as pd

    pictures: list[Any] = [_Crops(s.slide, t, crop_um * _MARGIN) for s, t in parts]
    tables = [rows]
    for other in more:
        labelled = other.table.iloc[other.labelled].copy()
        for column in ("patient", "slide", "field"):
            # One level for all: groups of another dataset are near-duplicates here, never patients of this study.
            labelled[column] = labelled[column].where(labelled[column] == "", other.name + ": " + labelled[column])
        labelled["reader"] = labelled["reader"].where(labelled["reader"] != "", other.name)
        tables.append(labelled)
        pictures.append([other.path / p for p in labelled["picture"]])
    meta = {
        "name": name,
        "licence": "; ".join(dict.fromkeys(["that of the slides", *(str(o.meta.get("licence", "")) for o in more)])),
        "source": "decisions of a person" + "".join(f"; {o.name}" for o in more),
        "decisions": len(rows),
    }
    table = pd.concat(tables, ignore_index=True)
    return (yield from write_dataset_steps(folder, table, _all(pictures), meta))


def _decided(cells: SlideCells, decided: Mapping[str, str]) -> pd.DataFrame:
    codes = cells.table["uid"].map(decided).fillna("")
    table = cells.table.assign(code=codes)
    return table[~table["code"].isin(LEFT_OUT)]


def _manifest(parts: Sequence[tuple[SlideCells, pd.DataFrame]], stored_um: float, reader: str) -> pd.DataFrame:
    import pandas as pd

    rows = []
    for cells, table in parts:
        um = _um(cells.slide)
        places = _places(table["y"].to_numpy(float), table["x"].to_numpy(float), stored_um / um)
        for (uid, code), place in zip(table[["uid", "code"]].itertuples(index=False), places, strict=True):
            rows.append(
                {
                    "uid": uid, "code": code, "source": "decisions", "patient": cells.patient,
                    "slide": cells.slide.slide_id, "field": f"{cells.slide.slide_id} {place}", "pixel_size_um": um,
                    "crop_um": stored_um, "reader": reader,
                }
            )  # fmt: skip
    table = pd.DataFrame(rows)
    if not len(table):
        return table
    # The strongest level of which there are enough to divide; the slide stays known under another name.
    table["of_slide"] = table["slide"]
    for level in ("patient", "slide", "field"):
        known = table[level] != ""
        if known.all() and table[level].nunique() >= _FEWEST[level]:
            break
        table[level] = ""
    return table


def _um(slide: Slide) -> float:
    if slide.pixel_size.um is None:
        raise InputError(f"The pixel size of '{slide.name}' is unknown.", "Give it in µm per pixel.")
    return float(slide.pixel_size.um)


def _places(y: np.ndarray, x: np.ndarray, crop_px: float) -> list[str]:
    """Name the square of the slide that each cell lies in: as large as can be with enough squares to divide."""
    extent = max(float(np.ptp(y)), float(np.ptp(x)), 1.0) if len(y) else 1.0
    side = extent / 4
    while True:
        names = [f"{int(a // side)},{int(b // side)}" for a, b in zip(y, x, strict=True)]
        if len(set(names)) >= _FEWEST["field"] or side / 1.5 < crop_px:
            return names
        side /= 1.5


class _Crops:
    """Crops of one slide at its own sampling, cut when their turn comes."""

    def __init__(self, slide: Slide, table: pd.DataFrame, side_um: float) -> None:
        self._slide, self._side_um = slide, side_um
        self._y, self._x = table["y"].to_numpy(float), table["x"].to_numpy(float)

    def __iter__(self) -> Iterator[np.ndarray]:
        from napari_aml.cells.cropping import crops

        px = int(np.clip(round(self._side_um / _um(self._slide)), 16, 1024))
        for start in range(0, len(self._y), 64):
            part = slice(start, start + 64)
            yield from crops(self._slide, self._y[part], self._x[part], self._side_um, px)


def _all(parts: Sequence[Any]) -> Iterator[Any]:
    for part in parts:
        yield from part
