"""Prediction: the same whatever the batches, complete whatever happens to memory, stopped when closed."""

from __future__ import annotations

import itertools
import threading
import time

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import make_bundle

import napari_aml as aml
from napari_aml._torch import Device, choose_device
from napari_aml.classify import ArrayCrops, Predictions, SlideCrops, predict, predict_steps
from napari_aml.classify.network import Network
from napari_aml.classify.predict import average, choose_batch_size
from napari_aml.classify.views import Tta, View
from napari_aml.errors import BundleError, DeviceError, InputError
from napari_aml.progress import run


def test_predictions_are_those_of_the_network(tiny, pictures):
    said = predict(tiny, pictures, "cpu")
    model = tiny.network("cpu").model
    with torch.no_grad():
        values = (pictures / 255.0 - tiny.mean) / tiny.std
        logits = model(torch.from_numpy(values).permute(0, 3, 1, 2).float())
        expected = torch.softmax(logits / tiny.temperature, 1)
    assert said.probabilities.dtype == np.float32 and said.embedding.shape == (70, 64)
    np.testing.assert_allclose(said.probabilities, expected, atol=1e-5)
    np.testing.assert_allclose(said.probabilities.sum(1), 1, atol=1e-6)
    assert len(set(said.code)) > 1, "a network that says one class for all would pass too easily"
    assert np.isnan(said.ood).all() and said.bundle_id == tiny.bundle_id


@settings(max_examples=8, deadline=None)
@given(size=st.integers(1, 80), order=st.randoms(use_true_random=False))
def test_results_depend_neither_on_batch_size_nor_on_order(tiny, pictures, size, order):
    picked = list(range(len(pictures)))
    order.shuffle(picked)
    expected = predict(tiny, pictures, "cpu")
    said = run(predict_steps(tiny, pictures[picked], "cpu", batch_size=size))
    np.testing.assert_allclose(said.probabilities, expected.probabilities[picked], atol=1e-5)
    np.testing.assert_allclose(said.embedding, expected.embedding[picked], atol=1e-4)


def test_no_cells_give_no_predictions(tiny):
    said = predict(tiny, np.zeros((0, 64, 64, 3), np.uint8), "cpu")
    assert said.probabilities.shape == (0, 16) and said.embedding.shape == (0, 64)
    assert len(said.code) == len(said.confidence) == len(said.runner_up) == 0


def test_batches_are_handed_out_as_they_are_finished(tiny, pictures):
    events = list(predict_steps(tiny, pictures, "cpu", batch_size=16))
    batches = [event.payload for event in events if event.payload is not None]
    assert [len(rows) for rows, _, _ in batches] == [16, 16, 16, 16, 6]
    assert sorted(np.concatenate([rows for rows, _, _ in batches])) == list(range(70))
    assert [event.done for event in events if event.payload] == [16, 32, 48, 64, 70]
    assert all(event.total == 70 for event in events)


class _Forgetful:
    """Wraps `Network.features` so that batches above a size meet a full memory."""

    def __init__(self, monkeypatch, most):
        self.sizes, self.most, real = [], most, Network.features

        def features(network, batch):
            self.sizes.append(len(batch))
            if len(batch) > self.most:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
            return real(network, batch)

        monkeypatch.setattr(Network, "features", features)


@pytest.mark.parametrize("most", [1, 5, 16, 40])
def test_a_full_memory_halves_the_batch_for_the_rest_of_the_job(tiny, pictures, monkeypatch, most):
    expected = predict(tiny, pictures, "cpu")
    tried = _Forgetful(monkeypatch, most)
    said = run(predict_steps(tiny, pictures, "cpu", batch_size=64))
    np.testing.assert_allclose(said.probabilities, expected.probabilities, atol=1e-5)
    fitting = 64
    while fitting > most:
        fitting //= 2
    assert max(tried.sizes[tried.sizes.index(fitting) :]) == fitting
    assert sum(size > most for size in tried.sizes) <= 7


def test_several_batches_in_flight_survive_a_full_memory(tiny, pictures, monkeypatch):
    expected = predict(tiny, pictures, "cpu")
    _Forgetful(monkeypatch, 5)
    # A graphics card gets two batches at once; the queue behind it is the same on a CPU.
    device = Device("cpu", "float32")
    monkeypatch.setattr(Device, "type", property(lambda self: "cuda"))
    monkeypatch.setattr("napari_aml._torch.release_memory", lambda device: None)
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self: self)
    said = run(predict_steps(tiny, pictures, device, batch_size=16))
    np.testing.assert_allclose(said.probabilities, expected.probabilities, atol=1e-5)


