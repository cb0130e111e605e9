"""Labelled pictures as one format: a manifest table plus pictures, whatever they came from.

`dataset` opens a folder, `writing` makes one, `splitting` divides it without leakage, `importing` brings sets in.
"""

from napari_aml.datasets.checking import Finding, check
from napari_aml.datasets.dataset import COLUMNS, Dataset, DatasetError
from napari_aml.datasets.importing import IMPORTERS, import_dataset, import_dataset_steps
from napari_aml.datasets.joining import join_steps
from napari_aml.datasets.leakage import Leakage
from napari_aml.datasets.mapping import Mapping, load_mapping
from napari_aml.datasets.splitting import Split, SplitError, read_split, split
from napari_aml.datasets.writing import write_dataset, write_dataset_steps

__all__ = [
    "COLUMNS",
    "IMPORTERS",
    "Dataset",
    "DatasetError",
    "Finding",
    "Leakage",
    "Mapping",
    "Split",
    "SplitError",
    "check",
    "import_dataset",
    "import_dataset_steps",
    "join_steps",
    "load_mapping",
    "read_split",
    "split",
    "write_dataset",
    "write_dataset_steps",
]
