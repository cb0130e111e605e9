"""Bags, heads, studies, calls and files of the patient level, on cells made up for the purpose."""

from __future__ import annotations

import json
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_aml.errors import BundleError, InputError
from napari_aml.patients import Bag, Cohort, call_patient, load_patient_bundle, save_patient_bundle, study_steps
from napari_aml.patients.fitting import FitSettings, fit_head
from napari_aml.patients.heads import HEADS, head_from
from napari_aml.patients.simulate import PROFILES, simulated_cohort
from napari_aml.progress import run

CODES = ("MYO", "LYT", "NGS", "MON", "EBO")
QUICK = FitSettings(epochs=25, width=16, gate=8)


def made_bag(rng, shares, n=60, patient="p", subtype="", centres=None, group=""):
    """A patient whose cells are of classes in given shares; embeddings lie around a centre a class."""
    centres = np.eye(len(shares), 8) * 3 if centres is None else centres
    said = rng.choice(len(shares), n, p=np.asarray(shares) / np.sum(shares))
    noise = rng.normal(size=(n, len(shares))) * 0.3
    p = np.exp(4 * np.eye(len(shares))[said] + noise)
    embedding = centres[said] + rng.normal(size=(n, centres.shape[1])) * 0.5
    p = (p / p.sum(1, keepdims=True)).astype(np.float32)
    return Bag(patient, p, embedding.astype(np.float32), tuple(f"{patient}-{i}" for i in range(n)), subtype, group)


def composition_cohort(patients=14, seed=0):
    """Two subtypes that differ in the shares of classes."""
    rng = np.random.default_rng(seed)
    bags = []
    for i in range(patients):
        for name, shares in (("A", (5, 3, 1, 1, 0.5)), ("B", (1, 3, 5, 1, 0.5))):
            bags.append(made_bag(rng, rng.dirichlet(np.array(shares) * 3), patient=f"{name}{i}", subtype=name))
    return Cohort(tuple(bags), CODES, "image 1")


def witness_cohort(patients=24, seed=0):
    """Two subtypes whose class shares are alike; one holds a few cells of a look that no class code names."""
    rng = np.random.default_rng(seed)
    plain = np.eye(5, 12) * 3
    bags = []
    for i in range(patients):
        for name in ("A", "B"):
            bag = made_bag(rng, (1, 1, 1, 1, 1), 80, f"{name}{i}", name, plain)
            embedding = bag.embedding.copy()
            if name == "B":
                embedding[rng.choice(80, 4, replace=False), 9] += 6
            bags.append(Bag(bag.patient, bag.probabilities, embedding, bag.uids, name))
    return Cohort(tuple(bags), CODES, "image 1")


@pytest.fixture(scope="module")
def composition():
    return run(study_steps(composition_cohort(), settings=QUICK))


@cache
def fitted(name):
    rng = np.random.default_rng(3)
    bags = [made_bag(rng, (1, 2, 3, 1, 1), patient=f"p{i}") for i in range(4)]
    return [h for h in fit_head(name, bags, np.array([0, 1, 0, 1]), 2, CODES, FitSettings(epochs=5)) if h][-1]


@pytest.mark.parametrize("name", HEADS)
@settings(max_examples=15, deadline=None)
@given(n=st.integers(1, 30), seed=st.integers(0, 10_000))
def test_leaving_a_cell_out_is_the_bag_without_that_cell(name, n, seed):
    rng, head = np.random.default_rng(seed), fitted(name)
    bag = made_bag(rng, (1, 1, 1, 1, 1), n)
    without = head.logits_without(bag)
    assert without.shape == (n, 2)
    if n == 1:
        return
    for i in range(n):
        keep = np.arange(n) != i
        less = Bag("q", bag.probabilities[keep], bag.embedding[keep], tuple(np.array(bag.uids)[keep]))
        np.testing.assert_allclose(head.logits(less), without[i], atol=1e-6)


@pytest.mark.parametrize("name", HEADS)
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_the_order_of_cells_does_not_matter(name, seed):
    rng, head = np.random.default_rng(seed), fitted(name)
    bag, turn = made_bag(rng, (1, 2, 3, 1, 1)), rng.permutation(60)
    turned = Bag("q", bag.probabilities[turn], bag.embedding[turn], tuple(np.array(bag.uids)[turn]))
    np.testing.assert_allclose(head.logits(turned), head.logits(bag), atol=1e-9)


def test_shares_are_found_by_a_simple_head_and_shuffled_labels_give_chance(composition):
    best = composition.best
    assert best.metrics["balanced_accuracy"]["value"] > 0.85
    assert composition.chosen in ("differential", "mean-probability")
    for result in composition.results:
        assert 0.2 < result.shuffled_accuracy < 0.8  # 28 patients: chance is 0.5 ± 0.1


def test_a_few_telling_cells_are_found_by_attention_alone():
    result = run(study_steps(witness_cohort(), settings=FitSettings(epochs=60, width=16, gate=8), control=False))
    balanced = {r.name: r.metrics["balanced_accuracy"]["value"] for r in result.results}
    assert result.chosen == "attention"
    assert balanced["attention"] > 0.85 > 0.7 > max(balanced["differential"], balanced["mean-probability"])
    bag = next(b for b in result.cohort.bags if b.subtype == "B")
    shares = result.head.shares(bag)
    np.testing.assert_allclose(shares.sum(0) + result.head.bias, result.head.logits(bag))
    influence = shares[:, 1] - shares[:, 0]
    telling = np.flatnonzero(bag.embedding[:, 9] > 3)
    above = (influence[telling][:, None] > np.delete(influence, telling)[None]).mean()
    assert above > 0.9  # 0.5 if influence knew nothing of them


