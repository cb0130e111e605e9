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
_ISO = re.compile(r"(?:19|20)\d\d-(03|09|12)-(\d\d)(?: 00:00:00)?")


def gene_of_date(name: str) -> str:
    """Return the current symbol of the gene that became this date, or an empty text for anything else."""
    if found := _DAY_FIRST.fullmatch(name):
        number, month = found.groups()
    elif found := (_MONTH_FIRST.fullmatch(name) or _ISO.fullmatch(name)):
        month, number = found.groups()
    else:
        return ""
    family, day = _MONTHS[month.lower()], int(number)
    if family == "SEPTIN" and day == 15:
        return "SELENOF"  # SEP15 in its day
    return f"{family}{day}" if day in _KNOWN[family] else ""


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
        Dates that stand more than once: MARCH1 and MARC1 both became 1-Mar, so these are left alone.
    """
    # A date has a dash, a point or a blank near its beginning; most ids have none, and are not looked at further.
    found = {
        place: gene for place, name in enumerate(names)
        if not name[:6].isalnum() and (gene := gene_of_date(name))
    }  # fmt: skip
    often = {gene for gene, count in Counter(found.values()).items() if count > 1}
    unclear = sorted({names[place] for place, gene in found.items() if gene in often})
    return {place: gene for place, gene in found.items() if gene not in often}, unclear
