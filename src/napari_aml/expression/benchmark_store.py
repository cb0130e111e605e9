"""Finished folds of a comparison are kept on disk, so that a run that was broken off goes on from there."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from napari_aml._files import replacing
from napari_aml.expression.training.data import TrainingRows

#: Other versions of these may give other numbers.
_PACKAGES = ("napari-aml", "numpy", "scikit-learn", "torch")


class FoldStore:
    """A folder of finished folds of one comparison.

    Parameters
    ----------
    folder
        Where they are kept; made when the first is. Folds of other data, settings or versions may lie there, too, and
        are not touched.
    rows
        The data.
    settings
        Whatever changes the answers.
    """

    def __init__(self, folder: str | Path, rows: TrainingRows, settings: Mapping[str, Any]) -> None:
        made = hashlib.sha256(np.ascontiguousarray(rows.x).tobytes() + np.ascontiguousarray(rows.targets).tobytes())
        said = [rows.classes, rows.x.shape, dict(settings), {name: version(name) for name in _PACKAGES}]
        made.update(json.dumps(said, sort_keys=True, default=repr).encode())
        self.folder = Path(folder) / made.hexdigest()[:16]

    def load(self, name: Sequence[object]) -> dict[str, np.ndarray] | None:
        """Return what was kept under a name, None where nothing (or nothing readable) was."""
        try:
            with np.load(self._path(name), allow_pickle=False) as kept:
                return dict(kept)
        except (OSError, ValueError, EOFError, zipfile.BadZipFile):
            return None

    def keep(self, name: Sequence[object], **arrays: Any) -> None:
        """Keep arrays under a name."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with replacing(self._path(name)) as path, open(path, "wb") as stream:
            np.savez(stream, **arrays)

    def _path(self, name: Sequence[object]) -> Path:
        return self.folder / ("-".join(str(part).replace(" ", "_") for part in name) + ".npz")
