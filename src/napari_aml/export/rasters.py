"""Rasters leave as tiled, compressed TIFF, written tile by tile: memory stays flat however large the slide."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_aml import RESEARCH_USE, __version__
from napari_aml.cells.masks import CellMasks, Part
from napari_aml.progress import Progress, Steps

if TYPE_CHECKING:
    from napari_aml.explain.heatmap import Heatmaps

#: Side of a tile, pixels.
TILE = 512
#: Classic TIFF ends at 4 GB; above this size before compression BigTIFF is written.
_BIG_BYTES = 3.9e9
_YIELD_SECONDS = 0.1
#: What tifffile may gather before it compresses; its own default is half a gigabyte.
_BUFFER_BYTES = 1 << 23

TileSource = Callable[[int, int, int, int], np.ndarray]


class TileIndex:
    """Which boxes meet which tile; finds them without looking at all of them.

    Parameters
    ----------
    boxes
        (n, 4) y0, x0, y1, x1, pixels, half-open.
    side
        Of a tile, pixels.
    """

    def __init__(self, boxes: np.ndarray, side: int = TILE) -> None:
        self._side = side
        self._rows: dict[tuple[int, int], list[int]] = {}
        if len(boxes) == 0:
            return
        whole = np.asarray(boxes, float)
        first = np.floor(whole[:, :2] / side).astype(int)
        last = np.floor((np.ceil(whole[:, 2:]) - 1) / side).astype(int)
        for row, ((top, left), (bottom, right)) in enumerate(zip(first, last, strict=True)):
            for i in range(top, bottom + 1):
                for j in range(left, right + 1):
                    self._rows.setdefault((i, j), []).append(row)

    def at(self, y: int, x: int) -> list[int]:
        """Return the rows of the boxes that meet the tile whose corner is (y, x)."""
        return self._rows.get((y // self._side, x // self._side), [])


def label_tiles(masks: CellMasks, part: Part, labels: Sequence[int] | None = None) -> TileSource:
    """Return a source of int32 label tiles of whole cells or of nuclei; of some labels, or of all."""
    labels = list(masks) if labels is None else list(labels)
    index = TileIndex(np.array([masks.boxes[label] for label in labels]).reshape(-1, 4))

    def tile(y: int, x: int, h: int, w: int) -> np.ndarray:
        here = [labels[row] for row in index.at(y, x)]
        few = CellMasks(masks.shape, {k: masks.boxes[k] for k in here}, {k: masks.patches[k] for k in here})
        return few.region(y, x, h, w, part)

    return tile


def heatmap_tiles(heatmaps: Heatmaps, masks: CellMasks, labels: np.ndarray) -> TileSource:
    """Return a source of float32 tiles of the composite heatmap; see `napari_aml.explain.paste_heatmaps`.

    Parameters
    ----------
    heatmaps, labels
        The maps and the label of each map's cell.
    masks
        The cells' masks: a cell's own map is drawn on it.
    """
    from napari_aml.explain.paste import paste_heatmaps

    index = TileIndex(heatmaps.box)

    def tile(y: int, x: int, h: int, w: int) -> np.ndarray:
        rows = np.array(index.at(y, x), int)
        return paste_heatmaps((y, x, h, w), heatmaps.take(rows), masks, labels[rows])

    return tile


def write_tiff_steps(
    path: str | Path,
    source: TileSource,
    shape: tuple[int, int],
    dtype: type[np.generic],
    pixel_size_um: float | None,
    what: str,
) -> Steps[Path]:
    """Write one raster, tile by tile.

    Parameters
    ----------
    path
        The file.
    source
        Called with (y, x, h, w) for each tile in turn; returns its pixels (h, w).
    shape, dtype
        Of the whole raster.
    pixel_size_um
        Written into the resolution tags.
    what
        What the raster shows, plain ASCII; written into the description beside the research-use sentence.

    Yields
    ------
    Progress
        In tiles.
    """
    height, width = shape
    corners = [(y, x) for y in range(0, height, TILE) for x in range(0, width, TILE)]
    feed = _Feed(Path(path), shape, np.dtype(dtype), pixel_size_um, what)
    said = time.perf_counter()
    try:
        for done, (y, x) in enumerate(corners):
            h, w = min(TILE, height - y), min(TILE, width - x)
            full = np.zeros((TILE, TILE), dtype)
            full[:h, :w] = source(y, x, h, w)
            feed.put(full)
            if time.perf_counter() - said > _YIELD_SECONDS:
                yield Progress(done, len(corners), f"Writing {Path(path).name}")
                said = time.perf_counter()
        feed.finish()
    finally:
        feed.stop()
    return Path(path)


class _Feed:
    """Hands tiles to tifffile, which pulls them in a thread of its own; compression runs beside the drawing."""

    def __init__(
        self, path: Path, shape: tuple[int, int], dtype: np.dtype, pixel_size_um: float | None, what: str
    ) -> None:
        self._tiles: queue.Queue[np.ndarray | None] = queue.Queue(maxsize=8)
        self._stopped = False
        self._error: BaseException | None = None
        self._write = (path, shape, dtype, pixel_size_um, what)
        self._thread = threading.Thread(target=self._run, name="napari-aml-tiff", daemon=True)
        self._thread.start()

    def put(self, tile: np.ndarray) -> None:
        while True:
            if self._error is not None:
                raise self._error
            with suppress(queue.Full):
                return self._tiles.put(tile, timeout=0.1)

    def finish(self) -> None:
        """Wait until all is written; raise what went wrong."""
        self._thread.join()
        if self._error is not None:
            raise self._error

    def stop(self) -> None:
        self._stopped = True
        with suppress(queue.Full):
            self._tiles.put_nowait(None)
        self._thread.join()

    def _pull(self, count: int) -> Iterator[np.ndarray]:
        for _ in range(count):
            tile = None
            while tile is None:
                if self._stopped:
                    raise _Stopped
                with suppress(queue.Empty):
                    tile = self._tiles.get(timeout=0.1)
            yield tile

    def _run(self) -> None:
        import tifffile

        path, (height, width), dtype, um, what = self._write
        count = -(-height // TILE) * -(-width // TILE)
        dots = (1e4 / um, 1e4 / um) if um else None
        try:
            tifffile.imwrite(
                path, self._pull(count), shape=(height, width), dtype=dtype, tile=(TILE, TILE),
                bigtiff=height * width * dtype.itemsize > _BIG_BYTES, photometric="minisblack", compression="zlib",
                resolution=dots, resolutionunit="CENTIMETER" if um else None, metadata=None, maxworkers=2,
                buffersize=_BUFFER_BYTES, software=f"napari-aml {__version__}", description=f"{what} {RESEARCH_USE}",
            )  # fmt: skip
        except BaseException as error:
            self._error = error


class _Stopped(Exception):
    """The writer was told to stop."""
