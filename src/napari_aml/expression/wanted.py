"""Which lines of a table are kept where only some genes are wanted, decided line by line as they are read.

Which gene a line stands for can only be said when all names are known: two lines may name one gene, and a name may be
old or new. So a line is kept already where its name may stand for a wanted gene, and when all are known it is asked
whether every line of every wanted gene was kept. Where it was not, the table is read again as a whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache

import numpy as np

from napari_aml.expression.genes import current_names, ensembl_genes, gene_book, may_be
from napari_aml.expression.quality_genes import QUALITY_NAMES, is_quality_gene

#: What becomes of a line: it counts no gene and is left out; it is summed; it is kept, too.
LEFT_OUT, SUMMED, KEPT = 0, 1, 2
_UNKNOWN = 3
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
        self._genes -= {""}
        # What becomes of the lines of each known Ensembl id; the last is for names that are none.
        book = ensembl_genes()
        self._index = book.index
        self._fates = np.full(len(book.genes), SUMMED, np.uint8)
        self._fates[np.fromiter(map(self._genes.__contains__, book.genes), bool, len(book.genes))] = KEPT
        self._fates[-1] = _UNKNOWN

    def fates(self, names: Sequence[str]) -> np.ndarray:
        """Say what becomes of lines by their names: uint8 (lines,) of `LEFT_OUT`, `SUMMED`, `KEPT`."""
        made = self._fates[self._index.places(names)]
        for line in np.flatnonzero(made == _UNKNOWN).tolist():
            made[line] = self._fate(names[line])
        return made

    def lines(self, names: Sequence[str], genes: Sequence[str], places: np.ndarray) -> np.ndarray:
        """Return the lines of wanted genes.

        Parameters
        ----------
        names
            As in the file.
        genes
            What they stand for, empty for nothing.
        places
            Of those that stand for the gene of a known Ensembl id, its place in `ensembl_genes`; -1 for others.
        """
        made = self._fates[places] == KEPT
        others = np.flatnonzero(places < 0).tolist()
        # A model's gene may be found by the name that stands in the file: then all lines of that gene are wanted.
        by_name = {genes[line] for line in others if names[line] in self._stated}
        strange = {genes[line] for line in others}.difference(gene_book().symbols)
        more = by_name.union(filter(is_quality_gene, strange)) - {""} - self._genes
        for line in range(len(genes)) if more else others:
            made[line] = genes[line] in self._genes or genes[line] in more
        return np.flatnonzero(made)

    def _fate(self, name: str) -> int:
        if name[:2] in self._heads and name.startswith(self._drop):
            return LEFT_OUT
        if name[:4] == "ENSG":
            ensembl = name[:_ENSEMBL]
            if gene_book().ensembl.get(ensembl, ensembl) in self._genes:
                return KEPT
            if len(name) < _ENSEMBL + 5:
                return SUMMED
        return KEPT if any(map(self._is_wanted, may_be(name))) else SUMMED

    def _is_wanted(self, gene: str) -> bool:
        return gene in self._genes or is_quality_gene(gene)


@cache
def _quality_genes() -> frozenset[str]:
    """All known genes by which quality is judged."""
    heads = {name[:2] for name in QUALITY_NAMES}
    return frozenset(gene for gene in gene_book().symbols if gene[:2] in heads and is_quality_gene(gene))
