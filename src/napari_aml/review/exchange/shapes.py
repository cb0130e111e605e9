"""Masks as outlines and run lengths, and back, exactly: what is written is drawn again pixel by pixel.

Outlines run along the edges of pixels: pixel (y, x) covers x…x+1 and y…y+1, as in QuPath and GeoJSON. An outline
therefore encloses exactly as much area as the mask has pixels, and filling it gives the mask again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

#: A ring of an outline: (n, 2) x, y in pixels, not closed; runs along pixel edges.
Ring = np.ndarray


def outlines(mask: np.ndarray) -> list[list[Ring]]:
    """Trace a mask along the edges of its pixels.

    Parameters
    ----------
    mask
        bool (h, w).

    Returns
    -------
    list of list of numpy.ndarray
        One polygon a piece (pixels that share an edge): its outer ring, then its holes; corners only, int (n, 2) x, y.
        Rings never touch themselves, so that every polygon is a valid simple feature.
    """
    from scipy.ndimage import find_objects, label

    pieces, n = label(mask)
    found = []
    for number, where in enumerate(find_objects(pieces, n), start=1):
        rings = list(_rings(pieces[where] == number))
        shift = np.array([where[1].start, where[0].start])
        rings.sort(key=lambda ring: -abs(_area(ring)))
        found.append([ring + shift for ring in rings])
    return found


def _rings(mask: np.ndarray) -> Iterator[Ring]:
    """Yield the simple rings around the pixels of one piece, mask at the right hand."""
    wide = np.pad(mask, 1).astype(np.int8)
    across = wide[1:, 1:-1] - wide[:-1, 1:-1]  # edges between rows: +1 runs right, -1 runs left
    down = (wide[1:-1, :-1] - wide[1:-1, 1:]).T  # edges between columns: +1 runs down, -1 runs up
    y, start, end = _runs(across)
    x, top, bottom = _runs(down)
    starts = np.concatenate([np.stack([y, start], 1), np.stack([top, x], 1)])
    ends = np.concatenate([np.stack([y, end], 1), np.stack([bottom, x], 1)])
    width = mask.shape[1] + 1
    begin, stop = starts @ (width, 1), ends @ (width, 1)
    order = np.argsort(begin)
    if (np.diff(begin[order]) == 0).any():
        yield from _touching(starts.tolist(), ends.tolist())
        return
    # Exactly one run goes on where another one ends: each ring is a walk from run to run.
    following = order[np.searchsorted(begin[order], stop)].tolist()
    left = [True] * len(following)
    for first in range(len(y)):
        if left[first]:
            walk, here = [], first
            while left[here]:
                left[here] = False
                walk.append(here)
                here = following[here]
            yield starts[walk, ::-1]


def _touching(starts: list[list[int]], ends: list[list[int]]) -> Iterator[Ring]:
    """Yield the rings of a piece some of whose pixels meet at a corner only."""
    step: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for start, end in zip(starts, ends, strict=True):
        step.setdefault((start[0], start[1]), []).append((end[0], end[1]))
    while step:
        first = here = next(iter(step))
        path, came = [], None
        while True:
            path.append(here)
            onwards = step[here]
            there = onwards[0] if len(onwards) == 1 or came is None else _right_turn(came, here, onwards)
            onwards.remove(there)
            if not onwards:
                del step[here]
            came, here = here, there
            if here == first:
                break
        yield from _simple(path)


def _runs(edges: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return line, start and end of the maximal runs of equal, non-zero values in each row; negative ones run back."""
    change = np.diff(np.pad(edges, ((0, 0), (1, 1))), axis=1) != 0
    line, at = np.nonzero(change)
    if not len(at):
        return line, at, at
    sign = edges[line[:-1], np.minimum(at[:-1], edges.shape[1] - 1)]
    run = (line[1:] == line[:-1]) & (sign != 0)
    line, low, high, ahead = line[:-1][run], at[:-1][run], at[1:][run], sign[run] > 0
    return line, np.where(ahead, low, high), np.where(ahead, high, low)


