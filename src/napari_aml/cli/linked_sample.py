"""``analyse --expression FILE --sample ID``: the patient's expression beside their pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_aml.cli.console import drive, err
from napari_aml.errors import InputError

if TYPE_CHECKING:
    from napari_aml.analysis import Analysis
    from napari_aml.export.expression_section import ExpressionPart
    from napari_aml.review.patient_sample import GeneEvidence, OpenedExpression

_PANEL = "The patient's expression"
Expression = Annotated[
    Path | None,
    typer.Option("--expression", help="File (or folder) with the patient's RNA-seq.", rich_help_panel=_PANEL),
]
Sample = Annotated[
    str | None,
    typer.Option("--sample", help="Name of the patient's sample in that file.", rich_help_panel=_PANEL),
]
ExpressionModel = Annotated[
    str | None,
    typer.Option("--expression-model", help="Expression bundle; default: the shipped one.", rich_help_panel=_PANEL),
]
ExpressionUnits = Annotated[
    str | None,
    typer.Option("--expression-units", help="counts, tpm, log2-tpm …; default: found.", rich_help_panel=_PANEL),
]
PatientModel = Annotated[
    Path | None,
    typer.Option("--patient-model", help="Patient bundle that calls a subtype from the cells.", rich_help_panel=_PANEL),
]
Lengths = Annotated[
    Path | None,
    typer.Option("--gene-lengths", help="Table or GTF with gene lengths, for counts.", rich_help_panel=_PANEL),
]
Age = Annotated[
    float | None,
    typer.Option("--age", min=0, max=130, help="The person's age in years.", rich_help_panel=_PANEL),
]
Sex = Annotated[
    str | None,
    typer.Option("--sex", help="Declared sex: female or male.", rich_help_panel=_PANEL),
]


class LinkedSample:
    """The sample that the analysed pictures belong to: read, called and explained once.

    Parameters
    ----------
    path, sample
        The file and the sample there; the sample may be left out where the file has one only.
    model, units, lengths
        As in `review.expression_opening.open_expression_steps`.
    age, sex
        Of the person, where given.
    patient_model
        Patient bundle that calls a subtype from a picture's cells; without one there is no image call.

    Raises
    ------
    AmlError
        When the file cannot be read, lacks the sample or too many of the model's genes.
    """

    def __init__(
        self, path: Path, sample: str | None, model: str | None = None, units: str | None = None,
        lengths: Path | None = None, age: float | None = None, sex: str | None = None,
        patient_model: Path | None = None,
    ) -> None:  # fmt: skip
        from napari_aml.review.expression_evidence import gene_evidence_steps
        from napari_aml.review.expression_opening import open_expression_steps
        from napari_aml.review.sides import Person

        self.person = Person(age, _sex(sex))
        self.patient_model = None
        if patient_model is not None:
            from napari_aml.patients import load_patient_bundle

            self.patient_model = load_patient_bundle(patient_model)
        self.opened: OpenedExpression = drive(
            path.name, open_expression_steps(path, model=model, units=units, lengths=lengths)
        )
        self.sample = self._chosen(sample)
        self.evidence: GeneEvidence | None = None
        if self.opened.call(self.sample).called is not None:
            self.evidence = drive(f"{path.name}: genes", gene_evidence_steps(self.opened, self.sample))

    def _chosen(self, sample: str | None) -> str:
        from napari_aml.expression.errors import SampleNameError

        there = self.opened.samples
        if sample is None and len(there) == 1:
            return there[0]
        shown = ", ".join(there[:5]) + (" …" if len(there) > 5 else "")
        if sample is None:
            raise InputError(
                f"'{self.opened.path}' holds {len(there)} samples: {shown}", "Say which is the patient's with --sample."
            )
        if sample not in there:
            raise SampleNameError(
                self.opened.path, f"there is no sample '{sample}'.", f"It has {len(there)}: {shown}"
            )
        return sample

    def part(self, analysis: Analysis) -> ExpressionPart:
        """Return what the report of one slide says of the sample."""
        from napari_aml.export.expression_section import report_part
        from napari_aml.pipeline import compare_expression
        from napari_aml.review.from_models import call_from_pictures

        image = None
        if self.patient_model is not None and analysis.predictions is not None and len(analysis.cells):
            image = call_from_pictures([analysis], self.patient_model)
        said = compare_expression(analysis, self.opened, self.sample, image=image, person=self.person)
        return report_part(self.opened, self.sample, said, self.evidence, self.person.sex)

    def say(self, name: str, part: ExpressionPart) -> None:
        """Say on the terminal how picture and sample stand to each other."""
        said = part.concordance
        typer.echo(f"{name}: {said.expression_sentences()[0]} {said.title} ({said.state.value}).")
        for notice in said.notices:
            err(f"{name}: {notice}")


def linked_sample(
    path: Path | None, sample: str | None, model: str | None, units: str | None, lengths: Path | None,
    age: float | None, sex: str | None, patient_model: Path | None = None,
) -> LinkedSample | None:  # fmt: skip
    """Return the linked sample that options ask for, None where no file was named.

    Raises
    ------
    InputError
        When an option is given that needs ``--expression``.
    """
    if path is not None:
        return LinkedSample(path, sample, model, units, lengths, age, sex, patient_model)
    named = {"--sample": sample, "--expression-model": model, "--expression-units": units, "--gene-lengths": lengths,
             "--age": age, "--sex": sex, "--patient-model": patient_model}  # fmt: skip
    given = next((name for name, value in named.items() if value is not None), None)
    if given is not None:
        raise InputError(f"{given} needs an expression file.", "Name it with --expression FILE.")
    return None


def _sex(text: str | None) -> str | None:
    if text is None:
        return None
    word = {"f": "female", "w": "female", "m": "male"}.get(text.strip().lower(), text.strip().lower())
    if word not in ("female", "male"):
        raise InputError(f"--sex '{text}' is not understood.", "Give female or male, or leave --sex out.")
    return word
