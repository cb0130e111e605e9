"""The faster convolutions compute what torch's do."""

from __future__ import annotations

import copy

import pytest
import torch

from napari_aml.classify.training.engine.depthwise import WIDEST, quicken


@pytest.mark.parametrize(("height", "width", "side", "bias"), [(2, 2, 7, True), (8, 5, 3, False), (16, 12, 5, True)])
def test_gradients_are_those_of_torch(height, width, side, bias):
    torch.manual_seed(0)
    plain = torch.nn.Sequential(
        torch.nn.Conv2d(3, 6, 1), torch.nn.Conv2d(6, 6, side, padding=side // 2, groups=6, bias=bias)
    )
    quick = copy.deepcopy(plain)
    assert quicken(quick) == 2 and list(quick.state_dict()) == list(plain.state_dict())
    found = []
    for network in (plain, copy.deepcopy(quick)):  # a copy, as averages make them
        x = torch.rand(4, 3, height, width, generator=torch.Generator().manual_seed(1))
        x = x.contiguous(memory_format=torch.channels_last).requires_grad_()
        y = network(x)
        (y * torch.linspace(0, 1, y.numel()).view_as(y)).sum().backward()
        found.append([y, x.grad, *(p.grad for p in network.parameters())])
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


def test_what_does_not_suit_is_left_alone():
    strided = torch.nn.Conv2d(4, 4, 3, stride=2, padding=1, groups=4)
    grouped = torch.nn.Conv2d(4, 4, 3, padding=1, groups=2)
    assert quicken(torch.nn.Sequential(strided, grouped)) == 0
    wide = torch.nn.Conv2d(4, 4, 3, padding=1, groups=4)
    x, before = torch.rand(1, 4, 2, WIDEST + 1), copy.deepcopy(wide)
    quicken(torch.nn.Sequential(wide))
    assert torch.equal(wide(x), before(x))


def test_half_precision_keeps_the_gradient_close():
    torch.manual_seed(0)
    conv = torch.nn.Conv2d(5, 5, 3, padding=1, groups=5)
    exact, quick = copy.deepcopy(conv), torch.nn.Sequential(conv)
    quicken(quick)
    x = torch.rand(8, 5, 12, 12)
    exact(x).square().sum().backward()
    with torch.autocast("cpu", torch.bfloat16):
        quick(x).float().square().sum().backward()
    assert conv.weight.grad.dtype == torch.float32
    assert float((conv.weight.grad - exact.weight.grad).norm() / exact.weight.grad.norm()) < 0.02
