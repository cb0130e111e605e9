"""The networks: the published names, what attention at length one is, attention over genes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_aml.errors import InputError
from napari_aml.expression.models.attention_aml import PUBLISHED_CLASSES, AttentionAML
from napari_aml.expression.models.building import build
from napari_aml.expression.models.gene_attention import GeneAttention


def test_the_published_network_has_the_published_tensors():
    names = {k: tuple(v.shape) for k, v in AttentionAML(100, 21).state_dict().items()}
    for block, width in (("1", 512), ("2", 256)):
        for part in ("query", "key", "value", "fc_out"):
            assert names.pop(f"attention{block}.{part}.weight") == (width, width)
            assert names.pop(f"attention{block}.{part}.bias") == (width,)
        assert names.pop(f"layer_norm{block}.weight") == names.pop(f"layer_norm{block}.bias") == (width,)
    assert names == {
        "layer1.weight": (512, 100), "layer1.bias": (512,), "layer2.weight": (256, 512), "layer2.bias": (256,),
        "layer3.weight": (21, 256), "layer3.bias": (21,),
    }  # fmt: skip
    assert len(PUBLISHED_CLASSES) == len(set(PUBLISHED_CLASSES)) == 21
    assert (PUBLISHED_CLASSES[2], PUBLISHED_CLASSES[14], PUBLISHED_CLASSES[20]) == ("CBFB::MYH11", "NPM1", "UBTF")


def test_the_published_width_has_the_published_number_of_parameters():
    with torch.device("meta"):
        network = AttentionAML(13592, 21)
    assert sum(p.numel() for p in network.parameters()) == 8_411_669


@pytest.mark.parametrize("heads", [1, 4, 8])
def test_attention_over_one_token_is_the_linear_map_that_stands_for_it(heads):
    """torch's own attention, with the same weights, on sequences of length one."""
    torch.manual_seed(0)
    block = AttentionAML(30, 3, hidden=32).attention1
    reference = torch.nn.MultiheadAttention(32, heads, batch_first=True)
    with torch.no_grad():
        reference.in_proj_weight.copy_(torch.cat([block.query.weight, block.key.weight, block.value.weight]))
        reference.in_proj_bias.copy_(torch.cat([block.query.bias, block.key.bias, block.value.bias]))
        reference.out_proj.weight.copy_(block.fc_out.weight)
        reference.out_proj.bias.copy_(block.fc_out.bias)
    x = torch.randn(5, 32)
    wanted, weights = reference(x[:, None], x[:, None], x[:, None])
    assert torch.allclose(block(x), wanted[:, 0], atol=1e-5)
    assert torch.equal(weights, torch.ones_like(weights))


def test_query_and_key_get_no_gradient():
    network = AttentionAML(30, 3, hidden=16, second=8)
    network(torch.randn(4, 30)).sum().backward()
    for name, parameter in network.named_parameters():
        assert (parameter.grad is None) == (".query." in name or ".key." in name), name


@settings(deadline=None, max_examples=20)
@given(st.integers(2, 40), st.integers(1, 9), st.integers(0, 5))
def test_attention_over_genes_is_a_distribution_that_depends_on_the_sample(genes, programmes, seed):
    torch.manual_seed(seed)
    network = GeneAttention(genes, 3, programmes=programmes).eval()
    attention = network.attention(torch.randn(4, genes))
    assert attention.shape == (4, programmes, genes)
    assert torch.allclose(attention.sum(-1), torch.ones(4, programmes), atol=1e-5)
    assert (attention >= 0).all()
    assert not torch.allclose(attention[0], attention[1])


def test_gene_attention_starts_at_the_linear_model():
    rng = np.random.default_rng(0)
    z, linear, intercept = rng.normal(size=(20, 50)), rng.normal(size=(3, 50)), rng.normal(size=3)
    network = GeneAttention(50, 3, dropout=0).eval()
    network.start(z, linear, intercept)
    with torch.no_grad():
        network.queries.zero_()  # equal attention everywhere
        said = network(torch.from_numpy(z).float()).numpy()
    assert said == pytest.approx(z @ linear.T + intercept, abs=1e-4)


def test_a_gene_that_no_programme_attends_to_cannot_move_the_call():
    torch.manual_seed(0)
    network = GeneAttention(10, 3).eval()
    with torch.no_grad():
        network.gene_value.normal_()
        network.queries.zero_()
        network.queries[:, 0] = 1
        network.gene_key.zero_()
        network.gene_shift.zero_()
        network.gene_key[4, 0] = -1e4
        x = torch.randn(1, 10)
        y = x.clone()
        y[0, 4] += 5
        assert torch.equal(network(x), network(y))


def test_an_ensemble_standardises_and_averages():
    network = build("mlp", 6, 2, {"members": 3, "hidden": 4, "second": 4}).eval()
    network.centre.fill_(2.0)
    network.spread.fill_(0.5)
    x = torch.rand(5, 6) + 2
    z = (x - 2) / 0.5
    with torch.no_grad():
        assert torch.allclose(network(x), torch.stack([m(z) for m in network.members]).mean(0), atol=1e-6)
        assert network.embed(x).shape == (5, 12)


@pytest.mark.parametrize(("model", "arguments"), [("resnet", {}), ("mlp", {"heads": 2})])
def test_what_is_unknown_is_refused(model, arguments):
    with pytest.raises(InputError):
        build(model, 4, 2, arguments)
