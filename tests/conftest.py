"""Shared fixtures: where the real data lies, and pictures made from it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("NAPARI_ASYNC", "0")

import property_based
import pytest

property_based.configure()

REPO = Path(__file__).resolve().parents[1]


def data_folder() -> Path | None:
    """The folder of real data: $NAPARI_AML_DATA, else ../shared/data beside the repository."""
    for candidate in (os.environ.get("NAPARI_AML_DATA"), REPO.parent / "shared" / "data"):
        if candidate and Path(candidate).is_dir():
            return Path(candidate)
    return None


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The real data sets; the test is skipped where they are absent."""
    folder = data_folder()
    if folder is None:
        pytest.skip("the real data are absent (set NAPARI_AML_DATA to their folder)")
    return folder


@pytest.fixture(scope="session")
def bccd_field(shared_data: Path) -> Path:
    """One whole field of BCCD, 640x480, with a neutrophil in it."""
    return shared_data / "smears_bccd" / "images" / "BloodImage_00000.jpg"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With NAPARI_AML_SEARCH=N: only the property-based tests, with N times as many examples, drawn anew."""
    if property_based.FACTOR:
        property_based.search(items)


@pytest.fixture
def two_cores() -> Iterator[None]:
    """Let torch compute with two threads, whatever the machine has."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)
