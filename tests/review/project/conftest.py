from __future__ import annotations

import pytest
from project_parts import analysis_of, write_picture

from napari_aml.review.project import Project


@pytest.fixture
def picture(tmp_path):
    return write_picture(tmp_path / "pictures" / "field.png")


@pytest.fixture
def analysis(picture):
    """Six round cells in a picture of 300 x 400 pixels, 0.1 µm each."""
    return analysis_of(picture)


@pytest.fixture
def project(tmp_path):
    with Project.create(tmp_path / "study", reader="ada") as made:
        yield made
