"""Opening a project behind the window: the record, the slides that were last looked at, and their cells."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_aml.errors import AmlError
from napari_aml.progress import Progress, Steps
from napari_aml.review.reader_view import ReaderView
from napari_aml.ui.state import DEFAULT_READER
from napari_aml.viewer.drawing import prepare
from napari_aml.viewer.picture_layers import LayerData, slide_layer
from napari_aml.viewer.warming import warm_up

if TYPE_CHECKING:
    from napari_aml.analysis import Analysis
    from napari_aml.review.project import Project
    from napari_aml.slides import Slide

#: Where no view is stored, so many slides are opened at once; the others with a double-click.
AT_ONCE = 4


@dataclass(frozen=True)
class OpenedSlide:
    """A slide and what is known of it.

    Attributes
    ----------
    slide, analysis
        The slide; None for the other where no cells were found yet.
    layer
        The slide as napari's layer tuple.
    drawn
        Whether the layer shows the picture already; it is blank where the slide was still being decoded.
    """

    slide: Slide
    analysis: Analysis | None
    layer: LayerData
    drawn: bool = True


@dataclass
class Opened:
    """An open project with the slides to show.

    Attributes
    ----------
    project, slides
        The project; the slides that can be shown.
    view, seen
        What the reader said who sits down, and how many rows of the record this rests on.
    session
        The view that is to come back; empty for none.
    errors
        What could not be shown, each with the way out.
    """

    project: Project
    view: ReaderView | None = None
    seen: int = 0
    slides: list[OpenedSlide] = field(default_factory=list)
    session: dict[str, Any] = field(default_factory=dict)
    errors: list[AmlError] = field(default_factory=list)

    def discard(self) -> None:
        """Let go of the project: opening it was cancelled when it was open already."""
        self.project.close()


def read_slide(project: Project, slide_id: str) -> OpenedSlide:
    """Open a slide and read what is known of it; what people say of it is asked of the record, always anew."""
    from napari_aml.analysis import Analysis
    from napari_aml.review.project.files import making_many
    from napari_aml.ui.cell_index import index_of

    def picture() -> tuple[Slide, LayerData, bool]:
        slide = project.open_slide(slide_id, coming=True)
        drawn = slide.ready  # asked first: what comes while the layer is made is drawn once more
        return slide, slide_layer(slide), drawn

    # What is known of the cells is read meanwhile; they do not wait for a picture that has to be decoded whole.
    with ThreadPoolExecutor(1, "picture") as beside, making_many():
        coming = beside.submit(picture)
        parts = project.parts(slide_id) if project.has_cells(slide_id) else None
        # What the window would else make, import and draw itself while nobody can use it.
        if parts is not None:
            index_of(parts[0].table)
            prepare(parts[0].masks)
        warm_up()
        slide, layer, drawn = coming.result()
    return OpenedSlide(slide, None if parts is None else Analysis(slide, *parts), layer, drawn)


def opening_steps(path: str | Path, reader: str = "") -> Steps[Opened]:
    """Open a project and read what is to be shown, yielding progress; closed in between, it lets go of the project.

    Parameters
    ----------
    path
        The project folder.
    reader
        Whose view comes back; the one saved last where empty.
    """
    from napari_aml.review.project import Project

    yield Progress(0, 0, "Reading the record")
    project = Project.open(path, reader)
    try:
        opened = Opened(project)
        opened.session = project.session.load(reader) if reader in project.readers else project.session.load()
        sits_down = project.reader or project.session.last_reader() or DEFAULT_READER
        rows = project.decisions()
        opened.view, opened.seen = ReaderView(sits_down, rows), rows[-1].seq if rows else 0
        entries = [e.slide_id for e in project.slides()]
        wanted = [s for s in opened.session.get("slides", entries[:AT_ONCE]) if s in entries]
        first = opened.session.get("shown")
        for number, slide_id in enumerate(sorted(wanted, key=lambda s: s != first)):  # its picture comes first
            yield Progress(number, len(wanted), f"Slide {number + 1} of {len(wanted)}")
            try:
                opened.slides.append(read_slide(project, slide_id))
            except AmlError as error:
                opened.errors.append(error)
        opened.slides.sort(key=lambda s: wanted.index(s.slide.slide_id))
        return opened
    except BaseException:
        project.close()
        raise
