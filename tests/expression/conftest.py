"""A small bundle, trained once for all tests of this folder."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def small_trained(tmp_path_factory):
    """Rows, and what training on them made: a gene-attention bundle with calibration."""
    from model_parts import small_rows

    from napari_aml.expression.training.settings import default_settings
    from napari_aml.expression.training.train import train_steps
    from napari_aml.progress import run

    rows = small_rows()
    settings = default_settings("gene-attention", members=2, epochs=4, length_jitter=True)
    out = tmp_path_factory.mktemp("bundles") / "small"
    return rows, run(train_steps(rows, out, settings, name="small", folds=3, card={"age_range": [18, 60]}))


@pytest.fixture(scope="session")
def small_bundle(small_trained):
    """The bundle alone."""
    return small_trained[1].bundle
