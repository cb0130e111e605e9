"""The Progress event that every long job yields.

A long job is a generator ``..._steps()`` that yields `Progress` and returns its result. Closing the generator
between two yields cancels the job; nothing else is needed to cancel. `run` drives one to its end.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TypeVar

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job is.

    Attributes
    ----------
    done, total
        Steps done of all steps; ``total == 0`` while the total is unknown.
    message
        What is being done, for a person.
    payload
        A partial result (cells just found, predictions just made) or None.
    """

    done: int
    total: int
    message: str = ""
    payload: object = None

    @property
    def fraction(self) -> float:
        """Share done, 0…1 (0 while the total is unknown)."""
        return min(1.0, self.done / self.total) if self.total > 0 else 0.0


Steps = Generator[Progress, None, Result]


def run(steps: Steps[Result], on_progress: Callable[[Progress], None] | None = None) -> Result:
    """Drive a job to its end and return its result.

    Parameters
    ----------
    steps
        A generator that yields `Progress` and returns its result.
    on_progress
        Called with each event. An exception it raises closes the job and goes on to the caller.
    """
    try:
        while True:
            event = next(steps)
            if on_progress is not None:
                on_progress(event)
    except StopIteration as stop:
        return stop.value
    finally:
        steps.close()
