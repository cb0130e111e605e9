"""Maps made inside the classification pass are those of pytorch-grad-cam, before it clips and stretches them."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch
from small_models import CODES, card

from napari_aml._torch import choose_device
from napari_aml.classify import save_bundle
from napari_aml.classify.network import create
from napari_aml.errors import Cancelled, InputError
from napari_aml.explain.layers import choose_target
from napari_aml.explain.methods import METHODS, get_method
from napari_aml.explain.passes import CamPass

REFERENCE = {
    "gradcam": "GradCAM", "gradcam++": "GradCAMPlusPlus", "hirescam": "HiResCAM", "layercam": "LayerCAM",
    "eigencam": "EigenCAM", "scorecam": "ScoreCAM",
}  # fmt: skip


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    made = {}

    def make(backbone, px=64):
        if backbone not in made:
            torch.manual_seed(1)
            state = create(backbone, len(CODES), px, {}, "test").state_dict()
            folder = tmp_path_factory.mktemp("networks") / backbone
            made[backbone] = save_bundle(folder, state, card(backbone=backbone, crop_px=px)).network("cpu")
        return made[backbone]

    return make


def crops(px=64, n=5):
    return np.random.default_rng(2).integers(0, 256, (n, px, px, 3), dtype=np.uint8)


def reference(method, network, pictures, targets, layer, reshape=None):
    """What pytorch-grad-cam computes on the whole network, taken before `np.maximum` and scaling."""
    import pytorch_grad_cam
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    base = getattr(pytorch_grad_cam, REFERENCE[method])
    raw = []

    class Recording(base):
        def get_cam_image(self, *arguments, **named):
            raw.append(super().get_cam_image(*arguments, **named))
            return raw[-1]

    model = network.model.requires_grad_(True)
    try:
        with Recording(model, [layer], reshape_transform=reshape) as cam:
            cam(pictures, [ClassifierOutputTarget(int(t)) for t in targets])
    finally:
        network.model.requires_grad_(False)
        network.model.zero_grad(set_to_none=True)
    return raw[0]


def compare(network, method, stage, target, layer, reshape=None, px=64, n=5):
    targets = np.array([target(i) for i in range(n)])
    look = CamPass(method, stage, lambda rows, logits: torch.as_tensor(targets[rows]))
    pictures = network.prepare(crops(px, n))
    logits, embedding, (maps, said) = look(network, pictures, np.arange(n), threading.Event())
    with torch.no_grad():
        plain, features = network.head(network.features(pictures))
    np.testing.assert_allclose(logits.detach(), plain, atol=1e-5)
    np.testing.assert_allclose(embedding.detach(), features, atol=1e-5)
    assert (said == targets).all()
    expected = reference(method, network, pictures, targets, layer, reshape)
    assert maps.dtype == np.float32 and maps.shape == expected.shape
    size = np.abs(expected).max()
    assert size > 1e-6, "a map of zeros would pass too easily"
    np.testing.assert_allclose(maps, expected, atol=1e-4 * max(size, 1e-3))
    return maps


@pytest.mark.parametrize("method", [m for m in REFERENCE if m != "scorecam"])
@pytest.mark.parametrize("stage", [3, 2, 1])
def test_convnext_maps_are_those_of_pytorch_grad_cam(networks, method, stage):
    network = networks("test_convnext")
    compare(network, method, stage, lambda i: i % 3, network.model.stages[stage])


def test_score_cam_too(networks, capsys):
    network = networks("test_convnext")
    compare(network, "scorecam", 3, lambda i: i, network.model.stages[3], n=2)


@pytest.mark.parametrize("method", ["gradcam", "hirescam", "layercam"])
@pytest.mark.parametrize("stage", [3, 2])
def test_resnet_maps(networks, method, stage):
    network = networks("test_resnet")
    compare(network, method, stage, lambda i: 4, getattr(network.model, f"layer{stage + 1}"))


@pytest.mark.parametrize("method", ["gradcam", "hirescam"])
def test_vision_transformer_maps(networks, method):
    network = networks("test_vit", 96)

    def reshape(tokens):
        return tokens[:, network.model.num_prefix_tokens :].reshape(len(tokens), 6, 6, -1).permute(0, 3, 1, 2)

    maps = compare(network, method, 3, lambda i: 2, network.model.blocks[-1].norm1, reshape, px=96)
    assert maps.shape[1:] == (6, 6)


def test_efficientnet_maps(networks):
    network = networks("test_efficientnet")
    target = choose_target(network.model, 3)
    compare(network, "gradcam", 3, lambda i: 1, target.layer)


def test_signs_are_kept(networks):
    network = networks("test_convnext")
    look = CamPass("gradcam", 3, lambda rows, logits: logits.argmin(1))
    _, _, (maps, _) = look(network, network.prepare(crops()), np.arange(5), threading.Event())
    assert maps.min() < 0


@pytest.mark.parametrize("stage", [3, 2])
def test_nothing_is_left_behind_in_the_network(networks, stage):
    network = networks("test_convnext")
    look = CamPass("gradcam", stage, lambda rows, logits: logits.argmax(1))
    look(network, network.prepare(crops()), np.arange(5), threading.Event())
    assert not any(m._forward_hooks or m._backward_hooks for m in network.model.modules())
    assert all(p.grad is None and not p.requires_grad for p in network.model.parameters())
    assert torch.is_grad_enabled()


def test_hooks_and_grad_mode_are_clean_after_an_error(networks, monkeypatch):
    network = networks("test_convnext")
    monkeypatch.setattr(network, "head", lambda features: 1 / 0)
    look = CamPass("gradcam", 2, lambda rows, logits: logits.argmax(1))
    with pytest.raises(ZeroDivisionError):
        look(network, network.prepare(crops()), np.arange(5), threading.Event())
    assert not any(m._forward_hooks for m in network.model.modules()) and torch.is_grad_enabled()


@pytest.mark.parametrize("method", ["eigencam", "scorecam"])
def test_slow_methods_stop_when_asked(networks, method):
    network, stop = networks("test_convnext"), threading.Event()
    stop.set()
    look = CamPass(method, 3, lambda rows, logits: logits.argmax(1))
    with pytest.raises(Cancelled):
        look(network, network.prepare(crops()), np.arange(5), stop)


def test_unknown_methods_and_stages(networks):
    with pytest.raises(InputError, match="gradcam"):
        get_method("gradcan")
    with pytest.raises(InputError, match="stage"):
        choose_target(networks("test_convnext").model, 4)
    assert set(METHODS) == set(REFERENCE)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
def test_a_graphics_card_gives_the_same_maps(networks):
    from napari_aml._torch import Device
    from napari_aml.classify.network import Network

    network = networks("test_convnext")
    look = CamPass("gradcam", 3, lambda rows, logits: logits.argmax(1))
    _, _, (maps, _) = look(network, network.prepare(crops()), np.arange(5), threading.Event())
    other = Network(network.model, Device("cuda", "float32"), (0.7, 0.6, 0.7), (0.2, 0.25, 0.2))
    _, _, (there, _) = look(other, other.prepare(crops()), np.arange(5), threading.Event())
    network.model.to(choose_device("cpu").torch_device())
    np.testing.assert_allclose(there, maps, atol=1e-3)
