"""Genes by which the quality of a sample is judged; they need not be in a model's panel."""

from __future__ import annotations

MITOCHONDRIAL = "MT-"
HAEMOGLOBIN = ("HBA1", "HBA2", "HBB", "HBD", "HBG1", "HBG2", "HBE1", "HBZ", "HBM", "HBQ1")
Y_GENES = ("RPS4Y1", "DDX3Y", "KDM5D", "UTY", "ZFY", "EIF1AY", "USP9Y")
X_GENE = "XIST"
#: Abundant RNA without a poly-A tail: many of it means that total RNA was sequenced.
WITHOUT_TAIL = ("RN7SL1", "RN7SL2", "RN7SK", "RMRP", "RPPH1", "SCARNA2", "SNORD3A")
_HISTONES = ("H1-", "H2AC", "H2BC", "H3C", "H4C")
_BEGINNINGS = (MITOCHONDRIAL, *_HISTONES)
_NAMED = frozenset((*HAEMOGLOBIN, *Y_GENES, X_GENE, *WITHOUT_TAIL))
#: What the names of all genes by which quality is judged begin with.
QUALITY_NAMES = (*_BEGINNINGS, *_NAMED)


def is_histone(gene: str) -> bool:
    """Whether a gene is one of the histones whose RNA has no poly-A tail."""
    return gene.startswith(_HISTONES) and gene[-1].isdigit()


def is_quality_gene(gene: str) -> bool:
    """Whether the quality of a sample is judged by this gene, among others."""
    return gene in _NAMED or (gene.startswith(_BEGINNINGS) and (gene.startswith(MITOCHONDRIAL) or is_histone(gene)))
