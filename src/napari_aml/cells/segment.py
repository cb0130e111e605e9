"""A Slide becomes Cells, tile by tile: memory follows the cells, and no cell depends on where the tiles lie."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, wait
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from napari_aml._threads import ComputeThreads
from napari_aml.cells.grid import HALO, Grid
from napari_aml.cells.ground import measure_ground
from napari_aml.cells.light import uneven_light
from napari_aml.cells.masks import CellMasks
from napari_aml.cells.network import WORK_UM
from napari_aml.cells.protocol import FieldMasks, Segmenter, get_segmenter
from napari_aml.cells.table import Cells, measure
from napari_aml.errors import PixelSizeUnknownError
from napari_aml.progress import Progress, Steps, run

if TYPE_CHECKING:
    from napari_aml.slides.slide import Slide

#: Blocks a tile, without its halo.
TILE = 16
# A cell whose centroid lies this close to a tile's edge (blocks) is asked for by both tiles and kept once.
_SLACK = 0.15
# How long tiles may be at work without a sign of life to whoever drives the job, seconds.
_PATIENCE = 0.2


def segment_steps(slide: Slide, segmenter: Segmenter | None = None, assume_um: float | None = None) -> Steps[Cells]:
    """Find the nucleated cells of a slide.

    The slide is read in tiles with a halo of 16 µm, at the coarsest level that is still as fine as the segmenter
    needs. A cell belongs to the tile that holds its centroid. Before cells are looked for, very uneven light of a
    camera field is evened out (`napari_aml.cells.light`) and the ground is brought to white
    (`napari_aml.cells.ground`).

    Parameters
    ----------
    slide
        A slide. Where its pixel size is unknown it is measured from the red cells.
    segmenter
        The backend; the default one if None.
    assume_um
        µm per pixel to go on with when the size is unknown and cannot be measured.

    Yields
    ------
    Progress
        Its payload is a `Cells` of the cells found since the last event, or None.

    Returns
    -------
    Cells
        In reading order of the tiles; without rows when there are none.

    Raises
    ------
    PixelSizeUnknownError
        When the pixel size is unknown, cannot be measured and none is to be assumed.
    """
    um = _pixel_size(slide, assume_um)
    segmenter = segmenter or get_segmenter()
    level = 0
    if um == slide.pixel_size.um:
        level = slide.level_for(WORK_UM)
    tiles = list(_tiles(slide, level, um))
    name = f"{segmenter.name} {segmenter.version}"
    found = _Found(CellMasks(slide.shape))
    tables = []
    light = uneven_light(slide)
    ground = measure_ground(slide, um, light)

    def look(tile: _Tile) -> Callable[[], FieldMasks]:
        rgb = slide.region(level, tile.y0, tile.x0, tile.y1 - tile.y0, tile.x1 - tile.x0)
        if light is not None:
            rgb = light.even(rgb, tile.y0, tile.x0, tile.down)
        if ground is not None:
            rgb = ground.whiten(rgb)
        return partial(_run, segmenter, rgb, um * tile.down, tile)

    with closing(_looked_at(tiles, look, segmenter)) as work:
        done = 0
        yield Progress(0, len(tiles), "Finding cells")
        for looked in work:
            if looked is None:
                yield Progress(done, len(tiles), f"Finding cells: {len(found.masks)} so far")
                continue
            tile, masks = looked
            done += 1
            labels = found.take(masks, tile)
            if not labels:
                yield Progress(done, len(tiles), f"Finding cells: {len(found.masks)} so far")
            else:
                rows = measure(found.masks, slide.slide_id, um, labels)
                tables.append(rows)
                part = Cells(slide.slide_id, found.masks.only(labels), rows, um, name)
                yield Progress(done, len(tiles), f"Finding cells: {len(found.masks)} so far", part)
    cells = Cells(slide.slide_id, found.masks, _joined(tables, found.masks, slide, um), um, name)
    yield Progress(len(tiles), len(tiles), _count(len(cells)))
    return cells


def _count(n: int) -> str:
    return f"{n} cell{'' if n == 1 else 's'}" if n else "No cells found"


def segment(slide: Slide, segmenter: Segmenter | None = None, assume_um: float | None = None) -> Cells:
    """Find the nucleated cells of a slide; `segment_steps` driven to its end."""
    return run(segment_steps(slide, segmenter, assume_um))


def _pixel_size(slide: Slide, assume_um: float | None) -> float:
    if slide.pixel_size.um is not None:
        return slide.pixel_size.um
    from napari_aml.slides.redcells import measure_pixel_size

    measured = measure_pixel_size(slide)
    if measured.pixel_size_um is not None:
        return measured.pixel_size_um
    if assume_um is not None:
        return assume_um
    raise PixelSizeUnknownError(slide.name, "the file does not say it, and no red cells could be measured.")


@dataclass(frozen=True)
class _Tile:
    """A tile with its halo, in pixels of the level that is read, and its core in blocks.

    Attributes
    ----------
    y0, x0, y1, x1
        What is read, inside the slide.
    core
        First and last block (half-open) of rows and columns that the tile owns.
    pitch
        Level pixels a block.
    down
        Level-0 pixels a level pixel.
    goes_on
        Top, left, bottom, right: whether the slide goes on beyond what is read.
    beside
        Top, left, bottom, right: whether another tile lies there.
    index
        Row and column of the tile.
    """

    y0: int
    x0: int
    y1: int
    x1: int
    core: tuple[int, int, int, int]
    pitch: int
    down: float
    goes_on: tuple[bool, bool, bool, bool]
    beside: tuple[bool, bool, bool, bool]
    index: tuple[int, int]


def _tiles(slide: Slide, level: int, um: float) -> Iterator[_Tile]:
    lv = slide.levels[level]
    grid = Grid.of(um * lv.downsample)
    rows, columns = grid.blocks(lv.height), grid.blocks(lv.width)
    for i, top in enumerate(range(0, rows, TILE)):
        for j, left in enumerate(range(0, columns, TILE)):
            bottom, right = min(rows, top + TILE), min(columns, left + TILE)
            y0, x0 = max(0, top - HALO) * grid.pitch, max(0, left - HALO) * grid.pitch
            y1 = min(lv.height, (bottom + HALO) * grid.pitch)
            x1 = min(lv.width, (right + HALO) * grid.pitch)
            goes_on = (y0 > 0, x0 > 0, y1 < lv.height, x1 < lv.width)
            beside = (top > 0, left > 0, bottom < rows, right < columns)
            core = (top, left, bottom, right)
            yield _Tile(y0, x0, y1, x1, core, grid.pitch, lv.downsample, goes_on, beside, (i, j))


def _looked_at(
    tiles: list[_Tile], look: Callable[[_Tile], Callable[[], FieldMasks]], segmenter: Segmenter
) -> Generator[tuple[_Tile, FieldMasks] | None]:
    """Segment tiles in their order, several side by side where the backend can; None is a sign of life.

    Parameters
    ----------
    look
        Reads a tile, in the calling thread, and returns what is left to do with it.
    """
    if len(tiles) > 1 and getattr(segmenter, "concurrent", False):
        compute = ComputeThreads()
        workers, threads = compute.shares(len(tiles))
    else:
        workers = 1
    if workers < 2:
        for tile in tiles:
            yield tile, look(tile)()
        return
    pool = compute.pool(workers, threads, "tiles")
    todo = iter(tiles)
    flying: deque[tuple[_Tile, Future[FieldMasks]]] = deque()
    try:
        while True:
            # One more than are at work is ready for whoever is free first.
            for tile in islice(todo, workers + 1 - len(flying)):
                flying.append((tile, pool.submit(look(tile))))
            if not flying:
                return
            tile, future = flying.popleft()
            while not wait([future], _PATIENCE).done:
                yield None
            yield tile, future.result()
    finally:
        # Tiles at work read nothing any more: nobody need wait for them.
        pool.shutdown(wait=False, cancel_futures=True)


def _run(segmenter: Segmenter, rgb: np.ndarray, um: float, tile: _Tile) -> FieldMasks:
    """Segment a tile; backends that know about the surroundings are told on which sides the slide goes on."""
    if hasattr(segmenter, "segment_part"):
        return segmenter.segment_part(rgb, um, tile.goes_on)
    return segmenter.segment(rgb, um)


@dataclass
class _Found:
    """Cells found so far."""

    masks: CellMasks
    by_tile: dict[tuple[int, int], list[int]] = field(default_factory=dict)

    def take(self, found: FieldMasks, tile: _Tile) -> list[int]:
        """Take over the cells that the tile owns; return their new labels."""
        from scipy import ndimage as ndi

        new = []
        for i, box in enumerate(ndi.find_objects(found.cells), start=1):
            if box is None:
                continue
            patch = (found.cells[box] == i).astype(np.uint8)
            patch[(found.nuclei[box] == i) & (patch > 0)] = 2
            y0, x0 = box[0].start + tile.y0, box[1].start + tile.x0
            ys, xs = np.nonzero(patch)
            owned = _owned(tile, (y0 + ys.mean() + 0.5) / tile.pitch, (x0 + xs.mean() + 0.5) / tile.pitch)
            if not owned:
                continue
            y0, x0, patch = _to_level0(y0, x0, patch, tile.down, self.masks.shape)
            if not patch.any() or (owned == "near" and self._known(tile, y0, x0, patch)):
                continue
            label = self.masks.next_label
            self.masks.put(label, y0, x0, patch)
            new.append(label)
        self.by_tile[tile.index] = new
        return new

    def _known(self, tile: _Tile, y0: int, x0: int, patch: np.ndarray) -> bool:
        """Tell whether a neighbouring tile has already brought this cell."""
        i, j = tile.index
        near = [k for di in (-1, 0, 1) for dj in (-1, 0, 1) for k in self.by_tile.get((i + di, j + dj), [])]
        mine = patch > 0
        for label in near:
            a0, b0, a1, b1 = self.masks.boxes[label]
            top, left = max(a0, y0), max(b0, x0)
            bottom, right = min(a1, y0 + patch.shape[0]), min(b1, x0 + patch.shape[1])
            if bottom <= top or right <= left:
                continue
            theirs = self.masks.patches[label]
            both = mine[top - y0 : bottom - y0, left - x0 : right - x0]
            both = both & (theirs[top - a0 : bottom - a0, left - b0 : right - b0] > 0)
            if both.sum() > 0.5 * min(mine.sum(), (theirs > 0).sum()):
                return True
        return False


def _owned(tile: _Tile, row: float, column: float) -> str:
    """Return ``inside``, ``near`` (within the slack of a neighbour's tile, on either side) or nothing."""
    top, left, bottom, right = tile.core
    depths = (row - top, column - left, bottom - row, right - column)
    depth = min((d for d, beside in zip(depths, tile.beside, strict=True) if beside), default=np.inf)
    if depth >= _SLACK:
        return "inside"
    return "near" if depth > -_SLACK else ""


def _to_level0(
    y0: int, x0: int, patch: np.ndarray, down: float, shape: tuple[int, int]
) -> tuple[int, int, np.ndarray]:
    """Bring a patch of a reduced level to level-0 pixels."""
    if down == 1:
        return y0, x0, patch
    import cv2

    top, left = round(y0 * down), round(x0 * down)
    bottom = min(shape[0], round((y0 + patch.shape[0]) * down))
    right = min(shape[1], round((x0 + patch.shape[1]) * down))
    size = (max(1, right - left), max(1, bottom - top))
    cell = cv2.resize((patch > 0).astype(np.float32), size, interpolation=cv2.INTER_LINEAR) >= 0.5
    nucleus = cv2.resize((patch == 2).astype(np.float32), size, interpolation=cv2.INTER_LINEAR) >= 0.5
    return top, left, (cell.astype(np.uint8) + (cell & nucleus)).astype(np.uint8)


def _joined(tables: list, masks: CellMasks, slide: Slide, um: float):
    import pandas as pd

    if not tables:
        return measure(masks, slide.slide_id, um, [])
    return pd.concat(tables, ignore_index=True)
