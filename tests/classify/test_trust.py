"""Calibration, sets, likeness, probes and the report, with a small network on cells made up for the purpose."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import make_bundle

from napari_aml.classify import load_bundle, predict
from napari_aml.classify.trust.calibrating import calibrate, save_calibrated
from napari_aml.classify.trust.judging import trust_steps
from napari_aml.classify.trust.probes import auroc, blurred, site_probe, without_cell
from napari_aml.classify.trust.report import write_report
from napari_aml.datasets import Dataset, write_dataset
from napari_aml.errors import BundleError, InputError
from napari_aml.progress import run

CODES = ("EOS", "LYT", "MYO")
COLOURS = {"EOS": (220, 120, 90), "LYT": (90, 60, 160), "MYO": (150, 90, 190), "HAC": (40, 140, 60)}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return make_bundle(tmp_path_factory.mktemp("trust") / "tiny", class_codes=list(CODES), crop_px=32)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Dataset:
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:40, :40] - 19.5
    rows, pictures = [], []
    for i in range(96):
        code = (*CODES, "HAC")[i % 4]
        disc = np.hypot(y + rng.normal(), x + rng.normal()) < rng.uniform(9, 14)
        picture = np.where(disc[..., None], COLOURS[code], (230, 215, 220)) + rng.integers(-12, 12, (40, 40, 3))
        pictures.append(np.clip(picture, 0, 255).astype(np.uint8))
        rows.append({"code": code, "source": "ab"[i // 4 % 2], "sex": "mf"[i // 8 % 2], "age": 20 + i % 60})
    meta = {"name": "discs", "licence": "CC0-1.0"}
    path = tmp_path_factory.mktemp("data") / "discs"
    return write_dataset(path, pd.DataFrame(rows), pictures, meta, group_duplicates=False)


@pytest.fixture(scope="module")
def report(bundle, dataset):
    return run(trust_steps(bundle, dataset, device="cpu"))


def made(n=300, k=3, seed=0):
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, k, n)
    logits = rng.normal(size=(n, k)) + 2 * np.eye(k)[targets]
    embedding = np.eye(k, 8)[targets] + rng.normal(size=(n, 8))
    return np.exp(logits) / np.exp(logits).sum(1, keepdims=True), embedding, targets


def test_a_calibrated_bundle_says_sets_and_likeness(bundle, dataset, tmp_path):
    crops = np.stack([dataset.pixels(i) for i in range(60)])
    said = predict(bundle, crops, "cpu")
    assert np.isnan(said.ood).all() and bundle.trust.sets(said.probabilities) is None
    targets = np.arange(60) % 3
    fitted = calibrate(said.probabilities, said.embedding, targets, CODES, bundle.temperature)
    new = load_bundle(save_calibrated(bundle, fitted, tmp_path / "new").path)
    again = predict(new, crops, "cpu")
    assert np.isfinite(again.ood).all() and new.sha256 == bundle.sha256
    assert new.temperature == pytest.approx(fitted.temperature, abs=1e-3)
    np.testing.assert_allclose(again.ood, fitted.trust.scores(said.embedding), rtol=0.02, atol=0.02)  # float16
    sets = new.trust.sets(again.probabilities)
    covered = [CODES[t] in s.split("|") for s, t in zip(sets, targets, strict=True)]
    assert np.mean(covered) >= 0.9
    green = np.full((4, 32, 32, 3), (0, 255, 0), np.uint8)
    assert new.trust.unlike(predict(new, green, "cpu").ood).all()


def test_damaged_trust_is_refused(bundle, tmp_path):
    p, embedding, targets = made()
    new = save_calibrated(bundle, calibrate(p, embedding, targets, CODES, 1.0), tmp_path / "new")
    (new.path / "trust.safetensors").write_bytes(b"not it")
    with pytest.raises(BundleError, match="SHA-256 differs"):
        _ = load_bundle(new.path).trust
    (new.path / "trust.safetensors").unlink()
    with pytest.raises(BundleError, match=r"lacks trust\.safetensors"):
        _ = load_bundle(new.path).trust


def test_the_report_has_every_part(report, tmp_path):
    figures = report.figures
    assert figures["as it is"]["accuracy"]["n"] == 72
    assert {"red cells", "out of focus (1 µm)", "cell covered", "classes it does not know"} <= set(figures["unlike"])
    assert 0 <= figures["shortcut"]["changed_class"] <= 1
    assert {r["by"] for r in report.subgroups} == {"sex", "age", "source"}
    assert all(r["warning"] == "few cells" for r in report.subgroups if r["n"] < 30)
    folder = write_report(report, tmp_path / "out")
    stored = json.loads((folder / "trust.json").read_text())
    assert stored["figures"]["as it is"]["accuracy"]["value"] == figures["as it is"]["accuracy"]["value"]
    assert "Research Use Only" in (folder / "trust.md").read_text()
    assert (folder / "reliability.png").stat().st_size > 5000


def test_too_few_known_cells_are_said(bundle, dataset, tmp_path):
    few = write_dataset(
        tmp_path / "few", dataset.table.iloc[:10][["code"]], [dataset.pixels(i) for i in range(10)], {"name": "few"},
        group_duplicates=False,
    )  # fmt: skip
    with pytest.raises(InputError, match="at least 20"):
        run(trust_steps(bundle, few))


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=20), st.lists(st.integers(0, 5), min_size=1, max_size=20))
def test_auroc_is_the_share_of_pairs(inside, outside):
    pairs = [(b > a) + 0.5 * (b == a) for a in inside for b in outside]
    assert auroc(np.array(inside), np.array(outside)) == pytest.approx(np.mean(pairs))


def test_probes_change_what_they_say():
    rng = np.random.default_rng(1)
    crops = np.full((2, 64, 64, 3), 220, np.uint8)
    crops[:, 22:42, 22:42] = (90, 50, 150)
    covered = without_cell(crops, 0.4)
    assert (covered == 220).all()
    sharp = rng.integers(0, 255, (2, 64, 64, 3), dtype=np.uint8)
    assert blurred(sharp, 0.4).std() < 0.4 * sharp.std()


def test_the_site_probe_finds_what_is_there_and_only_that():
    rng = np.random.default_rng(2)
    sites = np.array(["a", "b"])[np.arange(200) % 2]
    blind = rng.normal(size=(200, 10))
    telling = blind + 4 * (sites == "b")[:, None]
    groups = np.arange(200)
    assert site_probe(telling, sites, groups) > 0.95
    assert 0.3 < site_probe(blind, sites, groups) < 0.7
    assert np.isnan(site_probe(blind, np.full(200, "a"), groups))
