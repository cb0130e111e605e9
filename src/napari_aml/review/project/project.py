"""A project on disk: slides, their cells, what models and people said of them, whole after every crash."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from napari_aml.errors import AmlError
from napari_aml.provenance import now_utc
from napari_aml.review.decisions import CLASS, NOTE, TAG, Decision
from napari_aml.review.project.errors import ProjectError
from napari_aml.review.project.files import SUFFIX, is_project
from napari_aml.review.project.links import ProjectLinks
from napari_aml.review.project.pictures import Located, Pictures, SlideEntry, open_located
from napari_aml.review.project.record import Record
from napari_aml.review.project.sessions import Sessions
from napari_aml.review.project.windows import Window, Windows

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from napari_aml.analysis import Analysis
    from napari_aml.cells import Cells
    from napari_aml.classify import Predictions
    from napari_aml.review.project.runs import Run, Runs, Saved
    from napari_aml.slides import Slide


@dataclass(frozen=True)
class Added:
    """A slide was added to a project.

    Attributes
    ----------
    slide_id
        Of the slide.
    is_new
        False where the project had this slide already: it is never there twice.
    analysis
        The analysis under the project's uids, or None where none was given.
    pending
        uids of cells kept for the decisions on them, of which the new model has said nothing yet.
    """

    slide_id: str
    is_new: bool
    analysis: Analysis | None = None
    pending: tuple[str, ...] = ()


class Project:
    """A project folder ``NAME.amlproj``.

    It is a `napari_aml.review.decisions.DecisionStore`. Make one with `create`, open one with `open`, close it with
    `close` or a ``with`` block.

    Attributes
    ----------
    folder
        The folder.
    reader
        Who works with it here (an alias).
    links
        Which expression samples belong to which slides.
    session
        The views that come back.
    notes
        What a person should know about how it was opened.

    Examples
    --------
    >>> with Project.create("study.amlproj") as project:  # doctest: +SKIP
    ...     project.add_slide(result.slide, result)
    ...     project.record([Decision(uid, slide_id, "MYO", "ada")])
    """

    def __init__(self, folder: Path, record: Record, reader: str = "") -> None:
        self.folder, self.reader, self._record = folder, reader, record
        self.links, self.session = ProjectLinks(folder, record), Sessions(record)
        self._pictures = Pictures(folder, record)
        self._windows = Windows(record, reader)
        self._runs: Runs | None = None
        self._card = dict(record.rows("meta", ("key", "value")))
        self.notes: tuple[str, ...] = tuple(self._say_how())

    @classmethod
    def create(cls, path: str | Path, name: str | None = None, reader: str = "") -> Self:
        """Make an empty project and open it.

        Parameters
        ----------
        path
            The folder; ``.amlproj`` is added where it lacks.
        name
            For people; the folder's name by default.
        reader
            Who works with it here.

        Raises
        ------
        ProjectError
            When there is something at that place already.
        OutputError
            When the place cannot be written.
        """
        from napari_aml.review.project.making import make

        return cls.open(make(path, name, reader), reader)

    @classmethod
    def open(cls, path: str | Path, reader: str = "", *, read_only: bool = False) -> Self:
        """Open a project; an older format is brought up to date, a copy of the older record being kept.

        Raises
        ------
        ProjectError
            No project; damaged; newer than this program. Each says what to do.
        """
        folder = Path(path).expanduser()
        if not is_project(folder):
            why = "there is no such folder" if not folder.exists() else "it holds no project"
            raise ProjectError(f"'{folder}' is no project: {why}.", f"A project is a folder NAME{SUFFIX}.")
        record = Record(folder, read_only=read_only)
        try:
            return cls(folder, record, reader)
        except BaseException:
            record.close()
            raise

    def close(self) -> None:
        """Let go of the project; everything is on the disk already."""
        if not self._record.read_only:
            with contextlib.suppress(AmlError):
                self._windows.leave()
        self._record.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Project {self.name!r} at '{self.folder}'>"

    def _say_how(self) -> list[str]:
        notes = []
        if self._record.used_by:
            notes.append(f"The project is open on another machine ({self._record.used_by}): here you can only look.")
        elif self._record.read_only:
            notes.append("The folder cannot be written: you can look, but no decision can be taken.")
        if 0 < self._record.migrated_from < self.format_version:
            notes.append(
                f"The project was brought from format {self._record.migrated_from} to {self.format_version}; a copy of "
                "the older record is kept in the folder 'kept'."
            )
        if others := self.others():
            there = "; ".join(map(str, others))
            notes.append(f"The project is also open elsewhere ({there}). Decisions of both are kept.")
        return notes

    # ---- what it is ----------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """Its name, for people."""
        return self._card.get("name", self.folder.stem)

    @property
    def project_id(self) -> str:
        """Stable for ever, also when the folder moves."""
        return self._card.get("project_id", "")

    @property
    def created(self) -> str:
        """When it was made, UTC."""
        return self._card.get("created_utc", "")

    @property
    def read_only(self) -> bool:
        """Whether nothing can be written."""
        return self._record.read_only

    @property
    def format_version(self) -> int:
        """Version of the format on disk."""
        from napari_aml.review.project.schema import VERSION

        return VERSION

    def others(self) -> list[Window]:
        """Return the other windows (of any machine) that have this project open."""
        return self._windows.others()

    def still_here(self, reader: str | None = None) -> None:
        """Say that this window is still open, and who sits at it now."""
        self.reader = self.reader if reader is None else reader
        if not self.read_only:
            self._windows.say(self.reader)

    def setting(self, key: str, default: str = "") -> str:
        """Return a setting of the project (shared by all windows)."""
        rows = self._record.all("SELECT value FROM meta WHERE key = ?", (f"setting:{key}",))
        return str(rows[0][0]) if rows else default

    def set_setting(self, key: str, value: str) -> None:
        """Keep a setting of the project."""
        with self._record.writing() as db:
            db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (f"setting:{key}", value))

    # ---- decisions -----------------------------------------------------------------------------------------

    def record(self, decisions: Sequence[Decision]) -> list[Decision]:
        """Append decisions; all of them are on the disk when this returns, or none is.

        A row whose ``id`` the record has already is not appended again. ``previous`` becomes what this reader had
        said before by the record, whichever window that was in.

        Returns
        -------
        list of Decision
            The rows with their places.

        Raises
        ------
        NotSavedError
            Full disk, read-only folder, or another writer that does not let go: nothing was taken.
        """
        return self._record.record(decisions)

    def decisions(self, after: int = 0) -> list[Decision]:
        """Return the decisions beyond a place, in order, those of other windows among them."""
        return self._record.decisions(after)

    @property
    def readers(self) -> tuple[str, ...]:
        """Aliases of all who work or worked in it, in the order in which they came."""
        return tuple(row[0] for row in self._record.rows("readers", ("alias",), "ORDER BY joined, rowid"))

    def add_reader(self, alias: str) -> None:
        """Let a reader join."""
        if not alias.strip():
            raise ProjectError("A reader needs an alias.", "Give a short one that names no patient.")
        with self._record.writing() as db:
            db.execute("INSERT OR IGNORE INTO readers VALUES (?, ?)", (alias.strip(), now_utc()))

    @property
    def events(self) -> list[dict[str, Any]]:
        """What happened besides decisions, in order."""
        names = ("seq", "time", "reader", "action", "object", "detail", "app")
        rows = self._record.rows("events", names, "ORDER BY seq")
        told = self._record.parsed
        return [{**dict(zip(names, row, strict=True)), "detail": told(row[5], "events")} for row in rows]

    # ---- slides --------------------------------------------------------------------------------------------

    def slides(self) -> list[SlideEntry]:
        """Return the slides, in the order in which they were added."""
        return self._pictures.all()

    def entry(self, slide_id: str) -> SlideEntry:
        """Return one slide.

        Raises
        ------
        ProjectError
            When it is not in the project.
        """
        return self._pictures.entry(slide_id)

    def locate(self, slide_id: str) -> Located:
        """Find a slide's picture; a place that changed is noted where the project can be written."""
        return self._pictures.locate(slide_id)

    def open_slide(self, slide_id: str, *, coming: bool = False) -> Slide:
        """Open a slide's picture; with `coming`, a large one that has to be decoded whole is on its way at return.

        Raises
        ------
        SlideMissingError, SlideChangedError
            With the way out.
        """
        return open_located(self.entry(slide_id), self.locate(slide_id), coming=coming)

    def relink(self, search: str | Path) -> list[SlideEntry]:
        """Look for missing pictures in a folder and below; return those found, by content and not by name."""
        return self._pictures.relink(Path(search).expanduser(), self.reader)

    def add_slide(self, slide: Slide, analysis: Analysis | None = None, patient: str | None = None) -> Added:
        """Add a slide, and what is known of its cells; a slide that is there already is brought up to date.

        Where the project has cells of this slide, newly found ones keep the uid of the cell that they are, and cells
        that anyone decided on stay.

        Parameters
        ----------
        slide
            The slide.
        analysis
            Its analysis, or None.
        patient
            A pseudonym.
        """
        entry, is_new = self._pictures.add(slide if analysis is None else analysis.slide, self.reader, patient)
        pending: tuple[str, ...] = ()
        if analysis is not None:
            if self.cell_store.current(entry.slide_id) is not None:
                analysis, pending = self.cell_store.carried_over(analysis, self.spoken_of(entry.slide_id))
            self.cell_store.save(analysis, self.reader, "analysed")
        return Added(entry.slide_id, is_new, analysis, pending)

    def save(self, analysis: Analysis, why: str = "masks edited") -> Saved:
        """Keep a new revision of cells that have the project's uids (after edits of masks, or new predictions)."""
        self.entry(analysis.cells.slide_id)
        return self.cell_store.save(analysis, self.reader, why)

    # ---- cells ---------------------------------------------------------------------------------------------

    @property
    def cell_store(self) -> Runs:
        """The revisions of the slides' cells."""
        if self._runs is None:
            from napari_aml.review.project.runs import Runs

            self._runs = Runs(self.folder, self._record)
        return self._runs

    @property
    def runs(self) -> list[Run]:
        """All revisions of all slides: when, by which model, how many cells."""
        return self.cell_store.all()

    def has_cells(self, slide_id: str) -> bool:
        """Tell whether a slide's cells were found."""
        return self.cell_store.current(slide_id) is not None

    def cells(self, slide_id: str) -> Cells:
        """Return a slide's cells; their masks are read when they are looked at."""
        return self.cell_store.cells(slide_id)

    def predictions(self, slide_id: str) -> Predictions | None:
        """Return what the model said of a slide's cells, aligned with `cells`; None where none did."""
        return self.cell_store.predictions(slide_id)

    def embeddings(self, slide_id: str) -> np.ndarray | None:
        """Return the network's embeddings of a slide's cells, float32 (n, d), or None."""
        return self.cell_store.embeddings(slide_id)

    def analysis(self, slide_id: str, slide: Slide | None = None) -> Analysis:
        """Return everything that is known of a slide, as after the main job, with people's words in ``final``."""
        from napari_aml.analysis import Analysis
        from napari_aml.review.final import final_codes

        analysis = Analysis(slide if slide is not None else self.open_slide(slide_id), *self.parts(slide_id))
        analysis.final = final_codes(analysis.table(), self.decisions()).set_index(analysis.cells.table["uid"])
        return analysis

    def parts(self, slide_id: str) -> tuple[Cells, Predictions | None, Any, Any, dict[str, Any]]:
        """Return what is known of a slide without its picture: cells, predictions, heatmaps, bundle, provenance."""
        from napari_aml.review.project.runs import find_bundle

        cells, run = self.cells(slide_id), self.cell_store.current(slide_id)
        assert run is not None
        said = self.predictions(slide_id)
        bundle = find_bundle(run.bundle_id, run.bundle_path) if said is not None else None
        return cells, said, self.cell_store.heatmaps(slide_id), bundle, run.provenance

    def table(self, reader: str | None = None, slide_ids: Sequence[str] | None = None) -> pd.DataFrame:
        """Return all cells of the project in one table, with the model's and the people's words.

        Parameters
        ----------
        reader
            Whose words are final; see `napari_aml.review.final.settled`.
        slide_ids
            Of which slides; all that have cells by default.
        """
        import pandas as pd

        from napari_aml.analysis import cell_table
        from napari_aml.cells.table import empty_table
        from napari_aml.review.final import final_codes

        tables = []
        for slide_id in [e.slide_id for e in self.slides()] if slide_ids is None else slide_ids:
            if self.has_cells(slide_id):
                said = self.cell_store.predictions(slide_id, embedding=False)
                tables.append(cell_table(self.cells(slide_id), said))
        whole = pd.concat(tables, ignore_index=True) if tables else empty_table()
        words = final_codes(whole, self.decisions(), reader)
        return pd.concat([whole.drop(columns=words.columns, errors="ignore"), words], axis=1)

    def spoken_of(self, slide_id: str) -> set[str]:
        """Return the uids of a slide's cells on which someone's class, tag or note stands."""
        newest = {(d.uid, d.reader, d.kind, d.name): d for d in self.decisions() if d.slide_id == slide_id}
        return {d.uid for d in newest.values() if d.kind in (CLASS, TAG, NOTE) and d.value not in (None, "off", "")}
