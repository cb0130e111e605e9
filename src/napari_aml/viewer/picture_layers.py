"""Slides and napari's picture layers: one becomes the other.

The rule, in both directions:

* A slide whose pixel size is known becomes a layer whose ``scale`` is µm per pixel with ``units`` of µm, so that
  napari's scale bar is right; a slide whose pixel size is unknown keeps ``scale`` 1 in pixels.
* ``layer.metadata["napari_aml"]`` holds ``slide`` (the `Slide`), ``pixel_size_um``, ``pixel_size_source``, ``notes``.
* A layer becomes a slide by that entry while the picture still has its shape, otherwise by its data. A scale in a
  unit of length is believed, whoever set it; a scale in pixels says nothing.
"""

from __future__ import annotations

import math
import uuid
from typing import TYPE_CHECKING, Any

from napari_aml.export.overview import overview_shape
from napari_aml.progress import Progress
from napari_aml.slides.coming import ComingSlide
from napari_aml.slides.pixel_size import PixelSize, to_um

if TYPE_CHECKING:
    import numpy as np
    from napari.layers import Image

    from napari_aml.progress import Steps
    from napari_aml.slides.slide import Slide

LayerData = tuple[Any, dict[str, Any], str]

KEY = "napari_aml"
# A picture up to this many pixels is held in memory as one array; a larger one is drawn tile by tile.
IN_MEMORY_PIXELS = 1 << 25
# The coarsest level that is shown is at most this high and wide.
OVERVIEW_PX = 4096
#: Grey value of what is still being decoded: that of a smear's empty ground.
BLANK = 235
_STEP = 4
_CHUNK = 1024


class _LevelArray:
    """One level of a slide as an array that is read where it is sliced; plain while the slide is still decoded."""

    ndim = 3

    def __init__(self, slide: Slide, level: int) -> None:
        import numpy as np

        self._slide, self._level = slide, level
        self.shape = (slide.levels[level].height, slide.levels[level].width, 3)
        self.dtype = np.dtype("uint8")
        self.size = self.shape[0] * self.shape[1] * 3

    def __getitem__(self, key: Any) -> Any:
        key = key if isinstance(key, tuple) else (key,)
        key = (*key, *[slice(None)] * (3 - len(key)))
        (y0, y1, sy), (x0, x1, sx) = (part.indices(n) for part, n in zip(key[:2], self.shape[:2], strict=True))
        h, w = max(0, y1 - y0), max(0, x1 - x0)
        if not self._slide.ready:  # the window does not wait: it is drawn again when the picture is there
            return _blank(h, w)[::sy, ::sx, key[2]]
        return self._slide.peek(self._level, y0, x0, h, w)[::sy, ::sx, key[2]]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        whole = self[:, :]
        return whole if dtype is None else whole.astype(dtype)


def display_levels(slide: Slide) -> list[Any]:
    """Return the slide as arrays uint8 (h, w, 3) for napari, finest first: one in memory, or lazy ones of a pyramid.

    Where the file has no coarse level, one is computed, for napari would else load the finest level whole. Of a slide
    that is still being decoded, what is in memory is blank until `fill_in`.
    """
    import dask.array as da
    import numpy as np

    height, width = slide.shape
    if len(slide.levels) == 1 and height * width <= IN_MEMORY_PIXELS:
        return [slide.region(0, 0, 0, height, width) if slide.ready else _blank(height, width)]
    coarser = _blanks(slide)
    if slide.ready:
        _draw_coarser(slide, coarser)
    if isinstance(slide, ComingSlide):  # in memory, once it is there: nothing to be kept a second time
        return [_LevelArray(slide, 0), *coarser]
    token = uuid.uuid4().hex  # napari keeps decoded tiles by this name: it must never be used twice
    settings = {"chunks": (_CHUNK, _CHUNK, 3), "asarray": False, "meta": np.empty((0, 0, 0), np.uint8)}
    levels: list[Any] = [
        da.from_array(_LevelArray(slide, i), name=f"slide-{token}-{i}", **settings) for i in range(len(slide.levels))
    ]
    return levels + coarser


def fill_in(slide: Slide, levels: list[Any]) -> None:
    """Draw what `display_levels` left blank, in place, once the slide is ready; in any thread."""
    if isinstance(levels[0], _LevelArray):
        _draw_coarser(slide, levels[1:])
    else:
        levels[0][:] = slide.peek(0, 0, 0, *slide.shape)


