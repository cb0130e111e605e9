"""What the Expression dock shows, as plain values. The widgets know neither models nor files."""

from __future__ import annotations

import colorsys
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

import numpy as np

from napari_aml.review.subtypes import is_control, is_rest

# Okabe and Ito's colours, which people with any common colour blindness can tell apart, without black.
_FIRST = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#f0e442")
_GREY, _CONTROL = "#8a8f98", "#5fa35f"


def subtype_colours(classes: Sequence[str]) -> dict[str, str]:
    """Return one colour a class: the same for the same class list; a rest is grey.

    Parameters
    ----------
    classes
        In the model's order.
    """
    named = [c for c in classes if not is_rest(c) and not is_control(c)]
    beyond = max(1, len(named) - len(_FIRST))
    out: dict[str, str] = {}
    for i, name in enumerate(named):
        if i < len(_FIRST):
            out[name] = _FIRST[i]
        else:
            step = i - len(_FIRST)
            rgb = colorsys.hls_to_rgb((step / beyond + 0.03) % 1.0, (0.42, 0.66)[step % 2], 0.62)
            out[name] = "#" + "".join(f"{round(255 * v):02x}" for v in rgb)
    return {c: _GREY if is_rest(c) else _CONTROL if is_control(c) else out[c] for c in classes}


class Level(Enum):
    """A quality-control light: its colour, its sign (so that colour is never all), its word."""

    GOOD = ("#2e9e5b", "✓", "fine")
    LOOK = ("#d99a00", "!", "look")
    BAD = ("#d0443e", "✗", "bad")
    UNKNOWN = ("#8a8f98", "?", "not known")

    @property
    def colour(self) -> str:
        """``#rrggbb``."""
        return self.value[0]

    @property
    def sign(self) -> str:
        """One character."""
        return self.value[1]

    @property
    def word(self) -> str:
        """One or two words."""
        return self.value[2]


@dataclass(frozen=True, slots=True)
class Light:
    """One line of quality control."""

    name: str
    level: Level
    text: str


@dataclass(frozen=True, slots=True)
class SampleRow:
    """One sample in the chooser.

    Attributes
    ----------
    name
        As in the file.
    subtype
        What it is similar to; empty before a call and without one.
    probability
        Of it, 0…1; NaN without a call.
    level
        How far its quality control allows to believe it.
    """

    name: str
    subtype: str = ""
    probability: float = math.nan
    level: Level = Level.UNKNOWN


@dataclass(frozen=True, slots=True)
class ProbabilityBar:
    """One class: its probability, whether the model cannot rule it out, its colour."""

    name: str
    probability: float
    in_set: bool
    colour: str


@dataclass(frozen=True, slots=True)
class CallView:
    """One sample's call.

    Attributes
    ----------
    sample, subtype, probability
        What was called; the subtype is empty where there is no call.
    bars
        Every class, most probable first.
    set_text
        The conformal set in words.
    lights
        Quality control.
    remarks
        What a reader must know before believing it.
    of_file
        The same of the whole file.
    passed
        Whether the call passed its checks.
    withheld
        Why the call is not shown, empty where it is.
    """

    sample: str
    subtype: str = ""
    probability: float = math.nan
    bars: tuple[ProbabilityBar, ...] = ()
    set_text: str = ""
    lights: tuple[Light, ...] = ()
    remarks: tuple[str, ...] = ()
    of_file: tuple[str, ...] = ()
    passed: bool = True
    withheld: str = ""


@dataclass(frozen=True, slots=True)
class GeneBar:
    """One gene's attribution: what it adds to (above 0) or takes from the class's score."""

    gene: str
    value: float
    text: str = ""


@dataclass(frozen=True, slots=True)
class AttributionView:
    """Why a sample was called.

    Attributes
    ----------
    sample, target
        Which sample, which class.
    genes
        Strongest first.
    note
        The completeness check and the baseline, in words.
    complete
        Whether the check was passed.
    """

    sample: str
    target: str
    genes: tuple[GeneBar, ...]
    note: str = ""
    complete: bool = True


@dataclass(frozen=True)
class MapView:
    """Samples as points.

    Attributes
    ----------
    names, groups
        (n,) sample and the class that colours it.
    places
        (n, 2) coordinates.
    colours
        Group → colour.
    axes
        Titles of the two axes.
    note
        Method, space, silhouette.
    """

    names: tuple[str, ...]
    groups: tuple[str, ...]
    places: np.ndarray
    colours: dict[str, str] = field(default_factory=dict)
    axes: tuple[str, str] = ("", "")
    note: str = ""
