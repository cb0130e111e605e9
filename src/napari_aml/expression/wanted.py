"""Which lines of a table are kept where only some genes are wanted, decided line by line as they are read.

Which gene a line stands for can only be said when all names are known: two lines may name one gene, and a name may be
old or new. So a line is kept already where its name may stand for a wanted gene, and when all are known it is asked
whether every line of every wanted gene was kept. Where it was not, the table is read again as a whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache

import numpy as np

from napari_aml.expression.genes import current_names, gene_book, may_be
from napari_aml.expression.quality_genes import QUALITY_NAMES, is_quality_gene

#: What becomes of a line: it counts no gene and is left out; it is summed; it is kept, too.
LEFT_OUT, SUMMED, KEPT = 0, 1, 2
_ENSEMBL = 15  # characters of an Ensembl id without its version


class Wanted:
    """Genes that are wanted; those by which quality is judged always are.

    Parameters
    ----------
    genes
        Their names, of any kind.
    drop
        Beginnings of names that stand for no gene, such as ``__no_feature``.
    """

    def __init__(self, genes: Iterable[str], drop: tuple[str, ...] = ()) -> None:
        genes = list(genes)
        self._drop, self._heads = drop, {beginning[:2] for beginning in drop}
        self._stated = frozenset(genes)
        self._genes = self._stated | frozenset(current_names(genes)) | _quality_genes()
        book = gene_book()
        self._ensembl = {
            ensembl for gene in self._genes for ensembl in book.symbols.get(gene, (gene,))
            if not ensembl.startswith(drop)
        }  # fmt: skip

    def fates(self, names: Sequence[str]) -> np.ndarray:
        """Say what becomes of lines by their names: uint8 (lines,) of `LEFT_OUT`, `SUMMED`, `KEPT`."""
        ensembl, fate = self._ensembl, self._fate
        return np.frombuffer(bytes([
            KEPT if name[:_ENSEMBL] in ensembl
            else SUMMED if name[:4] == "ENSG" and len(name) < _ENSEMBL + 5  # the common case, at once
            else fate(name) for name in names
        ]), np.uint8)  # fmt: skip

    def lines(self, names: Sequence[str], genes: Sequence[str]) -> np.ndarray:
        """Return the lines of wanted genes.

        Parameters
        ----------
        names
            As in the file.
        genes
            What they stand for, empty for nothing.
        """
        # A model's gene may be found by the name that stands in the file: then all lines of that gene are wanted.
        by_name = set()
        if not self._stated.isdisjoint(names):
            by_name = {gene for name, gene in zip(names, genes, strict=True) if name in self._stated}
        strange = set(genes).difference(gene_book().symbols)
        wanted = (self._genes | by_name | set(filter(is_quality_gene, strange))) - {""}
        return np.array([i for i, gene in enumerate(genes) if gene in wanted], int)

    def _fate(self, name: str) -> int:
        if name[:2] in self._heads and name.startswith(self._drop):
            return LEFT_OUT
        return KEPT if any(map(self._is_wanted, may_be(name))) else SUMMED

    def _is_wanted(self, gene: str) -> bool:
        return gene in self._genes or is_quality_gene(gene)


@cache
def _quality_genes() -> frozenset[str]:
    """All known genes by which quality is judged."""
    heads = {name[0] for name in QUALITY_NAMES}
    return frozenset(gene for gene in gene_book().symbols if gene[0] in heads and is_quality_gene(gene))
