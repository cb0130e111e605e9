from .analysis import Analysis
from .cells import Cells, FieldMasks, crops, get_segmenter, register_segmenter, segment, segment_steps
from .classify import (
    ModelBundle,
    Predictions,
    classify_folder,
    find_bundles,
    load_bundle,
    predict,
    predict_steps,
)
from .errors import AmlError
from .explain import Heatmaps, classify_and_explain_steps, heatmaps
from .export import write_results
from .pipeline import analyse, analyse_steps, compare_expression, resolve_pixel_size
from .progress import Progress, run
from .review import Project, differential, open_expression_steps
from .slides import PixelSize, Slide, measure_pixel_size, open_slide
from .taxonomy import CLASSES, CellClass, cell_class

__version__: str
RESEARCH_USE: str

__all__ = [
    "CLASSES",
    "AmlError",
    "Analysis",
    "CellClass",
    "Cells",
    "FieldMasks",
    "Heatmaps",
    "ModelBundle",
    "PixelSize",
    "Predictions",
    "Progress",
    "Project",
    "Slide",
    "analyse",
    "analyse_steps",
    "cell_class",
    "classify_and_explain_steps",
    "classify_folder",
    "compare_expression",
    "crops",
    "differential",
    "find_bundles",
    "get_segmenter",
    "heatmaps",
    "load_bundle",
    "measure_pixel_size",
    "open_expression_steps",
    "open_slide",
    "predict",
    "predict_steps",
    "register_segmenter",
    "resolve_pixel_size",
    "run",
    "segment",
    "segment_steps",
    "write_results",
]
