"""Expression bundles and the import of published weights."""

from __future__ import annotations

import json
import pickle
import shutil

import numpy as np
import pytest
import torch

from napari_aml.errors import BundleError, UnsafeWeightsError
from napari_aml.expression.bundle import (
    find_expression_bundles,
    load_expression_bundle,
    open_expression_bundle,
)
from napari_aml.expression.checkpoint import import_checkpoint
from napari_aml.expression.models.attention_aml import PUBLISHED_CLASSES, AttentionAML

GENES = [f"G{i}" for i in range(24)]


@pytest.fixture
def published(tmp_path):
    """A weight file as published, smaller; the gene list beside it."""
    torch.manual_seed(0)
    network = AttentionAML(24, 21, hidden=16, second=8)
    torch.save(network.state_dict(), tmp_path / "MLP_attention.pth")
    (tmp_path / "genes.txt").write_text("\n".join(GENES) + "\n")
    return network.eval(), tmp_path / "MLP_attention.pth", tmp_path / "genes.txt"


def test_published_weights_become_a_bundle_that_says_the_same(published, tmp_path):
    network, weights, genes = published
    bundle = import_checkpoint(weights, genes, tmp_path / "out")
    assert bundle.codes == PUBLISHED_CLASSES
    assert bundle.genes == tuple(GENES)
    assert bundle.age_range == (0, 29)
    x = torch.randn(3, 24)
    with torch.no_grad():
        assert torch.allclose(load_expression_bundle(tmp_path / "out").network()(x), network(x), atol=1e-6)
    assert bundle.conformal is None and bundle.likeness is None


def test_wrappers_prefixes_and_nests_are_taken_off(published, tmp_path):
    network, _, genes = published
    wrapped = {"state_dict": {f"module.{k}": v for k, v in network.state_dict().items()}, "epoch": 3}
    torch.save(wrapped, tmp_path / "nested.pth")
    assert import_checkpoint(tmp_path / "nested.pth", genes, tmp_path / "out").genes == tuple(GENES)


def damaged(network, kind):
    state = dict(network.state_dict())
    if kind == "key missing":
        del state["attention1.fc_out.bias"]
    elif kind == "key added":
        state["extra"] = torch.zeros(3)
    elif kind == "shape":
        state["attention2.value.weight"] = torch.zeros(8, 7)
    elif kind == "not finite":
        state["layer2.bias"] = torch.full((8,), torch.nan)
    elif kind == "no network":
        state = {"fc.weight": torch.zeros(2, 2)}
    return state


@pytest.mark.parametrize(
    ("kind", "named"),
    [("key missing", "attention1.fc_out.bias"), ("key added", "extra"), ("shape", "attention2.value.weight"),
     ("not finite", "layer2.bias"), ("no network", "layer1.weight")],
)  # fmt: skip
def test_weights_that_do_not_fit_are_named(published, tmp_path, kind, named):
    network, _, genes = published
    torch.save(damaged(network, kind), tmp_path / "w.pth")
    with pytest.raises(BundleError, match=named.replace(".", r"\.")):
        import_checkpoint(tmp_path / "w.pth", genes, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [("\n".join(GENES[:-1]), "24 genes.*lists 23"), ("\n".join([*GENES[:-1], "G0"]), "G0 twice"), ("", "empty"),
     ("gene,other\n", "no gene")],
)  # fmt: skip
def test_gene_lists_that_do_not_fit_are_named(published, tmp_path, text, words):
    _, weights, genes = published
    genes.write_text(text)
    with pytest.raises(BundleError, match=words):
        import_checkpoint(weights, genes, tmp_path / "out")


def test_the_number_of_classes_must_fit(published, tmp_path):
    _, weights, genes = published
    with pytest.raises(BundleError, match="21 classes apart; 2 were named"):
        import_checkpoint(weights, genes, tmp_path / "out", classes=["a", "b"])


class Evil:
    def __reduce__(self):
        return (print, ("this must never run",))


def test_a_pickle_is_refused_and_not_run(published, tmp_path, capsys):
    _, _, genes = published
    torch.save({"layer1.weight": Evil()}, tmp_path / "evil.pth")
    (tmp_path / "evil.safetensors").write_bytes(pickle.dumps(Evil()))
    for name in ("evil.pth", "evil.safetensors"):
        with pytest.raises(UnsafeWeightsError):
            import_checkpoint(tmp_path / name, genes, tmp_path / "out")
    assert "never run" not in capsys.readouterr().out


def test_a_bundle_is_found_by_name_and_apart_from_those_of_pictures(small_bundle, monkeypatch):
    monkeypatch.setenv("NAPARI_AML_MODELS", str(small_bundle.path.parent))
    from napari_aml.classify.library import broken_bundles, find_bundles

    names = [b.name for b in find_expression_bundles()]
    assert {"small", "expression-demo"} <= set(names)
    assert load_expression_bundle("small").genes == small_bundle.genes
    assert "small" not in [b.name for b in find_bundles()]
    assert small_bundle.path not in broken_bundles()
    with pytest.raises(BundleError, match="expression-demo"):
        load_expression_bundle("nothing of that name")


def changed(folder, tmp_path, **entries):
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    card = json.loads((copy / "bundle.json").read_text())
    (copy / "bundle.json").write_text(json.dumps({**card, **entries}))
    return copy


@pytest.mark.parametrize(
    ("entries", "words"),
    [({"kind": "image-classifier"}, "kind"), ({"format_version": 9}, "Update"), ({"model": "resnet"}, "model"),
     ({"classes": ["A", "A"]}, "classes"), ({"temperature": 0}, "temperature"), ({"sha256": "0" * 64}, "SHA-256"),
     ({"genes_sha256": "0" * 64}, "order of the genes"), ({"classes": ["A", "B"]}, "do not fit"),
     ({"conformal": {"codes": []}}, "conformal"), ({"age_range": [1]}, "age_range"), ({"name": 3}, "name")],
)  # fmt: skip
def test_a_damaged_card_is_named(small_bundle, tmp_path, entries, words):
    copy = changed(small_bundle.path, tmp_path, **entries)
    with pytest.raises(Exception, match=words) as said:
        load_expression_bundle(copy)
    assert said.value.exit_code == 2


def test_another_order_of_genes_is_refused(small_bundle, tmp_path):
    copy = changed(small_bundle.path, tmp_path)
    genes = list(small_bundle.genes)
    (copy / "genes.txt").write_text("\n".join([genes[1], genes[0], *genes[2:]]) + "\n")
    with pytest.raises(BundleError, match="order of the genes"):
        open_expression_bundle(copy)


def test_the_shipped_bundle_is_whole_and_says_what_it_is():
    bundle = load_expression_bundle()
    assert set(bundle.codes) == {"CBFB::MYH11", "PML::RARA", "RUNX1::RUNX1T1", "other"}
    assert bundle.conformal is not None and bundle.likeness is not None and bundle.accepts_uncorrected
    text = bundle.card_summary()
    for word in ("TCGA-LAML", "173 samples", "mcc", "Research Use Only", "demonstration"):
        assert word.lower() in text.lower()
    assert np.isfinite(bundle.reference).all() and len(bundle.reference) == len(bundle.genes)
    assert sum(p.stat().st_size for p in bundle.path.iterdir()) < 2_000_000
