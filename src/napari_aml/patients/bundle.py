"""A patient bundle: a folder with ``model.safetensors`` and ``bundle.json``, of the same kind as the image models'."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_aml import RESEARCH_USE
from napari_aml._bundles import CARD, FORMAT, FORMAT_VERSION, PATIENT, WEIGHTS, check_head
from napari_aml._files import replacing_folder
from napari_aml.errors import BundleError
from napari_aml.patients.heads import Head, head_from
from napari_aml.patients.study import StudyResult
from napari_aml.provenance import now_utc, versions

_FILES = (WEIGHTS, CARD)


@dataclass(frozen=True)
class PatientBundle:
    """A head and its card.

    Attributes
    ----------
    path
        The folder.
    card
        ``bundle.json``.
    head
        The head.
    """

    path: Path
    card: dict[str, Any]
    head: Head

    @property
    def name(self) -> str:
        """Name of the bundle."""
        return str(self.card["name"])

    @property
    def bundle_id(self) -> str:
        """Name, version and hash in one line."""
        return f"{self.name} {self.card['version']} sha256:{self.card['sha256'][:12]}"

    @property
    def subtypes(self) -> tuple[str, ...]:
        """The subtypes that it tells apart."""
        return tuple(self.card["subtypes"])

    @property
    def image_bundle_id(self) -> str:
        """The image model whose embeddings it reads."""
        return str(self.card["image_bundle_id"])

    @property
    def temperature(self) -> float:
        """Logits are divided by it."""
        return float(self.card["temperature"])

    @property
    def simulated(self) -> bool:
        """Whether its patients were simulated."""
        return bool(self.card["simulated"])


def save_patient_bundle(result: StudyResult, path: str | Path, name: str, version: str = "1.0.0") -> PatientBundle:
    """Write the chosen head of a study with its card."""
    from safetensors.numpy import save

    cohort, best = result.cohort, result.best
    weights = save({k: np.ascontiguousarray(v) for k, v in result.head.arrays().items()})
    counts = {s: int((cohort.targets == i).sum()) for i, s in enumerate(cohort.subtypes)}
    card = {
        "format": FORMAT, "format_version": FORMAT_VERSION, "kind": PATIENT, "name": name,
        "version": version, "head": result.chosen,
        "subtypes": list(cohort.subtypes), "class_codes": list(cohort.codes), "image_bundle_id": cohort.bundle_id,
        "temperature": best.temperature, "simulated": cohort.simulated,
        "training_data": [{"name": cohort.name, "n": len(cohort), "patients": counts, "licence": cohort.licence}],
        "licence": cohort.licence or "not stated", "split_level": "patient (groups kept together)",
        "metrics": {r.name: {**r.metrics, "log_loss": r.log_loss, "balanced_accuracy_with_shuffled_labels":
                             None if np.isnan(r.shuffled_accuracy) else r.shuffled_accuracy}
                    for r in result.results},
        "chosen_by": "least held-out log loss; the simpler head where two are alike",
        "intended_use": f"{RESEARCH_USE} Resemblance of a smear's cells to training patients, for research.",
        "limits": [*cohort.notes, "Resemblance is not a diagnosis: these entities are defined by a genetic lesion."],
        "made": {"time": now_utc(), "versions": versions()},
        "sha256": hashlib.sha256(weights).hexdigest(),
    }  # fmt: skip
    path = Path(path)
    with replacing_folder(path, _FILES) as beside:
        (beside / WEIGHTS).write_bytes(weights)
        (beside / CARD).write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return load_patient_bundle(path)


def load_patient_bundle(path: str | Path) -> PatientBundle:
    """Read a patient bundle and check it.

    Raises
    ------
    BundleError
        When it is missing, damaged, of another kind, or its weights are not those of its card.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    path = Path(path)
    try:
        card = json.loads((path / CARD).read_text(encoding="utf-8"))
        weights = (path / WEIGHTS).read_bytes()
    except FileNotFoundError as error:
        missing = Path(error.filename).name
        raise BundleError(f"'{path}' is no patient bundle: '{missing}' is missing.", "Check the path.") from error
    except (OSError, ValueError) as error:
        raise BundleError(f"Cannot read the patient bundle '{path}': {error}", "Copy it again.") from error
    card = check_head(card, path / CARD, PATIENT, "Choose a patient bundle.")
    if hashlib.sha256(weights).hexdigest() != card.get("sha256"):
        raise BundleError(f"The weights of '{path}' are not those that its card names.", "Copy the whole folder again.")
    try:
        head = head_from(card["head"], card["class_codes"], load(weights))
        bundle = PatientBundle(path, card, head)
        _ = bundle.subtypes, bundle.image_bundle_id, bundle.temperature, bundle.simulated, bundle.bundle_id
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise BundleError(f"The patient bundle '{path}' is damaged: {error}", "Train it anew.") from error
    return bundle
