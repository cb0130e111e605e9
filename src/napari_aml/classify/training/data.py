"""The training cells: which pictures there are, decoded at one size per source, and which belong together.

A *source* is one scanner-and-stain combination. Every source is held at its own sampling, because a cell
may only be enlarged, never sharpened, by resampling; the micrometres a picture covers travel with it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_aml.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

#: µm that a whole picture of the source covers, by the median diameter of its red cells (7.2 µm): PBC 222
#: red cells,
#: 74.7 of 363 px; LMU thumbnails 87 red cells, 27.9 of 110 px. How: docs/demo-model.md.
FIELD_UM = {"pbc": 35.0, "lmu": 28.4}
#: Side at which a source's pictures are held. 160 px is how the PBC copy was resampled, 110 px the LMU
#: thumbnails.
SIDE_PX = {"pbc": 160, "lmu": 110}

CLASS_CODES = (
    "BAS",
    "EBO",
    "EOS",
    "KSC",
    "LYA",
    "LYT",
    "MMZ",
    "MOB",
    "MON",
    "MYB",
    "MYO",
    "NGB",
    "NGS",
    "PMB",
    "PMO",
    "PLT",
)


@dataclass
class CellSet:
    """Pictures of single cells, each with its class, its source and the group it must not be parted from.

    Attributes
    ----------
    table : pandas.DataFrame
        One row a picture: ``path``, ``source``, ``kind``, ``code`` (empty = unlabelled), ``original`` (name
        of the
        cell it was made from, empty = unknown) and, once :func:`group_near_duplicates` ran, ``group``.
    images : dict of str to numpy.ndarray
        Per source the decoded pictures, uint8 (n, side, side, 3).
    position : numpy.ndarray
        Row of the table -> index in its source's array.
    """

    table: pd.DataFrame
    images: dict[str, np.ndarray]
    position: np.ndarray
    codes: tuple[str, ...] = field(default=CLASS_CODES)

    def __len__(self) -> int:
        return len(self.table)

    def image(self, row: int) -> np.ndarray:
        """Return the decoded picture of one row, uint8 (side, side, 3)."""
        return self.images[self.table["source"].iat[row]][self.position[row]]

    @property
    def targets(self) -> np.ndarray:
        """Class index per row, int64 (n,); -1 where the picture is unlabelled."""
        lookup = {code: i for i, code in enumerate(self.codes)}
        return np.array([lookup.get(code, -1) for code in self.table["code"]], dtype=np.int64)


def list_cells(data: str | Path) -> pd.DataFrame:
    """List the cell pictures under a data folder.

    Parameters
    ----------
    data : path
        Folder that holds ``cells_pbc/`` and ``cells_aml_lmu_*``.

    Raises
    ------
    InputError
        If a folder is missing.
    """
    import pandas as pd

    data = Path(data)
    manifest = data / "cells_pbc" / "manifest.csv"
    thumbs, full = data / "cells_aml_lmu_thumbs", data / "cells_aml_lmu_fullres"
    for needed in (manifest, thumbs, full):
        if not needed.exists():
            raise InputError(f"The training cells are not complete: {needed} is missing. Give the folder with --data.")
    listed = pd.read_csv(manifest, dtype=str, keep_default_na=False)
    rows = [
        (data / "cells_pbc" / row.file, "pbc", "px160", row.code, Path(row.file).stem) for row in listed.itertuples()
    ]
    for folder, kind in ((thumbs, "thumb"), (full, "fullres")):
        for path in sorted(folder.glob("*/*.png")):
            # BAS_0053_0_8415_103 is one of several varied copies of the cell BAS_0053.
            original = "_".join(path.stem.split("_")[:2]) if kind == "fullres" else ""
            rows.append((path, "lmu", kind, path.parent.name, original))
    return pd.DataFrame(rows, columns=["path", "source", "kind", "code", "original"])


def decode(path: Path, side: int) -> np.ndarray:
    """Read one picture as RGB and bring it to ``side`` x ``side`` px by area averaging (uint8)."""
    import cv2

    raw = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if raw is None:
        raise InputError(f"{path.name} cannot be read as a picture. Is the copy of the data complete?")
    raw = cv2.cvtColor(raw, cv2.COLOR_BGR2RGB)
    if raw.shape[:2] != (side, side):
        raw = cv2.resize(raw, (side, side), interpolation=cv2.INTER_AREA)
    return raw


def load_cells(data: str | Path, cache: str | Path | None = None) -> CellSet:
    """List and decode all cells; ``cache`` keeps the decoded arrays between runs.

    A cache is used only when it lists exactly the pictures found.
    """
    table = list_cells(data)
    position = np.zeros(len(table), dtype=np.int64)
    images = {}
    for source, side in SIDE_PX.items():
        rows = np.flatnonzero(table["source"] == source)
        position[rows] = np.arange(len(rows))
        images[source] = _decode_all(
            table["path"].iloc[rows], side, cache and Path(cache) / f"cells_{source}_{side}.npz"
        )
    return CellSet(table, images, position)


def _decode_all(paths: pd.Series, side: int, cache: Path | None) -> np.ndarray:
    names = np.array([f"{path.parent.name}/{path.name}" for path in paths])
    if cache is not None and cache.exists():
        with np.load(cache, allow_pickle=False) as kept:
            if np.array_equal(kept["names"], names):
                return kept["images"]
    images = np.stack([decode(path, side) for path in paths])
    if cache is not None:
        cache.parent.mkdir(parents=True, exist_ok=True)
        np.savez(cache, names=names, images=images)
    return images