def _right_turn(came: tuple[int, int], here: tuple[int, int], ends: list[tuple[int, int]]) -> tuple[int, int]:
    """Where two pixels meet at a corner only, stay with the pixel at the right hand."""
    dy, dx = np.sign(here[0] - came[0]), np.sign(here[1] - came[1])
    for end in ends:
        if (np.sign(end[0] - here[0]), np.sign(end[1] - here[1])) == (dx, -dy):
            return end
    return ends[0]


def _simple(path: list[tuple[int, int]]) -> Iterator[Ring]:
    """Split a ring that comes back to a corner into rings that do not."""
    seen: dict[tuple[int, int], int] = {}
    stack: list[tuple[int, int]] = []
    for point in path:
        if point in seen:
            start = seen[point]
            yield _as_ring(stack[start:])
            for gone in stack[start + 1 :]:
                del seen[gone]
            del stack[start + 1 :]
            continue
        seen[point] = len(stack)
        stack.append(point)
    yield _as_ring(stack)


def _as_ring(points: list[tuple[int, int]]) -> Ring:
    """Return x, y of the true corners: a split may leave a point in the middle of a straight line."""
    ring = np.array(points, int)[:, ::-1]
    before, after = ring - np.roll(ring, 1, 0), np.roll(ring, -1, 0) - ring
    return ring[(before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0]) != 0]


def _area(ring: Ring) -> float:
    x, y = ring[:, 0], ring[:, 1]
    return float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2


def geometry(mask: np.ndarray, y0: int = 0, x0: int = 0) -> dict[str, Any]:
    """Return a mask bool (h, w) whose corner lies at (y0, x0) as a GeoJSON geometry."""
    corner = (x0, y0)
    polygons = [[(np.concatenate([ring, ring[:1]]) + corner).tolist() for ring in rings] for rings in outlines(mask)]
    if len(polygons) == 1:
        return {"type": "Polygon", "coordinates": polygons[0]}
    return {"type": "MultiPolygon", "coordinates": polygons}


def filled(polygons: Sequence[Sequence[Any]]) -> tuple[int, int, np.ndarray]:
    """Fill polygons: a pixel belongs to a polygon when its centre does.

    Parameters
    ----------
    polygons
        Each a list of rings, the first the outer one, the others holes; a ring is a list of (x, y).

    Returns
    -------
    y0, x0, mask
        Corner and bool (h, w) of the smallest box; (0, 0, empty) where no centre lies inside.

    Raises
    ------
    ValueError
        When a ring has less than three points or is no list of numbers.
    """
    rings = [[_points(ring) for ring in polygon] for polygon in polygons if len(polygon)]
    if not rings:
        raise ValueError("an outline without points")
    every = np.concatenate([ring for polygon in rings for ring in polygon])
    x0, y0 = np.floor(every.min(0)).astype(int)
    x1, y1 = np.ceil(every.max(0)).astype(int)
    if (y1 - y0) * (x1 - x0) > 1 << 28:
        raise ValueError("an outline as large as a slide")
    mask = np.zeros((max(y1 - y0, 1), max(x1 - x0, 1)), bool)
    for polygon in rings:
        flips = np.zeros((mask.shape[0], mask.shape[1] + 1), np.int32)
        for ring in polygon:  # what is inside twice is a hole
            _cross(flips, ring - (x0, y0))
        mask |= np.cumsum(flips, axis=1)[:, :-1] % 2 == 1
    return trimmed(int(y0), int(x0), mask)


def _cross(flips: np.ndarray, ring: np.ndarray) -> None:
    """Mark where a ring crosses each row of pixel centres: from there to the right, inside and outside change."""
    (ax, ay), (bx, by) = ring.T, np.roll(ring, -1, 0).T
    first, last = (np.ceil(f(ay, by) - 0.5).astype(int) for f in (np.minimum, np.maximum))
    count = last - first
    edge = np.repeat(np.arange(len(ring)), count)
    row = first[edge] + np.arange(len(edge)) - np.repeat(np.cumsum(count) - count, count)
    x = ax[edge] + (row + 0.5 - ay[edge]) * (bx[edge] - ax[edge]) / (by[edge] - ay[edge])
    column = np.clip(np.ceil(x - 0.5).astype(int), 0, flips.shape[1] - 1)
    np.add.at(flips, (row, column), 1)


