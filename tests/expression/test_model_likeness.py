"""The score of likeness: another laboratory passes, what is no such sample does not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_parts import prepared, small_rows

from napari_aml.errors import InputError
from napari_aml.expression.likeness import ProfileLikeness, typical_profiles
from napari_aml.expression.predict import call, unlikeness
from napari_aml.expression.training.augment import as_another_laboratory, divided_by_length


@pytest.fixture(scope="module")
def half():
    """Rows of three classes over 300 genes, and the score fitted on half of them."""
    rows = small_rows(120, genes=300)
    return rows, ProfileLikeness.fit(rows.x[:60], rows.targets[:60], rows.lengths)


def test_new_samples_of_the_same_and_of_another_laboratory_pass(half):
    rows, score = half
    new = rows.x[60:]
    assert score.unlike(new).mean() < 0.05
    assert score.unlike(divided_by_length(new, rows.lengths)).mean() < 0.1
    elsewhere = as_another_laboratory(new, np.random.default_rng(7), rows.lengths)
    assert 0 < score.unlike(elsewhere).mean() < 0.2


@settings(deadline=None, max_examples=25)
@given(st.floats(0.8, 1.25), st.floats(-3, 3))
def test_gain_and_level_of_a_whole_profile_do_not_count(half, gain, level):
    rows, score = half
    assert score.score(gain * rows.x[:5] + level) == pytest.approx(score.score(rows.x[:5]), abs=1e-9)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32 - 1), st.floats(0.5, 1.0))
def test_profiles_with_shuffled_genes_are_held(half, seed, share):
    rows, score = half
    rng = np.random.default_rng(seed)
    strange = rows.x[:10].copy()
    some = rng.choice(300, int(300 * share), replace=False)
    strange[:, some] = strange[:, rng.permutation(some)]
    assert score.unlike(strange).all()


def test_the_mean_of_training_is_typical_and_one_value_throughout_is_not(half):
    rows, score = half
    assert not score.unlike(rows.x.mean(0)[None]).any()
    assert score.score(np.full((1, 300), 5.0)) == pytest.approx(1.0)


def test_typical_profiles_are_never_of_fewer_than_five_samples():
    rows = small_rows(60)
    targets = rows.targets.copy()
    targets[:4] = 7  # a class of four
    made = typical_profiles(rows.x, targets)
    apart = np.abs(made[:, None] - rows.x[None]).max(2)
    assert apart.min() > 0.1 and len(made) <= 1 + 3 + 3
    assert len(typical_profiles(rows.x, targets, rows.lengths)) == 2 * len(made)


def test_it_survives_being_written_and_older_kinds_are_named(half):
    rows, score = half
    again = ProfileLikeness.from_dict(score.to_dict(), score.arrays())
    assert again.score(rows.x) == pytest.approx(score.score(rows.x), abs=1e-5)
    with pytest.raises(InputError, match="mahalanobis"):
        ProfileLikeness.from_dict({"method": "mahalanobis"}, {})
    with pytest.raises(InputError, match="damaged"):
        ProfileLikeness.from_dict({"method": "correlation", "threshold": 0.1}, {})


def test_too_few_samples_and_other_widths_are_refused(half):
    rows, score = half
    with pytest.raises(InputError, match="too few"):
        ProfileLikeness.fit(rows.x[:9], rows.targets[:9])
    with pytest.raises(InputError, match="300 genes"):
        score.score(rows.x[:, :299])


def test_a_samples_score_does_not_depend_on_the_others(small_bundle):
    rows = small_rows(12)
    alone = [call(prepared(small_rows(12)), small_bundle)[i].unlike for i in range(3)]
    assert list(unlikeness(small_bundle, prepared(rows).values[:3])) == alone


def test_most_real_samples_of_another_laboratory_pass_and_their_shuffles_do_not(shared_data):
    """51 AML samples of another laboratory, which neither the score nor its threshold was fitted on."""
    from napari_aml.expression import bundled_lengths, prepare, read_expression
    from napari_aml.expression.bundle import load_expression_bundle

    matrix = read_expression(shared_data / "expression" / "aml_counts_AML2_60660x51.csv.gz")
    bundle = load_expression_bundle()
    rng = np.random.default_rng(0)
    for settings_ in ({"accepts_uncorrected": True}, {"lengths": bundled_lengths()}):
        rows = prepare(matrix, bundle.genes, reference=bundle.reference, **settings_).reference_values
        assert bundle.likeness.unlike(rows).mean() < 0.3
        assert bundle.likeness.unlike(rng.permuted(rows, axis=1)).all()
