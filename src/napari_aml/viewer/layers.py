"""The result layers: how each is called, made, looks and goes. Values and colours here; when, in `bridge`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_aml.taxonomy import CLASSES, cell_class
from napari_aml.viewer.private import quick_contours, without_tools

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.components import LayerList
    from napari.layers import Image, Labels, Layer, Points
    from napari.utils.colormaps import CyclicLabelColormap

CELLS, CLASS_LAYER, HEATMAP, NAMES = "cells", "classes", "heatmap", "names"
#: From bottom to top.
ORDER = (HEATMAP, CLASS_LAYER, CELLS, NAMES)

OUTLINE = "#101418"
SELECTED = "#ffe600"
#: Width of the coloured band along a cell's border.
BAND_UM = 0.4

#: Class code → value in the class layer; the same for every slide and model. 0 is background and unclassified.
VALUE_OF_CODE: dict[str, int] = {c.code: i for i, c in enumerate(CLASSES, start=1)}
_OTHER = VALUE_OF_CODE["UNK"]


def class_value(code: str) -> int:
    """Return a code's value in the class layer: 0 while unclassified, UNK's for a code outside the taxonomy."""
    return VALUE_OF_CODE.get(code, _OTHER) if code else 0


def class_colormap() -> CyclicLabelColormap:
    """Return the constant colours of the class layer."""
    return _colormap([cell_class(code).colour for code in VALUE_OF_CODE])


def outline_colormap() -> CyclicLabelColormap:
    """Return one colour for the outline of every cell: the class layer carries the meaning."""
    return _colormap([OUTLINE])


def _colormap(colours: list[str]) -> CyclicLabelColormap:
    """Return a colour map in which 0 is transparent and 1, 2, … have these colours, over and over.

    napari's other kind (`DirectLabelColormap`) compiles a dictionary for each of the layers in each process, which
    takes close to a second, and looks each pixel up in it.
    """
    from napari.utils.colormaps import CyclicLabelColormap
    from napari.utils.colormaps.standardize_color import transform_color

    return CyclicLabelColormap(colors=transform_color(["transparent", *colours]), background_value=0)


def heat_colormap() -> Any:
    """Return a colour map from transparent over orange to yellow: no evidence leaves the cell as it is.

    The ramp is that of matplotlib's ``inferno`` (perceptually even, readable with colour-blind eyes).
    """
    from napari.utils.colormaps import Colormap, ensure_colormap

    ramp = np.array(ensure_colormap("inferno").map(np.linspace(0.25, 1.0, 64)))
    # Faint evidence stays invisible, so that no veil marks the crop's square.
    ramp[:, 3] = np.clip(np.linspace(-0.15, 1.6, 64), 0, 1)
    return Colormap(ramp, name="napari-aml evidence")


def placement(image: Layer) -> dict[str, Any]:
    """Return the transform that lays a result layer over the picture layer it came from."""
    return {
        "scale": image.scale[-2:],
        "translate": image.translate[-2:],
        "affine": image.affine.affine_matrix[np.ix_([-3, -2, -1], [-3, -2, -1])],
        "units": image.units[-2:],
    }


def make_cells(data: Any, image: Layer) -> Labels:
    """Return the instance layer: one label a cell, drawn as outlines; hidden until it has its place."""
    from napari.layers import Labels

    multiscale = isinstance(data, list)
    layer = Labels(
        data, name=CELLS, opacity=0.9, colormap=outline_colormap(), multiscale=multiscale, visible=False,
        **placement(image),
    )  # fmt: skip
    quick_contours(layer)
    layer.contour = 1
    if multiscale:
        without_tools(layer)
    return layer


def make_classes(data: Any, image: Layer, pixel_size_um: float) -> Labels:
    """Return the class layer: one value a class, in the constant colours of the taxonomy; not for painting.

    Drawn as a band along the inside of the cell's border, so that the cell itself stays as the stain made it. Hidden
    until it has its place: napari would else look for the borders three times.
    """
    from napari.layers import Labels

    multiscale = isinstance(data, list)
    layer = Labels(
        data, name=CLASS_LAYER, opacity=1.0, colormap=class_colormap(), multiscale=multiscale, visible=False,
        **placement(image),
    )  # fmt: skip
    quick_contours(layer)
    layer.contour = int(np.clip(round(BAND_UM / pixel_size_um), 2, 8))
    layer.editable = False
    without_tools(layer)
    return layer


def make_heatmap(data: Any, image: Layer, limit: float, opacity: float) -> Image:
    """Return the heatmap layer: positive evidence on one scale for all cells."""
    from napari.layers import Image

    return Image(
        data, name=HEATMAP, rgb=False, multiscale=isinstance(data, list), colormap=heat_colormap(), opacity=opacity,
        contrast_limits=(0.0, limit or 1.0), blending="translucent_no_depth", interpolation2d="linear",
        **placement(image),
    )  # fmt: skip


def make_names(image: Layer) -> Points:
    """Return the layer of class codes beside the cells and of the frame around the selected one."""
    from napari.layers import Points

    layer = Points(
        np.zeros((0, 2)), ndim=2, name=NAMES, symbol="square", size=1, face_color="transparent",
        border_color="transparent", border_width=0.015, border_width_is_relative=True,
        features={"code": np.zeros(0, object)},
        text={"string": "{code}", "size": 9, "color": OUTLINE, "anchor": "center"},
        **placement(image),
    )  # fmt: skip
    layer.editable = False
    return layer


def remove_together(there: LayerList, gone: Sequence[Layer]) -> None:
    """Remove layers in one go: napari collects garbage (0.7 s with all libraries in memory) once, not after each."""
    if gone:
        with there.batched_update():
            for layer in gone:
                there.remove(layer)
