"""Names of AML subtypes: which classes of two models mean the same.

A picture's model and an expression model come from different places and spell their classes differently
(``CBFB_MYH11``, ``CBFB::MYH11``, ``inv(16)``; ``RBM15::MKL1``, ``RBM15::MRTFA``). What they share is computed from
their class lists. Nothing is matched by likeness: ``RUNX1::RUNX1T1-like`` is not ``RUNX1::RUNX1T1``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

#: The class of pictures of people without leukaemia; and what every model may call its rest.
CONTROL, OTHER = "control", "other"
#: The subtype of acute promyelocytic leukaemia.
APL = "PML::RARA"

_CONTROL_NAMES = {"control", "controls", "healthy", "normal", "donor", "stem cell donor", "scd", "no aml", "non-aml"}
_OTHER_NAMES = {"other", "others", "rest", "unknown", "none of these", "other aml", "aml other", "nos", "aml-nos"}
# Older gene symbols → today's.
_SYMBOLS = {"MKL1": "MRTFA", "MLL": "KMT2A", "MLLR": "KMT2AR", "EVI1": "MECOM", "MYST3": "KAT6A", "AML1": "RUNX1",
            "ETO": "RUNX1T1", "CALM": "PICALM", "AF10": "MLLT10"}  # fmt: skip
# The karyotype that stands for a fusion; the subtypes' other everyday names.
_EVERYDAY = {
    "t(8;21)": "RUNX1::RUNX1T1", "inv(16)": "CBFB::MYH11", "t(16;16)": "CBFB::MYH11", "inv(16)/t(16;16)": "CBFB::MYH11",
    "t(15;17)": APL, "apl": APL, "fab m3": APL, "m3": APL, "t(6;9)": "DEK::NUP214", "t(9;22)": "BCR::ABL1",
}  # fmt: skip
# Fusions that are also written with a hyphen. A hyphen alone proves nothing: CBFB-GDXY, KMT2A-PTD.
_HYPHENATED = {
    frozenset(pair.split("-"))
    for pair in (
        "PML-RARA", "RUNX1-RUNX1T1", "CBFB-MYH11", "DEK-NUP214", "BCR-ABL1", "PICALM-MLLT10", "RBM15-MRTFA",
        "KMT2A-MLLT3",
    )
}  # fmt: skip
# What may follow a gene after an underscore and is no gene.
_NO_GENES = {"PTD", "TD", "ITD", "TKD", "LIKE", "GDXY", "FAMILY"}
_PAIR = re.compile(r"^([A-Z][A-Z0-9]+)(::|_|/|-)([A-Z][A-Z0-9]+)$")
_PREFIX = re.compile(r"^aml[ _-]+with[ _-]+", re.IGNORECASE)
_SUFFIX = re.compile(r"[ _-]+(fusion|mutation|mutated|mut)$", re.IGNORECASE)
_REARRANGED = re.compile(r"[ _-]+(rearrangement|rearranged|r)$", re.IGNORECASE)


def same_name(name: str) -> str:
    """Return the spelling under which classes are compared; equal for classes that mean the same.

    Parameters
    ----------
    name
        A class as a bundle calls it.

    Examples
    --------
    >>> same_name("CBFB_MYH11") == same_name("CBFB::MYH11") == same_name("inv(16)")
    True
    >>> same_name("RUNX1::RUNX1T1-like") == same_name("RUNX1::RUNX1T1")
    False
    """
    plain = _REARRANGED.sub("r", _SUFFIX.sub("", _PREFIX.sub("", " ".join(str(name).split()))))
    low = plain.lower()
    if low.replace("_", " ") in _CONTROL_NAMES:
        return CONTROL
    if low.replace("_", " ") in _OTHER_NAMES:
        return OTHER
    if low in _EVERYDAY:
        plain = _EVERYDAY[low]
    upper = plain.upper()
    pair = _PAIR.match(upper)
    if pair:
        first, between, second = _SYMBOLS.get(pair[1], pair[1]), pair[2], _SYMBOLS.get(pair[3], pair[3])
        fusion = between == "::" or frozenset((first, second)) in _HYPHENATED
        if fusion or (between in "_/" and second not in _NO_GENES):
            return "::".join(sorted((first, second)))  # A::B and B::A are one fusion
    parts = re.split(r"(::|[ _-]+)", upper)
    return "".join(_SYMBOLS.get(p, p) if i % 2 == 0 else ("::" if p == "::" else "-") for i, p in enumerate(parts))


def is_control(name: str) -> bool:
    """Tell whether a class stands for people without leukaemia."""
    return same_name(name) == CONTROL


def is_rest(name: str) -> bool:
    """Tell whether a class is a model's rest ("other"), which means something else in every model."""
    return same_name(name) == OTHER


def is_apl(name: str) -> bool:
    """Tell whether a class is that of acute promyelocytic leukaemia."""
    return same_name(name) == same_name(APL)


def similar_to(name: str, probability: float) -> str:
    """Say what a profile is similar to; a model's rest is no class to be similar to."""
    if is_rest(name):
        return f"expression-similar to none of the model's named classes ({name}, {probability:.2f})"
    return f"expression-similar to {name} ({probability:.2f})"


@dataclass(frozen=True, slots=True)
class SharedClasses:
    """What two models can both say.

    Attributes
    ----------
    shared
        In the expression model's spelling and order. A model's rest ("other") is never shared.
    image_only, expression_only
        Classes that the other model does not have, each in its own model's spelling.
    """

    shared: tuple[str, ...]
    image_only: tuple[str, ...]
    expression_only: tuple[str, ...]

    def spelled(self, name: str) -> str | None:
        """Return the shared class that a name means, None where it means none."""
        key = same_name(name)
        return next((c for c in self.shared if same_name(c) == key), None)


def shared_classes(image: Sequence[str], expression: Sequence[str]) -> SharedClasses:
    """Compute what an image bundle and an expression bundle share, from their class lists.

    Parameters
    ----------
    image, expression
        The classes as each bundle spells them.

    Returns
    -------
    SharedClasses
    """
    mine, theirs = _keys(image), _keys(expression)
    return SharedClasses(
        tuple(c for c in expression if same_name(c) in mine and not is_rest(c)),
        tuple(c for c in image if same_name(c) not in theirs or is_rest(c)),
        tuple(c for c in expression if same_name(c) not in mine or is_rest(c)),
    )


def _keys(names: Iterable[str]) -> set[str]:
    return {same_name(name) for name in names}
