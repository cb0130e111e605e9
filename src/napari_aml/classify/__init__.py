"""Cells become Predictions: model bundles, their networks, prediction over slides, arrays and folders.

Importing this room loads neither torch nor timm; they come when a bundle's weights are read.
"""

from __future__ import annotations

from napari_aml.classify.bundle import ModelBundle, open_bundle, save_bundle
from napari_aml.classify.checkpoint import import_checkpoint
from napari_aml.classify.folder import classify_folder, classify_folder_steps
from napari_aml.classify.library import find_bundles, load_bundle
from napari_aml.classify.predict import predict, predict_steps
from napari_aml.classify.predictions import Predictions
from napari_aml.classify.sources import ArrayCrops, CropSource, SlideCrops

__all__ = [
    "ArrayCrops", "CropSource", "ModelBundle", "Predictions", "SlideCrops", "classify_folder",
    "classify_folder_steps", "find_bundles", "import_checkpoint", "load_bundle", "open_bundle", "predict",
    "predict_steps", "save_bundle",
]  # fmt: skip
