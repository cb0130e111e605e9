"""A Prediction becomes a Heatmap: CAM methods, evidence inside cell and nucleus, pasting onto the slide.

Importing this room loads neither torch nor pytorch-grad-cam.
"""

from __future__ import annotations

from napari_aml.explain.explaining import classify_and_explain_steps, heatmaps, heatmaps_steps
from napari_aml.explain.heatmap import Heatmaps
from napari_aml.explain.methods import METHODS
from napari_aml.explain.paste import paste_heatmaps

__all__ = ["METHODS", "Heatmaps", "classify_and_explain_steps", "heatmaps", "heatmaps_steps", "paste_heatmaps"]
