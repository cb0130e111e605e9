"""Write beside, then rename: nothing half-written is ever left under the final name."""

from __future__ import annotations

import contextlib
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path

from napari_aml.errors import OutputError


@contextlib.contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yield a temporary file path beside `path`; on success it is renamed to `path`, else removed.

    Raises
    ------
    OutputError
        When the folder cannot be written or the disk is full.
    """
    path = Path(path)
    # The suffix is kept, so that writers which choose a format by it work on the temporary file.
    beside = path.with_name(f".{path.stem}.{uuid.uuid4().hex[:8]}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield beside
        os.replace(beside, path)
    except OSError as error:
        raise OutputError(path, error.strerror or str(error)) from error
    finally:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)


@contextlib.contextmanager
def replacing_folder(path: str | Path, ours: Iterable[str] = ()) -> Iterator[Path]:
    """Yield a temporary folder beside `path`; on success it takes the place of `path`, else it is removed.

    What stood at `path` before stays untouched until the new folder is complete. Where a person put files of their
    own there, these never move: the new files go in among them, one rename each.

    Parameters
    ----------
    path
        The folder to write.
    ours
        Names that this program writes there. Anything else in an earlier folder is a person's and is kept.

    Raises
    ------
    OutputError
        When the parent folder cannot be written or the disk is full.
    """
    path, ours = Path(path), set(ours)
    token = uuid.uuid4().hex[:8]
    beside, old = path.with_name(f".{path.name}.{token}"), path.with_name(f".{path.name}.{token}.old")
    try:
        beside.mkdir(parents=True)
        yield beside
        new = {p.name for p in beside.iterdir()}
        if path.exists() and any(p.name not in ours | new for p in path.iterdir()):
            _move_in(beside, path, stale=ours - new)
        else:
            if path.exists():
                os.replace(path, old)
            os.replace(beside, path)
    except OSError as error:
        if old.exists() and not path.exists():
            os.replace(old, path)
        raise OutputError(path, error.strerror or str(error)) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
        if path.exists():
            shutil.rmtree(old, ignore_errors=True)


def _move_in(beside: Path, path: Path, stale: set[str]) -> None:
    """Move all of a folder into another; then remove there what the earlier run made and this one did not."""
    for made in sorted(beside.iterdir()):
        if made.is_dir() and (path / made.name).is_dir():
            shutil.rmtree(path / made.name)
        os.replace(made, path / made.name)
    for name in stale:
        (path / name).unlink(missing_ok=True)
