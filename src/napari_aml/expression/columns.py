"""Which columns of a table describe its genes and are no samples: by their names, and row numbers by their cells."""

from __future__ import annotations

import re
from collections.abc import Sequence

from napari_aml.expression.genes import known_share

# By the names that counting programs, annotation packages and portals give them; case and punctuation do not matter.
_DESCRIBING = frozenset(
    """chr chrom chromosome chromosomename start end strand startposition endposition genestart geneend txstart txend
    seqname seqnames genename genenames genesymbol genesymbols symbol hgncsymbol hgncid hugosymbol genetype
    genebiotype biotype description genedescription genetitle name gene entrez entrezid entrezgene entrezgeneid ncbigene
    ncbigeneid geneid ensembl ensemblid ensemblgeneid ensemblgene transcriptid transcriptids tssid gc gccontent
    percentagegenegccontent gcpercent exonnumber exoncount nexon nexons numexons ntranscripts transcriptcount locus
    cytoband rownames""".split()
)
_LENGTH = frozenset({"length", "genelength", "width", "effectivelength", "efflength"})
# What a test between groups gives for each gene. One such name may be a sample's; two are not.
_TESTED = frozenset(
    """basemean log2foldchange lfcse pvalue padj logfc logcpm fdr qvalue adjpval adjpvalue aveexpr foldchange
    log2fc""".split()
)
_BESIDE_TESTED = frozenset({"stat", "f", "t", "b", "lr", "svalue"})
_HEADS = frozenset(
    """id ids idref genes probe probeid feature featureid sample samples sampleid targetid hybridizationref
    compositeelementref""".split()
)
_PUNCTUATION = re.compile(r"[^a-z0-9]+")


def _plain(name: str) -> str:
    return _PUNCTUATION.sub("", name.lower())


def is_heading(name: str) -> bool:
    """Whether a name heads a column of gene ids or what describes genes; *ID* was a gene's name once."""
    return _plain(name) in _DESCRIBING or _plain(name) in _HEADS


def described(names: Sequence[str]) -> tuple[set[int], set[int], set[int]]:
    """Return the columns that describe genes, hold their lengths, and hold results of a test between groups.

    Where the columns are genes (samples in rows) there are none: *GC* is a gene there, and not the share of G and C.
    """
    plain = [_plain(name) for name in names]
    describing = {i for i, name in enumerate(plain) if name in _DESCRIBING}
    lengths = {i for i, name in enumerate(plain) if name in _LENGTH}
    tested = {i for i, name in enumerate(plain) if name in _TESTED}
    if len(tested) > 1:
        tested |= {i for i, name in enumerate(plain) if name in _BESIDE_TESTED}
    else:
        tested = set()
    if (describing or lengths) and len(names) > 50 and known_share(names) > 0.5:
        return set(), set(), tested
    return describing, lengths, tested


def are_row_numbers(cells: Sequence[str]) -> bool:
    """Whether cells count the lines from 0 or 1, as data frames number their rows: these are no Entrez numbers."""
    if len(cells) < 3 or cells[0] not in ("0", "1"):
        return False
    return all(cell == str(number) for number, cell in enumerate(cells, int(cells[0])))


def left_out(names: Sequence[str]) -> str:
    """Say which columns beside the values were not taken."""
    shown = ", ".join(f"'{name[:40]}'" for name in names[:8]) + (" …" if len(names) > 8 else "")
    return f"Columns that hold no values of samples were left out: {shown}."


def only_tested(names: Sequence[str]) -> str:
    """Say why a table of test results cannot be read."""
    shown = ", ".join(f"'{name[:40]}'" for name in names[:4])
    return f"it holds the results of a test between groups ({shown}), not the samples' values."
