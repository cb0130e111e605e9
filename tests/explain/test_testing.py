"""Tests of the tests of heatmaps: a network whose evidence is known, maps that are right, wrong or blind."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from small_models import make_bundle

from napari_aml.classify import load_bundle
from napari_aml.errors import InputError
from napari_aml.explain.methods import recommended_of
from napari_aml.explain.testing import explain_test_steps, faithfulness, sanity
from napari_aml.explain.testing.comparing import recommend
from napari_aml.explain.testing.subject import Subject
from napari_aml.progress import run


class KnownNetwork:
    """Believes in class 1 as much as the lower right corner is dark."""

    def prepare(self, crops):
        import torch

        return torch.from_numpy(crops.astype(np.float32) / 255).permute(0, 3, 1, 2)

    def features(self, x):
        return x

    def head(self, x):
        import torch

        dark = 1 - x[:, :, 16:, 16:].mean((1, 2, 3))
        logits = torch.stack([0 * dark, 8 * dark - 3], 1)
        return logits, logits


@pytest.fixture
def subject():
    crops = np.full((12, 32, 32, 3), 230, np.uint8)
    crops[:, 18:30, 18:30] = 20
    crops[:, 2:14, 2:14] = 20
    return Subject.of(KnownNetwork(), crops)


def areas(subject, maps):
    return [a for a in faithfulness.deletion_insertion(subject, maps) if a is not None][0].mean(0)


def test_the_true_map_beats_the_wrong_one_and_the_blind_ones(subject):
    assert (subject.targets == 1).all()
    true, wrong = np.zeros((12, 8, 8), np.float32), np.zeros((12, 8, 8), np.float32)
    true[:, 4:, 4:], wrong[:, :4, :4] = 1, 1
    for blind in (faithfulness.centre_gaussian(12), faithfulness.random_maps(12, np.random.default_rng(0))):
        d_true, i_true = areas(subject, true)
        d_blind, i_blind = areas(subject, blind)
        d_wrong, i_wrong = areas(subject, wrong)
        assert d_true < d_blind < d_wrong and i_true > i_blind > i_wrong


@settings(deadline=None, max_examples=20)
@given(hnp.arrays(np.float32, (2, 4, 4), elements=st.floats(-5, 5, width=16)))
def test_every_pixel_has_one_place(maps):
    places = faithfulness.ranks(maps, 12)
    assert (np.sort(places.reshape(2, -1), axis=1) == np.arange(144)).all()


@settings(deadline=None, max_examples=30)
@given(hnp.arrays(np.float32, (1, 5, 5), elements=st.floats(-5, 5, width=16), unique=True))
def test_correlation_knows_same_and_opposite(maps):
    assert sanity.correlations(maps, 3 * maps + 1)[0] == pytest.approx(1)
    assert sanity.correlations(maps, -maps)[0] == pytest.approx(-1)
    assert np.isnan(sanity.correlations(maps, np.zeros_like(maps))[0])


def test_shuffling_goes_from_the_top_down_and_leaves_the_network_alone(tmp_path):
    network = make_bundle(tmp_path / "b", crop_px=32).network("cpu")
    before = {k: v.clone() for k, v in network.model.state_dict().items()}
    changed = []
    for _, other in sanity.shuffled_networks(network):
        state = other.model.state_dict()
        changed.append({k for k in before if not (state[k] == before[k]).all()})
        for k in before:  # the same values in another order
            assert sorted(state[k].flatten().tolist()) == sorted(before[k].flatten().tolist())
    assert changed[0] < changed[1] < changed[2]
    assert all(k.startswith("head") for k in changed[0])
    assert all((network.model.state_dict()[k] == v).all() for k, v in before.items())


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    bundle = make_bundle(tmp_path_factory.mktemp("explain") / "b", crop_px=64)
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:64, :64] - 31.5
    disc = (np.hypot(y, x) < 18)[..., None]
    nucleus = (np.hypot(y, x) < 12)[..., None]
    crops = [np.where(nucleus, (80, 40, 140), np.where(disc, (190, 170, 215), (235, 220, 225))) for _ in range(10)]
    crops = np.clip(np.stack(crops) + rng.integers(-8, 8, (10, 64, 64, 3)), 0, 255).astype(np.uint8)
    wanted = {"methods": ("gradcam", "eigencam"), "stages": (3,), "steps": 4, "randoms": 2}
    return run(explain_test_steps(bundle, crops, **wanted, device="cpu"))


def test_one_table_over_methods_and_controls(report):
    table = report.table.set_index("method")
    assert set(table.index) == {"gradcam", "eigencam", "centre Gaussian", "random"}
    for name in ("gradcam", "eigencam"):
        row = table.loc[name]
        mean, low, high = row["over_random"]
        assert low <= mean <= high and -1 <= row["shuffled_all"] <= 1
        assert row["faithfulness"] == pytest.approx(row["insertion"] - row["deletion"])
        assert np.isfinite(row["road"])
    assert table.loc["random", "over_random"] == (0, 0, 0)
    assert table.loc["centre Gaussian", "in_cell"] > 1  # a map of the middle lies on the cell in the middle
    assert set(report.entry()["methods"]) == {"gradcam@3", "eigencam@3"}


def row(method, stage, gain, shuffled=0.1):
    return {
        "method": method, "stage": stage, "faithfulness": gain, "shuffled_all": shuffled,
        "over_random": (gain, gain - 0.05, gain + 0.05), "over_centre": (gain - 0.3, gain - 0.35, gain - 0.25),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("rows", "wanted", "words"),
    [
        ([row("gradcam", 3, 0.4), row("layercam", 2, 0.5)], ("layercam", 2), "the most of all"),
        ([row("gradcam", 3, 0.47), row("layercam", 2, 0.5)], ("gradcam", 3), "as good as the best, layercam"),
        ([row("gradcam", 3, 0.1), row("eigencam", 3, 0.6, shuffled=0.8)], ("gradcam", 3),
         "eigencam at stage 3 is left out"),
        ([row("gradcam", 2, 0.2), row("eigencam", 3, 0.6)], ("gradcam", 2), "whichever class is asked for"),
        ([row("gradcam", 2, 0.2), row("eigencam", 3, 0.6)], ("gradcam", 2), "those that explain a class"),
        ([row("gradcam", 3, 0.02), row("eigencam", 3, 0.6)], ("eigencam", 3), "the most of all"),
        ([row("gradcam", 3, 0.1)], ("gradcam", 3), "only knows the middle"),
        ([row("gradcam", 3, 0.02)], None, "No method"),
    ],
)  # fmt: skip
def test_the_recommendation_has_its_reasons(rows, wanted, words):
    chosen, reasons = recommend(pd.DataFrame(rows))
    assert chosen == wanted and words in " ".join(reasons)


def test_what_a_card_recommends_is_read_or_the_cheapest_taken():
    assert recommended_of({"explanation_tests": {"recommended": "hirescam@1"}}) == ("hirescam", 1)
    for card in ({}, {"explanation_tests": None}, {"explanation_tests": {"recommended": None}},
                 {"explanation_tests": {"recommended": "nonsense@9"}}):  # fmt: skip
        assert recommended_of(card) == ("gradcam", 3)
    assert recommended_of(load_bundle("demo").card) == ("gradcam", 3)  # docs/benchmarks/heatmaps.md


def test_too_few_cells_are_said(tmp_path):
    bundle = make_bundle(tmp_path / "b", crop_px=32)
    with pytest.raises(InputError, match="too few"):
        run(explain_test_steps(bundle, np.zeros((3, 32, 32, 3), np.uint8)))
