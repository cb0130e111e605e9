"""Where bundles lie: folders with a ``bundle.json`` and weights, of pictures' and of expression models alike."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

FORMAT, FORMAT_VERSION = "napari-aml-bundle", 1
WEIGHTS, CARD = "model.safetensors", "bundle.json"
IMAGE, EXPRESSION = "image-classifier", "expression-classifier"
SHIPPED = Path(__file__).resolve().parent / "bundles"


def user_folder() -> Path:
    """Return the folder where a person's own bundles are looked for."""
    import platformdirs

    return Path(platformdirs.user_data_dir("napari-aml", appauthor=False)) / "bundles"


def bundle_folders() -> tuple[Path, ...]:
    """Return the folders that are searched: $NAPARI_AML_MODELS (several, as in PATH), the person's own, the shipped."""
    given = [Path(part) for part in os.environ.get("NAPARI_AML_MODELS", "").split(os.pathsep) if part]
    return (*given, user_folder(), SHIPPED)


def bundle_paths(kind: str) -> Iterator[Path]:
    """Yield the folders that look like bundles of a kind, each once.

    A bundle whose card cannot be read, or says nothing known, is yielded for every kind: opening it says what is wrong.
    """
    seen: set[Path] = set()
    for folder in bundle_folders():
        inside = sorted(folder.iterdir()) if folder.is_dir() else []
        # A folder that is itself a bundle may be named, too.
        for path in [folder] if (folder / CARD).is_file() else inside:
            if path.name.startswith(".") or not (path / CARD).is_file() or path.resolve() in seen:
                continue
            seen.add(path.resolve())
            if _kind(path / CARD) not in ({IMAGE, EXPRESSION} - {kind}):
                yield path


def _kind(card: Path) -> str:
    try:
        held = json.loads(card.read_text("utf-8"))
    except (ValueError, OSError):
        return ""
    kind = held.get("kind") if isinstance(held, dict) else None
    return kind if isinstance(kind, str) else ""