def _blank(height: int, width: int) -> np.ndarray:
    import numpy as np

    return np.full((height, width, 3), BLANK, np.uint8)


def _blanks(slide: Slide) -> list[np.ndarray]:
    """Return blank pictures for the coarser levels that the file lacks, finest first."""
    last = slide.levels[-1]
    side = max(last.height, last.width)
    found: list[np.ndarray] = []
    while side > OVERVIEW_PX:
        side = math.ceil(side / _STEP)
        if not found:
            found.append(_blank(*overview_shape(slide, side)))
        else:
            found.append(_blank(*(math.ceil(n / _STEP) for n in found[-1].shape[:2])))
    return found


def _draw_coarser(slide: Slide, coarser: list[np.ndarray]) -> None:
    import cv2

    from napari_aml.export.overview import overview_steps
    from napari_aml.progress import run

    for finer, level in zip([None, *coarser], coarser, strict=False):
        if finer is None:
            level[:] = run(overview_steps(slide, max(level.shape[:2]))).rgb
        else:
            level[:] = cv2.resize(finer, level.shape[1::-1], interpolation=cv2.INTER_AREA)


def slide_layer(slide: Slide, name: str | None = None) -> LayerData:
    """Return napari's layer tuple of a slide.

    Parameters
    ----------
    slide
        Any slide.
    name
        Name of the layer; the slide's name by default.
    """
    levels = display_levels(slide)
    size = slide.pixel_size
    keywords: dict[str, Any] = {
        "name": name or slide.name,
        "rgb": True,
        "multiscale": len(levels) > 1,
        "metadata": {
            KEY: {
                "slide": slide, "pixel_size_um": size.um, "pixel_size_source": size.source, "notes": slide.notes,
            }
        },
    }  # fmt: skip
    if size.um is not None:
        keywords |= {"scale": (size.um, size.um), "units": ("um", "um")}
    return (levels if len(levels) > 1 else levels[0]), keywords, "image"


def layer_pixel_size(layer: Image) -> PixelSize | None:
    """Return the pixel size that a layer's scale says, or None where its units are pixels."""
    try:
        scales = zip(layer.scale[-2:], layer.units[-2:], strict=True)
        y, x = (to_um(float(scale), f"{unit:~}") for scale, unit in scales)
    except (AttributeError, ValueError, TypeError):
        return None
    if y is None or x is None or y <= 0 or x <= 0:
        return None
    detail = "scale of the layer"
    if max(y, x) > 1.02 * min(y, x):
        detail += f"; its pixels are not square ({y:.4g} x {x:.4g} µm), their geometric mean was taken"
    return PixelSize(math.sqrt(y * x), "person", detail)


def slide_from_layer(layer: Image) -> Slide:
    """Return the slide that an image layer shows.

    Parameters
    ----------
    layer
        An image layer, plain or multiscale, RGB or RGBA, 8 or 16 bit.

    Returns
    -------
    Slide
        Named like the layer. Its pixel size is that of the layer's scale where this is in a unit of length, else
        that which the file said, else unknown.

    Raises
    ------
    NotASmearError
        One channel, or a stack.
    SlideReadError
        Zero size, NaN.
    """
    from napari_aml.slides import open_slide

    slide = _remembered(layer)
    if slide is None:
        slide = open_slide(list(layer.data) if layer.multiscale else layer.data, name=layer.name)
    said = layer_pixel_size(layer)
    if said is None:
        return slide
    known = slide.pixel_size.um
    if known is not None and math.isclose(known, said.um or 0, rel_tol=1e-6):
        return slide
    return slide.with_pixel_size(said)


def _remembered(layer: Image) -> Slide | None:
    """Return the slide in the layer's metadata while the layer still shows a picture of its shape."""
    slide = layer.metadata.get(KEY, {}).get("slide")
    first = layer.data[0] if layer.multiscale else layer.data
    return slide if slide is not None and tuple(first.shape[:2]) == slide.shape else None


def measuring_steps(slide: Slide) -> Steps[Any]:
    """Measure the pixel size from a slide's red cells."""
    from napari_aml.slides import measure_pixel_size

    yield Progress(0, 0, "Measuring red cells")
    return measure_pixel_size(slide)
