"""How the property-based tests draw their examples: the same ones in every run, or many new ones (`make search`)."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

#: So many times the examples, drawn anew in each run; 0: the same few in every run.
FACTOR = int(os.environ.get("NAPARI_AML_SEARCH", "0"))


def configure() -> None:
    """Draw the same examples in every run: whether the suite passes is no matter of luck."""
    settings.register_profile("fixed", derandomize=FACTOR == 0, print_blob=True)
    settings.load_profile("fixed")


def search(items: list[pytest.Item]) -> None:
    """Keep the property-based tests alone, and give each many more examples."""
    kept = [item for item in items if getattr(getattr(item, "obj", None), "is_hypothesis_test", False)]
    for item in kept:
        test = getattr(item.obj, "__func__", item.obj)
        own = test._hypothesis_internal_use_settings
        test._hypothesis_internal_use_settings = settings(
            own, max_examples=FACTOR * own.max_examples, deadline=None, suppress_health_check=list(HealthCheck)
        )
    items[:] = kept
