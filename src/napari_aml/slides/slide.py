"""What every slide can do, whatever it was read from."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

from napari_aml.slides.pixel_size import UNKNOWN, PixelSize

if TYPE_CHECKING:
    import numpy as np

    from napari_aml.slides.smear import SmearCheck


@dataclass(frozen=True, slots=True)
class Level:
    """One resolution level: its size in its own pixels, and level-0 pixels per pixel."""

    height: int
    width: int
    downsample: float


class Slide(ABC):
    """A picture of a smear, read lazily.

    Attributes
    ----------
    name
        Short name for people (the file's stem); never leaves this machine in shareable exports.
    path
        The file, or None for an array or a layer.
    pixel_size
        µm per level-0 pixel and where it came from.
    levels
        Resolution levels, finest first.
    notes
        What a person should know about how the picture was read (conversions, ignored metadata).
    smear
        Whether it looks like a smear, as `slides.smear.check_smear` judged it; None while nobody asked.
    reduced
        How many times smaller than in the file level 0 is: 1 but for pictures opened for their crops alone.
    """

    name: str
    path: Path | None = None
    pixel_size: PixelSize = UNKNOWN
    levels: tuple[Level, ...]
    notes: tuple[str, ...] = ()
    smear: SmearCheck | None = None
    reduced: int = 1

    @abstractmethod
    def _read(self, level: int, y: int, x: int, h: int, w: int) -> np.ndarray:
        """Return uint8 (h, w, 3) of a region that lies inside the level."""

    @abstractmethod
    def _hash(self) -> str:
        """Return a SHA-256 of the content."""

    @property
    def ready(self) -> bool:
        """Whether pixels can be read without waiting for the whole picture to be decoded."""
        return True

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until the slide is `ready`, at most so many seconds; return whether it is. See `ComingSlide`."""
        return True

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the file (or of the pixels, for an array); whoever knows it already sets it."""
        return self._hash()

    @property
    def slide_id(self) -> str:
        """Pseudonymous id made of the content's hash: the same picture has the same id everywhere."""
        return f"S{self.sha256[:12]}"

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of level 0, in pixels."""
        return self.levels[0].height, self.levels[0].width

    def region(self, level: int, y: int, x: int, h: int, w: int) -> np.ndarray:
        """Read a region.

        Parameters
        ----------
        level
            Index into `levels`.
        y, x
            Top left corner, in pixels of that level; may lie outside the picture.
        h, w
            Height and width, in pixels of that level.

        Returns
        -------
        numpy.ndarray
            uint8 (h, w, 3), RGB. White where the region leaves the picture.
        """
        import numpy as np

        if h < 0 or w < 0:
            raise ValueError(f"a region has a height and a width of at least 0, not {h} and {w}")
        height, width = self.levels[level].height, self.levels[level].width
        top, left, bottom, right = max(y, 0), max(x, 0), min(y + h, height), min(x + w, width)
        if (top, left, bottom, right) == (y, x, y + h, x + w):
            return self._read(level, y, x, h, w)
        out = np.full((h, w, 3), 255, np.uint8)
        if bottom > top and right > left:
            inside = self._read(level, top, left, bottom - top, right - left)
            out[top - y : bottom - y, left - x : right - x] = inside
        return out

    def peek(self, level: int, y: int, x: int, h: int, w: int) -> np.ndarray:
        """Read a region that is only looked at: as `region`, but not copied where the slide lies in memory.

        Whoever draws on the result may draw on the slide: that is what `region` is for.
        """
        return self.region(level, y, x, h, w)

    def level_for(self, um: float) -> int:
        """Return the coarsest level that is still at least as fine as `um` µm/px (0 when the size is unknown)."""
        if self.pixel_size.um is None:
            return 0
        fits = [i for i, lv in enumerate(self.levels) if lv.downsample * self.pixel_size.um <= um * 1.01]
        return max(fits, default=0)

    def with_pixel_size(self, pixel_size: PixelSize) -> Self:
        """Return the same slide with another pixel size."""
        other = copy.copy(self)
        other.pixel_size = pixel_size
        return other

    def with_smear_check(self) -> Self:
        """Return the same slide, looked at: does it look like a smear? Where it does not, a note says why."""
        from napari_aml.slides.smear import check_smear

        check = check_smear(self)
        other = self.with_note(check.warning) if check.warning else copy.copy(self)
        other.smear = check
        return other

    def with_note(self, note: str) -> Self:
        """Return the same slide with one more note, said first and once."""
        other = copy.copy(self)
        other.notes = (note, *(known for known in self.notes if known != note))
        return other

    def __deepcopy__(self, memo: object) -> Self:
        # A slide never changes and may hold an open file: a copied napari layer shares it.
        return self

    def __repr__(self) -> str:
        height, width = self.shape
        return f"<{type(self).__name__} {self.name!r} {width}x{height} px, {self.pixel_size}>"
