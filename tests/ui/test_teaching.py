"""Teaching and its widgets: decisions are learnt from in the background, shown, followed by the queue, taken back."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt, QThreadPool
from qtpy.QtGui import QUndoStack
from qtpy.QtTest import QTest
from state_parts import analysis_of, uids_of

from napari_aml.classify import Predictions
from napari_aml.progress import Progress
from napari_aml.review.teach import Comparison, EpochDone, FineTuned
from napari_aml.ui.confusion_view import ConfusionView
from napari_aml.ui.deciding import Decider
from napari_aml.ui.fine_tune_form import FineTuneForm
from napari_aml.ui.fine_tune_panel import FineTunePanel
from napari_aml.ui.queue_panel import QueuePanel
from napari_aml.ui.state import ReviewState
from napari_aml.ui.teach_panel import TeachPanel
from napari_aml.ui.teaching import Teaching

CODES = ("LYT", "MON", "NGS")
N = 80


def taught_analysis(n=N, seed=0, shift=0):
    """Cells in three clear groups; the model takes the second group for the third."""
    rng = np.random.default_rng(seed)
    truth = np.arange(shift, n + shift) % 3
    embedding = (4 * np.eye(3, 6)[truth] + rng.normal(0, 0.3, (n, 6))).astype(np.float32)
    said = np.where(truth == 1, 2, truth)
    p = np.full((n, 3), 0.2, np.float32)
    p[np.arange(n), said] = 0.6
    p[:, 1] -= rng.uniform(0, 0.05, n).astype(np.float32)
    p /= p.sum(1, keepdims=True)
    base = analysis_of(n)
    return replace(base, predictions=Predictions(CODES, p, embedding, np.full(n, np.nan, np.float32), "model")), truth


class Review:
    def __init__(self):
        self.state = ReviewState()
        self.state.analysis, self.truth = taught_analysis()
        self.own = self.state.analysis.predictions
        self.uids = uids_of(self.state)
        self.decider = Decider(self.state, QUndoStack())
        self.teaching = Teaching(self.state, lambda: False)

    def decide(self, rows):
        for row in rows:
            self.decider.decide([self.uids[row]], CODES[self.truth[row]])


@pytest.fixture
def review(qtbot):
    made = Review()
    yield made
    made.teaching.close()
    made.decider.close()
    qtbot.waitUntil(lambda: QThreadPool.globalInstance().activeThreadCount() == 0, timeout=30_000)


def settled(qtbot, teaching, seconds=60):
    qtbot.waitUntil(lambda: not teaching.busy, timeout=1000 * seconds)


def test_decisions_teach_off_the_windows_thread_and_can_be_taken_back(review, qtbot, monkeypatch):
    state, teaching = review.state, review.teaching
    threads, announced, learnt = set(), [], []
    from napari_aml.ui import teaching as module

    original = module.teach_steps

    def watched(*args):
        threads.add(threading.get_ident())
        return (yield from original(*args))

    monkeypatch.setattr(module, "teach_steps", watched)
    state.rows_changed.connect(announced.append)
    teaching.learnt.connect(learnt.append)
    before = state.model_codes()
    teaching.setOn(True)
    review.decide(range(24))
    settled(qtbot, teaching)
    assert threads and threading.get_ident() not in threads
    after = state.model_codes()
    assert (after == np.array(CODES)[review.truth]).mean() > 0.95 > (before == np.array(CODES)[review.truth]).mean()
    changed = {u for u, a, b in zip(review.uids, before, after, strict=True) if a != b}
    told = {uid for what in announced if not what.said for uid in what.uids}
    assert changed and changed <= told
    assert "taught by 24 decisions" in state.analysis.predictions.bundle_id
    assert set(c.uid for c in learnt[-1].changes) == changed - set(state.decided)
    assert learnt[-1].after_right > learnt[-1].before_right
    teaching.takeBack()
    assert state.analysis.predictions is review.own
    assert (state.model_codes() == before).all() and len(state.decided) == 24
    assert learnt[-1] is None and not teaching.on


def test_undoing_a_decision_unlearns_it(review, qtbot):
    state, teaching = review.state, review.teaching
    teaching.setOn(True)
    review.decide(range(12))
    settled(qtbot, teaching)
    words = state.analysis.predictions.probabilities.copy()
    review.decide([13])
    settled(qtbot, teaching)
    assert teaching.taught.decisions == 13
    review.decider.undo_stack.undo()
    settled(qtbot, teaching)
    assert teaching.taught.decisions == 12
    np.testing.assert_allclose(state.analysis.predictions.probabilities, words, atol=0.05)


def test_cells_classified_anew_keep_the_models_word_for_taking_back(review, qtbot):
    """A mask edit classifies some cells again while taught words are shown, also where people use a further class."""
    state, teaching = review.state, review.teaching
    teaching.setOn(True)
    review.decide(range(20))
    review.decider.decide(review.uids[20:23], "PLC")
    settled(qtbot, teaching)
    assert state.analysis.predictions.codes == (*CODES, "PLC")
    fresh = np.array([[0.1, 0.8, 0.1]], np.float32)
    part = Predictions(CODES, fresh, np.zeros((1, 6), np.float32), np.full(1, np.nan, np.float32), "model")
    state.fill([review.uids[40]], part, None)
    settled(qtbot, teaching)
    assert len(state.analysis.predictions.codes) == 4
    others = np.arange(N) != 40
    teaching.takeBack()
    shown = state.analysis.predictions
    assert shown.codes == CODES and shown.bundle_id == "model"
    np.testing.assert_array_equal(shown.probabilities[others], review.own.probabilities[others])
    np.testing.assert_array_equal(shown.probabilities[40], fresh[0])


def test_the_queue_follows_decisions_and_says_why(review, qtbot):
    state, teaching = review.state, review.teaching
    panel = QueuePanel(state)
    qtbot.addWidget(panel)
    panel.requested.connect(lambda order, wanted: teaching.makeQueue(order))
    panel.dropped.connect(teaching.dropQueue)
    opened = []
    panel.opened.connect(opened.append)
    panel.setValue("uncertain")
    qtbot.mouseClick(panel.fill_button, Qt.MouseButton.LeftButton)
    settled(qtbot, teaching)
    assert len(state.queue) == N and panel.model.rowCount() == N
    assert "tell them apart" in panel.model.data(panel.model.index(0)) or "perhaps" in panel.model.data(
        panel.model.index(0)
    )
    first = state.queue[0][0]
    panel.next_button.click()
    assert state.selected == first == opened[-1]
    row = review.uids.index(first)
    review.decide([row])
    settled(qtbot, teaching)
    assert first not in dict(state.queue) and len(state.queue) == N - 1
    panel.clear_button.click()
    assert state.queue == [] and "No queue" in panel.status.text()
    panel.listening.release()


def test_a_blinded_reader_is_not_told_what_the_model_thinks(review, qtbot):
    state, teaching = review.state, review.teaching
    panel = QueuePanel(state)
    qtbot.addWidget(panel)
    state.blinded = True
    teaching.makeQueue("uncertain")
    settled(qtbot, teaching)
    words = [panel.model.data(panel.model.index(i)) for i in range(5)]
    assert not any(code in text for code in CODES for text in words)
    panel.listening.release()


def test_an_order_that_cannot_be_made_says_what_is_missing(review, qtbot):
    with qtbot.waitSignal(review.teaching.failed, timeout=30_000) as caught:
        review.teaching.makeQueue("label-errors")
    assert "at least 20" in str(caught.args[0])
    settled(qtbot, review.teaching)
    assert review.teaching.order == "" and review.state.queue == []


def test_slides_of_a_session_are_taught_together(review, qtbot):
    other, _ = taught_analysis(40, seed=1)
    table = other.cells.table.copy()
    table["uid"], table["slide_id"] = "T-" + table["uid"], "T"
    other = replace(other, cells=replace(other.cells, slide_id="T", table=table))
    review.state.others = (other,)
    review.teaching.setOn(True)
    review.decide(range(24))
    settled(qtbot, review.teaching)
    newer = review.state.others[0].predictions
    assert (newer.index == 1).sum() > 10 > (other.predictions.index == 1).sum()
    review.teaching.takeBack()
    assert review.state.others[0].predictions is other.predictions


def test_the_list_of_changes_opens_their_cells(review, qtbot):
    panel = TeachPanel()
    qtbot.addWidget(panel)
    review.teaching.learnt.connect(panel.setValue)
    chosen = []
    panel.cellsChosen.connect(lambda title, uids: chosen.append((title, uids)))
    review.teaching.setOn(True)
    review.decide(range(24))
    settled(qtbot, review.teaching)
    item = panel.changes.topLevelItem(0)
    assert item.text(0).startswith("NGS") and item.text(1).startswith("MON")
    panel.changes.itemClicked.emit(item, 0)
    title, uids = chosen[0]
    assert title == "NGS → MON" and len(uids) == int(item.text(2))
    assert "24 decisions" in panel.status.text() and panel.back_button.isEnabled()
    panel.setValue(None)
    assert panel.changes.topLevelItemCount() == 0 and not panel.back_button.isEnabled()


def test_a_field_of_the_confusion_matrix_is_clicked_with_the_mouse(qtbot):
    view = ConfusionView()
    qtbot.addWidget(view)
    view.setValue(("MYO", "MOB"), np.array([[5, 2], [0, 4]]))
    view.show()
    seen = []
    view.chosen.connect(lambda true, said: seen.append((true, said)))
    for row, column in ((0, 1), (1, 0)):
        QTest.mouseClick(view, Qt.MouseButton.LeftButton, pos=QPoint(*view.centre(row, column)))
    assert seen == [("MYO", "MOB")]  # an empty field opens nothing


def result(tmp_path, n=40):
    truth = ["MYO", "LYT"] * (n // 2)
    new = ["LYT" if i == 0 else t for i, t in enumerate(truth)]
    old = ["LYT"] * n
    share = {"value": 0.95, "n": n // 2, "interval_95": [0.75, 1.0]}
    per_class = {code: {"n": n // 2, "recall": share, "precision": share, "f1": share} for code in ("MYO", "LYT")}
    figures = {"codes": ["MYO", "LYT"], "per_class": per_class}
    uids = tuple(f"u{i}" for i in range(n))
    compared = Comparison(uids, tuple(truth), tuple(old), tuple(new), figures, figures, "Split by slide.")
    epochs = (
        EpochDone(1, 0.9, {"loss": 0.8, "accuracy": 0.6, "macro_f1": 0.5}),
        EpochDone(2, 0.5, {"loss": 0.6, "accuracy": 0.8, "macro_f1": 0.8}),
    )
    return FineTuned(tmp_path / "bundle", epochs, compared, ("A note.",))


def test_a_result_shows_curves_figures_and_the_old_model_before_it_may_be_used(qtbot, tmp_path):
    panel = FineTunePanel()
    qtbot.addWidget(panel)
    panel.show()
    assert not panel.results.isVisible()
    adopted, chosen = [], []
    panel.adopted.connect(adopted.append)
    panel.cellsChosen.connect(lambda title, uids: chosen.append((title, uids)))
    panel.begin()
    panel.add(EpochDone(1, 0.9, {"loss": 0.8, "accuracy": 0.6, "macro_f1": 0.5}))
    assert len(panel.curves.value()) == 1 and not panel.results.isVisible()
    done = result(tmp_path)
    panel.setValue(done)
    assert panel.results.isVisible() and "better" in panel.verdict.text() and "Split by slide" in panel.verdict.text()
    assert panel.classes.rowCount() == 2 and "95 % (75–100)" in panel.classes.item(0, 2).text()
    field = panel.confusion
    codes, matrix = field.value()
    i, j = codes.index("MYO"), codes.index("LYT")
    assert matrix[i, j] == 1
    QTest.mouseClick(field, Qt.MouseButton.LeftButton, pos=QPoint(*field.centre(i, j)))
    assert chosen == [("people: MYO, new model: LYT", ["u0"])]
    panel.whose.setCurrentIndex(1)
    assert field.value()[1][i, j] == 20
    panel.adopt_button.click()
    assert adopted == [done]


def test_the_form_says_what_would_be_forgotten(qtbot):
    class Base:
        name, version, codes = "demo", "1", ("MYO", "LYT", "EOS")

    form = FineTuneForm()
    qtbot.addWidget(form)
    decided = {f"u{i}": ("MYO", "LYT")[i % 2] for i in range(10)} | {"x": "UNK"}
    form.show_data(decided, Base, {}, 4, here=2)
    assert "10 decided cells of 2 slides" in form.data.text() and "EOS" in form.warning.text()
    form.show_data(decided, Base, {"EOS": 9}, 4, here=2)
    assert form.warning.text() == "" and form.name.text() == "demo-tuned"
    settings = form.value()
    form.setValue(replace(settings, epochs=3, rate=1e-3, train_only="head", test=0.3))
    assert form.value() == replace(settings, epochs=3, rate=1e-3, train_only="head", test=0.3)


def test_fine_tuning_gathers_runs_and_is_cancelled(review, qtbot, tmp_path, monkeypatch):
    from napari_aml.errors import InputError
    from napari_aml.review.teach import FineTuneSettings
    from napari_aml.ui import fine_tuning as module
    from napari_aml.ui.jobs import JobBar

    class Base:
        name, crop_um, path = "demo", 12.0, tmp_path / "base"

    closed, bar = threading.Event(), JobBar()
    qtbot.addWidget(bar)
    tuning = module.FineTuning(review.state, bar)
    monkeypatch.setattr(tuning, "place", lambda: tmp_path)

    def fake(folder):
        try:
            yield Progress(1, 9, "Epoch 1", EpochDone(1, 0.5))
            while True:
                time.sleep(0.05)
                yield Progress(1, 9, "Epoch 2")
        finally:
            closed.set()

    monkeypatch.setattr(module, "fine_tune_steps", fake)
    with pytest.raises(InputError, match="no model to start from"):
        tuning.start(None, FineTuneSettings(), "x")
    with pytest.raises(InputError, match="No cell"):
        tuning.start(Base, FineTuneSettings(), "x")
    review.decide(range(30))
    epochs = []
    tuning.epoch.connect(epochs.append)
    tuning.start(Base, FineTuneSettings(), "my / name")
    qtbot.waitUntil(lambda: bool(epochs), timeout=30_000)
    assert (tmp_path / "my_name" / "data" / "manifest.csv").exists() or list(tmp_path.glob("my*name/data/manifest.csv"))
    tuning.close()
    qtbot.waitUntil(lambda: closed.is_set() and not bar.busy, timeout=10_000)
