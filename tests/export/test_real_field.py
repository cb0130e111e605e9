"""The whole way on a real field: segmented cells in, all files out, by napari's own readers and by ours."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import tifffile

from napari_aml.analysis import Analysis
from napari_aml.cells import segment
from napari_aml.export import write_results
from napari_aml.slides import PixelSize, open_slide


def test_a_real_field(tmp_path, bccd_field):
    slide = open_slide(bccd_field).with_pixel_size(PixelSize(0.09, "person"))
    cells = segment(slide)
    assert len(cells) >= 1
    folder = write_results(Analysis(slide, cells), tmp_path / "field")
    labels = tifffile.imread(folder / "labels.tif")
    np.testing.assert_array_equal(labels, cells.masks.to_array())
    assert set(pd.read_csv(folder / "cells.csv")["label"]) == set(np.unique(labels)) - {0}
    assert bccd_field.stem.encode() not in b"".join(p.read_bytes() for p in folder.iterdir())


def test_a_labelled_slide_keeps_only_the_cells_of_its_table(tmp_path, analysis):
    cells = replace(analysis.cells, table=analysis.cells.table.iloc[:2])
    folder = write_results(replace(analysis, cells=cells, predictions=None, heatmaps=None), tmp_path / "two")
    assert np.unique(tifffile.imread(folder / "labels.tif")).tolist() == [0, 1, 2]
