"""Every error a user can meet, each with what to do about it.

All derive from `AmlError`. The message names the file, row, cell or setting; `hint` names the way out.
The command line prints both and exits with `exit_code`; napari shows both as a notification.
"""

from __future__ import annotations

from pathlib import Path


class AmlError(Exception):
    """Base of all errors that a person can meet.

    Parameters
    ----------
    message
        What is wrong, in plain words, naming the thing.
    hint
        What the person can do about it.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class InputError(AmlError):
    """Something that was given (a file, a setting) cannot be used."""

    exit_code = 2


class SlideReadError(InputError):
    """A picture file is missing, truncated, empty or of a kind that cannot be read."""

    def __init__(self, path: str | Path, reason: str, hint: str = "") -> None:
        default = "Open it in another viewer to check it, or export it again as TIFF or PNG."
        super().__init__(f"Cannot read the picture '{path}': {reason}", hint or default)


class NotASmearError(InputError):
    """A picture can be read but is not a colour picture of a stained smear."""


class PixelSizeUnknownError(InputError):
    """No µm/px in the file, none given, and too few red cells to measure it."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(
            f"The pixel size of '{name}' is unknown: {reason}",
            "Give it in µm per pixel (--pixel-size on the command line, 'Pixel size' in the dock).",
        )


class BundleError(InputError):
    """A model bundle is missing, damaged or does not fit."""


class UnsafeWeightsError(BundleError):
    """A weight file holds more than tensors and is refused."""


class DeviceError(InputError):
    """The asked-for device is not there."""


class OutputError(AmlError):
    """Results cannot be written."""

    exit_code = 3

    def __init__(self, path: str | Path, reason: str) -> None:
        super().__init__(
            f"Cannot write to '{path}': {reason.rstrip('.')}.",
            "Choose another folder, or free space and check its permissions.",
        )


class CellTableError(AmlError):
    """A cell table lacks a column, holds a wrong type or breaks one of its invariants."""


class Cancelled(AmlError):
    """The person stopped the job."""

    exit_code = 130

    def __init__(self, message: str = "Stopped on request.", hint: str = "") -> None:
        super().__init__(message, hint)
