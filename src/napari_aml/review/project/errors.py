"""What can be wrong with a project, each with the way out."""

from __future__ import annotations

from pathlib import Path

from napari_aml.errors import AmlError, InputError


class ProjectError(InputError):
    """A folder is no project, or something asked of a project cannot be done."""


class DamagedProjectError(ProjectError):
    """A project's files are damaged."""

    def __init__(self, path: str | Path, reason: str) -> None:
        super().__init__(
            f"The project '{path}' is damaged: {reason}",
            f"Run: napari-aml project verify --repair '{path}'. It keeps the damaged files and deletes no decision.",
        )


class NewerProjectError(ProjectError):
    """A project was made by a newer version of this program."""

    def __init__(self, path: str | Path, found: int, known: int) -> None:
        super().__init__(
            f"The project '{path}' has format {found}; this version knows formats up to {known}.",
            "Update napari-aml to open it. Nothing was changed.",
        )


class NotSavedError(AmlError):
    """A decision (or another change) could not be written; nothing of it was taken."""

    exit_code = 3

    def __init__(self, path: str | Path, reason: str, hint: str = "") -> None:
        super().__init__(
            f"Not saved: the project '{path}' cannot be written: {reason}",
            hint or "Free space on the disk or check the folder's permissions, then do it again.",
        )


class ReadOnlyProjectError(NotSavedError):
    """A project lies in a folder that cannot be written."""

    def __init__(self, path: str | Path) -> None:
        super().__init__(
            path, "it is open to read only.", "Copy the folder to a place where you can write, and open that copy."
        )


class SlideChangedError(ProjectError):
    """A picture is not the one any more that was added to the project."""

    def __init__(self, name: str, path: str | Path) -> None:
        super().__init__(
            f"The picture '{name}' ({path}) has changed since it was added to the project: its content differs.",
            "Put the original back, or add the changed picture: it becomes a slide of its own, and the decisions "
            "stay with the original.",
        )


class SlideMissingError(ProjectError):
    """A picture of the project is nowhere to be found."""

    def __init__(self, name: str, path: str | Path | None) -> None:
        where = f" at '{path}'" if path else ""
        super().__init__(
            f"The picture '{name}' is not found{where}. Its cells and decisions are safe in the project.",
            "Connect its drive, or say where it is now: 'Find pictures …' in the dock, in a shell "
            "'napari-aml project verify PROJECT --look-in FOLDER'.",
        )