def test_a_memory_too_small_for_one_cell_says_so(tiny, pictures, monkeypatch):
    _Forgetful(monkeypatch, 0)
    with pytest.raises(DeviceError, match="full with a single cell"):
        predict(tiny, pictures, "cpu")


def test_another_error_of_the_network_is_not_swallowed(tiny, pictures, monkeypatch):
    def features(network, batch):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr(Network, "features", features)
    with pytest.raises(RuntimeError, match="mat1"):
        predict(tiny, pictures, "cpu")


def test_answers_that_are_not_finite_are_an_error(tiny, pictures, monkeypatch):
    monkeypatch.setattr(Network, "features", lambda network, batch: torch.full((len(batch), 64, 2, 2), torch.nan))
    with pytest.raises(BundleError, match="not finite"):
        predict(tiny, pictures, "cpu")


def test_closing_stops_reader_and_network(tiny):
    class Endless:
        reads = 0

        def __len__(self):
            return 100_000

        order = np.arange(100_000)

        def read(self, rows, zoom=1.0):
            self.reads += 1
            return np.zeros((len(rows), 64, 64, 3), np.uint8)

    source, before = Endless(), set(threading.enumerate())
    steps = predict_steps(tiny, source, "cpu")
    while next(steps).done == 0:
        pass
    started = time.monotonic()
    steps.close()
    assert time.monotonic() - started < 5, "closing waited for more than the batch at work"
    for thread in set(threading.enumerate()) - before:
        thread.join(5)
    reads = source.reads
    time.sleep(0.2)
    assert source.reads == reads and not set(threading.enumerate()) - before


@pytest.mark.usefixtures("two_cores")
def test_a_small_network_works_on_two_batches_side_by_side_in_one_thread_each(tiny, pictures, monkeypatch):
    torch.set_num_threads(1)
    expected = predict(tiny, pictures, "cpu")
    torch.set_num_threads(2)
    real, meeting, calls, threads, models = Network.features, threading.Barrier(2), itertools.count(), [], set()

    def features(network, batch):
        if next(calls) < 2:
            meeting.wait(30)  # broken where the second batch waits for the first
        threads.append(torch.get_num_threads())
        models.add(network.model)
        return real(network, batch)

    monkeypatch.setattr(Network, "features", features)
    events = list(predict_steps(tiny, pictures, "cpu"))
    assert set(threads) == {1} and torch.get_num_threads() == 2
    weights = [next(model.parameters()).data_ptr() for model in models]
    assert len(models) == 2 and weights[0] == weights[1], "two networks, one set of weights"
    rows = np.concatenate([event.payload[0] for event in events if event.payload])
    np.testing.assert_array_equal(rows, np.arange(70))
    said = Predictions.concatenate([event.payload[1] for event in events if event.payload])
    np.testing.assert_allclose(said.probabilities, expected.probabilities, atol=1e-5)
    np.testing.assert_allclose(said.ood, expected.ood, rtol=1e-4)


@pytest.mark.usefixtures("two_cores")
@pytest.mark.parametrize("cells", [1, 14])
def test_few_cells_get_all_cores_together(tiny, pictures, monkeypatch, cells):
    real, threads = Network.features, []

    def features(network, batch):
        threads.append((torch.get_num_threads(), len(batch)))
        return real(network, batch)

    monkeypatch.setattr(Network, "features", features)
    predict(tiny, pictures[:cells], "cpu")
    assert threads == [(2, cells)]


def test_there_is_a_sign_of_life_while_a_batch_takes_long(tiny, pictures, monkeypatch):
    real, go = Network.features, threading.Event()

    def features(network, batch):
        assert go.wait(30)
        return real(network, batch)

    monkeypatch.setattr(Network, "features", features)
    steps, waited = predict_steps(tiny, pictures, "cpu"), 0
    for event in steps:
        waited += event.message.startswith("Classified 0")
        if waited == 3:
            go.set()
    assert waited >= 3


def test_the_grad_mode_of_the_caller_is_left_alone(tiny, pictures):
    for _ in predict_steps(tiny, pictures[:5], "cpu"):
        assert torch.is_grad_enabled() and not torch.is_inference_mode_enabled()


def test_temperature_changes_confidence_and_not_the_class(tiny, pictures, tmp_path):
    hot = make_bundle(tmp_path / "hot", temperature=5.0)
    one, other = predict(tiny, pictures, "cpu"), predict(hot, pictures, "cpu")
    assert (one.index == other.index).all()
    assert (other.confidence < one.confidence).all()


