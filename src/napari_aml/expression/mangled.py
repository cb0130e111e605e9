"""Gene names that a spreadsheet took for dates, and back."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

# MARCH1 … became 1-Mar or Mar-01, SEPT2 2-Sep, DEC1 1-Dec; German and French spreadsheets have their own months.
_MONTHS = {
    "mar": "MARCHF", "march": "MARCHF", "mrz": "MARCHF", "mär": "MARCHF", "mars": "MARCHF", "03": "MARCHF",
    "sep": "SEPTIN", "sept": "SEPTIN", "09": "SEPTIN", "dec": "DELEC", "dez": "DELEC", "déc": "DELEC", "12": "DELEC",
}  # fmt: skip
_KNOWN = {"MARCHF": range(1, 12), "SEPTIN": (*range(1, 13), 14), "DELEC": (1,)}
_WORD = "|".join(sorted((m for m in _MONTHS if not m.isdigit()), key=len, reverse=True))
_DAY_FIRST = re.compile(rf"(\d{{1,2}})[-. ]+({_WORD})\.?(?:-\d\d(?:\d\d)?)?", re.IGNORECASE)
_MONTH_FIRST = re.compile(rf"({_WORD})\.?[-. ]+(\d{{1,2}})", re.IGNORECASE)
_ISO = re.compile(r"(?:19|20)\d\d([-/])(03|09|12)\1(\d\d)(?:[ T]00:00:00)?")
_FIGURES = re.compile(r"(\d{1,2})([/.])(\d{1,2})\2(?:(?:19|20)?\d\d)(?: 0?0:00(?::00)?)?")


#: What a date may begin with: a figure, or March, September, December.
_BEGIN = frozenset("0123456789MSDmsd")


def genes_of_date(name: str) -> tuple[str, ...]:
    """Return the current symbols of the genes that may have become this date; none for anything else.

    3/9/2023 has two readings, and which is right the other dates of its file say: the gene by month/day is the first,
    by day/month the second, an empty text where that reading is no gene. Dates with points have the day first.
    """
    if found := _FIGURES.fullmatch(name):
        first, between, second = found[1], found[2], found[3]
        return (_gene(first, second) if between == "/" else "", _gene(second, first))
    if found := _DAY_FIRST.fullmatch(name):
        return (_gene(found[2], found[1]),)
    if found := _MONTH_FIRST.fullmatch(name):
        return (_gene(found[1], found[2]),)
    found = _ISO.fullmatch(name)
    return (_gene(found[2], found[3]),) if found else ()


def _gene(month: str, number: str) -> str:
    family, day = _MONTHS.get(month.zfill(2) if month.isdigit() else month.lower(), ""), int(number)
    if family == "SEPTIN" and day == 15:
        return "SELENOF"  # SEP15 in its day
    return f"{family}{day}" if family and day in _KNOWN[family] else ""


def repair(names: Sequence[str]) -> tuple[dict[int, str], list[str]]:
    """Find the dates among gene names.

    Parameters
    ----------
    names
        Gene ids as in the file.

    Returns
    -------
    genes
        Place in `names` → current symbol, for dates that stand for one gene.
    unclear
        Dates that stand more than once (MARCH1 and MARC1 both became 1-Mar), or that have two readings: these are left
        alone.
    """
    # A date has a dash, a point or a blank near its beginning; most ids have none, and are not looked at further.
    dates = {
        place: read for place, name in enumerate(names)
        if not name[:6].isalnum() and name[:1] in _BEGIN and any(read := genes_of_date(name))
    }  # fmt: skip
    # Of one file, all dates in figures are written one way: the reading that makes genes of all of them.
    figures = [read for read in dates.values() if len(read) == 2]
    ways = [way for way in (0, 1) if all(read[way] for read in figures)]
    found = {}
    for place, read in dates.items():
        genes = {read[way] for way in ways} if len(read) == 2 else set(read)
        found[place] = genes.pop() if len(genes) == 1 else ""
    often = {gene for gene, count in Counter(found.values()).items() if count > 1} | {""}
    unclear = sorted({names[place] for place, gene in found.items() if gene in often})
    return {place: gene for place, gene in found.items() if gene not in often}, unclear
