"""Train any timm backbone on a dataset: ``napari-aml train`` and the fine-tuning page call `train_steps`.

`settings` is the recipe, `running` the whole job, `loop` the training loop; the other modules do one thing each.
"""

from napari_aml.classify.training.engine.records import Epoch, TrainingDivergedError
from napari_aml.classify.training.engine.running import TrainResult, train, train_steps
from napari_aml.classify.training.engine.settings import PRESETS, TrainConfig, Views

__all__ = [
    "PRESETS",
    "Epoch",
    "TrainConfig",
    "TrainResult",
    "TrainingDivergedError",
    "Views",
    "train",
    "train_steps",
]
