"""Which expression file and sample belong to a slide's patient: kept with the slide, checked by hash.

A slide is known by its ``slide_id``, which is made of its content, so a link survives moved and renamed pictures. What
a link points to is checked by SHA-256: a file that changed since is said to have changed, never used in silence.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, fields
from enum import Enum
from pathlib import Path
from typing import Protocol

from napari_aml._files import replacing
from napari_aml.errors import AmlError, InputError
from napari_aml.progress import Progress, Steps
from napari_aml.provenance import now_utc

FORMAT = "napari-aml-expression-links"
_BLOCK = 1 << 24
#: Larger files in a folder of one-sample tables are no such tables (alignments lie there, too): their size stands for
#: their content.
_LARGEST_TABLE = 1 << 26


class LinksError(InputError):
    """The file of links is damaged or of another kind."""


@dataclass(frozen=True, slots=True)
class ExpressionLink:
    """One slide's link.

    Attributes
    ----------
    slide_id
        The slide.
    path
        The expression file, or the folder of one-sample files.
    sample
        Its name there.
    sha256
        Of the file; of a folder, see `hash_steps`.
    age, sex
        What was said of the person, if anything.
    added
        UTC, ISO 8601.
    """

    slide_id: str
    path: str
    sample: str
    sha256: str
    age: float | None = None
    sex: str | None = None
    added: str = field(default_factory=now_utc)


class LinkState(Enum):
    """What became of the file behind a link."""

    SAME = "the file is as it was when it was linked"
    CHANGED = "the file has changed since it was linked"
    MISSING = "the file is no longer where it was"


class LinkStore(Protocol):
    """Where links are kept: a file of this program, or a project."""

    def link_of(self, slide_id: str) -> ExpressionLink | None:
        """Return a slide's link, None without one."""
        ...

    def link(self, links: Iterable[ExpressionLink]) -> None:
        """Keep links, each in place of its slide's earlier one; they are safe once this returns."""
        ...

    def unlink(self, slide_ids: Iterable[str]) -> None:
        """Forget the links of slides."""
        ...


class MemoryLinks:
    """Links of a session, gone with it."""

    def __init__(self) -> None:
        self._links: dict[str, ExpressionLink] = {}

    def link_of(self, slide_id: str) -> ExpressionLink | None:
        """Return a slide's link."""
        return self._links.get(slide_id)

    def link(self, links: Iterable[ExpressionLink]) -> None:
        """Keep links."""
        self._links |= {link.slide_id: link for link in links}

    def unlink(self, slide_ids: Iterable[str]) -> None:
        """Forget links."""
        for slide_id in slide_ids:
            self._links.pop(slide_id, None)


class LinkFile:
    """Links in one JSON file, whole or not at all.

    Parameters
    ----------
    path
        The file; it need not exist yet. It is read anew for each question: another window may have written it.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def links(self) -> dict[str, ExpressionLink]:
        """Return all links by slide.

        Raises
        ------
        LinksError
            When the file is not a file of links.
        """
        if not self.path.exists():
            return {}
        try:
            told = json.loads(self.path.read_text("utf-8"))
            if told["format"] != FORMAT:
                raise ValueError(f"its format is {told['format']!r}")
            known = {f.name for f in fields(ExpressionLink)}
            found = [ExpressionLink(**{k: v for k, v in row.items() if k in known}) for row in told["links"]]
        except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
            raise LinksError(
                f"The links of slides to expression files in '{self.path}' cannot be read: {error}",
                "Move that file away; links can be made anew.",
            ) from error
        return {link.slide_id: link for link in found}

    def link_of(self, slide_id: str) -> ExpressionLink | None:
        """Return a slide's link."""
        return self.links().get(slide_id)

    def link(self, links: Iterable[ExpressionLink]) -> None:
        """Keep links.

        Raises
        ------
        OutputError
            When the file cannot be written.
        """
        self._write({**self.links(), **{link.slide_id: link for link in links}})

    def unlink(self, slide_ids: Iterable[str]) -> None:
        """Forget links."""
        gone = set(slide_ids)
        self._write({k: v for k, v in self.links().items() if k not in gone})

    def _write(self, links: dict[str, ExpressionLink]) -> None:
        told = {"format": FORMAT, "version": 1, "links": [asdict(link) for link in links.values()]}
        with replacing(self.path) as beside:
            beside.write_text(json.dumps(told, indent=2, ensure_ascii=False) + "\n", "utf-8")


def default_links() -> LinkFile:
    """Return the file of links of this person on this machine, used where no project is open."""
    import platformdirs

    return LinkFile(platformdirs.user_data_path("napari-aml", appauthor=False) / "expression-links.json")


def links_of(store: object) -> LinkStore | None:
    """Return the links that a record of decisions keeps (a project does), None where it keeps none."""
    links = getattr(store, "links", None)
    return links if hasattr(links, "link_of") else None


def hash_steps(path: str | Path) -> Steps[str]:
    """Return the SHA-256 of a file; of a folder, that of its files' names and hashes in order. Yields progress.

    In a folder, of files above 64 MiB the size is taken in place of the hash.

    Raises
    ------
    InputError
        When there is no such file or it cannot be read.
    """
    path = Path(path)
    try:
        parts = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
        sizes = {p: p.stat().st_size for p in parts}
        large = {p for p in parts if path.is_dir() and sizes[p] > _LARGEST_TABLE}
        total, done = max(1, sum(size for p, size in sizes.items() if p not in large)), 0
        whole = hashlib.sha256()
        for part in parts:
            if part in large:
                whole.update(f"{part.relative_to(path).as_posix()}\0{sizes[part]} bytes\n".encode())
                continue
            digest = hashlib.sha256()
            with open(part, "rb") as stream:
                while block := stream.read(_BLOCK):
                    digest.update(block)
                    done += len(block)
                    yield Progress(done * 1000 // total, 1000, f"Checking {path.name}")
            if not path.is_dir():
                return digest.hexdigest()
            whole.update(f"{part.relative_to(path).as_posix()}\0{digest.hexdigest()}\n".encode())
        return whole.hexdigest()
    except OSError as error:
        raise InputError(
            f"Cannot read '{path}': {error.strerror or error}", "Check that the file is still there."
        ) from error


def check_steps(links: Sequence[ExpressionLink]) -> Steps[list[LinkState]]:
    """Tell for each link whether its file is as it was; each file is read once. Yields progress."""
    found: dict[str, str | None] = {}
    for link in links:
        if link.path not in found:
            found[link.path] = None
            if Path(link.path).exists():
                try:
                    found[link.path] = yield from hash_steps(link.path)
                except AmlError:
                    found[link.path] = None
    states = []
    for link in links:
        said = found[link.path]
        states.append(
            LinkState.MISSING if said is None else LinkState.SAME if said == link.sha256 else LinkState.CHANGED
        )
    return states
