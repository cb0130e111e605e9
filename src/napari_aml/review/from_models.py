"""What models said, turned into the two sides of the comparison."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from napari_aml.errors import InputError
from napari_aml.review.patient_sample import BAD, FINE, LOOK, NOT_KNOWN, Check
from napari_aml.review.sides import ExpressionCall, ImageCall

if TYPE_CHECKING:
    from napari_aml.analysis import Analysis
    from napari_aml.expression.bundle import ExpressionBundle
    from napari_aml.expression.predict import SubtypeCall
    from napari_aml.expression.quality import SampleQuality
    from napari_aml.patients.bundle import PatientBundle
    from napari_aml.patients.calling import PatientCall

#: Share of the model's genes that may be missing: fine up to the first, looked at up to the second.
_FEW, _SOME = 0.01, 0.05


def expression_side(
    call: SubtypeCall, bundle: ExpressionBundle, quality: SampleQuality | None = None
) -> ExpressionCall:
    """Return the expression side of the comparison.

    Parameters
    ----------
    call, bundle
        One sample's call and the model that made it.
    quality
        Its quality control, for the sex.
    """
    sex = quality.sex if quality is not None and quality.sex in ("female", "male") else None
    common: dict[str, Any] = {"bundle_id": bundle.bundle_id, "age_scope": bundle.age_range, "sex": sex}
    if call.status == "refused":
        return ExpressionCall(call.sample, passed=False, reasons=tuple(call.warnings), **common)
    passed = call.status in ("ok", "warning")
    return ExpressionCall(
        call.sample, bundle.codes, tuple(call.probabilities[c] for c in bundle.codes), passed=passed,
        reasons=() if passed else tuple(call.warnings) or (f"The call is {call.status}.",),
        conformal_set=None if call.conformal_set is None else tuple(call.conformal_set),
        calibrated=bundle.conformal is not None, trained=training_shares(bundle.codes, bundle.card), **common,
    )  # fmt: skip


def image_side(call: PatientCall, bundle: PatientBundle) -> ImageCall:
    """Return the image side of the comparison: a patient model's call of a patient's cells.

    Too few cells, or a model trained on simulated patients, do not pass the gate.
    """
    from napari_aml.patients.calling import LEAST_CELLS

    return ImageCall(
        call.subtypes, tuple(float(p) for p in call.probabilities), call.bundle_id,
        passed=len(call.uids) >= LEAST_CELLS and not bundle.simulated, reasons=tuple(call.warnings),
        calibrated=True, trained=training_shares(call.subtypes, bundle.card), age_scope=_ages(bundle.card),
    )  # fmt: skip


def call_from_pictures(analyses: Sequence[Analysis], bundle: PatientBundle, patient: str = "patient") -> ImageCall:
    """Ask a patient model for the subtype that the cells of a patient's slides resemble.

    Parameters
    ----------
    analyses
        The patient's slides, classified by the image model that the patient model was trained on.
    bundle
        The patient model.
    patient
        Pseudonym.

    Raises
    ------
    InputError
        When there are no classified cells.
    BundleError
        When the cells were classified by another image model.
    """
    from napari_aml.classify import Predictions
    from napari_aml.patients import Bag, call_patient

    said = [a.predictions for a in analyses if a.predictions is not None and len(a.cells)]
    if not said:
        raise InputError("There are no classified cells to call a subtype from.", "Analyse the patient's slides first.")
    if len({p.bundle_id for p in said}) > 1:
        raise InputError("The slides were classified by different models.", "Classify them with one model.")
    uids = [uid for a in analyses if a.predictions is not None for uid in a.cells.table["uid"].astype(str)]
    bag = Bag.of(patient, Predictions.concatenate(said), uids)
    return image_side(call_patient(bag, bundle, said[0].bundle_id), bundle)


def training_shares(classes: Sequence[str], card: Mapping[str, Any]) -> tuple[float, ...]:
    """Return the shares of the classes in a model's training data as its card counts them; empty where it does not.

    Parameters
    ----------
    classes
        In the model's order.
    card
        ``bundle.json``; the counts stand in ``classes`` or ``patients`` of each entry of ``training_data``.
    """
    counts = dict.fromkeys(classes, 0.0)
    for source in card.get("training_data") or []:
        found = (source.get("classes") or source.get("patients")) if isinstance(source, Mapping) else None
        if isinstance(found, Mapping):
            for name in classes:
                number = found.get(name, 0)
                counts[name] += float(number) if isinstance(number, int | float) and math.isfinite(number) else 0.0
    total = sum(counts.values())
    return tuple(n / total for n in counts.values()) if total and min(counts.values()) > 0 else ()


def _ages(card: Mapping[str, Any]) -> tuple[float, float] | None:
    ages = card.get("age_range")
    return (float(ages[0]), float(ages[1])) if ages else None


def quality_checks(call: SubtypeCall, missing: float, quality: SampleQuality | None) -> tuple[Check, ...]:
    """Return a sample's quality control as lines, without that of the sex.

    Parameters
    ----------
    call
        The call, for its unlike-training score.
    missing
        Share of the model's genes that the file lacks, 0…1.
    quality
        The sample's figures.
    """
    level = FINE if missing <= _FEW else LOOK if missing <= _SOME else BAD
    out = [Check("Genes of the model", level, f"{100 * (1 - missing):.1f} % are in the file.")]
    out.append(_likeness(call))
    if quality is not None:
        out += _figures(quality)
    return tuple(out)


def _likeness(call: SubtypeCall) -> Check:
    score, limit = call.unlike, call.unlike_threshold
    if not (math.isfinite(score) and math.isfinite(limit)):
        return Check("Like the training data", NOT_KNOWN, "It was not scored.")
    said = f"correlation {1 - score:.2f} with the most similar typical training profile, limit {1 - limit:.2f}."
    if score > limit:
        return Check("Like the training data", BAD, f"Unlike anything in training: {said}")
    return Check("Like the training data", FINE, said.capitalize())


def _figures(found: SampleQuality) -> list[Check]:
    from napari_aml.expression.quality import FEW_READS, MUCH_HAEMOGLOBIN, MUCH_MITO, TOTAL_RNA

    if not found.usable:
        return [Check("Sample", BAD, " ".join(found.remarks))]
    reads = found.library_size
    depth = Check("Reads", NOT_KNOWN, "The file does not tell how many.")
    if math.isfinite(reads):
        depth = Check("Reads", FINE if reads >= FEW_READS else LOOK, f"{reads / 1e6:,.1f} million in genes.")
    out = [depth]
    for name, share, limit in (
        ("Mitochondrial", found.mitochondrial, MUCH_MITO), ("Haemoglobin", found.haemoglobin, MUCH_HAEMOGLOBIN),
        ("Without poly-A tail", found.without_tail, TOTAL_RNA),
    ):  # fmt: skip
        if math.isfinite(share):
            out.append(Check(name, FINE if share <= limit else LOOK, f"{100 * share:.1f} % (limit {100 * limit:g} %)."))
        else:
            out.append(Check(name, NOT_KNOWN, "These genes are not in the file."))
    if math.isfinite(found.correlation):
        odd = any(r.startswith("Unlike the other") for r in found.remarks)
        text = f"Median correlation {found.correlation:.2f}."
        out.append(Check("Like the other samples", LOOK if odd else FINE, text))
    return out
