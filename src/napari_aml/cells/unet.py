"""The default segmenter: a coarse network says where to look, a fine one outlines cells and nuclei there."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from napari_aml.cells.grid import BLOCK, HALO, Grid, reflect
from napari_aml.cells.instances import Rules, drop_pale, enlarge, split
from napari_aml.cells.network import COARSE, STRIDE, WEIGHTS, load_networks
from napari_aml.cells.protocol import FieldMasks


class UNetSegmenter:
    """The shipped networks as a segmentation backend.

    Parameters
    ----------
    rules
        What counts as a nucleated cell.
    gate
        Coarse probability from which a block is looked at closely; 0 looks at everything.
    device
        A torch device string.
    weights
        Folder of the networks; others than the shipped ones are written by `napari_aml.cells.training.fit`.
    """

    name = "unet"
    concurrent = True

    def __init__(
        self, rules: Rules | None = None, gate: float = 0.1, device: str = "cpu", weights: Path = WEIGHTS
    ) -> None:
        self.rules = rules or Rules()
        self.gate = gate
        self._networks = load_networks(weights, device)
        self.version = str(self._networks.card["version"])

    def segment(self, rgb: np.ndarray, pixel_size_um: float) -> FieldMasks:
        """Segment one field; see `napari_aml.cells.protocol.Segmenter.segment`."""
        return self.segment_part(rgb, pixel_size_um, (False,) * 4)

    def segment_part(self, rgb: np.ndarray, pixel_size_um: float, goes_on: tuple[bool, ...]) -> FieldMasks:
        """Segment a part of a larger picture.

        Parameters
        ----------
        rgb, pixel_size_um
            As for `segment`; the part begins on a block of the picture's grid.
        goes_on
            Top, left, bottom, right: whether the picture goes on there. Where it does, the outer `HALO` blocks serve
            as surroundings only; where it does not, the picture is mirrored at its edge.
        """
        h, w = rgb.shape[:2]
        empty = np.zeros((h, w), np.int32)
        if h == 0 or w == 0:
            return FieldMasks(empty, empty.copy())
        grid = Grid.of(pixel_size_um)
        work = grid.resample(rgb)
        maps = self.maps(work, goes_on)
        used_h, used_w = max(1, round(h * grid.scale)), max(1, round(w * grid.scale))
        maps = maps[:, :used_h, :used_w]
        cells, nuclei = drop_pale(work[:used_h, :used_w], *split(maps, self.rules), self.rules)
        if not cells.any():
            return FieldMasks(empty, empty.copy())
        return FieldMasks(*enlarge(maps, cells, nuclei, grid.scale, (h, w), self.rules))

    def maps(self, work: np.ndarray, goes_on: tuple[bool, ...] = (False,) * 4) -> np.ndarray:
        """Run the networks on a picture on the working grid.

        Parameters
        ----------
        work
            uint8 (h, w, 3); h and w multiples of `BLOCK`.
        goes_on
            As for `segment_part`.

        Returns
        -------
        numpy.ndarray
            float32 (3, h, w); zero where the coarse network saw nothing.
        """
        h, w = work.shape[:2]
        top, left, bottom, right = (0 if more else HALO for more in goes_on)
        wide = reflect(work, top * BLOCK, bottom * BLOCK, left * BLOCK, right * BLOCK)
        out = np.zeros((3, h, w), np.float32)
        rows, columns = h // BLOCK, w // BLOCK
        for y0, x0, y1, x1 in self._windows(wide, (top, left, rows, columns)):
            # what the network sees: the window and HALO blocks around it, as far as there is picture
            sy0, sx0 = max(0, y0 + top - HALO), max(0, x0 + left - HALO)
            sy1, sx1 = min(rows + top + bottom, y1 + top + HALO), min(columns + left + right, x1 + left + HALO)
            seen = self._networks.fine(wide[sy0 * BLOCK : sy1 * BLOCK, sx0 * BLOCK : sx1 * BLOCK])
            oy, ox = (y0 + top - sy0) * BLOCK, (x0 + left - sx0) * BLOCK
            target = np.s_[:, y0 * BLOCK : y1 * BLOCK, x0 * BLOCK : x1 * BLOCK]
            out[target] = seen[:, oy : oy + (y1 - y0) * BLOCK, ox : ox + (x1 - x0) * BLOCK]
        return out

    def _windows(self, wide: np.ndarray, inner: tuple[int, int, int, int]) -> list[tuple[int, int, int, int]]:
        """Return disjoint boxes of blocks to look at closely: candidates of the coarse network and their neighbours."""
        from scipy import ndimage as ndi

        top, left, rows, columns = inner
        if self.gate <= 0:
            return [(0, 0, rows, columns)]
        side = BLOCK // COARSE
        heat = self._networks.coarse(wide)
        heat = heat[top * side : (top + rows) * side, left * side : (left + columns) * side]
        heat = heat.reshape(rows, side, columns, side).max((1, 3))
        wanted = ndi.binary_dilation(heat >= self.gate, np.ones((3, 3)))
        if wanted.mean() > 0.5:
            return [(0, 0, rows, columns)]
        pieces, _ = ndi.label(wanted, np.ones((3, 3)))
        return _merged([(b[0].start, b[1].start, b[0].stop, b[1].stop) for b in ndi.find_objects(pieces)])


def _merged(boxes: list[tuple[int, int, int, int]]) -> list[tuple[int, int, int, int]]:
    """Merge boxes that overlap until none do."""
    done: list[tuple[int, int, int, int]] = []
    for box in boxes:
        while (hit := next((b for b in done if _meet(b, box)), None)) is not None:
            done.remove(hit)
            box = (min(box[0], hit[0]), min(box[1], hit[1]), max(box[2], hit[2]), max(box[3], hit[3]))
        done.append(box)
    return done


def _meet(a: tuple[int, int, int, int], b: tuple[int, int, int, int]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


assert BLOCK % STRIDE == 0
