"""Cell classes: code, name, Cell Ontology id, role in the differential, colour, key.

Codes are those of AML-Cytomorphology_LMU (Matek et al. 2019, doi 10.7937/tcia.2019.36f5o9ld) with extensions.
Beware: MYB is the myelocyte, MYO the myeloblast, MOB the monoblast, MMZ the metamyelocyte.
Ontology ids: Cell Ontology release of 2026-08-19; None where it has no fitting term.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise


class Role(StrEnum):
    """What a class counts as in the differential."""

    BLAST = "blast"
    IMMATURE = "immature granulocyte"
    MATURE = "mature leukocyte"
    ABNORMAL = "abnormal leukocyte"
    APL = "blast equivalent in APL only"
    NRBC = "per 100 leukocytes"
    SEPARATE = "counted apart"
    EXCLUDED = "excluded"

    @property
    def is_leukocyte(self) -> bool:
        """Whether the class belongs to the denominator of the differential."""
        return self in (Role.BLAST, Role.IMMATURE, Role.MATURE, Role.ABNORMAL, Role.APL)


@dataclass(frozen=True, slots=True)
class CellClass:
    """One cell class.

    Attributes
    ----------
    code
        Three capital letters.
    name
        The field's standard name.
    role
        What it counts as in the differential.
    ontology_id
        Cell Ontology id or None.
    colour
        ``#rrggbb``, distinct from every other class.
    key
        The key that gives this class to a cell.
    lineage
        Path in the hierarchy, coarse to fine.
    """

    code: str
    name: str
    role: Role
    ontology_id: str | None
    colour: str
    key: str
    lineage: tuple[str, ...]


_GRAN, _MONO, _LYMPH = ("myeloid", "granulocytic"), ("myeloid", "monocytic"), ("lymphoid",)

# Order: maturation within lineage, the order in which a haematologist reads a differential.
# Colours start from the published scheme of SCEMILA for these classes, made distinct where it reuses one.
CLASSES: tuple[CellClass, ...] = (
    CellClass("MYO", "myeloblast", Role.BLAST, "CL:0000835", "#d62728", "m", _GRAN),
    CellClass("MOB", "monoblast", Role.BLAST, "CL:0000040", "#ff1493", "o", _MONO),
    CellClass("PRM", "promonocyte", Role.BLAST, "CL:0000559", "#c71585", "q", _MONO),
    CellClass("PMO", "promyelocyte", Role.IMMATURE, "CL:0000836", "#ffbb78", "r", _GRAN),
    CellClass("PMB", "promyelocyte, bilobed", Role.APL, None, "#ff7f0e", "w", _GRAN),
    CellClass("MYB", "myelocyte", Role.IMMATURE, "CL:0002193", "#9467bd", "y", _GRAN),
    CellClass("MMZ", "metamyelocyte", Role.IMMATURE, "CL:0002192", "#c5b0d5", "t", _GRAN),
    CellClass("NGB", "neutrophil, band", Role.MATURE, "CL:0000560", "#2ca02c", "b", _GRAN),
    CellClass("NGS", "neutrophil, segmented", Role.MATURE, "CL:0000096", "#98df8a", "s", _GRAN),
    CellClass("EOS", "eosinophil", Role.MATURE, "CL:0000771", "#bcbd22", "e", _GRAN),
    CellClass("BAS", "basophil", Role.MATURE, "CL:0000767", "#5254a3", "a", _GRAN),
    CellClass("MON", "monocyte", Role.MATURE, "CL:0000576", "#8c564b", "c", _MONO),
    CellClass("LYT", "lymphocyte, typical", Role.MATURE, "CL:0000542", "#17becf", "l", _LYMPH),
    CellClass("LYA", "lymphocyte, atypical", Role.ABNORMAL, None, "#1f77b4", "k", _LYMPH),
    CellClass("LGL", "large granular lymphocyte", Role.MATURE, None, "#c49c94", "g", _LYMPH),
    CellClass("HAC", "hairy cell", Role.ABNORMAL, None, "#aec7e8", "h", _LYMPH),
    CellClass("PLC", "plasma cell", Role.ABNORMAL, "CL:0000786", "#e7ba52", "z", _LYMPH),
    CellClass("EBO", "erythroblast", Role.NRBC, "CL:0000765", "#e377c2", "i", ("erythroid",)),
    CellClass("KSC", "smudge cell", Role.SEPARATE, None, "#7f7f7f", "d", ("non-cell",)),
    CellClass("PLT", "platelet", Role.EXCLUDED, "CL:0000233", "#dbdb8d", "j", ("non-cell",)),
    CellClass("ART", "artefact", Role.EXCLUDED, None, "#4d4d4d", "x", ("non-cell",)),
    CellClass("UNK", "unknown", Role.EXCLUDED, None, "#c7c7c7", "u", ("non-cell",)),
)

BY_CODE: dict[str, CellClass] = {c.code: c for c in CLASSES}
LMU_CODES: tuple[str, ...] = tuple("BAS EBO EOS KSC LYA LYT MMZ MOB MON MYB MYO NGB NGS PMB PMO".split())

#: Granulocytic maturation; neighbours are tolerated by the maturity-tolerant metrics.
MATURATION: tuple[str, ...] = ("PMO", "MYB", "MMZ", "NGB", "NGS")
_TOLERATED = {frozenset(p) for p in pairwise(MATURATION)} | {
    frozenset(p) for p in (("MYO", "MOB"), ("MOB", "MON"), ("MOB", "PRM"), ("PRM", "MON"), ("PMO", "PMB"))
}


def cell_class(code: str) -> CellClass:
    """Return the class of a code; an unknown code gets the description of UNK under its own code."""
    if code in BY_CODE:
        return BY_CODE[code]
    unknown = BY_CODE["UNK"]
    return CellClass(code, code, Role.EXCLUDED, None, unknown.colour, "", unknown.lineage)


def within_one_stage(a: str, b: str) -> bool:
    """Tell whether two codes are equal or neighbours in maturation."""
    return a == b or frozenset((a, b)) in _TOLERATED


def is_blast(code: str) -> bool:
    """Tell whether a class counts as a blast (WHO-HAEM5: myeloblast, monoblast, promonocyte).

    Abnormal promyelocytes are blast equivalents only in acute promyelocytic leukaemia and are not counted here.
    """
    return cell_class(code).role is Role.BLAST