def test_groups_stay_together():
    cohort = composition_cohort(6)
    grouped = Cohort(
        tuple(Bag(b.patient, b.probabilities, b.embedding, b.uids, b.subtype, f"g{i // 4}")
              for i, b in enumerate(cohort.bags)), CODES, "image 1"
    )  # fmt: skip
    result = run(study_steps(grouped, heads=("differential",), control=False))
    for group in set(grouped.groups):
        assert len(set(result.folds[grouped.groups == group])) == 1


def test_a_bundle_says_what_the_study_said(composition, tmp_path):
    saved = save_patient_bundle(composition, tmp_path / "patients", "demo")
    again = load_patient_bundle(tmp_path / "patients")
    bag = composition.cohort.bags[0]
    call = call_patient(bag, again, "image 1")
    assert again.bundle_id == saved.bundle_id and again.card["metrics"].keys() == set(HEADS)
    assert call.subtype == bag.subtype and call.probabilities.sum() == pytest.approx(1)
    np.testing.assert_allclose(call.influence.sum(1), 0, atol=1e-9)  # what speaks for one of two, against the other
    top = call.speaking_cells(call.subtype, 5)
    assert top and all(a >= b > 0 for (_, a), (_, b) in zip(top, top[1:], strict=False))
    with pytest.raises(BundleError, match="were read by other"):
        call_patient(bag, again, "other")


def test_a_changed_weight_file_and_another_kind_are_refused(composition, tmp_path):
    save_patient_bundle(composition, tmp_path / "b", "demo")
    weights = tmp_path / "b" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\0")
    with pytest.raises(BundleError, match="not those"):
        load_patient_bundle(tmp_path / "b")
    (tmp_path / "b" / "bundle.json").write_text(
        json.dumps({"format": "napari-aml-bundle", "format_version": 1, "kind": "image-classifier"})
    )
    with pytest.raises(BundleError, match="image-classifier"):
        load_patient_bundle(tmp_path / "b")
    with pytest.raises(BundleError, match=r"bundle\.json"):
        load_patient_bundle(tmp_path)


@pytest.mark.parametrize("codes", [["MYO"], [["MYO"], "LYT"], None, 3])
def test_a_card_whose_classes_do_not_fit_its_weights_is_refused(composition, tmp_path, codes):
    save_patient_bundle(composition, tmp_path / "b", "demo")
    card = json.loads((tmp_path / "b" / "bundle.json").read_text("utf-8"))
    (tmp_path / "b" / "bundle.json").write_text(json.dumps(card | {"class_codes": codes}), "utf-8")
    with pytest.raises(BundleError, match="damaged"):
        load_patient_bundle(tmp_path / "b")


def test_a_cohort_is_the_same_after_saving(tmp_path):
    cohort = composition_cohort(2)
    cohort.save(tmp_path / "c.npz")
    again = Cohort.load(tmp_path / "c.npz")
    assert [b.patient for b in again.bags] == [b.patient for b in cohort.bags]
    assert again.bags[1].uids == cohort.bags[1].uids and again.subtypes == ("A", "B")
    np.testing.assert_array_equal(again.bags[2].probabilities, cohort.bags[2].probabilities)
    np.testing.assert_allclose(again.bags[2].embedding, cohort.bags[2].embedding, atol=1e-2)
    (tmp_path / "broken.npz").write_bytes((tmp_path / "c.npz").read_bytes()[:200])
    with pytest.raises(InputError, match=r"broken\.npz"):
        Cohort.load(tmp_path / "broken.npz")


def test_what_cannot_be_studied_is_said():
    cohort = composition_cohort(1)
    with pytest.raises(InputError, match="'A' has only one patient"):
        run(study_steps(cohort))
    one = Cohort(cohort.bags[:1], CODES, "image 1")
    with pytest.raises(InputError, match=r"1 subtype"):
        run(study_steps(one))
    with pytest.raises(InputError, match="stands twice"):
        Cohort((cohort.bags[0], cohort.bags[0]), CODES, "image 1")
    with pytest.raises(InputError, match="has no cells"):
        Bag("x", np.zeros((0, 5), np.float32), np.zeros((0, 8), np.float32), ())


def test_no_cell_of_a_simulated_patient_is_in_two_pools():
    rng = np.random.default_rng(1)
    labels = np.repeat(sorted({c for p in PROFILES.values() for c in p}), 40)
    n = len(labels)
    cohort = simulated_cohort(
        CODES, labels, rng.random((n, 5), np.float32), rng.random((n, 4), np.float32),
        [f"c{i}" for i in range(n)], "image 1", groups=np.arange(n) // 2, patients=6, cells=50,
    )  # fmt: skip
    pool_of: dict[str, set[str]] = {}
    for bag in cohort.bags:
        for uid in bag.uids:
            pool_of.setdefault(f"{int(uid.split('#')[0][1:]) // 2}", set()).add(bag.group)
    assert cohort.simulated and cohort.notes and set(cohort.subtypes) == set(PROFILES)
    assert all(len(pools) == 1 for pools in pool_of.values())


@pytest.mark.parametrize("name", HEADS)
def test_a_stored_array_cannot_rename_a_head(name):
    arrays = fitted(name).arrays()
    assert head_from(name, CODES, arrays).name == name
    with pytest.raises(TypeError):
        head_from(name, CODES, {**arrays, "name": np.zeros(3)})
