"""analyse(slide) end to end. The command line, a cluster job and the dock widget all call this one.

A picture file becomes a `Slide`, its pixel size is settled, the `Slide` becomes `Cells`, cells become `Predictions`
and `Heatmaps`; all of it is one `Analysis`. Each stage lives in the room named after what it makes.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_aml import RESEARCH_USE
from napari_aml.analysis import Analysis
from napari_aml.errors import PixelSizeUnknownError
from napari_aml.progress import Progress, Result, Steps, run
from napari_aml.provenance import now_utc, versions

if TYPE_CHECKING:
    from napari_aml.classify import ModelBundle
    from napari_aml.review.comparison import Concordance
    from napari_aml.review.fusion import FusionSettings
    from napari_aml.review.patient_sample import OpenedExpression
    from napari_aml.review.sides import ImageCall, Person
    from napari_aml.slides import Slide

__all__ = [
    "Analysis", "analyse", "analyse_steps", "classify_cells_steps", "compare_expression", "resolve_pixel_size",
    "segment_slide_steps",
]  # fmt: skip

#: Share of the progress bar that each stage takes.
_OPENING = 0.1
_SHARES = {"segment": 0.5, "classify": 0.5, "find": 1 - _OPENING}
_SCALE = 1000


@dataclass
class _Bar:
    """Maps the progress of one stage into the progress of the whole job."""

    start: float = 0.0

    def stage(self, name: str, steps: Steps[Result]) -> Generator[Progress, None, Result]:
        share = _SHARES[name]
        try:
            while True:
                event = next(steps)
                done = round(_SCALE * (self.start + share * event.fraction))
                yield replace(event, done=done, total=_SCALE)
        except StopIteration as stop:
            return stop.value
        finally:
            self.start += share
            steps.close()


def resolve_pixel_size(slide: Slide) -> Slide:
    """Return the slide with a known pixel size: from the file or a person, else measured from its red cells.

    Where there are too few red cells it is guessed from the nuclei, and a note says so.

    Raises
    ------
    PixelSizeUnknownError
        When nothing says it and there are neither red cells nor nuclei.
    """
    if slide.pixel_size.um is not None:
        return slide
    from napari_aml.slides import PixelSize, measure_pixel_size

    measured = measure_pixel_size(slide)
    if measured.pixel_size_um is None:
        return _guessed(slide)
    detail = f"median diameter of {measured.n_cells} red cells = {measured.diameter_px:.1f} px, taken as 7.2 µm"
    known = slide.with_pixel_size(PixelSize(measured.pixel_size_um, "red cells", detail))
    if not measured.reliable:
        known.notes = (
            *known.notes,
            f"The pixel size was measured from only {measured.n_cells} red cells or from uneven ones: check it.",
        )
    return known


def _guessed(slide: Slide) -> Slide:
    from napari_aml.slides import PixelSize
    from napari_aml.slides.nuclei import NUCLEUS_UM, guess_pixel_size

    um = guess_pixel_size(slide)
    if um is None:
        why = "the file does not say it, and no red cells could be measured."
        raise PixelSizeUnknownError(slide.name, f"{why} {slide.smear.warning if slide.smear else ''}".strip())
    detail = f"no red cells could be measured; the nuclei were taken as {NUCLEUS_UM} µm wide"
    known = slide.with_pixel_size(PixelSize(um, "nuclei", detail))
    known.notes = (
        *known.notes,
        "The pixel size was only guessed from the size of the nuclei (good to about a third): "
        "all areas and, less so, the classes rest on it. Give it if you know it.",
    )
    return known


def analyse_steps(
    source: Any,
    *,
    model: ModelBundle | str | Path | None = None,
    pixel_size_um: float | None = None,
    device: str = "auto",
    cam: str | None = "recommended",
    stage: int | None = None,
    segmenter: str = "default",
    recolour: bool = True,
) -> Steps[Analysis]:
    """Segment, classify and explain one slide, yielding progress.

    Parameters
    ----------
    source
        A file path, an array (h, w, 3 or 4), a list of pyramid levels, or a `Slide`.
    model
        A bundle, a bundle's folder or name; None for the shipped demonstration bundle.
    pixel_size_um
        µm per pixel; None to read it from the file or measure it from the red cells.
    device
        ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
    cam
        Heatmap method (``gradcam``, ``gradcam++``, ``hirescam``, ``layercam``, ``eigencam``, ``scorecam``), what the
        tests in the bundle's card recommend (``gradcam`` where there are none), or None.
    stage
        Stage of the network that the heatmaps look at: 3 is the last, lower is finer; None: as recommended, else 3.
    segmenter
        Name of the segmentation backend.
    recolour
        Show the network the cells of a slide whose stain it was not trained on in the colours of one that it knows
        (`napari_aml.classify.recolouring`).

    Yields
    ------
    Progress
        Payloads: the `Slide` once opened; `Cells` just found; the segmented `Analysis`;
        ``(rows, Predictions, Heatmaps | None)`` just made.

    Returns
    -------
    Analysis

    Raises
    ------
    AmlError
        One of its subclasses, naming the file and the way out.
    """
    from napari_aml.classify import ModelBundle, load_bundle

    bar = _Bar()
    yield Progress(0, _SCALE, "Reading the model")
    bundle = model if isinstance(model, ModelBundle) else load_bundle(model)
    segmented = yield from bar.stage(
        "segment", segment_slide_steps(source, pixel_size_um=pixel_size_um, segmenter=segmenter)
    )
    classified = classify_cells_steps(
        segmented, model=bundle, device=device, cam=cam, stage=stage, recolour=recolour
    )
    return (yield from bar.stage("classify", classified))


def segment_slide_steps(
    source: Any, *, pixel_size_um: float | None = None, segmenter: str = "default"
) -> Steps[Analysis]:
    """Do the first half of `analyse_steps`: open, settle the pixel size, find the cells.

    Parameters, events and errors as there; the last payload is the `Analysis` that is returned, without predictions.
    """
    from napari_aml.cells import get_segmenter, segment_steps
    from napari_aml.cells.ground import measure_ground
    from napari_aml.cells.light import uneven_light
    from napari_aml.cells.stain import measure_stain
    from napari_aml.slides import open_slide

    started, clock, bar = now_utc(), time.perf_counter(), _Bar()
    yield Progress(0, _SCALE, "Opening the picture")
    slide = resolve_pixel_size(open_slide(source, pixel_size_um).with_smear_check())
    if (light := uneven_light(slide)) is not None:
        slide = slide.with_note(light.note)
    backend = get_segmenter(segmenter)
    bar.start = _OPENING
    yield Progress(round(_SCALE * bar.start), _SCALE, f"{slide.name}: {slide.pixel_size}", slide)
    cells = yield from bar.stage("find", segment_steps(slide, backend))
    provenance = _provenance(slide, cells.segmenter, {"segmenter": segmenter}, started)
    ground = measure_ground(slide, cells.pixel_size_um, light)
    provenance["ground_made_white"] = None if ground is None else [round(v, 1) for v in ground.colour]
    stain = measure_stain(slide, cells)
    provenance["stain"] = None if stain is None else stain.facts()
    provenance["seconds"] = {"segmentation": round(time.perf_counter() - clock, 3)}
    segmented = Analysis(slide, cells, provenance=provenance)
    yield Progress(_SCALE, _SCALE, f"{len(cells)} cell{'' if len(cells) == 1 else 's'}", segmented)
    return segmented


def classify_cells_steps(
    segmented: Analysis,
    *,
    model: ModelBundle | str | Path | None = None,
    device: str = "auto",
    cam: str | None = "recommended",
    stage: int | None = None,
    recolour: bool = True,
) -> Steps[Analysis]:
    """Do the second half of `analyse_steps`: classify and explain the cells of an analysis.

    Parameters, events and errors as there; `segmented` itself stays as it is.
    """
    from napari_aml._torch import choose_device
    from napari_aml.classify import ModelBundle, load_bundle
    from napari_aml.classify.recolouring import choose_stain
    from napari_aml.explain import classify_and_explain_steps
    from napari_aml.explain.methods import chosen

    clock = time.perf_counter()
    bundle = model if isinstance(model, ModelBundle) else load_bundle(model)
    method, depth = chosen(cam, stage, bundle.card)
    provenance, used = dict(segmented.provenance), choose_device(device)
    asked = {"device": device, "cam": method, "stage": depth, "recolour": recolour}
    provenance["settings"] = {**provenance.get("settings", {}), **asked}
    stain = replace(segmented, provenance=provenance).stain
    predictions, heatmaps = yield from classify_and_explain_steps(
        segmented.slide, segmented.cells, bundle, device=device, cam=method, stage=depth, stain=stain
    )
    choice = choose_stain(stain, bundle.stains)
    before = (provenance.get("stain_choice") or {}).get("note")
    provenance["stain_choice"] = None if choice is None else choice.facts()
    kept = [w for w in provenance.get("warnings", []) if w != before]
    provenance["warnings"] = kept + ([choice.note] if choice is not None and choice.note else [])
    provenance |= {"model": bundle.bundle_id, "device": used.name, "precision": used.precision}
    seconds = {"classification": round(time.perf_counter() - clock, 3)}
    provenance["seconds"] = {**provenance.get("seconds", {}), **seconds}
    return Analysis(segmented.slide, segmented.cells, predictions, heatmaps, bundle, provenance)


def _provenance(slide: Slide, segmenter: str, settings: dict[str, Any], started: str) -> dict[str, Any]:
    """Collect what made a result; neither paths nor file names, which may name a patient."""
    return {
        "research_use": RESEARCH_USE,
        "started_utc": started,
        "slide": {
            "slide_id": slide.slide_id,
            "sha256": slide.sha256,
            "height_px": slide.shape[0],
            "width_px": slide.shape[1],
            "pixel_size_um": slide.pixel_size.um,
            "pixel_size_source": slide.pixel_size.source,
            "pixel_size_detail": slide.pixel_size.detail,
        },
        "segmenter": segmenter,
        "settings": settings,
        "versions": versions(),
        "smear_check": None if slide.smear is None else slide.smear.facts(),
        "warnings": list(slide.notes),
    }


def analyse(source: Any, **settings: Any) -> Analysis:
    """Segment, classify and explain one slide; `analyse_steps` driven to its end.

    Parameters
    ----------
    source
        A file path, an array (h, w, 3 or 4), a list of pyramid levels, or a `Slide`.
    **settings
        As in `analyse_steps`.

    Returns
    -------
    Analysis

    Examples
    --------
    >>> import napari_aml as aml
    >>> result = aml.analyse("smear.png")  # doctest: +SKIP
    >>> result.table()[["uid", "class", "probability"]]  # doctest: +SKIP
    """
    return run(analyse_steps(source, **settings))


def compare_expression(
    analyses: Analysis | Sequence[Analysis],
    opened: OpenedExpression,
    sample: str,
    *,
    image: ImageCall | None = None,
    person: Person | None = None,
    fusion: FusionSettings | None = None,
) -> Concordance:
    """Hold the expression of a patient's sample against what was counted on their slides.

    Parameters
    ----------
    analyses
        One or several analysed slides of the patient.
    opened
        From `review.expression_opening.open_expression_steps`.
    sample
        The patient's sample there.
    image
        A model's call of the patient's subtype from the pictures; None where none was made.
    person
        Age, declared sex, pseudonyms; what is not given is not checked.
    fusion
        Weights and prior of the fused number.

    Returns
    -------
    Concordance
        Both inputs, the state and why; a fused number only where the state allows.

    Raises
    ------
    SampleNameError
        When the file has no such sample.

    Examples
    --------
    >>> import napari_aml as aml
    >>> opened = aml.run(aml.open_expression_steps("counts.csv.gz"))  # doctest: +SKIP
    >>> aml.compare_expression(aml.analyse("smear.png"), opened, "S1").state  # doctest: +SKIP
    """
    from napari_aml.expression.errors import SampleNameError
    from napari_aml.review import differential
    from napari_aml.review.concordance import reconcile
    from napari_aml.review.sides import morphology

    if sample not in opened.samples:
        shown = ", ".join(opened.samples[:5]) + (" …" if len(opened.samples) > 5 else "")
        raise SampleNameError(opened.path, f"there is no sample '{sample}'.", f"It has {len(opened.samples)}: {shown}")
    counts = []
    for analysis in [analyses] if isinstance(analyses, Analysis) else analyses:
        if analysis.predictions is not None:
            table = analysis.table()
            said = differential(
                table["code_final"].tolist(), table["confirmed"].to_numpy(), classes=analysis.predictions.codes
            )
            counts.append((analysis.slide.slide_id, said))
    return reconcile(morphology(counts) if counts else None, image, opened.call(sample), person, fusion)
