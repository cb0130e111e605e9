from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_aml.classify import open_bundle, predict
from napari_aml.classify.training import card, data, demo

BUNDLE = Path(data.__file__).resolve().parents[2] / "bundles" / "demo"


def test_the_shipped_bundle_is_small_and_says_what_it_is() -> None:
    bundle = open_bundle(BUNDLE).verify()
    assert sum(path.stat().st_size for path in BUNDLE.iterdir()) < 10_000_000
    assert bundle.codes == data.CLASS_CODES and bundle.backbone.startswith("convnext")
    assert bundle.crop_um == card.CROP_UM and bundle.crop_px == demo.CROP_PX
    for name in ("PBC", "AML-Cytomorphology_LMU"):
        accuracy = bundle.card["metrics"][name]["accuracy"]
        low, high = accuracy["interval_95"]
        assert 0 < low < accuracy["value"] < high < 1 and accuracy["n"] > 100
    assert all(source["licence"] and source["url"] and source["n"] for source in bundle.card["training_data"])
    assert "not for use in diagnostic" in bundle.card["intended_use"].lower()


def test_the_shipped_bundle_knows_cells_it_was_trained_on(shared_data: Path) -> None:
    """A test of wiring (colour order, scale, class order), not of how well unseen cells are told apart."""
    bundle = open_bundle(BUNDLE)
    folders = sorted((shared_data / "cells_pbc" / "fullres_sample").iterdir())
    manifest = {line.split(",")[1]: line.split(",")[2].strip() for line in _manifest(shared_data)}
    paths = [path for folder in folders for path in sorted(folder.iterdir())[:4]]
    crops = np.stack([data.decode(path, bundle.crop_px) for path in paths])
    said = predict(bundle, crops, "cpu")
    named = np.array(bundle.codes)[said.probabilities.argmax(1)]
    assert (named == [manifest[path.parent.name] for path in paths]).mean() > 0.6


def _manifest(shared_data: Path) -> list[str]:
    return (shared_data / "cells_pbc" / "manifest.csv").read_text("utf-8").splitlines()[1:]


def test_a_scaled_plan_keeps_every_stage() -> None:
    plan = demo.Plan().scaled(0.001)
    assert len(plan.teacher) == len(demo.Plan().teacher) and min(plan.teacher) >= 64 and plan.mild < 1000
    for stage in ("coarse", "fine", "mild", "long"):
        assert demo.student_recipe(plan, stage).pictures >= 64


def test_missing_data_are_named(tmp_path: Path) -> None:
    from napari_aml.errors import InputError

    with pytest.raises(InputError, match=r"manifest\.csv"):
        data.list_cells(tmp_path)


def test_a_file_that_is_no_picture_is_named(tmp_path: Path) -> None:
    from napari_aml.errors import InputError

    (tmp_path / "cell.png").write_bytes(b"not a picture")
    with pytest.raises(InputError, match=r"cell\.png"):
        data.decode(tmp_path / "cell.png", 32)
