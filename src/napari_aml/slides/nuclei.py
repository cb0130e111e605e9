"""The pixel size guessed from the nuclei: a last resort for pictures without red cells that can be measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from napari_aml.slides.slide import Slide

#: Typical diameter, in µm, of a disc of a leukocyte nucleus's area on a dried smear (lymphocyte 7-8, monocyte 11).
NUCLEUS_UM = 8.5


def guess_pixel_size(slide: Slide) -> float | None:
    """Guess the pixel size from the size of the nuclei; good to about a third, no better.

    Parameters
    ----------
    slide
        Any slide; a large one is sampled in tiles.

    Returns
    -------
    float or None
        µm per level-0 pixel; None where nothing is stained like a nucleus.
    """
    from scipy import ndimage as ndi
    from skimage.filters import threshold_otsu

    from napari_aml.slides.redcells import View, views

    areas: list[float] = []
    for rgb, scale in views(slide):
        if min(rgb.shape[:2]) < 16:
            continue
        view = View(rgb)
        if view.stain.max() - np.median(view.stain) < 0.4:  # nothing absorbs red and green much more than blue
            continue
        dark = view.stain > max(threshold_otsu(view.stain), 0.5 * float(np.percentile(view.stain, 99.8)))
        gap = max(1, view.side // 100)  # the lobes of one nucleus lie closer together than two cells do
        blobs, n = ndi.label(ndi.binary_closing(ndi.binary_opening(dark, iterations=2), iterations=gap))
        sizes = ndi.sum_labels(dark, blobs, range(1, n + 1))
        areas += [float(a) / scale**2 for a in np.atleast_1d(sizes) if a > 0.0015 * view.side**2]
    if not areas:
        return None
    large = [a for a in areas if a > 0.35 * max(areas)]
    return NUCLEUS_UM / float(2 * np.sqrt(np.median(large) / np.pi))
