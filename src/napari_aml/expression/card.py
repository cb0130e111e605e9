"""The card of an expression bundle (``bundle.json``): what must stand in it, and how it reads in words."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from napari_aml._bundles import EXPRESSION, check_head
from napari_aml.errors import BundleError

_SHA256 = re.compile(r"[0-9a-f]{64}")
MODELS = ("attention-aml", "gene-attention", "mlp", "logistic")
#: What a network of this package is fed with.
INPUT = "log2(x + 1) of values rescaled to a sum of one million over the panel"


def _text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip()) and value.isprintable()


def _number(value: Any, low: float, high: float) -> bool:
    return not isinstance(value, bool) and isinstance(value, int | float) and low <= value <= high


def _classes(value: Any) -> bool:
    if not isinstance(value, list) or len(value) < 2 or not all(_text(v) for v in value):
        return False
    return len(set(value)) == len(value)


def _arguments(value: Any) -> bool:
    return value is None or (
        isinstance(value, dict) and all(_number(v, 0, 65536) for v in value.values()) and len(value) <= 12
    )


def _ages(value: Any) -> bool:
    if value is None:
        return True
    return isinstance(value, list) and len(value) == 2 and all(_number(v, 0, 130) for v in value)


def _object(value: Any) -> bool:
    return value is None or isinstance(value, dict)


#: entry → (test, what it should be). Entries that are not listed are kept as they are.
_ENTRIES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "name": (_text, "a text"),
    "version": (_text, "a text"),
    "model": (lambda v: v in MODELS, f"one of {', '.join(MODELS)}"),
    "classes": (_classes, "a list of two or more different classes"),
    "temperature": (lambda v: _number(v, 1e-3, 1e3), "a positive number"),
    "sha256": (lambda v: isinstance(v, str) and bool(_SHA256.fullmatch(v)), "the SHA-256 of model.safetensors"),
    "genes_sha256": (lambda v: isinstance(v, str) and bool(_SHA256.fullmatch(v)), "the SHA-256 of genes.txt"),
    "model_args": (_arguments, "an object of numbers"),
    "age_range": (_ages, "two ages in years, or null"),
    "conformal": (_object, "an object or null"),
    "ood": (_object, "an object or null"),
}
_OPTIONAL = {"model_args", "age_range", "conformal", "ood"}


def check_card(card: Any, path: Path) -> dict[str, Any]:
    """Check a card and return it.

    Raises
    ------
    BundleError
        Naming the file, the entry and what it should be.
    """
    card = check_head(card, path, EXPRESSION, "Choose a bundle that reads gene expression.")
    for entry, (fits, wanted) in _ENTRIES.items():
        if entry not in card and entry not in _OPTIONAL:
            raise BundleError(f"'{path}' lacks the entry \"{entry}\" ({wanted}).")
        if entry in card and not fits(card[entry]):
            raise BundleError(f"The entry \"{entry}\" of '{path}' should be {wanted}, not {card[entry]!r:.80}.")
    return card


def summarise_card(card: dict[str, Any], genes: int, bundle_id: str) -> str:
    """Return a card in words, a few lines of plain text."""
    lines = [bundle_id, *([f"  {card['title']}"] if _text(card.get("title")) else [])]
    lines.append(f"  {card['model']}, {genes:,} genes, {len(card['classes'])} classes: {', '.join(card['classes'])}")
    lines.append(f"  input: {card.get('input', INPUT)}")
    for source in card.get("training_data") or []:
        if isinstance(source, dict):
            count = f", {source['n']:,} samples" if isinstance(source.get("n"), int) else ""
            licence = f" ({source['licence']})" if source.get("licence") else ""
            lines.append(f"  trained on {source.get('name', 'unnamed data')}{count}{licence}")
    ages = card.get("age_range")
    lines.append(f"  ages: {ages[0]:g} to {ages[1]:g} years" if ages else "  ages of the training samples: not stated")
    for name in ("accuracy", "balanced_accuracy", "mcc"):
        entry = (card.get("metrics") or {}).get(name)
        if isinstance(entry, dict) and isinstance(entry.get("value"), int | float):
            limits = entry.get("interval_95")
            text = f" (95 % interval {limits[0]:.3g}–{limits[1]:.3g}, n = {entry.get('n')})" if limits else ""
            lines.append(f"  {name.replace('_', ' ')}: {entry['value']:.3g}{text}")
    insufficient = (card.get("conformal") or {}).get("insufficient")
    if insufficient:
        lines.append(f"  insufficient calibration (never excluded from a set): {', '.join(insufficient)}")
    for entry, title in (
        ("split_level", "split by"), ("labels", "labels"), ("licence", "licence"), ("intended_use", "intended use"),
        ("limits", "limits"),
    ):  # fmt: skip
        value = card.get(entry)
        if value:
            lines.append(f"  {title}: {'; '.join(map(str, value)) if isinstance(value, list) else value}")
    return "\n".join(lines)


def finite(value: float) -> float | None:
    """Return a number for JSON, None where it is none."""
    return float(value) if math.isfinite(value) else None
