"""Whole-slide formats that OpenSlide reads and tifffile does not (MRXS, VMS, BIF, DICOM …); an optional extra."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_aml.errors import SlideReadError
from napari_aml.provenance import file_sha256
from napari_aml.slides import pixel_size as px
from napari_aml.slides.slide import Level, Slide

if TYPE_CHECKING:
    import numpy as np


def open_with_openslide(path: Path) -> OpenSlideSlide:
    """Open a whole slide by OpenSlide.

    Raises
    ------
    SlideReadError
        OpenSlide is not installed, or cannot read the file.
    """
    try:
        import openslide
    except (ImportError, OSError) as error:  # OSError: the Python part is there, the library is not
        raise SlideReadError(
            path,
            f"'{path.suffix}' needs OpenSlide, which is not installed.",
            'Install it: pip install "napari-aml[wsi]".',
        ) from error
    try:
        return OpenSlideSlide(openslide.OpenSlide(str(path)), path)
    except (openslide.OpenSlideError, ValueError) as error:
        raise SlideReadError(path, "OpenSlide cannot read it.") from error


class OpenSlideSlide(Slide):
    """A slide read by OpenSlide. Its label and macro pictures (``associated_images``) are never opened."""

    def __init__(self, handle: Any, path: Path) -> None:
        self._handle, self.name, self.path = handle, path.stem, path
        self.levels = tuple(
            Level(height, width, float(down))
            for (width, height), down in zip(handle.level_dimensions, handle.level_downsamples, strict=True)
        )
        self.pixel_size = px.settle([(*px.from_properties(handle.properties), "microns per pixel")])

    def _read(self, level: int, y: int, x: int, h: int, w: int) -> np.ndarray:
        import numpy as np

        if not h or not w:
            return np.empty((h, w, 3), np.uint8)
        down = self.levels[level].downsample
        try:
            # OpenSlide takes the corner in level-0 pixels, whatever the level.
            picture = self._handle.read_region((round(x * down), round(y * down)), level, (w, h))
        except Exception as error:
            raise SlideReadError(
                self.path or self.name,
                f"the part at row {y}, column {x} (level {level}) is damaged.",
                "Copy the file again from its source.",
            ) from error
        rgba = np.asarray(picture)
        alpha = rgba[..., 3:].astype(np.uint16)
        # Where nothing was scanned the picture is transparent: white, as everywhere outside a slide.
        return ((rgba[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)

    def _hash(self) -> str:
        assert self.path is not None
        return file_sha256(self.path)
