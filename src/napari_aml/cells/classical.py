"""A segmenter without a network: nuclear stain against everything else, then the cytoplasm around it."""

from __future__ import annotations

import numpy as np

from napari_aml.cells.protocol import FieldMasks

WORK_UM = 0.2


class ClassicalSegmenter:
    """Otsu's threshold on the nuclear stain, watershed, cytoplasm by growth."""

    name = "classical"
    version = "1"

    def segment(self, rgb: np.ndarray, pixel_size_um: float) -> FieldMasks:
        """Segment one field; see `napari_aml.cells.protocol.Segmenter.segment`."""
        import cv2
        from scipy import ndimage as ndi
        from skimage.filters import threshold_otsu
        from skimage.segmentation import watershed

        h, w = rgb.shape[:2]
        empty = np.zeros((h, w), np.int32)
        scale = pixel_size_um / WORK_UM
        size = (max(1, round(w * scale)), max(1, round(h * scale)))
        small = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA).astype(np.float32)
        # Nuclei absorb red and green strongly and blue little: saturation times darkness in green.
        green, blue = small[..., 1], small[..., 2]
        stain = cv2.GaussianBlur(np.clip(blue - green, 0, None) * (255 - green) / 255, (0, 0), 1.5)
        if stain.max() < 15:
            return FieldMasks(empty, empty)
        t = max(threshold_otsu(stain), 0.35 * float(np.percentile(stain, 99.9)), 15)
        nuclei = ndi.binary_fill_holes(ndi.binary_opening(stain > t, iterations=2))
        linked = ndi.binary_closing(nuclei, iterations=4)
        seeds, n = ndi.label(linked)
        area = np.bincount(seeds.ravel(), minlength=n + 1) * WORK_UM**2
        keep = np.flatnonzero(area >= 12.0)
        keep = keep[keep > 0]
        remap = np.zeros(n + 1, np.int32)
        remap[keep] = np.arange(1, len(keep) + 1)
        seeds = remap[seeds]
        lab = cv2.cvtColor(small.astype(np.uint8), cv2.COLOR_RGB2LAB).astype(np.float32)
        background = np.median(lab[lab[..., 0] > np.percentile(lab[..., 0], 60)], axis=0)
        unlike = np.linalg.norm(lab - background, axis=2)
        near = ndi.distance_transform_edt(seeds == 0) * WORK_UM < 2.5
        purple = lab[..., 1] - lab[..., 2] > (background[1] - background[2]) + 6
        cells = watershed(unlike, seeds, mask=(seeds > 0) | (near & purple & (unlike > 8)))
        up = cv2.resize(cells.astype(np.float32), (w, h), interpolation=cv2.INTER_NEAREST).astype(np.int32)
        core = cv2.resize((nuclei & (seeds > 0)).astype(np.uint8), (w, h), interpolation=cv2.INTER_NEAREST) > 0
        return FieldMasks(up, np.where(core, up, 0).astype(np.int32))
