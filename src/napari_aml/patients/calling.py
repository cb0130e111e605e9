"""A patient's cells become a call that one can question: which cells speak for it, and for what else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_aml.errors import BundleError
from napari_aml.patients.bags import Bag
from napari_aml.patients.heads import log_odds
from napari_aml.statistics import softmax

if TYPE_CHECKING:
    import pandas as pd

    from napari_aml.patients.bundle import PatientBundle

#: Fewer cells than this and the call is marked: below 59 cells a class of 5 % is missed more than once in 20 times.
LEAST_CELLS = 59


@dataclass(frozen=True)
class PatientCall:
    """What the cells of one patient resemble. Never a diagnosis.

    Attributes
    ----------
    patient
        Pseudonym.
    subtypes
        The classes of the head.
    probabilities
        float64 (c,): calibrated on held-out patients.
    influence
        float64 (n, c): how far the log odds (nats) of each subtype fall when a cell is left out; positive = the cell
        speaks for it.
    shares
        float64 (n, c): what each cell gives to the evidence for each subtype, less what it gives to all of them.
        Cells of one kind stand in for each other, so that leaving out one of many may change nothing: cells are
        ranked by this.
    uids
        (n,) the cells.
    bundle_id
        The head that said so.
    warnings
        In plain words.
    """

    patient: str
    subtypes: tuple[str, ...]
    probabilities: np.ndarray
    influence: np.ndarray
    shares: np.ndarray
    uids: tuple[str, ...]
    bundle_id: str
    warnings: tuple[str, ...] = ()

    @property
    def subtype(self) -> str:
        """The most probable subtype."""
        return self.subtypes[int(self.probabilities.argmax())]

    def speaking_cells(self, subtype: str, n: int = 20) -> list[tuple[str, float]]:
        """Return the cells that speak most for a subtype: (uid, share), strongest first; only positive ones."""
        column = self.shares[:, self.subtypes.index(subtype)]
        return [(self.uids[i], float(column[i])) for i in np.argsort(-column)[:n] if column[i] > 0]

    def row(self) -> dict[str, object]:
        """Return one row of a table of calls."""
        return {
            "patient": self.patient, "similar_to": self.subtype, "probability": float(self.probabilities.max()),
            **{f"p_{name}": float(p) for name, p in zip(self.subtypes, self.probabilities, strict=True)},
            "cells": len(self.uids), "model": self.bundle_id, "warnings": " ".join(self.warnings),
        }  # fmt: skip

    def influence_table(self) -> pd.DataFrame:
        """Return one row a cell: uid, the influence of leaving it out, and what it gives to each subtype."""
        import pandas as pd

        columns = [f"{what}_{name}" for what in ("influence", "evidence") for name in self.subtypes]
        table = pd.DataFrame(np.hstack([self.influence, self.shares]), columns=columns)
        table.insert(0, "uid", list(self.uids))
        return table


def call_patient(bag: Bag, bundle: PatientBundle, image_bundle_id: str) -> PatientCall:
    """Say which subtype a patient's cells resemble.

    Parameters
    ----------
    bag
        All cells of the patient, classified by the image model that the head was trained on.
    bundle
        The head.
    image_bundle_id
        The image model that read the bag.

    Raises
    ------
    BundleError
        When the bag was read by another image model.
    """
    if image_bundle_id != bundle.image_bundle_id:
        raise BundleError(
            f"The cells of '{bag.patient}' were read by {image_bundle_id}, but the patient model "
            f"'{bundle.name}' was trained on {bundle.image_bundle_id}.",
            "Classify the cells with that image model, or train the patient model anew.",
        )
    logits = bundle.head.logits(bag) / bundle.temperature
    without = log_odds(bundle.head.logits_without(bag) / bundle.temperature)
    shares = bundle.head.shares(bag) / bundle.temperature
    warnings = []
    if len(bag) < LEAST_CELLS:
        warnings.append(f"Only {len(bag)} cells: fewer than {LEAST_CELLS}.")
    if bundle.simulated:
        warnings.append("The patient model was trained on simulated patients: it shows the method, nothing else.")
    return PatientCall(
        bag.patient, bundle.subtypes, softmax(logits), log_odds(logits)[None] - without,
        shares - shares.mean(1, keepdims=True), bag.uids, bundle.bundle_id, tuple(warnings),
    )  # fmt: skip
