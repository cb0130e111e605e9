"""Where bundles lie and how their cards begin: those of image, expression and patient models alike."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from napari_aml.errors import BundleError

FORMAT, FORMAT_VERSION = "napari-aml-bundle", 1
WEIGHTS, CARD = "model.safetensors", "bundle.json"
IMAGE, EXPRESSION, PATIENT = "image-classifier", "expression-classifier", "patient-classifier"
SHIPPED = Path(__file__).resolve().parent / "bundles"

Bundle = TypeVar("Bundle")


def check_head(card: Any, path: Path, kind: str, advice: str) -> dict[str, Any]:
    """Check format, version and kind of a card, and return it.

    Parameters
    ----------
    card
        What ``bundle.json`` held.
    path
        That file.
    kind
        `IMAGE`, `EXPRESSION` or `PATIENT`.
    advice
        What to do when it is of another kind.

    Raises
    ------
    BundleError
        Naming the file and what is wrong.
    """
    if not isinstance(card, dict):
        raise BundleError(f"'{path}' is no bundle card: it holds no JSON object.")
    if card.get("format") != FORMAT:
        raise BundleError(f"'{path}' is no card of a model bundle: its \"format\" is not {FORMAT!r}.")
    version = card.get("format_version")
    if version != FORMAT_VERSION:
        newer = isinstance(version, int) and version > FORMAT_VERSION
        raise BundleError(
            f"The bundle '{path.parent}' has format version {version!r}; this program reads {FORMAT_VERSION}.",
            "Update napari-aml." if newer else "Save the bundle anew.",
        )
    if card.get("kind") != kind:
        raise BundleError(f"The bundle '{path.parent}' is of the kind {card.get('kind')!r}, not {kind!r}.", advice)
    return card


def search(kind: str, read: Callable[[Path], Bundle]) -> list[tuple[Path, Bundle | BundleError]]:
    """Open every folder that looks like a bundle of a kind; one that cannot be opened comes with its error."""
    found: list[tuple[Path, Bundle | BundleError]] = []
    for path in bundle_paths(kind):
        try:
            found.append((path, read(path)))
        except BundleError as error:
            found.append((path, error))
    return found


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
            if _kind(path / CARD) not in ({IMAGE, EXPRESSION, PATIENT} - {kind}):
                yield path


def _kind(card: Path) -> str:
    try:
        held = json.loads(card.read_text("utf-8"))
    except (ValueError, OSError):
        return ""
    kind = held.get("kind") if isinstance(held, dict) else None
    return kind if isinstance(kind, str) else ""
