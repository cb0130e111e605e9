"""The card of a bundle (``bundle.json``): what must stand in it, and how it reads in words."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from napari_aml._bundles import IMAGE, check_head
from napari_aml.classify.views import Tta
from napari_aml.errors import BundleError

# A plain timm name. It also keeps out timm's "hf-hub:" and "local-dir:" names, which would read elsewhere.
_BACKBONE = re.compile(r"[a-z0-9_]+(\.[A-Za-z0-9_]+)?")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_FORBIDDEN_ARGS = {"pretrained", "pretrained_cfg", "checkpoint_path", "cache_dir", "num_classes", "features_only"}


def _text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _number(value: Any, low: float, high: float) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return math.isfinite(value) and low <= value <= high


def _three(value: Any, low: float, high: float) -> bool:
    return isinstance(value, list) and len(value) == 3 and all(_number(v, low, high) for v in value)


def _codes(value: Any) -> bool:
    return isinstance(value, list) and len(value) >= 2 and all(_text(v) and v.isprintable() for v in value)


def _arguments(value: Any) -> bool:
    return value is None or (
        isinstance(value, dict)
        and not _FORBIDDEN_ARGS & value.keys()
        and all(isinstance(v, str | int | float | bool | None) for v in value.values())
    )


#: entry → (test, what it should be). Entries that are not listed are kept as they are.
_ENTRIES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "name": (_text, "a text"),
    "version": (_text, "a text"),
    "backbone": (lambda v: isinstance(v, str) and bool(_BACKBONE.fullmatch(v)), "the name of a timm architecture"),
    "class_codes": (_codes, "a list of two or more class codes"),
    "crop_um": (lambda v: _number(v, 1, 1000), "a number of µm, 1 to 1000"),
    "crop_px": (lambda v: _number(v, 16, 4096) and int(v) == v, "a whole number of pixels, 16 to 4096"),
    "mean": (lambda v: _three(v, -10, 10), "three numbers"),
    "std": (lambda v: _three(v, 1e-6, 10), "three positive numbers"),
    "temperature": (lambda v: _number(v, 1e-3, 1e3), "a positive number"),
    "sha256": (lambda v: isinstance(v, str) and bool(_SHA256.fullmatch(v)), "the SHA-256 of model.safetensors"),
    "backbone_args": (_arguments, "an object of plain values that timm.create_model takes"),
}
_OPTIONAL = {"backbone_args"}


def check_card(card: Any, path: Path) -> dict[str, Any]:
    """Check a card and return it.

    Raises
    ------
    BundleError
        Naming the file, the entry and what it should be.
    """
    card = check_head(card, path, IMAGE, "Choose a bundle that classifies pictures of cells.")
    for entry, (fits, wanted) in _ENTRIES.items():
        if entry not in card and entry not in _OPTIONAL:
            raise BundleError(f"'{path}' lacks the entry \"{entry}\" ({wanted}).")
        if entry in card and not fits(card[entry]):
            raise BundleError(f"The entry \"{entry}\" of '{path}' should be {wanted}, not {card[entry]!r:.80}.")
    codes = card["class_codes"]
    if twice := sorted({code for code in codes if codes.count(code) > 1}):
        raise BundleError(f"The class codes of '{path}' hold {', '.join(twice)} twice.", "Each code may stand once.")
    try:
        Tta.from_card(card.get("tta"))
    except ValueError as error:
        raise BundleError(f"The entry \"tta\" of '{path}' is wrong: {error}.") from error
    return card


def summarise_card(card: dict[str, Any], bundle_id: str) -> str:
    """Return a card in words, a few lines of plain text."""
    lines = [
        bundle_id,
        *([f"  {card['title']}"] if _text(card.get("title")) else []),
        f"  {card['backbone']}, {len(card['class_codes'])} classes: {', '.join(card['class_codes'])}",
        f"  crops of {card['crop_um']:g} µm at {card['crop_px']} px",
    ]
    for source in card.get("training_data") or []:
        if isinstance(source, dict):
            count = f", {source['n']:,} cells" if isinstance(source.get("n"), int) else ""
            licence = f" ({source['licence']})" if source.get("licence") else ""
            lines.append(f"  trained on {source.get('name', 'unnamed data')}{count}{licence}")
    lines += [f"  {line}" for line in metric_lines(card.get("metrics"))]
    lines += [f"  {line}" for line in trust_lines(card)]
    for entry, title in (
        ("split_level", "split by"), ("licence", "licence"), ("intended_use", "intended use"), ("limits", "limits"),
    ):  # fmt: skip
        value = card.get(entry)
        if value:
            text = "; ".join(map(str, value)) if isinstance(value, list) else str(value)
            lines.append(f"  {title}: {text}")
    return "\n".join(lines)


def trust_lines(card: dict[str, Any]) -> list[str]:
    """Return what the card says of sets, likeness, adaptation and tested heatmaps, one line each."""
    lines = []
    if conformal := card.get("conformal"):
        few = conformal.get("insufficient") or []
        words = f"sets: at most {conformal['alpha']:.0%} of each class missed"
        said = f"; insufficient calibration: {', '.join(few)}" if few else ""
        lines.append(f"{words}, calibrated on {conformal.get('n', '?')} cells{said}")
    if ood := card.get("ood"):
        share = f"{ood.get('passing', 0.95):.0%}"
        lines.append(f"likeness: {ood['method']}, threshold at {share} of {ood.get('n', '?')} cells")
    if adapted := card.get("adaptation"):
        lines.append(
            f"adapted to {adapted['site']} ({adapted['way']}) with {adapted['cells']} cells, from {adapted['parent']}"
        )
    if tested := card.get("explanation_tests"):
        lines.append(f"heatmaps: tested on {tested['n']} cells; recommended {tested['recommended'] or 'none'}")
        lines += [f"  {reason}" for reason in tested.get("reasons") or []]
    return lines


def metric_lines(metrics: Any) -> list[str]:
    """Return one line a metric: ``name: value (95 % interval low–high, n = …)``; nested groups get a prefix."""
    return list(_walk(metrics, "")) if isinstance(metrics, dict) else []


def _walk(metrics: dict[str, Any], prefix: str) -> list[str]:
    lines = []
    for name, value in metrics.items():
        title = f"{prefix}{str(name).replace('_', ' ')}"
        if isinstance(value, dict) and isinstance(value.get("value"), int | float):
            text = f"{title}: {value['value']:.3g}"
            details = []
            interval = value.get("interval") or value.get("ci95") or value.get("interval_95")
            if isinstance(interval, list | tuple) and len(interval) == 2:
                details.append(f"95 % interval {interval[0]:.3g}–{interval[1]:.3g}")
            if isinstance(value.get("n"), int):
                details.append(f"n = {value['n']:,}")
            lines.append(text + (f" ({', '.join(details)})" if details else ""))
        elif isinstance(value, dict):
            lines += _walk(value, f"{title}, ")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            lines.append(f"{title}: {value:.4g}")
        elif isinstance(value, str):
            lines.append(f"{title}: {value}")
    return lines
