"""Checkpoints: all that a run needs to go on exactly as if it had never stopped. Written beside, then renamed."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from napari_aml._files import replacing
from napari_aml.errors import InputError, OutputError

CHECKPOINT = "checkpoint.pt"


@contextlib.contextmanager
def alone(work: Path) -> Iterator[None]:
    """Hold the work folder of a run against a second one; the lock ends with the process that holds it.

    Raises
    ------
    InputError
        When another run is at work there.
    OutputError
        When the folder cannot be written to.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(work.with_name(work.name + ".lock"), timeout=0)
    try:
        work.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        raise InputError(
            f"Another training is at work in '{work}'.", "Let it end, or give this one another --out."
        ) from error
    except OSError as error:
        raise OutputError(work.parent, error.strerror or str(error)) from error
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # Windows removes it on release
            Path(lock.lock_file).unlink()
        lock.release()


class Checkpoints:
    """The checkpoint of one work folder.

    Parameters
    ----------
    folder
        Where it lies.
    signature
        What the run depends on: settings, dataset, split, classes.
    """

    def __init__(self, folder: Path, signature: dict[str, Any]) -> None:
        self.path = folder / CHECKPOINT
        self.signature = json.dumps(signature, sort_keys=True, default=str)
        #: Why the last attempt to write failed, or empty.
        self.trouble = ""

    def write(self, state: dict[str, Any]) -> bool:
        """Write a checkpoint; on a full disk keep the earlier one, note the `trouble` and go on."""
        from napari_aml._torch import torch

        # torch reports a full disk in words of its own; bytes written by Python fail as what they are.
        stream = io.BytesIO()
        torch.save({"format": "napari-aml-checkpoint", "signature": self.signature, **state}, stream)
        try:
            with replacing(self.path) as beside:
                beside.write_bytes(stream.getbuffer())
        except OutputError as error:
            self.trouble = error.message
            return False
        self.trouble = ""
        return True

    def read(self) -> dict[str, Any] | None:
        """Read the checkpoint of this very run, or None when there is none.

        Raises
        ------
        InputError
            When it is damaged, or of a run with other settings or data (the message names them).
        """
        from napari_aml._torch import torch

        if not self.path.is_file():
            return None
        fresh = "Give another --out, or --fresh to throw that run away."
        try:
            state = torch.load(self.path, map_location="cpu", weights_only=True)
            signature = state["signature"]
        except Exception as error:  # torch raises many kinds on damaged files
            raise InputError(f"The checkpoint '{self.path}' is damaged: {error}".split("\n")[0] + ".", fresh) from error
        if signature != self.signature:
            raise InputError(
                f"'{self.path.parent}' holds an unfinished run with other settings or data: "
                f"{_differences(json.loads(signature), json.loads(self.signature))}.",
                fresh,
            )
        return state

    def discard(self) -> None:
        """Remove it."""
        self.path.unlink(missing_ok=True)


def _differences(old: dict[str, Any], new: dict[str, Any]) -> str:
    a, b = {**old, **old.get("settings", {})}, {**new, **new.get("settings", {})}
    keys = [k for k in {**a, **b} if k != "settings" and a.get(k) != b.get(k)]
    return ", ".join(f"{k} was {str(a.get(k))[:40]}, is {str(b.get(k))[:40]}" for k in keys[:4]) or "unknown"
