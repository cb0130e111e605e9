"""What the tests of a model's heatmaps found, in a line beside the map."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def words_of_tests(entry: Mapping[str, Any] | None, method: str, stage: int) -> str:
    """Return what is known of one method at one stage.

    Parameters
    ----------
    entry
        ``explanation_tests`` of a bundle's card, or None.
    method, stage
        As the form shows them.
    """
    if not entry:
        return "The heatmaps of this model were not tested (napari-aml explain-test)."
    recommended = str(entry.get("recommended") or "")
    mine = f"{method}@{stage}"
    found = (entry.get("methods") or {}).get(mine)
    advice = f" Recommended: {recommended.replace('@', ', stage ')}." if recommended and recommended != mine else ""
    if not found:
        return f"This method and stage were not tested.{advice}"
    gain, low, high = found["over_random"]
    middle, middle_low, _ = found["over_centre"]
    words = (
        f"Tested on {entry['n']} cells: faithfulness {gain:+.2f} over random maps ({low:+.2f} to {high:+.2f}), "
        f"{middle:+.2f} over a map of the middle{'' if middle_low > 0 else ' (not shown to be better)'}; "
        f"evidence in the nucleus ×{found['in_nucleus']:.1f}."
    )
    return words + (" Recommended." if recommended == mine else advice)
