"""Calibrate a bundle on cells that it did not learn from: temperature, conformal sets, likeness score."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_aml._files import replacing_folder
from napari_aml.classify.trust.stored import FILE, Trust
from napari_aml.errors import InputError

if TYPE_CHECKING:
    from napari_aml.classify.bundle import ModelBundle
    from napari_aml.statistics import ConformalSets

ALPHA = 0.1


@dataclass(frozen=True)
class Calibration:
    """A calibration and what it rests on.

    Attributes
    ----------
    temperature
        By which the bundle's logits are to be divided.
    trust
        Sets and score, fitted after the temperature.
    n
        Held-out cells.
    """

    temperature: float
    trust: Trust
    n: int

    @property
    def sets(self) -> ConformalSets:
        """The sets; what `calibrate` made has them.

        Raises
        ------
        InputError
            Where there are none.
        """
        if self.trust.conformal is None:
            raise InputError("This calibration has no conformal sets.", "Make it with calibrate.")
        return self.trust.conformal


def calibrate(
    probabilities: np.ndarray,
    embedding: np.ndarray,
    targets: np.ndarray,
    codes: tuple[str, ...],
    temperature: float,
    *,
    groups: np.ndarray | None = None,
    alpha: float = ALPHA,
    refit_temperature: bool = True,
) -> Calibration:
    """Fit temperature, sets and likeness to held-out cells.

    Parameters
    ----------
    probabilities, embedding
        float32 (n, k) and (n, d): what the bundle says, at its present temperature.
    targets
        int (n,).
    codes
        The k classes.
    temperature
        The present one.
    groups
        (n,) patients: a patient gives the sets one score a class.
    alpha
        Share of each class that its sets may miss.
    refit_temperature
        Whether to change the temperature.
    """
    from napari_aml.statistics import ConformalSets, EmbeddingScore, fit_temperature, softmax

    logits = temperature * np.log(np.maximum(probabilities.astype(float), 1e-12))
    new = float(fit_temperature(logits, targets)) if refit_temperature else temperature
    sets = ConformalSets.fit(softmax(logits, new), targets, codes, alpha, groups=groups)
    return Calibration(new, Trust(sets, EmbeddingScore.fit(embedding, targets=targets)), len(targets))


def save_calibrated(
    bundle: ModelBundle, calibration: Calibration, folder: str | Path, entries: Mapping[str, Any] | None = None
) -> ModelBundle:
    """Write a bundle with a calibration: the same weights, a new card and the score's arrays.

    Parameters
    ----------
    bundle
        The bundle before; it may lie in `folder`.
    calibration
        What was fitted.
    folder
        Where to.
    entries
        Further entries of the card (`picture_statistics`, figures …).
    """
    from safetensors.numpy import save

    from napari_aml.classify.bundle import CARD, WEIGHTS, open_bundle

    trust = calibration.trust
    card = {**bundle.card, **(entries or {}), "temperature": round(calibration.temperature, 4)}
    card["conformal"] = None if trust.conformal is None else {**trust.conformal.to_dict(), "n": calibration.n}
    card["ood"] = None
    folder = Path(folder)
    content = b""
    if trust.ood is not None:
        content = save({k: np.ascontiguousarray(v, np.float16) for k, v in trust.ood.arrays().items()})
        card["ood"] = {**trust.ood.to_dict(), "n": calibration.n, "sha256": hashlib.sha256(content).hexdigest()}
    with replacing_folder(folder, (WEIGHTS, CARD, FILE)) as beside:
        shutil.copyfile(bundle.path / WEIGHTS, beside / WEIGHTS)
        if content:
            (beside / FILE).write_bytes(content)
        (beside / CARD).write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n", "utf-8")
        _ = open_bundle(beside).verify().trust
    return open_bundle(folder)
