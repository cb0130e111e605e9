"""A folder of single-cell pictures becomes a table of predictions."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_aml.classify.predict import predict_steps
from napari_aml.classify.recolouring import recoloured_steps
from napari_aml.classify.sources import CropSource, centre_square
from napari_aml.errors import AmlError, InputError
from napari_aml.progress import Progress, Steps, run

if TYPE_CHECKING:
    import pandas as pd

    from napari_aml._torch import Device
    from napari_aml.classify.bundle import ModelBundle
    from napari_aml.classify.predictions import Predictions
    from napari_aml.slides.slide import Slide


#: Pictures up to this many pixels stay decoded from one view to the next.
_KEPT_PX = 1_000_000
#: A JPEG is decoded smaller only as long as what is cut from it keeps this many times the crop's pixels a side: the
#: rest of the way is averaged as for any other picture.
_SPARE = 1.4


def classify_folder_steps(
    folder: str | Path,
    bundle: ModelBundle,
    device: Device | str = "auto",
    pixel_size_um: float | None = None,
    *,
    recolour: bool = True,
) -> Steps[pd.DataFrame]:
    """Classify the single-cell pictures of a folder, yielding progress.

    Parameters
    ----------
    folder
        Pictures, flat or in class folders (any depth).
    bundle
        The model. Its test-time views are used.
    device
        ``auto``, ``cpu``, ``cuda``, ``cuda:N``, ``mps``, or a `Device`.
    pixel_size_um
        µm per pixel of the pictures. None: the whole picture is the crop (its central square, where it is not
        square), whatever its file says of resolution. Given: the central ``crop_um`` of the bundle is cut.
    recolour
        Show the network pictures of a stain that it was not trained on in the colours of one that it knows
        (`napari_aml.classify.recolouring`); what was done stands in ``attrs["stain"]`` of the table.

    Yields
    ------
    Progress

    Returns
    -------
    pandas.DataFrame
        One row a picture, by path: ``path`` (relative to `folder`, with ``/``), ``folder`` (where there are class
        folders), ``class``, ``probability``, ``p_<CODE>``…, ``status`` (``ok`` or ``unreadable``) and ``error``. A
        picture that cannot be read has an empty class and says why in ``error``; the others are done all the same.

    Raises
    ------
    InputError
        When there is no such folder, it holds no pictures, or the pixel size is no positive number.
    """
    folder = Path(folder)
    if pixel_size_um is not None and not (np.isfinite(pixel_size_um) and pixel_size_um > 0):
        raise InputError(f"A pixel size is a positive number of µm, not {pixel_size_um}.")
    yield Progress(0, 0, "Listing pictures")
    paths = list_pictures(folder)
    zoom = max(view.zoom for view in bundle.tta.views)
    source = FolderCrops(paths, bundle.crop_um, bundle.crop_px, pixel_size_um, zoom)
    choice = None
    with source:
        seen: CropSource = source
        if recolour:
            seen, choice = yield from recoloured_steps(source, bundle)
        said = yield from predict_steps(bundle, seen, device, views=bundle.tta.views)
    table = _table(folder, paths, said, source.errors)
    table.attrs["stain"] = None if choice is None else choice.facts()
    return table


def classify_folder(
    folder: str | Path,
    bundle: ModelBundle,
    device: Device | str = "auto",
    pixel_size_um: float | None = None,
    *,
    recolour: bool = True,
) -> pd.DataFrame:
    """Classify the single-cell pictures of a folder; `classify_folder_steps` driven to its end."""
    return run(classify_folder_steps(folder, bundle, device, pixel_size_um, recolour=recolour))


def list_pictures(folder: Path) -> list[Path]:
    """List the pictures of a folder and its subfolders, sorted; hidden files and folders are passed over.

    Raises
    ------
    InputError
        When there is no such folder or it holds no pictures.
    """
    from napari_aml.slides import SUFFIXES

    if not folder.is_dir():
        what = "is a file, not a folder" if folder.exists() else "does not exist"
        raise InputError(f"'{folder}' {what}.", "Name a folder of single-cell pictures.")
    found = [
        path for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]  # fmt: skip
    if not found:
        raise InputError(f"There are no pictures in the folder '{folder}'.", f"Known kinds: {', '.join(SUFFIXES)}.")
    return sorted(found, key=lambda path: path.relative_to(folder).as_posix())


class FolderCrops:
    """One crop a picture file, decoded in threads when asked for.

    Parameters
    ----------
    paths
        Picture files.
    crop_um, crop_px
        Side of a crop in µm and in pixels.
    pixel_size_um
        µm per pixel; None takes the whole picture.
    most_zoom
        Largest zoom that will be asked for; pictures are decoded finely enough for it.

    Attributes
    ----------
    errors
        Row → why its picture could not be read; its crop is white.
    """

    def __init__(
        self, paths: list[Path], crop_um: float, crop_px: int, pixel_size_um: float | None = None,
        most_zoom: float = 1.0,
    ) -> None:  # fmt: skip
        self._zoom = most_zoom
        self.paths, self.crop_um, self.crop_px, self.pixel_size_um = paths, crop_um, crop_px, pixel_size_um
        self.errors: dict[int, AmlError] = {}
        self._pool = ThreadPoolExecutor(min(4, os.cpu_count() or 1), "decode")
        self._open: dict[int, Slide] = {}

    def __enter__(self) -> FolderCrops:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def order(self) -> np.ndarray:
        """The rows as they stand."""
        return np.arange(len(self.paths))

    def read(self, rows: np.ndarray, zoom: float = 1.0) -> np.ndarray:
        """Decode some pictures: uint8 (n, crop_px, crop_px, 3)."""
        # Small pictures stay decoded while further views of the same rows are asked for.
        asked = {int(row) for row in rows} if zoom <= self._zoom else set()
        self._zoom = max(zoom, self._zoom)
        self._open = {row: slide for row, slide in self._open.items() if row in asked}
        return np.stack(list(self._pool.map(lambda row: self._crop(int(row), zoom), rows)))

    def _crop(self, row: int, zoom: float) -> np.ndarray:
        try:
            if row in self.errors:
                raise self.errors[row]
            slide = self._open.get(row) or self._opened(row)
            if np.prod(slide.shape) <= _KEPT_PX:
                self._open[row] = slide
            return _whole(slide, self.crop_px, zoom) if self.pixel_size_um is None else self._cut(slide, zoom)
        except AmlError as error:
            self.errors[row] = error
            return np.full((self.crop_px, self.crop_px, 3), 255, np.uint8)

    def _opened(self, row: int) -> Slide:
        from napari_aml.slides import PixelSize
        from napari_aml.slides.files import open_for_crops

        slide = open_for_crops(self.paths[row], self._spare)
        if self.pixel_size_um is None:
            return slide
        return slide.with_pixel_size(PixelSize(self.pixel_size_um * slide.reduced, "person", "given by a person"))

    def _spare(self, height: int, width: int) -> float:
        """Tell how many times smaller a picture of this size may be decoded."""
        side = min(height, width) if self.pixel_size_um is None else self.crop_um / self.pixel_size_um
        return side / self._zoom / self.crop_px / _SPARE

    def _cut(self, slide: Slide, zoom: float) -> np.ndarray:
        from napari_aml.cells.cropping import crops

        height, width = slide.shape
        return crops(slide, [height / 2], [width / 2], self.crop_um / zoom, self.crop_px)[0]


def _whole(slide: Slide, px: int, zoom: float) -> np.ndarray:
    # The coarsest level that still has as many pixels as the crop: whole slides in the folder stay small in memory.
    fine = [i for i, level in enumerate(slide.levels) if min(level.height, level.width) >= px * zoom]
    level = max(fine, default=0)
    size = slide.levels[level]
    return centre_square(slide.peek(level, 0, 0, size.height, size.width), px, zoom)


def _table(folder: Path, paths: list[Path], said: Predictions, errors: dict[int, AmlError]) -> pd.DataFrame:
    import pandas as pd

    relative = [path.relative_to(folder) for path in paths]
    bad = np.array([row in errors for row in range(len(paths))], bool)
    table: dict[str, object] = {"path": [path.as_posix() for path in relative]}
    if any(len(path.parts) > 1 for path in relative):
        table["folder"] = [path.parent.as_posix() if len(path.parts) > 1 else "" for path in relative]
    table["class"] = np.where(bad, "", said.code.astype(object))
    table["probability"] = np.where(bad, np.nan, said.confidence).astype(np.float32)
    for k, code in enumerate(said.codes):
        table[f"p_{code}"] = np.where(bad, np.nan, said.probabilities[:, k]).astype(np.float32)
    table["status"] = np.where(bad, "unreadable", "ok")
    table["error"] = [str(errors[row]) if row in errors else "" for row in range(len(paths))]
    return pd.DataFrame(table)
