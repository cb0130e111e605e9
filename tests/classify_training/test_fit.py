from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_aml import progress
from napari_aml.classify.training import bank, evaluate, fit, hints
from napari_aml.classify.training.augment import Variation

MILD = Variation(stain=0.2, transfer=0, blur=0, neighbour=0, erase=0, field_um=(20.0, 30.0))


class Small(torch.nn.Module):
    """A network of a few thousand weights."""

    def __init__(self) -> None:
        super().__init__()
        self.body = torch.nn.Sequential(
            torch.nn.Conv2d(3, 16, 4, 4), torch.nn.GELU(), torch.nn.Conv2d(16, 32, 2, 2), torch.nn.GELU()
        )
        self.head = torch.nn.Linear(32, 16)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(x).mean((2, 3)))


def small(seed: int = 0) -> torch.nn.Module:
    torch.manual_seed(seed)
    return Small()


def live(cells) -> fit.Stream:
    return fit.live_stream(cells, np.arange(len(cells)), np.ones(len(cells)))


def test_training_learns_to_tell_the_classes(made_up_cells) -> None:
    network = small()
    recipe = fit.Recipe(3000, side=32, batch=20, rate=1e-2, bfloat16=False, average=0.9, variation=MILD)
    network.load_state_dict(progress.run(fit.fit_steps(network, live(made_up_cells), recipe)))
    logits = evaluate.view_logits(network, made_up_cells, np.arange(60), 32, field_um=25.0)
    assert (logits[0].argmax(1) == made_up_cells.targets).mean() > 0.8


def test_an_interrupted_run_ends_as_the_whole_one(made_up_cells, tmp_path) -> None:
    recipe = fit.Recipe(200 * 8, side=16, batch=8, bfloat16=False, variation=MILD)
    whole = progress.run(fit.fit_steps(small(), live(made_up_cells), recipe))
    steps = fit.fit_steps(small(), live(made_up_cells), recipe, tmp_path / "run.ck")
    for event in steps:
        if event.done == 150:  # the last checkpoint is of step 100
            break
    steps.close()
    again = progress.run(fit.fit_steps(small(1), live(made_up_cells), recipe, tmp_path / "run.ck"))
    for name in whole:
        assert torch.allclose(whole[name], again[name], atol=1e-5), name


def test_another_recipe_does_not_take_up_the_checkpoint(made_up_cells, tmp_path) -> None:
    recipe = fit.Recipe(100 * 8, side=16, batch=8, bfloat16=False, variation=MILD)
    progress.run(fit.fit_steps(small(), live(made_up_cells), recipe, tmp_path / "run.ck"))
    other = replace(recipe, rate=5e-4)
    events = []
    progress.run(fit.fit_steps(small(), live(made_up_cells), other, tmp_path / "run.ck"), events.append)
    assert events[0].done == 50


def test_unlabelled_pictures_learn_from_the_teacher_alone() -> None:
    logits = torch.randn(4, 16, requires_grad=True)
    taught = torch.randn(4, 16)
    nothing = torch.full((4,), -1)
    recipe = fit.Recipe(1, distil=0.5)
    fit.loss_of(logits, nothing, taught, recipe).backward()
    assert logits.grad.abs().sum() > 0
    assert fit.loss_of(taught, nothing, taught, recipe).item() == pytest.approx(0, abs=1e-6)


def test_the_rate_warms_up_and_ends_at_nothing() -> None:
    recipe = fit.Recipe(1, rate=1e-3, warm_up=0.1)
    rates = [fit.learning_rate(step, 100, recipe) for step in range(100)]
    assert rates[0] < rates[5] < rates[9] == pytest.approx(1e-3)
    assert rates[-1] < 1e-6
    assert np.all(np.diff(rates[10:]) < 0)


def made_up_bank(n: int = 32) -> bank.ViewBank:
    rng = np.random.default_rng(0)
    return bank.ViewBank(
        views=rng.integers(0, 255, (n, 32, 32, 3), dtype=np.uint8),
        targets=rng.integers(0, 16, n),
        taught=rng.normal(size=(n, 16)).astype(np.float32),
        near=rng.normal(size=(n, 8, 2, 2)).astype(np.float16),
        far=rng.normal(size=(n, 12, 1, 1)).astype(np.float16),
    )


def test_a_pass_through_the_bank_shows_each_view_once(tmp_path) -> None:
    made_up_bank().save(tmp_path / "bank")
    opened = bank.ViewBank.open(tmp_path / "bank")
    seen = [b.taught[:, 0].numpy() for b in opened.stream(fit.Recipe(32, batch=8), 0)]
    assert sorted(np.concatenate(seen)) == sorted(opened.taught[:, 0])


def test_views_and_maps_of_the_bank_are_turned_alike() -> None:
    made = made_up_bank(8)
    grid = made.views.reshape(8, 2, 16, 2, 16, 3).mean((2, 4))  # coarse pictures, used as maps
    made.near = grid.transpose(0, 3, 1, 2).astype(np.float16)
    for batch in made.stream(fit.Recipe(80, batch=8), 0):
        coarse = batch.pictures.add(1).mul(127.5).unfold(2, 16, 16).unfold(3, 16, 16).mean((4, 5))
        assert torch.allclose(coarse, batch.maps[0], atol=0.2)


def test_hardened_views_keep_their_answers_and_are_repeatable() -> None:
    made, recipe = made_up_bank(32), fit.Recipe(32, batch=16)
    harder = bank.hardened(made.stream, Variation(stain=1.4, pale=0.5, cut_off=0.3), 0.5)
    plain = list(made.stream(recipe, 0))
    for before, one, two in zip(plain, harder(recipe, 0), harder(recipe, 0), strict=True):
        assert torch.equal(one.pictures, two.pictures) and torch.equal(one.taught, before.taught)
        changed = (one.pictures - before.pictures).abs().amax((1, 2, 3)) > 1e-3
        assert changed.sum() == 8


def test_a_joint_stream_shows_as_many_pictures_as_asked() -> None:
    stream = bank.joint_stream([made_up_bank(32), made_up_bank(16)])
    assert sum(len(b.targets) for b in stream(fit.Recipe(160, batch=8), 0)) == 160


def test_a_student_learns_logits_and_maps_and_keeps_timms_names() -> None:
    import timm

    torch.manual_seed(0)
    network = timm.create_model("convnext_atto", num_classes=16)
    student = hints.student_with_hints(network, (8, 12))
    recipe = fit.Recipe(8 * 24, batch=8, hints=1.0, distil=0.7, rate=1e-3, bfloat16=False)
    made = made_up_bank(8)
    events = []
    progress.run(fit.fit_steps(student, made.stream, recipe), events.append)
    x = torch.rand(2, 3, 64, 64)
    assert torch.allclose(student.eval()(x)[0], network.eval()(x), atol=1e-5)
    assert {name[8:] for name in student.state_dict() if name.startswith("network.")} == set(network.state_dict())