def _points(ring: Any) -> np.ndarray:
    try:
        points = np.array(ring, float)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError("an outline that is no list of points") from error
    if points.ndim != 2 or points.shape[1] < 2 or len(points) < 3 or not np.isfinite(points).all():
        raise ValueError("an outline with less than three points")
    return points[:, :2]


def trimmed(y0: int, x0: int, mask: np.ndarray) -> tuple[int, int, np.ndarray]:
    """Cut empty rows and columns off a mask; (0, 0, empty) where nothing is left."""
    ys, xs = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(ys):
        return 0, 0, np.zeros((0, 0), bool)
    return y0 + int(ys[0]), x0 + int(xs[0]), mask[ys[0] : ys[-1] + 1, xs[0] : xs[-1] + 1]


def run_lengths(mask: np.ndarray, y0: int, x0: int, shape: tuple[int, int]) -> dict[str, Any]:
    """Return COCO's uncompressed run lengths of a mask within a picture.

    Columns first, beginning with a run of background, as pycocotools reads them.

    Parameters
    ----------
    mask
        bool (h, w), its corner at (y0, x0); what lies outside the picture is cut.
    shape
        Height and width of the picture.
    """
    height, width = shape
    top, left = max(0, -y0), max(0, -x0)
    mask = mask[top : max(height - y0, 0), left : max(width - x0, 0)]
    y0, x0 = y0 + top, x0 + left
    column, row = np.nonzero(mask.T)
    at = (column + x0).astype(np.int64) * height + row + y0
    if not len(at):
        return {"size": [height, width], "counts": [height * width]}
    breaks = np.flatnonzero(np.diff(at) != 1)
    starts, ends = at[np.r_[0, breaks + 1]], at[np.r_[breaks, len(at) - 1]] + 1
    bounds = np.stack([starts, ends], 1).ravel()
    counts = np.diff(np.r_[0, bounds, height * width]).tolist()
    if counts[-1] == 0:
        counts.pop()
    return {"size": [height, width], "counts": counts}


def from_run_lengths(rle: dict[str, Any]) -> tuple[int, int, np.ndarray]:
    """Return corner and mask of COCO run lengths, compressed or not.

    Raises
    ------
    ValueError
        When they do not fit their size.
    """
    try:
        height, width = (int(v) for v in rle["size"])
        counts = rle["counts"]
        runs = np.array(_decoded(counts) if isinstance(counts, str | bytes) else counts, np.int64)
    except (KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
        raise ValueError("run lengths that cannot be read") from error
    if height <= 0 or width <= 0 or runs.ndim != 1 or (runs < 0).any() or runs.sum() > height * width:
        raise ValueError("run lengths that do not fit their picture")
    ends = np.cumsum(runs)
    starts, ends = ends[:-1][::2], ends[1:][::2]
    keep = ends > starts
    starts, ends = starts[keep], ends[keep]
    if not len(starts):
        return 0, 0, np.zeros((0, 0), bool)
    first, last = int(starts[0] // height), int((ends[-1] - 1) // height)
    part = np.zeros((last - first + 1) * height, bool)
    if part.size > 1 << 31:
        raise ValueError("run lengths of a mask as large as a slide")
    for start, end in zip(starts - first * height, ends - first * height, strict=True):
        part[start:end] = True
    return trimmed(0, first, part.reshape(-1, height).T)


def _decoded(text: str | bytes) -> list[int]:
    """Decode COCO's compressed run lengths: five bits a character, from the third run on differences."""
    data = text.encode("ascii") if isinstance(text, str) else text
    runs: list[int] = []
    at = 0
    while at < len(data):
        value = shift = 0
        more = True
        while more:
            bits = data[at] - 48
            value |= (bits & 0x1F) << shift
            more, at, shift = bool(bits & 0x20), at + 1, shift + 5
            if not more and bits & 0x10:
                value |= -1 << shift
        runs.append(value + runs[-2] if len(runs) > 2 else value)
    return runs
