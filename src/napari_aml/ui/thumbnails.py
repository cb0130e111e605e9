"""Pictures of cells for the gallery: cut in background threads, the last ones kept in memory."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal
from qtpy.QtGui import QImage

from napari_aml.errors import AmlError
from napari_aml.ui.picture import rgba_image

if TYPE_CHECKING:
    from napari_aml.analysis import Analysis

#: Side of a picture of a cell when no model says it, µm.
CROP_UM = 25.0
#: Sides in pixels in which thumbnails are made; the next larger one is drawn smaller.
SIDES = (64, 96, 128, 192, 256)
#: Memory for thumbnails, bytes.
BUDGET = 192 << 20
_BATCH, _THREADS = 12, 2
#: While a picture is still being decoded, so often it is asked whether anybody waits for it.
_PATIENCE_S = 0.05

Key = tuple[str, int]


def side_for(pixels: int) -> int:
    """Return the side in which a thumbnail of so many pixels is made."""
    return next((side for side in SIDES if side >= pixels), SIDES[-1])


def crop_um(analysis: Analysis) -> float:
    """Return the side of a cell's picture: that of the model's crops, so that heatmaps lie exactly over it."""
    return float(analysis.bundle.crop_um) if analysis.bundle is not None else CROP_UM


class Thumbnails(QObject):
    """Cuts thumbnails of the cells that are looked at; what has scrolled away is not cut any more.

    Parameters
    ----------
    locate
        Called in the main thread with a uid; returns its analysis and centre (y, x) in level-0 pixels, or None.

    Attributes
    ----------
    ready
        Emitted in the main thread with the uids (list of str) whose thumbnails have come.
    """

    ready = Signal(object)
    _cut = Signal(object, int)

    def __init__(
        self, locate: Callable[[str], tuple[Analysis, float, float] | None], parent: QObject | None = None,
        budget: int = BUDGET,
    ) -> None:
        super().__init__(parent)
        self._locate, self._budget = locate, budget
        self._kept: OrderedDict[Key, QImage] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()
        self._wanted: list[tuple[Key, Analysis, float, float]] = []
        self._asked: set[Key] = set()
        self._workers = 0
        self._generation = 0
        self._closed = False
        # Not a QThreadPool: when Qt deletes one it waits for its threads while this thread keeps Python's lock, which
        # they need to end.
        self._pool = ThreadPoolExecutor(_THREADS, "thumbnails")
        self._cut.connect(self._on_cut)
        # A dock that napari closes is deleted without a word.
        self.destroyed.connect(partial(_let_go, self._pool))

    def get(self, uid: str, pixels: int) -> QImage | None:
        """Return a cell's thumbnail: of the fitting size, else of another one while that is made, else None."""
        wanted = side_for(pixels)
        for side in (wanted, *reversed(SIDES)):
            image = self._kept.get((uid, side))
            if image is not None:
                self._kept.move_to_end((uid, side))
                return image
        return None

    def want(self, uids: Sequence[str], pixels: int) -> None:
        """Say which cells are on the screen, the most urgent first; what was wanted before and has not begun is not."""
        if self._closed:
            return
        side = side_for(pixels)
        wanted = []
        for uid in uids:
            key = (uid, side)
            if key not in self._kept and key not in self._asked and (where := self._locate(uid)) is not None:
                wanted.append((key, *where))
        with self._lock:
            self._wanted = wanted
            start = min(_THREADS, -(-len(wanted) // _BATCH)) - self._workers
            self._workers += max(0, start)
        for _ in range(max(0, start)):
            self._pool.submit(self._work)

    def forget(self, uids: Sequence[str] | None = None) -> None:
        """Drop the thumbnails of cells whose picture changed; None drops all."""
        with self._lock:
            self._generation += 1
            self._wanted, self._asked = [], set()
        gone = list(self._kept) if uids is None else [(uid, side) for uid in uids for side in SIDES]
        for key in gone:
            image = self._kept.pop(key, None)
            if image is not None:
                self._bytes -= image.sizeInBytes()

    def close(self) -> None:
        """Stop cutting and wait for what is being cut."""
        self._closed = True
        self.forget()
        self._pool.shutdown(cancel_futures=True)

    @property
    def busy(self) -> bool:
        """Whether thumbnails are being cut."""
        with self._lock:
            return self._workers > 0

    # ---- in the worker threads -----------------------------------------------------------------------------

    def _work(self) -> None:
        while self._awaited():
            with self._lock:
                batch, self._wanted = self._wanted[:_BATCH], self._wanted[_BATCH:]
                generation = self._generation
                self._asked.update(key for key, *_ in batch)
                if not batch:
                    self._workers -= 1
                    return
            images = _cut(batch)
            try:
                self._cut.emit(images, generation)
            except RuntimeError:  # deleted meanwhile: nobody waits for them any more
                return

    def _awaited(self) -> bool:
        """Wait for the picture of what is wanted next; False when the gallery was closed meanwhile."""
        while True:
            with self._lock:
                slide = self._wanted[0][1].slide if self._wanted else None
                if self._closed and slide is None:
                    self._workers -= 1
                    return False
            try:
                if slide is None or slide.wait(_PATIENCE_S):
                    return True
            except AmlError:
                return True

    # ---- in the main thread --------------------------------------------------------------------------------

    def _on_cut(self, images: dict[Key, QImage], generation: int) -> None:
        with self._lock:
            self._asked.difference_update(images)
            if generation != self._generation:
                return
        for key, image in images.items():
            self._kept[key] = image
            self._bytes += image.sizeInBytes()
        while self._bytes > self._budget and len(self._kept) > 1:
            _, old = self._kept.popitem(last=False)
            self._bytes -= old.sizeInBytes()
        self.ready.emit([uid for uid, _ in images])


def _let_go(pool: ThreadPoolExecutor, *_: object) -> None:
    pool.shutdown(wait=False, cancel_futures=True)


def _cut(batch: list[tuple[Key, Analysis, float, float]]) -> dict[Key, QImage]:
    """Cut a batch, slide by slide. A cell that cannot be read (its file is gone) gets an empty picture."""
    from napari_aml.cells import crops

    out: dict[Key, QImage] = {}
    groups: dict[tuple[int, int], list[tuple[Key, Analysis, float, float]]] = {}
    for item in batch:
        groups.setdefault((id(item[1]), item[0][1]), []).append(item)
    for (_, side), items in groups.items():
        analysis = items[0][1]
        try:
            pictures = crops(
                analysis.slide, [item[2] for item in items], [item[3] for item in items], crop_um(analysis), side
            )
        except Exception:  # a worker thread has nobody to tell; the grey square says it
            out.update({item[0]: QImage(1, 1, QImage.Format.Format_RGB888) for item in items})
            continue
        out.update({item[0]: rgba_image(picture) for item, picture in zip(items, pictures, strict=True)})
    return out