def test_views_are_averaged_and_the_embedding_is_that_of_the_plain_crop(tiny, pictures):
    views = [View(), View(flip="h"), View(zoom=1.5, flip="v")]
    said = run(predict_steps(tiny, pictures, "cpu", views=views))
    zoomed = ArrayCrops(pictures, 64).read(np.arange(70), 1.5)
    parts = [predict(tiny, p, "cpu") for p in (pictures, pictures[:, :, ::-1], zoomed[:, ::-1])]
    np.testing.assert_allclose(said.probabilities, np.mean([p.probabilities for p in parts], 0), atol=1e-5)
    np.testing.assert_allclose(said.embedding, parts[0].embedding, atol=1e-5)


def test_averaging_logits_and_probabilities():
    logits = [np.array([[2.0, 0.0]]), np.array([[-1.0, 1.0]])]
    both = [np.exp(x) / np.exp(x).sum() for x in logits]
    np.testing.assert_allclose(average(logits, "probabilities"), np.mean(both, 0), rtol=1e-6)
    mean = np.exp([0.5, 0.5]) / np.exp([0.5, 0.5]).sum()
    np.testing.assert_allclose(average(logits, "logits"), [mean], rtol=1e-6)


def test_views_that_differ_in_their_flips_share_one_reading(tiny, pictures):
    class Counted(ArrayCrops):
        zooms: list[float] = []

        def read(self, rows, zoom=1.0):
            self.zooms.append(zoom)
            return super().read(rows, zoom)

    views = [View(), View(flip="h"), View(zoom=1.5), View(zoom=1.5, flip="v")]
    source = Counted(pictures[:8], tiny.crop_px)
    said = run(predict_steps(tiny, source, "cpu", views=views))
    assert source.zooms == [1.0, 1.5]
    alone = [run(predict_steps(tiny, pictures[:8], "cpu", views=[View(), view])) for view in views]
    expected = np.mean([2 * a.probabilities - alone[0].probabilities for a in alone], 0)
    np.testing.assert_allclose(said.probabilities, expected, atol=1e-5)


def test_the_views_of_a_card():
    tta = Tta.from_card({"views": [{"zoom": 1}, {"zoom": 1.4, "flip": "hv"}], "average": "logits"})
    assert tta.views == (View(), View(1.4, "hv")) and tta.slide_views == (View(),) and tta.average == "logits"
    assert Tta.from_card(None).views == (View(),)


def test_crops_that_are_not_pictures_are_refused(tiny):
    for wrong in (np.zeros((3, 64, 64), np.uint8), np.zeros((3, 64, 64, 3), float), np.zeros((3, 3, 64, 64), np.uint8)):
        with pytest.raises(InputError, match="uint8"):
            predict(tiny, wrong, "cpu")


def test_a_missing_device_is_named(tiny, pictures):
    if torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    with pytest.raises(DeviceError, match="cuda"):
        predict(tiny, pictures, "cuda")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
def test_a_graphics_card_says_the_same(tiny, pictures):
    one, other = predict(tiny, pictures, "cpu"), predict(tiny, pictures, Device("cuda", "float32"))
    np.testing.assert_allclose(one.probabilities, other.probabilities, atol=1e-3)
    assert np.abs(predict(tiny, pictures, "cuda").probabilities - one.probabilities).max() < 0.05


def test_slide_crops_are_those_of_the_slide_in_any_order(pictures):
    rng = np.random.default_rng(3)
    image = rng.integers(0, 256, (900, 1200, 3), dtype=np.uint8)
    slide = aml.open_slide(image, 0.2)
    y, x = rng.uniform(0, 900, 40), rng.uniform(0, 1200, 40)
    source = SlideCrops(slide, y, x, 12.8, 64)
    assert sorted(source.order) == list(range(40))
    whole = aml.crops(slide, y, x, 12.8, 64)
    rows = source.order[5:20]
    # A crop may be a grey value off when it is cut together with others: resampling starts at another place.
    assert np.abs(source.read(rows).astype(int) - whole[rows]).max() <= 1
    np.testing.assert_allclose(source.boxes[:, 2] - source.boxes[:, 0], 64, atol=1e-3)


@pytest.mark.parametrize(("backbone", "px", "least"), [("convnext_atto", 128, 16), ("convnext_base", 224, 1)])
def test_the_batch_on_a_cpu_follows_the_size_of_the_network(backbone, px, least):
    import timm

    with torch.device("meta"):
        model = timm.create_model(backbone)

    class Held:
        device = choose_device("cpu")

    Held.model = model
    assert least <= choose_batch_size(Held, px) <= 2 * least
