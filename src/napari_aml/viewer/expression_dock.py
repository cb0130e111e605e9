"""The dock widget "Expression": a patient's RNA-seq beside their slides. Works alone or beside the review dock."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QLabel, QPushButton, QSplitter, QTabWidget, QVBoxLayout, QWidget

from napari_aml import RESEARCH_USE
from napari_aml.errors import AmlError
from napari_aml.review.links import LinkState
from napari_aml.ui import expression_words as words
from napari_aml.ui.concordance_card import ConcordanceCard
from napari_aml.ui.expression_call import CallPanel, WhyPanel, wrapped
from napari_aml.ui.expression_file import FileForm, ReadingOptions
from napari_aml.ui.expression_links import SlideLinks, SlideRow
from napari_aml.ui.expression_map import SampleMap
from napari_aml.ui.expression_samples import SampleChooser
from napari_aml.ui.jobs import JobBar, in_words
from napari_aml.viewer.companions import ClosedWithItsDock, Neighbour
from napari_aml.viewer.expression_controller import ExpressionController
from napari_aml.viewer.expression_slides import SlideSource
from napari_aml.viewer.pages import page, scrolled
from napari_aml.viewer.private import stack_dock
from napari_aml.viewer.sessions import find_review, register_expression

if TYPE_CHECKING:
    import napari.viewer

    from napari_aml.review.links import LinkStore

LEAST_WIDTH = 340
MAPS = (("last layer, PCA", ("pca", "network")), ("plain expression, PCA", ("pca", "expression")),
        ("last layer, UMAP", ("umap", "network")), ("plain expression, UMAP", ("umap", "expression")))  # fmt: skip


class ExpressionWidget(QWidget):
    """Open a file, choose a sample, question its call, link it to slides, compare.

    Parameters
    ----------
    napari_viewer
        The viewer, as napari hands it to a plugin's widget.
    links
        Where links are kept; by default this person's file, or the open project.
    """

    def __init__(
        self, napari_viewer: napari.viewer.Viewer, links: LinkStore | None = None, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.viewer = napari_viewer
        self.setObjectName("expression")
        self.setMinimumWidth(LEAST_WIDTH)
        self.job_bar = JobBar()
        self.slides = SlideSource(napari_viewer, self)
        self.controller = ExpressionController(self.job_bar, self.slides, links, self)
        self.form = FileForm(_units())
        self.chooser, self.call = SampleChooser(), CallPanel()
        self.why, self.map = WhyPanel(), SampleMap()
        self.links, self.card = SlideLinks(), ConcordanceCard()
        self._build()
        self._connect()
        self._mapped: Any = None
        self._hidden: frozenset[str] = frozenset()
        self._placed = False
        # Until it is at its place beside the review it must not make the window taller.
        self.tabs.setVisible(find_review(napari_viewer) is None)
        register_expression(napari_viewer, self)
        ClosedWithItsDock(self)
        Neighbour(self, napari_viewer)
        # Where it is destroyed all the same, it must stop listening.
        self.destroyed.connect(partial(_let_go, napari_viewer, self.slides))
        QTimer.singleShot(0, self.prepare)

    # ---- building ------------------------------------------------------------------------------------------

    def showEvent(self, event: Any) -> None:
        """Stand behind a tab beside the dock "Smear review" the first time, where that is open."""
        super().showEvent(event)
        review = None if self._placed else find_review(self.viewer)
        self._placed = True
        if review is not None:
            QTimer.singleShot(0, lambda: self._place(review))

    def _place(self, review: QWidget) -> None:
        stack_dock(self, review)
        self.tabs.show()

    def _build(self) -> None:
        self.status, self.linked = wrapped(), wrapped()
        self.linked_button = QPushButton("Open it")
        self.linked_row = QWidget()
        row = QHBoxLayout(self.linked_row)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.linked, 1)
        row.addWidget(self.linked_button)
        self.linked_row.hide()
        self.tabs = QTabWidget()
        self.tabs.setDocumentMode(True)
        self.tabs.addTab(self._sample_page(), "Sample")
        self.tabs.addTab(scrolled(self._why_page()), "Why")
        self.tabs.addTab(scrolled(self._map_page()), "Map")
        self.tabs.addTab(scrolled(page(self.links, self.card)), "Slides")
        footer = QLabel(RESEARCH_USE)
        footer.setWordWrap(True)
        footer.setAlignment(Qt.AlignmentFlag.AlignCenter)
        footer.setObjectName("research-use")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 4, 4, 4)
        for widget in (self.form, self.linked_row, self.tabs, self.job_bar, self.status, footer):
            layout.addWidget(widget, 1 if widget is self.tabs else 0)

    def _sample_page(self) -> QWidget:
        split = QSplitter(Qt.Orientation.Vertical)
        split.setChildrenCollapsible(False)
        split.addWidget(self.chooser)
        split.addWidget(scrolled(page(self.call)))
        split.setStretchFactor(0, 1)
        split.setStretchFactor(1, 3)
        split.setSizes([150, 400])
        return split

    def _why_page(self) -> QWidget:
        self.target = QComboBox()
        self.target.setToolTip("The class whose score the genes' attributions add up to.")
        return page(_row("Class", self.target), self.why)

    def _map_page(self) -> QWidget:
        self.map_kind = QComboBox()
        for title, kind in MAPS:
            self.map_kind.addItem(title, kind)
        whole = QWidget()
        layout = QVBoxLayout(whole)
        layout.setContentsMargins(6, 6, 6, 6)
        layout.addWidget(_row("Map of", self.map_kind))
        layout.addWidget(self.map, 1)
        return whole

    # ---- wiring --------------------------------------------------------------------------------------------

    def _connect(self) -> None:
        control, form = self.controller, self.form
        form.openRequested.connect(lambda path: self._try(control.open, path))
        form.exampleRequested.connect(self._on_example)
        form.optionsChanged.connect(self._on_options)
        form.modelChosen.connect(self._on_model)
        form.modelFolderChosen.connect(lambda folder: self._try(self._open_model, folder))
        for widget in (self.chooser, self.map):
            widget.sampleChosen.connect(self._on_chosen)
        self.target.activated.connect(lambda _: control.explain_class(self.target.currentData()))
        self.map_kind.activated.connect(lambda _: control.map(*self.map_kind.currentData()))
        self.links.linkRequested.connect(lambda ids: self._try(control.link, ids))
        self.links.unlinkRequested.connect(lambda ids: self._try(control.unlink, ids))
        self.links.slidesTicked.connect(control.tick)
        self.links.personChanged.connect(lambda: control.say_person(self.links.person()))
        self.linked_button.clicked.connect(lambda: self._try(control.open_linked, self.slides.current()))
        control.failed.connect(self.show_error)
        control.told.connect(self.show_message)
        control.openedChanged.connect(self._on_opened)
        control.sampleChanged.connect(self._on_sample)
        control.explained.connect(self._on_explained)
        control.explainFailed.connect(lambda error: self.why.setValue(None, in_words(error)))
        control.mapped.connect(self._on_mapped)
        control.mapFailed.connect(lambda error: self.map.note.setText(in_words(error)))
        control.linksChanged.connect(self._on_slides)
        control.compared.connect(self.card.setValue)
        self.slides.changed.connect(self._on_slides)
        self.slides.counted.connect(control.look_at_pictures)
        self.links.modelChosen.connect(lambda folder: self._try(control.use_patient_model, folder))
        self.job_bar.busyChanged.connect(self._on_busy)

    def closeEvent(self, event: Any) -> None:
        """Let go of viewer and jobs."""
        self.shut_down()
        super().closeEvent(event)

    def shut_down(self) -> None:
        """Stop jobs and stop listening; safe to call twice."""
        if getattr(self, "_shut", False):
            return
        self._shut = True
        register_expression(self.viewer, None)
        self.slides.close()
        self.controller.close()

    def prepare(self) -> None:
        """List models and slides, once the dock is on the screen."""
        if getattr(self, "_shut", False) or getattr(self, "_prepared", False):
            return
        self._prepared = True
        self._try(self._list_models)
        self.slides.look()

    # ---- models and options --------------------------------------------------------------------------------

    def _list_models(self) -> None:
        from napari_aml.expression.bundle import DEMO, find_expression_bundles

        found = sorted(find_expression_bundles(), key=lambda b: b.path.name != DEMO)
        self.form.setBundles(found)

    def _open_model(self, folder: str) -> None:
        from napari_aml.expression.bundle import load_expression_bundle

        self.form.addBundle(load_expression_bundle(Path(folder)))

    def _on_model(self, bundle: Any) -> None:
        if bundle is not self.controller.bundle:
            self.controller.bundle = bundle
            self._try(self.controller.reopen)

    def _on_options(self) -> None:
        self.controller.options = self.form.value()
        self._try(self.controller.reopen)

    def _on_chosen(self, sample: str) -> None:
        if sample != self.controller.sample:
            self.show_message("")  # what was said is of another sample
        self.controller.choose(sample)

    def _on_example(self) -> None:
        self.form.setValue(ReadingOptions())  # the example is read as it is
        self._try(self.controller.open_example)

    # ---- following the controller --------------------------------------------------------------------------

    def _on_opened(self) -> None:
        opened = self.controller.opened
        assert opened is not None  # it is what was announced
        self.form.setPath(opened.path, f"  ·  {opened.format}")
        self._hidden = self._withheld_samples()
        self.chooser.setSamples(words.sample_rows(opened, self._hidden))
        self.target.clear()
        self.target.addItem("the called class", None)
        for name in opened.classes:
            self.target.addItem(name, name)
        self._on_sample()

    def _on_sample(self) -> None:
        control = self.controller
        opened, sample = control.opened, control.sample
        if opened is None or sample is None:
            self.call.setValue(None)
            return
        withheld = self._withheld_samples()
        if withheld != self._hidden:
            self._hidden = withheld
            self.chooser.setSamples(words.sample_rows(opened, withheld))
        self.chooser.setValue(sample)
        self.call.setValue(words.call_view(opened, sample, control.person.sex, control.withheld))
        self.links.setSample(sample)
        self.links.setPerson(control.person)
        self.map.choose(sample)
        if self._mapped is not None:
            self.map.setValue(words.map_view(opened, self._mapped, withheld))
        if control.evidence is None:
            self._on_explained(None)
        self._offer_linked({r.slide_id: r for r in self.links.value()})

    def _withheld_samples(self) -> frozenset[str]:
        sample = self.controller.sample
        return frozenset((sample,)) if sample is not None and self.controller.withheld else frozenset()

    def _on_explained(self, found: Any) -> None:
        opened, sample = self.controller.opened, self.controller.sample
        if opened is None or sample is None:
            self.why.setValue(None)
        elif found is not None:
            self.why.setValue(words.attribution_view(sample, found))
        elif self.controller.withheld:
            self.why.setValue(None, "The call is withheld, so it is not explained.")
        elif opened.call(sample).called is None:
            self.why.setValue(None, "There is no call to explain.")
        else:
            self.why.setValue(None, "Computing the genes' attributions …")

    def _on_mapped(self, places: Any) -> None:
        self._mapped = places
        opened = self.controller.opened
        view = None if places is None or opened is None else words.map_view(opened, places, self._withheld_samples())
        self.map.setValue(view)
        if view is None and opened is not None:
            self.map.note.setText("Computing the map …")
        self.map.choose(self.controller.sample)

    def _on_slides(self, *_: Any) -> None:
        control, rows = self.controller, []
        for slide_id, title in self.slides.rows():
            link, state = control.link_of(slide_id), control.link_states.get(slide_id)
            note = state.value if state not in (None, LinkState.SAME) else ""
            rows.append(SlideRow(slide_id, title, "" if link is None else link.sample, note))
        self.links.setValue(rows)
        control.check_links([r.slide_id for r in rows])
        self._offer_linked({r.slide_id: r for r in rows})

    def _offer_linked(self, rows: dict[str, SlideRow]) -> None:
        """Say what the slide in front is linked to, while something else is open."""
        control = self.controller
        row = rows.get(self.slides.current() or "")
        link = None if row is None or not row.linked else control.link_of(row.slide_id)
        opened, path = control.opened, None if link is None else link.path
        if link is not None and opened is not None and control.sample == link.sample:
            path = None if str(opened.path.absolute()) == link.path else path
        self.linked_row.setVisible(path is not None)
        if row is not None and link is not None and path is not None:
            warn = f" ⚠ {row.note}." if row.note else ""
            self.linked.setText(f"{row.title} is linked to {link.sample} in {Path(link.path).name}.{warn}")

    def _on_busy(self, busy: bool) -> None:
        self.form.setBusy(busy)
        self.links.setBusy(busy)
        self.linked_button.setEnabled(not busy)
        if busy:
            self.show_message("")

    # ---- saying --------------------------------------------------------------------------------------------

    def _try(self, action: Callable[..., Any], *arguments: Any) -> None:
        try:
            self.prepare()
            action(*arguments)
        except AmlError as error:
            self.show_error(error)

    def show_error(self, error: BaseException) -> None:
        """Say an error in the dock and as a notification, in plain words."""
        from napari.utils.notifications import show_error

        text = in_words(error)
        self.status.setText(f"⚠ {text}")
        self.status.show()
        show_error(text)

    def show_message(self, text: str) -> None:
        """Say something in the dock."""
        self.status.setText(text)
        self.status.setVisible(bool(text))


def _row(title: str, widget: QWidget) -> QWidget:
    whole = QWidget()
    layout = QHBoxLayout(whole)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.addWidget(QLabel(title))
    layout.addWidget(widget, 1)
    return whole


def _units() -> list[tuple[str, str]]:
    from napari_aml.review.patient_sample import UNITS

    return list(UNITS)


def _let_go(viewer: Any, slides: SlideSource, *_: Any) -> None:
    register_expression(viewer, None)
    slides.release()
