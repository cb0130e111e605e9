"""The cells that the demonstration bundle was made of, divided as its recipe divides them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from napari_aml.classify.training.engine.recipes import Recipe
from napari_aml.datasets import Dataset, import_dataset, join_steps, split
from napari_aml.progress import run


def demo_cells(data: Path, cache: Path) -> Dataset:
    """Return PBC and AML-Cytomorphology_LMU as one dataset, made in `cache` as docs/demo-model.md says."""
    if not (cache / "cells" / "dataset.json").is_file():
        parts = {"pbc": data / "cells_pbc" / "px160", "lmu": data / "cells_aml_lmu_thumbs"}
        for name, folder in parts.items():
            if not (cache / name).is_dir():
                import_dataset(name, folder, cache / name)
        run(join_steps([cache / name for name in parts], cache / "cells"))
    return Dataset.open(cache / "cells")


def held_out(dataset: Dataset) -> np.ndarray:
    """Rows of the test part of the recipe: cells that a bundle made by it has never seen."""
    config = Recipe.read("demo").config
    learnt = 1 - config.validation - config.test
    fractions = {"train": learnt, "validation": config.validation, "test": config.test}
    rows = split(dataset, seed=config.split_seed, fractions=fractions).rows("test")
    codes = dataset.table["code"].to_numpy(str)[rows]
    return rows[(codes != "") & (codes != "UNK")]
