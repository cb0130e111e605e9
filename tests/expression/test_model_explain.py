"""Attributions, ablation, markers, maps."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from napari_aml.errors import InputError
from napari_aml.expression.attribution import ablate_steps, attribute
from napari_aml.expression.explain import explain_steps, write_explanation
from napari_aml.expression.mapping import pca, sample_maps_steps, separation, write_maps
from napari_aml.expression.markers import marker_table, top_markers
from napari_aml.progress import run


@pytest.fixture(scope="module")
def explained(small_trained):
    rows, made = small_trained
    return rows, made.bundle, attribute(made.bundle, rows.x[:12], rows.samples[:12])


def test_attributions_sum_to_the_difference_of_logits(explained):
    rows, bundle, found = explained
    assert found.complete.all()
    assert found.values.sum(1) == pytest.approx(found.difference, abs=0.05)
    from napari_aml.expression.training.fit import logits_of

    network = bundle.network()
    columns = [bundle.codes.index(t) for t in found.targets]
    logits = logits_of(network, rows.x[:12])[np.arange(12), columns]
    zero = logits_of(network, bundle.reference[None])[0, columns]
    assert found.difference == pytest.approx(logits - zero, abs=1e-4)


def test_the_genes_that_were_made_to_differ_speak_loudest(explained):
    rows, _, found = explained
    held = []
    for i, target in enumerate(found.targets):
        if target in "AB" and rows.classes[rows.targets[i]] == target:
            own = {f"GENE{5 * 'AB'.index(target) + j}" for j in range(5)}
            held.append(len(own & {g for g, _ in found.top(i, 8)}))
    # By chance one of the five would be among eight of forty.
    assert np.mean(held) >= 2


def test_too_few_steps_are_said_to_be_incomplete(small_trained):
    rows, made = small_trained
    rough = attribute(made.bundle, rows.x[:12] + 4 * np.random.default_rng(0).normal(size=(12, 40)), rows.samples[:12],
                      steps=1)  # fmt: skip
    assert not rough.complete.all()


def test_a_class_can_be_asked_for_and_an_unknown_one_is_refused(small_trained):
    rows, made = small_trained
    found = attribute(made.bundle, rows.x[:2], rows.samples[:2], targets=["B", "B"])
    assert found.targets == ("B", "B") and np.isnan(found.mean("A")).all()
    with pytest.raises(InputError, match="no class 'Z'"):
        attribute(made.bundle, rows.x[:1], ["S0"], targets=["Z"])
    with pytest.raises(InputError):
        attribute(made.bundle, rows.x[:1, :5], ["S0"])


def test_removing_top_genes_moves_the_call_more_than_random_ones(explained):
    rows, bundle, found = explained
    removed = run(ablate_steps(bundle, rows.x[:12], found, removed=(5,), draws=10))
    assert removed.top[0].mean() > 2 * abs(removed.random[0].mean())
    assert removed.p[0] < 0.01


def test_markers_agree_with_scipy_and_statsmodels(small_trained):
    from scipy.stats import mannwhitneyu
    from statsmodels.stats.multitest import multipletests

    rows, _ = small_trained
    labels = [rows.classes[t] for t in rows.targets]
    table = marker_table(rows.x, rows.genes, labels)
    assert len(table) == 3 * 40
    line = table[(table["class"] == "A") & (table["gene"] == "GENE2")].iloc[0]
    own, others = rows.x[rows.targets == 0, 2], rows.x[rows.targets != 0, 2]
    assert line["p"] == pytest.approx(mannwhitneyu(own, others, method="asymptotic").pvalue)
    greater = (own[:, None] > others).mean() - (own[:, None] < others).mean()
    assert line["effect"] == pytest.approx(greater)
    assert line["log2_change"] == pytest.approx(own.mean() - others.mean())
    assert table["p_adjusted"].to_numpy() == pytest.approx(multipletests(table["p"], method="fdr_bh")[1])
    best = top_markers(table, 5)
    assert set(best[best["class"] == "A"]["gene"]) == {f"GENE{i}" for i in range(5)}


def test_a_gene_that_is_constant_marks_nothing():
    x = np.random.default_rng(0).normal(size=(10, 3))
    x[:, 1] = 4.0
    table = marker_table(x, ["a", "b", "c"], ["A"] * 5 + ["B"] * 5).set_index(["class", "gene"])
    assert table.loc[("A", "b"), "p"] == 1 and table.loc[("A", "b"), "effect"] == 0
    with pytest.raises(InputError):
        marker_table(x, ["a", "b", "c"], ["A"] * 10)


def test_an_explanation_is_written_whole(small_trained, tmp_path):
    rows, made = small_trained
    groups = [rows.classes[t] for t in rows.targets]
    whole = run(explain_steps(made.bundle, rows.x, rows.samples, groups, grouped_by="labels"))
    folder = write_explanation(whole, tmp_path / "out", top=7)
    genes = pd.read_csv(folder / "genes.csv")
    assert (genes.groupby("sample").size() == 7).all() and len(genes) == 7 * 60
    assert pd.read_csv(folder / "completeness.csv")["complete"].all()
    markers = pd.read_csv(folder / "markers.csv")
    assert {"effect", "p_adjusted", "attribution", "attribution_rank"} <= set(markers)
    assert {p.name for p in folder.iterdir()} >= {"markers.png", "ablation.csv", "classes.csv", "README.md"}
    text = (folder / "README.md").read_text()
    assert "Completeness: 60 of 60" in text and "Research Use Only" in text and "diagnosis" not in text.lower()


def test_components_are_those_of_scikit_learn():
    from sklearn.decomposition import PCA

    points = np.random.default_rng(0).normal(size=(30, 6)) * [5, 3, 1, 1, 1, 1]
    plane, shares = pca(points)
    model = PCA(2).fit(points)
    assert np.abs(plane) == pytest.approx(np.abs(model.transform(points)))
    assert shares == pytest.approx(tuple(model.explained_variance_ratio_))


def test_maps_part_the_classes_and_are_written(small_trained, tmp_path):
    rows, made = small_trained
    labels = [rows.classes[t] for t in rows.targets]
    maps = run(sample_maps_steps(made.bundle, rows.x, rows.samples, labels))
    assert [(m.space, m.method) for m in maps] == [("last layer", "pca"), ("expression", "pca")]
    assert maps[0].points.shape == (60, 2)
    assert maps[0].silhouette > maps[1].silhouette
    assert maps[0].ari > 0.5
    folder = write_maps(maps, labels, tmp_path / "map")
    assert len(pd.read_csv(folder / "map.csv")) == 120 and (folder / "map.png").stat().st_size > 5000
    with pytest.raises(InputError):
        run(sample_maps_steps(made.bundle, rows.x[:2], rows.samples[:2]))


def test_figures_of_a_map_need_labels_that_can_part():
    points = np.random.default_rng(0).normal(size=(6, 2))
    assert np.isnan(separation(points, None)).all()
    assert np.isnan(separation(points, ["A"] * 6)).all()
    assert np.isnan(separation(points, list("ABCDEF"))).all()
