"""A bag is all cells of one patient, as the image model sees them; a cohort is labelled bags of one image model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_aml._files import replacing
from napari_aml.errors import InputError

if TYPE_CHECKING:
    from napari_aml.classify import Predictions

_FORMAT = "napari-aml-cohort"


@dataclass(frozen=True)
class Bag:
    """All cells of one patient.

    Attributes
    ----------
    patient
        Pseudonym.
    probabilities
        float32 (n, k): class probabilities of the image model.
    embedding
        float32 (n, d): its embedding.
    uids
        (n,) the cells.
    subtype
        What the patient has; empty = not known.
    group
        Patients of one group never stand on both sides of a split (a simulated patient's pool of cells, a site …);
        empty = the patient alone.
    """

    patient: str
    probabilities: np.ndarray
    embedding: np.ndarray
    uids: tuple[str, ...]
    subtype: str = ""
    group: str = ""

    def __post_init__(self) -> None:
        n = len(self.uids)
        if len(self.probabilities) != n or len(self.embedding) != n:
            raise InputError(
                f"The patient '{self.patient}' has {n} cells, {len(self.probabilities)} predictions and "
                f"{len(self.embedding)} embeddings.", "Classify the cells again."
            )  # fmt: skip
        if n == 0:
            raise InputError(f"The patient '{self.patient}' has no cells.", "Leave this patient out.")

    def __len__(self) -> int:
        return len(self.uids)

    @classmethod
    def of(
        cls, patient: str, said: Predictions, uids: Sequence[str], subtype: str = "", group: str = ""
    ) -> Bag:
        """Make the bag of one patient from predictions, row by row with `uids`."""
        return cls(patient, said.probabilities, said.embedding, tuple(map(str, uids)), subtype, group)


@dataclass(frozen=True)
class Cohort:
    """Bags that one image model has read.

    Attributes
    ----------
    bags
        One a patient.
    codes
        Class codes, the columns of every bag's `probabilities`.
    bundle_id
        The image model: heads only fit embeddings of the model that they were trained on.
    name, licence
        Where the patients come from.
    simulated
        Whether these patients were put together from cells of others.
    """

    bags: tuple[Bag, ...]
    codes: tuple[str, ...]
    bundle_id: str
    name: str = ""
    licence: str = ""
    simulated: bool = False
    notes: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        names = [bag.patient for bag in self.bags]
        twice = sorted({n for n in names if names.count(n) > 1})
        if twice:
            raise InputError(f"The patient '{twice[0]}' stands twice.", "Put all cells of a patient into one bag.")

    def __len__(self) -> int:
        return len(self.bags)

    @property
    def subtypes(self) -> tuple[str, ...]:
        """The subtypes that occur, sorted."""
        return tuple(sorted({bag.subtype for bag in self.bags if bag.subtype}))

    @property
    def targets(self) -> np.ndarray:
        """Index of each patient in `subtypes`, int (patients,); -1 = not known."""
        index = {name: i for i, name in enumerate(self.subtypes)}
        return np.array([index.get(bag.subtype, -1) for bag in self.bags], int)

    @property
    def groups(self) -> np.ndarray:
        """What is kept together in a split, object (patients,)."""
        return np.array([bag.group or bag.patient for bag in self.bags], object)

    def labelled(self) -> Cohort:
        """Return the patients whose subtype is known."""
        from dataclasses import replace

        return replace(self, bags=tuple(bag for bag in self.bags if bag.subtype))

    def save(self, path: str | Path) -> None:
        """Write one ``.npz`` (no pickles)."""
        head = {
            "format": _FORMAT, "version": 1, "codes": self.codes, "bundle_id": self.bundle_id, "name": self.name,
            "licence": self.licence, "simulated": self.simulated, "notes": self.notes,
            "patients": [[b.patient, b.subtype, b.group, len(b)] for b in self.bags],
        }  # fmt: skip
        with replacing(path) as beside, open(beside, "wb") as file:
            np.savez(
                file,
                head=np.frombuffer(json.dumps(head).encode(), np.uint8),
                uids=np.frombuffer("\n".join(u for b in self.bags for u in b.uids).encode(), np.uint8),
                probabilities=np.concatenate([b.probabilities for b in self.bags]).astype(np.float32),
                embedding=np.concatenate([b.embedding for b in self.bags]).astype(np.float16),
            )

    @classmethod
    def load(cls, path: str | Path) -> Cohort:
        """Read what `save` wrote.

        Raises
        ------
        InputError
            When the file is missing, damaged or something else.
        """
        import zipfile

        try:
            with open(path, "rb") as file, np.load(file, allow_pickle=False) as stored:
                head = json.loads(stored["head"].tobytes().decode())
                uids = stored["uids"].tobytes().decode().split("\n")
                probabilities, embedding = stored["probabilities"], stored["embedding"].astype(np.float32)
            if head.get("format") != _FORMAT:
                raise ValueError("it is not a cohort")
            ends = np.cumsum([int(n) for *_, n in head["patients"]])
            bags = [
                Bag(patient, probabilities[end - n : end], embedding[end - n : end], tuple(uids[end - n : end]), s, g)
                for (patient, s, g, n), end in zip(head["patients"], ends.tolist(), strict=True)
            ]
        except (OSError, ValueError, KeyError, zipfile.BadZipFile, EOFError) as error:
            raise InputError(
                f"Cannot read the cohort '{path}': {error}", "Make it again from the dataset and the image model."
            ) from error
        return cls(
            tuple(bags), tuple(head["codes"]), head["bundle_id"], head["name"], head["licence"],
            bool(head["simulated"]), tuple(head["notes"]),
        )  # fmt: skip
