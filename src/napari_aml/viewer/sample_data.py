"""Sample data of the File menu: smear fields, a mosaic of AML cells, a synthetic slide."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_aml.viewer.picture_layers import slide_layer

if TYPE_CHECKING:
    from napari_aml.viewer.picture_layers import LayerData

SLIDE_SIDE = 20_000


def _smear(name: str, title: str) -> list[LayerData]:
    from napari_aml.samples import sample_paths
    from napari_aml.slides import open_slide

    path = next(p for p in sample_paths("smear") if p.name == name)
    return [slide_layer(open_slide(path), title)]


def touching_cells() -> list[LayerData]:
    """Return a field with a monocyte that touches a lymphocyte (BCCD)."""
    return _smear("bccd_00176.jpg", "smear: touching cells")


def eosinophil() -> list[LayerData]:
    """Return a field with an eosinophil that has lost granules (BCCD)."""
    return _smear("bccd_00344.jpg", "smear: eosinophil")


def dark_field() -> list[LayerData]:
    """Return a dark, blurred field of another microscope (Chula)."""
    return _smear("chula_E-15_0505.jpg", "smear: another microscope")


def aml_mosaic() -> list[LayerData]:
    """Return cells of AML patients and controls side by side, one row a class (AML-Cytomorphology_LMU)."""
    from napari_aml.samples import mosaic_path
    from napari_aml.slides import open_slide

    return [slide_layer(open_slide(mosaic_path()), "mosaic of AML cells")]


def synthetic_slide() -> list[LayerData]:
    """Return a slide of 20,000 x 20,000 pixels that is composed of the shipped fields while it is looked at."""
    from napari_aml.slides import SyntheticSlide

    return [slide_layer(SyntheticSlide(SLIDE_SIDE, SLIDE_SIDE, seed=0), "synthetic slide")]
