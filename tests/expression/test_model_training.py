"""Labels, fitting, cross-validation, calibration and the bundle that comes of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from model_parts import CLASSES, small_rows

from napari_aml.errors import InputError
from napari_aml.expression.calibrate import calibrate
from napari_aml.expression.training.augment import divided_by_length, rescaled
from napari_aml.expression.training.crossval import out_of_fold_steps
from napari_aml.expression.training.data import training_rows_steps
from napari_aml.expression.training.fit import fit_steps, logits_of
from napari_aml.expression.training.labels import TCGA_RULE, read_labels
from napari_aml.expression.training.settings import default_settings
from napari_aml.progress import run


def write(path, text):
    path.write_text(text)
    return path


def test_labels_are_matched_by_name_then_loosely(tmp_path):
    labels = read_labels(write(tmp_path / "l.csv", "sample,subtype\nAML.2.001,A\nx y,B\nempty,\n"))
    assert labels.match(["AML.2.001", "AML-2-001", "X_Y", "empty", "z"]).tolist() == ["A", "A", "B", None, None]


def test_tabs_and_other_column_names_are_taken(tmp_path):
    path = write(tmp_path / "l.tsv", "extra\tlabel\tid\nq\tA\ts1\nq\tB\ts2\n")
    assert read_labels(path).by_sample == {"s1": "A", "s2": "B"}
    assert read_labels(path, label_column="extra").by_sample == {"s1": "q", "s2": "q"}
    with pytest.raises(InputError, match="no column 'nope'"):
        read_labels(path, label_column="nope")


@pytest.mark.parametrize("text", ["", "sample\ns1\n", "sample,subtype\n", "sample,subtype\ns1,A\ns1,B\n"])
def test_tables_without_labels_are_refused(tmp_path, text):
    with pytest.raises(InputError):
        read_labels(write(tmp_path / "l.csv", text))


def test_the_clinical_table_of_tcga_becomes_the_labels_that_are_stated(shared_data):
    folder = shared_data / "expression"
    labels = read_labels(folder / "tcga_laml_labels.csv")
    assert labels.rule == TCGA_RULE
    rows = run(training_rows_steps(folder / "tcga_laml_genExpr_714x173.csv.gz", labels, uncorrected=True))
    assert rows.counts == {"CBFB::MYH11": 7, "PML::RARA": 16, "RUNX1::RUNX1T1": 7, "other": 143}
    assert rows.classes[-1] == "other"
    assert (2**rows.x - 1).sum(1) == pytest.approx(np.full(173, 1e6), rel=1e-4)


def expression_file(tmp_path, rows):
    lines = [",".join(["gene", *rows.samples])]
    linear = 2**rows.x - 1
    genes = ["TP53", "MYC", "KIT", "CD34", "FLT3", "NPM1", "RUNX1", "GATA1", "GATA2", "MPO", "CD33", "MEIS1", "HOXA9",
             "WT1", "BCL2", "JAK2", "SPI1", "CEBPA", "KRAS", "NRAS", "IDH1", "IDH2", "TET2", "ASXL1", "EZH2", "STAG2",
             "SRSF2", "SF3B1", "U2AF1", "PHF6", "RAD21", "SMC3", "CBFB", "MYH11", "PML", "RARA", "KMT2A", "MECOM",
             "ETV6", "ERG"]  # fmt: skip
    lines += [",".join([g, *(f"{v:.4f}" for v in linear[:, i])]) for i, g in enumerate(genes)]
    return write(tmp_path / "x.csv", "\n".join(lines) + "\n")


def test_samples_without_a_label_and_tiny_classes_are_left_out_and_said(tmp_path):
    rows = small_rows(12)
    path = expression_file(tmp_path, rows)
    said = ["A", "B", "other"] * 3 + ["rare", "A", ""]
    labels = write(tmp_path / "l.csv", "sample,subtype\n" + "\n".join(f"S{i},{v}" for i, v in enumerate(said)))
    got = run(training_rows_steps(path, labels, units="tpm"))
    assert got.samples == ("S0", "S1", "S2", "S3", "S4", "S5", "S6", "S7", "S8", "S10")
    assert any("samples have no label" in note for note in got.notes) and any("rare" in note for note in got.notes)
    with pytest.raises(InputError, match="No sample"):
        run(training_rows_steps(path, write(tmp_path / "m.csv", "sample,subtype\nq,A\n"), units="tpm"))


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 99), st.floats(-1, 1))
def test_dividing_by_length_can_be_undone_and_keeps_the_sum(seed, share):
    rng = np.random.default_rng(seed)
    x = rescaled(rng.gamma(1.0, 50.0, (3, 12)))
    lengths = rng.uniform(300, 9000, 12)
    there = divided_by_length(x, lengths, share)
    assert (2**there - 1).sum(1) == pytest.approx(np.full(3, 1e6))
    assert divided_by_length(there, lengths, -share) == pytest.approx(x, abs=1e-6)


@pytest.mark.parametrize("model", ["gene-attention", "attention-aml", "mlp", "logistic"])
def test_every_model_learns_what_is_easy_and_twice_the_same(model):
    rows = small_rows()
    chosen = default_settings(model, members=1, epochs=6 if model != "gene-attention" else 3)
    if model in ("attention-aml", "mlp"):
        chosen = chosen.but(model_args={"hidden": 32, "second": 16}, rate=1e-2, epochs=25, batch=16)
    torch.manual_seed(5)
    first = logits_of(run(fit_steps(rows.x, rows.targets, 3, chosen)), rows.x)
    torch.manual_seed(6)
    again = logits_of(run(fit_steps(rows.x, rows.targets, 3, chosen)), rows.x)
    assert (first.argmax(1) == rows.targets).mean() > 0.9
    assert np.array_equal(first, again)


@pytest.mark.parametrize(
    "changes",
    [{"balance": "logit-adjustment", "power": 1.0}, {"balance": "none"}, {"mixup": 0.0, "swa": 0.0},
     {"patience": 2}, {"smoothing": 0.1, "jitter": 0.5}, {"length_jitter": True}],
    ids=str,
)  # fmt: skip
def test_every_option_trains(changes):
    rows = small_rows(36)
    small = {"hidden": 32, "second": 16, "dropout": 0.0}
    chosen = default_settings("mlp", members=1, epochs=25, rate=1e-2, batch=12, model_args=small).but(**changes)
    said = logits_of(run(fit_steps(rows.x, rows.targets, 3, chosen, rows.lengths)), rows.x)
    assert (said.argmax(1) == rows.targets).mean() > 0.7


def test_logit_adjustment_favours_the_rare_class():
    rows = small_rows(90)
    keep = np.flatnonzero((rows.targets != 0) | (np.arange(90) < 18))
    x = rows.x[keep] + np.random.default_rng(0).normal(0, 3, (len(keep), 40))
    base = default_settings("mlp", members=1, epochs=10, model_args={"hidden": 16, "second": 8})
    plain = run(fit_steps(x, rows.targets[keep], 3, base.but(balance="none")))
    adjusted = run(fit_steps(x, rows.targets[keep], 3, base.but(balance="logit-adjustment", power=1.0)))
    probe = np.random.default_rng(1).normal(6, 3, (200, 40))
    means = [torch.softmax(torch.from_numpy(logits_of(n, probe)), 1)[:, 0].mean() for n in (plain, adjusted)]
    assert means[1] > means[0]


@pytest.mark.parametrize("changes", [{"members": 0}, {"rate": 0}, {"balance": "luck"}, {"swa": 2}])
def test_settings_out_of_range_are_refused(changes):
    with pytest.raises(InputError):
        default_settings("mlp").but(**changes)
    with pytest.raises(InputError):
        default_settings("resnet")


def test_training_refuses_what_cannot_be_trained_on():
    rows = small_rows(12)
    chosen = default_settings("logistic")
    with pytest.raises(InputError):
        run(fit_steps(rows.x, np.zeros(12, int), 3, chosen))
    with pytest.raises(InputError):
        run(fit_steps(np.where(rows.x > 9, np.nan, rows.x), rows.targets, 3, chosen))
    with pytest.raises(InputError, match="lengths"):
        run(fit_steps(rows.x, rows.targets, 3, chosen.but(length_jitter=True)))


def test_out_of_fold_answers_come_from_models_that_never_saw_the_sample():
    """Labels without meaning: what is remembered would be right, what is unseen cannot be."""
    rows = small_rows(60)
    labels = np.random.default_rng(3).permutation(rows.targets)
    chosen = default_settings("logistic", decay=10.0)
    logits = run(out_of_fold_steps(rows.x, labels, 3, chosen, folds=3, repeats=2))
    assert logits.shape == (2, 60, 3) and np.isfinite(logits).all()
    seen = logits_of(run(fit_steps(rows.x, labels, 3, chosen)), rows.x)
    assert (seen.argmax(1) == labels).mean() > 0.95
    assert (logits[0].argmax(1) == labels).mean() < 0.6


def test_few_samples_of_a_class_are_insufficient_calibration():
    rng = np.random.default_rng(0)
    targets = np.array([0] * 40 + [1] * 7 + [2] * 12)
    logits = 3 * np.eye(3)[targets] + rng.normal(size=(59, 3))
    assert calibrate(logits[None], targets, CLASSES, 0.1).conformal.insufficient == ("B",)
    assert calibrate(logits[None], targets, CLASSES, 0.15).conformal.insufficient == ()


def test_the_bundle_carries_figures_sets_and_summaries(small_trained):
    rows, made = small_trained
    card = made.bundle.card
    assert made.logits.shape == (1, 60, 3)
    assert card["metrics"]["mcc"]["interval_95"] is not None
    assert card["metrics"]["per_class"]["A"]["recall"]["n"] == 20
    assert card["conformal"]["counts"] == [20, 20, 20]
    assert made.bundle.summary["class_mean"].shape == (3, 40)
    assert made.bundle.summary["mean"] == pytest.approx(rows.x.mean(0), abs=1e-3)
    assert card["training"]["epochs"] == 4
    assert "1 repeat" in card["metrics"]["how"]
