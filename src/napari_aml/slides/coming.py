"""A picture that is decoded in a thread of its own, while what is known of it from before is used already."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from napari_aml.errors import SlideReadError
from napari_aml.slides.pixel_size import PixelSize
from napari_aml.slides.slide import Level, Slide

if TYPE_CHECKING:
    import numpy as np


#: So many pictures are decoded at a time; the others wait, in the order in which they were begun.
AT_A_TIME = 2
_slots = threading.BoundedSemaphore(AT_A_TIME)


class _Decoding:
    """One picture on its way; shared by all copies of its slide."""

    def __init__(self, decode: Callable[[], Slide]) -> None:
        self._decode, self._begun = decode, threading.Lock()
        self.done = threading.Event()
        self.slide: Slide | None = None
        self.error: Exception | None = None

    def begin(self) -> None:
        """Decode in a thread, once; whoever closes the program need not wait for it."""
        if self._begun.acquire(blocking=False):
            threading.Thread(target=self._run, name="picture", daemon=True).start()

    def _run(self) -> None:
        try:
            with _slots:
                self.slide = self._decode()
        except Exception as error:  # it belongs to whoever asks for pixels
            self.error = error
        finally:
            self.done.set()


class ComingSlide(Slide):
    """A slide of one level whose size, pixel size and hash are known, and whose pixels are on their way.

    Reading a region waits for them. Make one, then `begin`.

    Parameters
    ----------
    decode
        Opens the picture; called once, in a thread.
    name, path, pixel_size
        As in `Slide`.
    shape
        Height and width as they were noted.
    sha256
        Of the content, as it was noted.

    Examples
    --------
    >>> slide = ComingSlide(lambda: open_slide("a.png"), "a", Path("a.png"), (600, 800), UNKNOWN, "…")  # doctest: +SKIP
    >>> slide.begin()  # doctest: +SKIP
    """

    def __init__(
        self, decode: Callable[[], Slide], name: str, path: Path, shape: tuple[int, int], pixel_size: PixelSize,
        sha256: str,
    ) -> None:
        self.name, self.path, self.pixel_size = name, path, pixel_size
        self.levels = (Level(*shape, 1.0),)
        self.sha256 = sha256
        self._decoding = _Decoding(decode)

    def begin(self) -> None:
        """Begin to decode; returns at once, and may be called again."""
        self._decoding.begin()

    @property
    def ready(self) -> bool:
        """Whether the pixels are there."""
        return self._decoding.slide is not None

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for the pixels.

        Parameters
        ----------
        seconds
            At most so long; None: as long as it takes.

        Returns
        -------
        bool
            Whether they are there.

        Raises
        ------
        SlideReadError
            They will never come: the file is damaged, or is not the picture that was noted.
        """
        decoding = self._decoding
        decoding.begin()
        if not decoding.done.wait(seconds):
            return False
        if decoding.error is not None:
            raise decoding.error
        assert decoding.slide is not None
        if decoding.slide.shape != self.shape:
            (h, w), (height, width) = decoding.slide.shape, self.shape
            raise SlideReadError(
                self.path or self.name, f"it has {w}x{h} pixels where {width}x{height} were noted.",
                "Bring the picture of before back.",
            )
        if not self.notes:
            self.notes = decoding.slide.notes
        return True

    def _there(self) -> Slide:
        self.wait()
        assert self._decoding.slide is not None
        return self._decoding.slide

    def _read(self, level: int, y: int, x: int, h: int, w: int) -> np.ndarray:
        return self._there().region(level, y, x, h, w)

    def peek(self, level: int, y: int, x: int, h: int, w: int) -> np.ndarray:
        """Return a region without copying it where it lies in memory as it is shown."""
        return self._there().peek(level, y, x, h, w)

    def _hash(self) -> str:
        return self.sha256
