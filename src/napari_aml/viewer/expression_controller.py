"""What the Expression dock does: opens files, explains, maps, links samples to slides, compares them with pictures.

It knows no widget but the job bar. Long work runs off the window's thread: opening a file under the job bar, the small
jobs that follow the chosen sample (attributions, map, checks of links) behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal

from napari_aml.errors import AmlError, InputError
from napari_aml.review.concordance import Concordance, reconcile
from napari_aml.review.links import ExpressionLink, LinkState, LinkStore, check_steps, default_links
from napari_aml.review.sides import ImageCall, Person
from napari_aml.ui.expression_file import ReadingOptions
from napari_aml.ui.jobs import JobBar
from napari_aml.ui.latest import Latest

if TYPE_CHECKING:
    from napari_aml.export.expression_section import ExpressionPart
    from napari_aml.patients.bundle import PatientBundle
    from napari_aml.progress import Steps
    from napari_aml.review.patient_sample import GeneEvidence, OpenedExpression, SamplePlaces
    from napari_aml.viewer.expression_slides import SlideSource


class ExpressionController(QObject):
    """The dock's actions.

    Parameters
    ----------
    bar
        Shows the job that opens a file and cancels it.
    slides
        The slides of the viewer.
    links
        Where links are kept; this person's own file by default, a project's where one is open.
    """

    failed = Signal(object)
    told = Signal(str)
    openedChanged = Signal()
    sampleChanged = Signal()
    explained = Signal(object)
    explainFailed = Signal(object)
    mapped = Signal(object)
    mapFailed = Signal(object)
    linksChanged = Signal()
    compared = Signal(object)

    def __init__(
        self, bar: JobBar, slides: SlideSource, links: LinkStore | None = None, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self.bar, self.slides = bar, slides
        self._links = links
        self.options = ReadingOptions()
        self.bundle: Any = None
        self.opened: OpenedExpression | None = None
        self.sample: str | None = None
        self.person = Person()
        self._people: dict[str, Person] = {}  # by sample: another sample is another person
        self._links_error = ""
        self.ticked: tuple[str, ...] = ()
        self.patient_model: PatientBundle | None = None
        self.image_call: ImageCall | None = None
        self._image_key: object = None
        self.comparison: Concordance | None = None
        self.evidence: GeneEvidence | None = None
        self._map_kind = ("pca", "network")
        self._asked: str | None = None  # the class whose score is explained, None for the called one
        self.link_states: dict[str, LinkState] = {}
        self._explain = Latest(self.explainFailed.emit, self)
        self._map = Latest(self.mapFailed.emit, self)
        self._check = Latest(self.failed.emit, self)
        self._image = Latest(self.failed.emit, self)
        bar.failed.connect(self.failed)

    def close(self) -> None:
        """Stop all jobs."""
        self.bar.cancel()
        for jobs in (self._explain, self._map, self._check, self._image):
            jobs.cancel()

    @property
    def busy(self) -> bool:
        """Whether a file is being opened."""
        return self.bar.busy

    @property
    def links(self) -> LinkStore:
        """Where links are kept now."""
        return self.slides.links() or self._links or default_links()

    # ---- opening -------------------------------------------------------------------------------------------

    def open(self, path: str | Path, sample: str | None = None) -> None:
        """Read a file and call all its samples; what was open before stays until it is done."""
        from napari_aml.review.expression_opening import open_expression_steps

        path, options, bundle = Path(path), self.options, self.bundle
        job = self.bar.run(
            lambda: open_expression_steps(path, model=bundle, units=options.units, lengths=options.lengths),
            f"Reading {path.name}",
        )
        job.returned.connect(lambda opened: self._take(opened, sample))

    def open_example(self) -> None:
        """Open the shipped example: synthetic samples."""
        from napari_aml.review.expression_opening import example_file

        self.options = ReadingOptions()
        self.open(example_file())

    def reopen(self) -> None:
        """Read the open file again: options or model changed."""
        if self.opened is not None and not self.busy:
            self.open(self.opened.path, self.sample)

    def _take(self, opened: OpenedExpression, sample: str | None = None) -> None:
        if self.opened is None or opened.sha256 != self.opened.sha256:
            self._people = {k: v for k, v in self._people.items() if k == sample}
        self._map.cancel()
        self.mapped.emit(None)  # the map of other samples goes before these come
        self.opened, self.sample, self.evidence, self._asked = opened, None, None, None
        self.openedChanged.emit()
        if sample is not None and sample not in opened.samples:
            self.told.emit(f"There is no sample '{sample}' in {opened.path.name} any more.")
        if opened.samples:
            self.choose(sample if sample in opened.samples else opened.samples[0])
        n = len(opened.samples)
        self.told.emit(f"{n} sample{'s' if n != 1 else ''} read. {opened.summary}")
        self.map()

    # ---- the chosen sample ---------------------------------------------------------------------------------

    def choose(self, sample: str) -> None:
        """Choose a sample: its call is there at once, its attributions follow."""
        opened = self.opened
        if opened is None or sample == self.sample or sample not in opened.samples:
            return
        self.sample, self.evidence = sample, None
        self.person = self._people.get(sample) or self._linked_person(sample, opened.sha256)
        self.compare()
        self.sampleChanged.emit()
        self.explain()

    def _linked_person(self, sample: str, sha256: str) -> Person:
        """Return what was kept of the person with a link of a ticked slide to this sample of a file, else nothing."""
        for slide in self.ticked:
            link = self.link_of(slide)
            if link is not None and link.sample == sample and link.sha256 == sha256:
                return Person(link.age, link.sex)
        return Person()

    def explain_class(self, target: str | None) -> None:
        """Explain another class, for this sample and those chosen after it; None: the called one of each."""
        self._asked = target
        self.explain()

    def explain(self) -> None:
        """Compute the gene attributions of the chosen sample, for its called class or the one asked for."""
        from napari_aml.review.expression_evidence import gene_evidence_steps

        opened, sample, target = self.opened, self.sample, self._asked
        self._explain.cancel()
        self.evidence = None
        self.explained.emit(None)
        if opened is None or sample is None or self.withheld or opened.call(sample).called is None:
            return
        self._explain.run(lambda: gene_evidence_steps(opened, sample, target), self._take_evidence)

    def _take_evidence(self, found: GeneEvidence) -> None:
        self.evidence = found
        self.explained.emit(found)

    def map(self, method: str | None = None, space: str | None = None) -> None:
        """Compute the sample map, by default of the kind asked for last."""
        from napari_aml.review.expression_evidence import places_steps

        opened, kept = self.opened, self._map_kind
        method, space = self._map_kind = (method or kept[0], space or kept[1])
        self.mapped.emit(None)
        if opened is not None and opened.samples:
            self._map.run(lambda: places_steps(opened, method, space), self._take_places)

    def _take_places(self, places: SamplePlaces) -> None:
        self.mapped.emit(places)

    # ---- slides and links ----------------------------------------------------------------------------------

    def tick(self, slide_ids: Sequence[str]) -> None:
        """Say which slides belong to the chosen sample's patient."""
        if tuple(slide_ids) != self.ticked:
            self.ticked = tuple(slide_ids)
            self.look_at_pictures()

    def say_person(self, person: Person) -> None:
        """Say what is known of the person; it is kept with the links that are there."""
        self.person = person
        if self.sample is not None:
            self._people[self.sample] = person
        self._try(self._keep_person)
        self.compare()
        self.sampleChanged.emit()

    def _keep_person(self) -> None:
        old = [link for s in self.ticked if (link := self.links.link_of(s)) is not None and link.sample == self.sample]
        if old:
            self.links.link(replace(link, age=self.person.age, sex=self.person.sex) for link in old)

    def link(self, slide_ids: Sequence[str]) -> None:
        """Keep with slides that the open file's chosen sample is their patient's."""
        if self.opened is None or self.sample is None:
            raise InputError("There is no sample to link to.", "Open an expression file and choose a sample.")
        if not slide_ids:
            raise InputError("No slide is ticked.", "Tick the slides of this patient.")
        path, sha256 = str(self.opened.path.absolute()), self.opened.sha256
        made = [
            ExpressionLink(slide, path, self.sample, sha256, self.person.age, self.person.sex) for slide in slide_ids
        ]
        self.links.link(made)
        self.link_states |= dict.fromkeys(slide_ids, LinkState.SAME)
        self.linksChanged.emit()
        self.told.emit(f"Linked to {self.sample}. The link is kept with the slide.")

    def unlink(self, slide_ids: Sequence[str]) -> None:
        """Forget the links of slides."""
        self.links.unlink(slide_ids)
        for slide in slide_ids:
            self.link_states.pop(slide, None)
        self.linksChanged.emit()

    def link_of(self, slide_id: str) -> ExpressionLink | None:
        """Return a slide's link, None without one; a damaged file of links is said once."""
        try:
            found = self.links.link_of(slide_id)
        except AmlError as error:
            if str(error) != self._links_error:
                self._links_error = str(error)
                self.failed.emit(error)
            return None
        self._links_error = ""
        return found

    def check_links(self, slide_ids: Sequence[str]) -> None:
        """Check behind the window whether the files of these slides' links are as they were."""
        wanted = [link for s in slide_ids if (link := self.link_of(s)) is not None and s not in self.link_states]
        if not wanted or self._check.busy:  # the rest is looked at when this check is done
            return

        def take(states: list[LinkState]) -> None:
            self.link_states |= {link.slide_id: state for link, state in zip(wanted, states, strict=True)}
            self.linksChanged.emit()

        self._check.run(lambda: check_steps(wanted), take)

    def open_linked(self, slide_id: str) -> None:
        """Open what a slide is linked to and choose the sample."""
        link = self.link_of(slide_id)
        if link is None:
            raise InputError("This slide is linked to no sample.", "Choose a sample and press Link.")
        if not Path(link.path).exists():
            self.link_states[slide_id] = LinkState.MISSING
            self.linksChanged.emit()
            raise InputError(
                f"The linked expression file '{Path(link.path).name}' is no longer where it was.",
                "Put it back, or open it where it is now and link it again.",
            )
        self._people[link.sample] = Person(link.age, link.sex)
        if self.opened is not None and str(self.opened.path.absolute()) == link.path:
            self.choose(link.sample)
        else:
            self.open(link.path, link.sample)

    # ---- comparison ----------------------------------------------------------------------------------------

    @property
    def withheld(self) -> str:
        """Why the chosen sample's call must not be shown, empty where it may."""
        said = self.comparison
        return " ".join(r.text for r in said.reasons) if said is not None and said.suppressed else ""

    def use_patient_model(self, folder: str | Path) -> None:
        """Choose the model that calls a subtype from the cells of the ticked slides."""
        from napari_aml.patients import load_patient_bundle

        self.patient_model = load_patient_bundle(folder)
        self.told.emit(f"Pictures are called by {self.patient_model.bundle_id}.")
        self.look_at_pictures()

    def look_at_pictures(self) -> None:
        """Count the ticked slides anew; with a patient model their subtype is called behind the window."""
        from napari_aml.review.from_models import call_from_pictures

        model, analyses = self.patient_model, self.slides.analysed(self.ticked)
        key = None if model is None or not analyses else (model.bundle_id, *(id(a.predictions) for a in analyses))
        if key != self._image_key:
            self._image_key, self.image_call = key, None
            self._image.cancel()
            if model is not None and key is not None:
                self._image.run(lambda: _quick(lambda: call_from_pictures(analyses, model)), self._take_image)
        self.compare()

    def _take_image(self, call: ImageCall) -> None:
        self.image_call = call
        self.compare()

    def compare(self) -> None:
        """Hold the chosen sample against the ticked slides."""
        before = self.withheld
        if self.opened is None or self.sample is None:
            self.comparison = None
        else:
            counted = self.slides.morphology(self.ticked)
            self.comparison = reconcile(counted, self.image_call, self.opened.call(self.sample), self.person)
        self.compared.emit(self.comparison)
        if self.withheld != before:
            self.sampleChanged.emit()
            self.explain()

    def part(self, slide_id: str | None = None) -> ExpressionPart | None:
        """Return the report's section for a slide; None where the chosen sample is not linked to it."""
        from napari_aml.export.expression_section import report_part

        if self.opened is None or self.sample is None or self.comparison is None:
            return None
        link = self.link_of(slide_id) if slide_id is not None else None
        if slide_id is not None and (link is None or link.sample != self.sample or link.sha256 != self.opened.sha256):
            return None
        return report_part(self.opened, self.sample, self.comparison, self.evidence, self.person.sex)

    def _try(self, action: Callable[[], Any]) -> None:
        try:
            action()
        except AmlError as error:
            self.failed.emit(error)


def _quick(make: Callable[[], Any]) -> Steps[Any]:
    """Turn one call into a job."""
    yield from ()
    return make()
