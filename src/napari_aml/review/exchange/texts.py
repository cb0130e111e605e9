"""Texts in CSV cells that a spreadsheet would run as formulas: defused on the way out, restored on the way in.

Defusing puts one apostrophe before a text that begins with one of `FORMULA_STARTS`, or with apostrophes and then one
of them, so that taking one apostrophe off gives back every text exactly (CWE-1236).
"""

from __future__ import annotations

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def defuse(value: object) -> object:
    """Return a text that no spreadsheet runs; anything that is no text stays as it is."""
    return f"'{value}" if isinstance(value, str) and _would_run(value) else value


def restore(value: object) -> object:
    """Take back what `defuse` did."""
    return value[1:] if isinstance(value, str) and value.startswith("'") and _would_run(value) else value


def _would_run(text: str) -> bool:
    return text.lstrip("'").startswith(FORMULA_STARTS)
