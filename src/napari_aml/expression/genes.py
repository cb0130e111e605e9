"""What a gene is called: Ensembl ids, symbols, former names, Entrez numbers, and the one symbol in use now."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np

from napari_aml.expression.ensembl import EnsemblIndex
from napari_aml.expression.errors import ExpressionError, GeneIdError
from napari_aml.expression.mangled import genes_of_date, repair
from napari_aml.expression.matrix import Detected

#: Kinds of id, by the names that the override takes.
KINDS = ("ensembl", "symbol", "entrez")
_ENSEMBL = re.compile(r"(ENSG\d{11})(?:\.\d+)?(?:_\d+)?(_PAR_Y)?")
# ENSG00000000003.15_TSPAN6, GRCh38_ENSG00000000003, and TSPAN6 (7105): ids that programs and portals put together.
_INSIDE = re.compile(r"(?:^|[^A-Za-z0-9])(ENSG\d{11}(?:\.\d+)?(?:_PAR_Y)?)(?![A-Za-z0-9])")
_BRACKETS = re.compile(r"(\S+) ?\(([\w.-]+)\)")
_FOREIGN = re.compile(r"ENS([A-Z]{3,4})G\d{11}(?:\.\d+)?")
_TRANSCRIPT = re.compile(r"(?:ENST\d{11}|[NX][MR]_\d+|uc\d{3}[a-z]{3})(?:\.\d+)?(?:\|.*)?")
_PROBE = re.compile(r"AFFX.*|.+_(?:at|st)|ILMN_\d+|A_\d{2}_P\d+|cg\d{8}")
_MOUSE = re.compile(r"[A-Z][a-z][A-Za-z0-9-]*|\d+[A-Z]\d+Rik|Gm\d+")
_SPECIES = {
    "MUS": "mouse", "RNO": "rat", "DAR": "zebrafish", "SSC": "pig", "BTA": "cattle", "CAF": "dog", "GAL": "chicken",
}  # fmt: skip
#: Below this share of known names a list is not one of human genes.
_LEAST_KNOWN = 0.25


@dataclass(frozen=True)
class GeneBook:
    """Human genes by every name.

    Attributes
    ----------
    ensembl, entrez
        Id → current symbol; an Ensembl id without a symbol stands for itself.
    symbols
        Current symbol → its Ensembl ids.
    former
        Name that no gene bears now → current symbol, empty where it has stood for several genes.
    length
        Ensembl id → bases that are in any exon (GENCODE v38).
    bases
        The same in the order of `ensembl`: float64, NaN where unknown.
    """

    ensembl: dict[str, str]
    entrez: dict[str, str]
    symbols: dict[str, tuple[str, ...]]
    former: dict[str, str]
    length: dict[str, int]
    bases: np.ndarray

    def symbol(self, name: str) -> str:
        """Return the current symbol of a gene by any of its names, or an empty text."""
        name = name.strip()
        if name in self.symbols:
            return name
        if found := _ENSEMBL.fullmatch(name):
            return self.ensembl.get(found[1], found[1])
        number = name[3:] if name.startswith("LOC") and name[3:].isdigit() else name  # LOC and the Entrez number
        return self.former.get(name) or self.entrez.get(number) or self._with_dashes(name)

    def _with_dashes(self, name: str) -> str:
        """R makes HLA.A of HLA-A where genes are the names of columns."""
        dashes = name.replace(".", "-")
        return dashes if dashes in self.symbols else ""

    def length_of(self, gene: str) -> float:
        """Length in bases of a gene by its current symbol or Ensembl id; NaN where unknown.

        A symbol with several Ensembl ids has the length of the longest: the others are copies on alternative loci.
        """
        ids = self.symbols.get(gene, (gene,))
        return max((self.length[i] for i in ids if i in self.length), default=float("nan"))


@cache
def gene_book() -> GeneBook:
    """Read the gene tables that the package ships, once."""
    import pyarrow.parquet as pq

    folder = files("napari_aml.expression") / "data"
    with as_file(folder / "genes.parquet") as path:
        table = pq.ParquetFile(Path(path)).read().to_pydict()  # read_table would import pandas
    with as_file(folder / "former_names.parquet") as path:
        former = pq.ParquetFile(Path(path)).read().to_pydict()
    symbols: dict[str, list[str]] = {}
    entrez: dict[str, str] = {}
    for ensembl, symbol, number in zip(table["ensembl"], table["symbol"], table["entrez"], strict=True):
        if symbol:
            symbols.setdefault(symbol, []).append(ensembl)
            if number:
                entrez.setdefault(str(number), symbol)
    return GeneBook(
        ensembl={e: s or e for e, s in zip(table["ensembl"], table["symbol"], strict=True)},
        entrez=entrez,
        symbols={symbol: tuple(ids) for symbol, ids in symbols.items()},
        # A number alone is always an Entrez number, although three genes once bore one for a name.
        former={name: symbol for name, symbol in zip(former["name"], former["symbol"], strict=True)
                if not name.isdecimal()},
        length={e: n for e, n in zip(table["ensembl"], table["length"], strict=True) if n},
        bases=np.array([n or math.nan for n in table["length"]]),
    )


@dataclass(frozen=True)
class EnsemblGenes:
    """The genes of `GeneBook.ensembl` by place, for tables of many ids.

    Attributes
    ----------
    index
        Id → place.
    genes
        What stands at each place: a current symbol, or the id; and an empty text at the end, for the place -1.
    shared
        Whether other ids have the same symbol, bool (places + 1,).
    """

    index: EnsemblIndex
    genes: list[str]
    shared: np.ndarray


@cache
def ensembl_genes() -> EnsemblGenes:
    """Return the known Ensembl ids by place."""
    book = gene_book()
    index, genes = EnsemblIndex(list(book.ensembl)), [*book.ensembl.values(), ""]
    shared = np.zeros(len(genes), bool)
    shared[index.places([one for ids in book.symbols.values() if len(ids) > 1 for one in ids])] = True
    shared[-1] = False
    return EnsemblGenes(index, genes, shared)


def ids_of(gene: str) -> tuple[str, ...]:
    """Return the Ensembl ids of a current symbol, or the gene itself where it is none."""
    return gene_book().symbols.get(gene, (gene,))


def current_names(names: Sequence[str]) -> list[str]:
    """Return the current symbol of each gene of a list; a name that is not known stands for itself.

    A former name stands for itself, too, where the gene that bears it now is in the list by its own name: then they
    were two genes to whoever made the list.
    """
    book = gene_book()
    own = set(filter(book.symbols.__contains__, names))
    if own.issuperset(names):  # the common case, at once
        return list(names)
    made = []
    for name in names:
        if name in own:
            made.append(name)
            continue
        symbol = _known(book, name)
        made.append(name if not symbol or (symbol in own and name in book.former) else symbol)
    return made


@dataclass
class ResolvedGenes:
    """Ids of a file and what they stand for.

    Attributes
    ----------
    genes
        A current symbol (or an Ensembl id without one) for each id; an id that is not known stands for itself, and
        an empty text marks a row to leave out.
    kind
        The kind of id, with the evidence.
    known
        How many ids are known genes.
    warnings
        What was repaired, left out or not understood.
    places
        Where each id that was taken for a known Ensembl id stands in `ensembl_genes`, -1 for others.
    """

    genes: list[str]
    kind: Detected
    known: int
    warnings: list[str]
    places: np.ndarray


def known_share(names: Sequence[str], most: int = 2000) -> float:
    """Share of some names that are human genes, of `most` of them spread over the list."""
    book = gene_book()
    looked_at = names[:: max(1, len(names) // most)]
    others = np.flatnonzero(ensembl_genes().index.places(looked_at) < 0).tolist()
    known = len(looked_at) - sum(not _known(book, looked_at[place]) for place in others)
    return known / max(1, len(looked_at))


def _parts(name: str) -> tuple[str, ...]:
    """Return an id and those that it is put together of: TSPAN6|7105, ENSG00000000003.15_TSPAN6, TSPAN6 (7105)."""
    if "|" in name:
        return name, *(part.strip() for part in name.split("|"))
    if "ENSG" in name and (inside := _INSIDE.search(name)):
        return name, inside[1]
    if name.endswith(")") and (brackets := _BRACKETS.fullmatch(name)):
        return name, brackets[1], brackets[2]
    return (name,)


def _known(book: GeneBook, name: str) -> str:
    for part in _parts(name):
        if symbol := book.symbol(part):
            return symbol
    return ""


def may_be(name: str) -> set[str]:
    """Return every gene that a name may stand for, whatever other names stand beside it; `resolve` knows which."""
    book = gene_book()
    parts = set(_parts(name))
    made = parts | {book.symbol(part) for part in parts}
    if not name[:6].isalnum():
        made.update(genes_of_date(name))
    return made - {""}


def resolve(path: str | Path, ids: Sequence[str], kind: str | None = None) -> ResolvedGenes:
    """Find out what gene each id stands for.

    Parameters
    ----------
    path
        The file, for messages.
    ids
        Gene ids as in the file.
    kind
        ``ensembl``, ``symbol`` or ``entrez`` where a person says so; None looks.

    Returns
    -------
    ResolvedGenes

    Raises
    ------
    GeneIdError
        Ids of another species, of transcripts, of microarray probes, or of nothing known.
    """
    if kind is not None and kind not in KINDS:
        raise ExpressionError(f"'{kind}' is no kind of gene id.", f"Known: {', '.join(KINDS)}.")
    book = gene_book()
    by_id = ensembl_genes()
    places = by_id.index.places(ids) if kind is None else np.full(len(ids), -1)
    genes = list(map(by_id.genes.__getitem__, places.tolist()))
    others = np.flatnonzero(places < 0).tolist()
    found, unclear = repair([ids[place] for place in others])
    dates = {others[i]: gene for i, gene in found.items()}
    own = {ids[place] for place in others if ids[place] in book.symbols}
    tally, former = Counter({"ensembl": len(ids) - len(others)}), 0
    for place in others:
        name = ids[place]
        gene, how = (dates[place], "symbol") if place in dates else _resolve_one(book, name, kind)
        if gene in own and name in book.former:
            gene = name  # both names are in the file, so they were two genes to whoever made it
        former += how == "symbol" and gene != name and place not in dates
        tally[how if name not in unclear else "unclear"] += 1
        genes[place] = gene if name not in unclear else ""
    known = len(ids) - tally["unknown"] - tally["left out"] - tally["unclear"]
    counted = len(ids) - tally["left out"]
    if known < _LEAST_KNOWN * max(1, counted):
        raise _not_human(path, ids, known, kind)
    warnings = _warnings(ids, dates, unclear, tally)
    return ResolvedGenes(genes, _kind(tally, counted, former, kind), known, warnings, places)


def _resolve_one(book: GeneBook, name: str, kind: str | None) -> tuple[str, str]:
    """The gene of one id, and the kind of the id that told (``unknown``; ``left out`` for a second PAR copy)."""
    if name in book.symbols and kind in (None, "symbol"):  # the common case, at once
        return name, "symbol"
    for part in _parts(name):
        part = part.strip()
        found = _ENSEMBL.fullmatch(part)
        if found and kind in (None, "ensembl"):
            if found[2]:
                return "", "left out"
            return (book.ensembl[found[1]], "ensembl") if found[1] in book.ensembl else (found[1], "ensembl")
        if kind in (None, "symbol"):
            if part in book.symbols:
                return part, "symbol"
            if symbol := book.former.get(part, "") or (
                book.symbol(part) if part.startswith("LOC") or ("." in part and not part[0].isdigit()) else ""
            ):
                return symbol, "symbol"
        if kind in (None, "entrez") and (symbol := book.entrez.get(part.removesuffix(".0"), "")):
            return symbol, "entrez"
    return name, "unknown"


def _kind(tally: Counter[str], counted: int, former: int, kind: str | None) -> Detected:
    most = max(KINDS, key=lambda k: tally[k])
    words = {"ensembl": "Ensembl gene ids", "symbol": "gene symbols", "entrez": "Entrez gene numbers"}
    evidence = f"{tally[most]:,} of {counted:,} ids are human {words[most]}"
    if former:
        evidence += f", {former:,} of them under former or other names"
    return Detected(kind or most, evidence, "person" if kind else "file", tally[most] > 0.5 * counted)


def _warnings(ids: Sequence[str], dates: dict[int, str], unclear: list[str], tally: Counter[str]) -> list[str]:
    said = []
    if dates:
        shown = ", ".join(f"{ids[place]} → {gene}" for place, gene in list(dates.items())[:4])
        more = f" and {len(dates) - 4} more" if len(dates) > 4 else ""
        said.append(f"A spreadsheet had turned gene names into dates; repaired: {shown}{more}.")
    if unclear:
        names = ", ".join(unclear[:4])
        said.append(f"Dates that a spreadsheet may have made of several genes are not used: {names}.")
    if tally["left out"]:
        said.append(f"{tally['left out']} rows of pseudoautosomal copies on Y (_PAR_Y) were left out.")
    if tally["unknown"]:
        strange = (name for place, name in enumerate(ids) if place not in dates and name not in unclear
                   and not _known(gene_book(), name))  # fmt: skip
        example = next(strange, "")[:40]
        one = tally["unknown"] == 1
        said.append(f"The id '{example}' is no known human gene." if one else
                    f"{tally['unknown']:,} ids are no known human genes, such as '{example}'.")  # fmt: skip
    return said


def _not_human(path: str | Path, ids: Sequence[str], known: int, kind: str | None) -> GeneIdError:
    """Say what a list of ids is, if not one of human genes."""
    example = ids[len(ids) // 2][:40] if ids else ""

    def share(pattern: re.Pattern[str]) -> float:
        return sum(bool(pattern.fullmatch(name)) for name in ids) / max(1, len(ids))

    if kind is not None:
        return GeneIdError(path, f"only {known:,} of {len(ids):,} ids are gene ids of the kind '{kind}', "
                           f"unlike '{example}'.", "Leave the kind out to have it found, or give another.")  # fmt: skip
    if share(_FOREIGN) > 0.5:
        code = next(m[1] for name in ids if (m := _FOREIGN.fullmatch(name)))
        species = _SPECIES.get(code, "another species")
        return GeneIdError(path, f"its gene ids are those of {species}, such as '{example}'.",
                           "The models know human genes only.")  # fmt: skip
    if share(_TRANSCRIPT) > 0.5:
        return GeneIdError(path, f"its rows are transcripts, such as '{example}', not genes.",
                           "Sum the transcripts of each gene first (Salmon: -g; tximport).")  # fmt: skip
    if share(_PROBE) > 0.3:
        return GeneIdError(path, f"its rows are microarray probes, such as '{example}'.",
                           "The models read RNA-seq only: values of a microarray are on another scale.")  # fmt: skip
    symbols = gene_book().symbols
    if share(_MOUSE) > 0.5 and sum(name.upper() in symbols for name in ids) > 0.3 * len(ids):
        return GeneIdError(path, f"its gene symbols are written like those of mouse or rat, such as '{example}'.",
                           "The models know human genes only.")  # fmt: skip
    return GeneIdError(path, f"only {known:,} of {len(ids):,} ids are human genes; '{example}' is not.",
                       "Ids must be Ensembl gene ids, gene symbols or Entrez numbers.")  # fmt: skip
