"""Calls: one sample at a time, every status, what is said of missing genes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_parts import prepared, small_rows

from napari_aml.errors import InputError
from napari_aml.expression.predict import call, predict


def test_calls_have_probabilities_sets_and_words(small_trained, small_bundle):
    rows, _ = small_trained
    calls = call(prepared(rows), small_bundle)
    assert [c.sample for c in calls] == list(rows.samples)
    right = [c.subtype == rows.classes[t] for c, t in zip(calls, rows.targets, strict=True)]
    assert np.mean(right) > 0.9
    for one in calls:
        assert sum(one.probabilities.values()) == pytest.approx(1)
        assert one.probability == max(one.probabilities.values())
        assert one.subtype in one.conformal_set
        assert one.statement.startswith(f"Expression-similar to {one.subtype}")


@settings(deadline=None, max_examples=8)
@given(st.permutations(range(12)), st.integers(1, 12))
def test_a_call_never_depends_on_the_other_samples(small_bundle, order, keep):
    rows = small_rows()
    all_of_them = {c.sample: c for c in call(prepared(rows), small_bundle)}
    order = list(order)[:keep]
    some = replace(rows, x=rows.x[order], samples=tuple(rows.samples[i] for i in order), targets=rows.targets[order])
    for one in call(prepared(some), small_bundle):
        assert one == all_of_them[one.sample]


def test_a_strange_profile_is_unlike_training(small_bundle):
    rows = small_rows(6)
    x = np.random.default_rng(0).permuted(rows.x, axis=1)
    calls = call(prepared(replace(rows, x=x)), small_bundle)
    assert all(c.status == "unlike training" and c.unlike > c.unlike_threshold for c in calls)
    assert any("Unlike anything in training" in w for w in calls[0].warnings)


def test_an_age_outside_the_training_range_goes_before_everything(small_bundle):
    rows = small_rows(6)
    calls = call(prepared(rows), small_bundle, ages={"S0": 7, "S1": 40})
    assert calls[0].status == "out of training age range"
    assert any("18 to 60" in w for w in calls[0].warnings)
    assert "age" not in calls[1].status and "age" not in calls[2].status


def test_a_call_that_hangs_on_missing_genes_is_unstable(small_bundle):
    rows = small_rows(12)
    mine = tuple(f"GENE{i}" for i in range(10))
    calls = call(prepared(rows, mine, small_bundle.reference), small_bundle)
    flipped = [c for c in calls if any("not measured" in w for w in c.warnings)]
    assert flipped
    assert {c.status for c in flipped} <= {"unstable", "unlike training"}
    assert calls[0].missing == mine


def test_an_unusable_sample_is_refused_and_the_others_are_called(small_bundle):
    rows = small_rows(3)
    given = replace(prepared(rows), status=("ok", "unusable", "unstable"))
    calls = call(given, small_bundle)
    assert [c.status == "refused" for c in calls] == [False, True, False]
    assert calls[1].subtype == "" and calls[1].probabilities == {} and calls[1].statement == "No call."
    assert calls[2].status in ("unstable", "unlike training")


def test_another_models_genes_are_refused(small_bundle):
    with pytest.raises(InputError):
        call(prepared(small_rows(3, genes=39)), small_bundle)


def test_the_example_that_ships_is_called_as_it_is_named():
    from napari_aml.samples import expression_path

    calls = predict(expression_path())
    assert len(calls) == 12
    for one in calls:
        assert one.sample.startswith("SYNTHETIC_" + one.subtype.replace("::", "_"))
        assert one.status == "ok"
    note = (expression_path().parent / "README.txt").read_text()
    assert "SYNTHETIC" in note and "synthetic" in expression_path().name


def test_the_example_is_made_of_the_bundle(tmp_path):
    from napari_aml.expression.training.example import make
    from napari_aml.samples import expression_path

    assert make(tmp_path).read_text() == expression_path().read_text()


def test_real_counts_and_tpm_of_them_are_called_alike(shared_data):
    from napari_aml.expression import bundled_lengths, read_expression

    path = shared_data / "expression" / "aml_counts_AML2_60660x51.csv.gz"
    few = read_expression(path, samples=["AML.2.001", "AML.2.002", "AML.2.003"])
    counts, tpm = predict(few), predict(few, lengths=bundled_lengths())
    assert [c.subtype for c in counts] == [c.subtype for c in tpm]
    assert len(counts[0].missing) <= 1


def test_tcga_is_read_as_its_clinical_table_says(shared_data):
    """In sample: no measure of accuracy, but a check that file, panel, units and weights fit together."""
    from napari_aml.expression.training.labels import read_labels

    folder = shared_data / "expression"
    calls = predict(folder / "tcga_laml_genExpr_714x173.csv.gz")
    said = read_labels(folder / "tcga_laml_labels.csv").match([c.sample for c in calls])
    assert np.mean([c.subtype == s for c, s in zip(calls, said, strict=True)]) > 0.97
