"""Opening a project behind the window: the record, the slides that were last looked at, and their cells."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_aml.errors import AmlError
from napari_aml.progress import Progress, Steps
from napari_aml.viewer.drawing import prepare

if TYPE_CHECKING:
    from napari_aml.analysis import Analysis
    from napari_aml.review.project import Project
    from napari_aml.slides import Slide

#: Where no view is stored, so many slides are opened at once; the others with a double-click.
AT_ONCE = 4


@dataclass(frozen=True)
class OpenedSlide:
    """A slide and what is known of it."""

    slide: Slide
    analysis: Analysis | None


@dataclass
class Opened:
    """An open project with the slides to show.

    Attributes
    ----------
    project, slides
        The project; the slides that can be shown.
    session
        The view that is to come back; empty for none.
    errors
        What could not be shown, each with the way out.
    """

    project: Project
    slides: list[OpenedSlide] = field(default_factory=list)
    session: dict[str, Any] = field(default_factory=dict)
    errors: list[AmlError] = field(default_factory=list)


def read_slide(project: Project, slide_id: str) -> OpenedSlide:
    """Open a slide and read what is known of it; what people say of it is asked of the record, always anew."""
    slide = project.open_slide(slide_id)
    if not project.has_cells(slide_id):
        return OpenedSlide(slide, None)
    analysis = replace(project.analysis(slide_id, slide), final=None)
    # What the window would else import and draw itself while nobody can use it.
    import dask.array  # noqa: F401
    import scipy.special  # noqa: F401

    prepare(analysis.cells.masks)
    return OpenedSlide(slide, analysis)


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
        project.decisions()
        entries = [e.slide_id for e in project.slides()]
        wanted = [s for s in opened.session.get("slides", entries[:AT_ONCE]) if s in entries]
        for number, slide_id in enumerate(wanted):
            yield Progress(number, len(wanted), f"Slide {number + 1} of {len(wanted)}")
            try:
                opened.slides.append(read_slide(project, slide_id))
            except AmlError as error:
                opened.errors.append(error)
        return opened
    except BaseException:
        project.close()
        raise
