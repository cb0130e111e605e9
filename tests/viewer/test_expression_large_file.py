"""A file of 60,660 genes and 1,000 samples in the Expression dock: progress, a window that answers, cancel, calls."""

from __future__ import annotations

import time

import numpy as np
import pytest
from qtpy.QtCore import Qt, QThreadPool, QTimer
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_aml.expression.bundle import load_expression_bundle
from napari_aml.expression.genes import gene_book
from napari_aml.review.links import LinkFile

pytestmark = pytest.mark.viewer

GENES, SAMPLES = 60_660, 1_000


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """The file, 155 MB, made of lines whose cells are drawn once for many genes each."""
    rng = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("large") / "counts.csv"
    book, bundle = gene_book(), load_expression_bundle()
    panel = [book.symbols[g][0] for g in bundle.genes if g in book.symbols]
    known = set(panel)
    ids = (panel + [i for i in sorted(book.length) if i not in known])[:GENES]
    usual = dict(zip(bundle.genes, np.exp2(bundle.reference), strict=True))
    usual = {book.symbols[g][0]: v for g, v in usual.items() if g in book.symbols}
    few = ["," + ",".join(map(str, rng.negative_binomial(1, 0.1, SAMPLES).tolist())) + "\n" for _ in range(60)]
    with open(path, "w") as stream:
        stream.write("gene," + ",".join(f"S{i:04d}" for i in range(SAMPLES)) + "\n")
        for place, name in enumerate(ids):
            if name in usual:
                row = rng.poisson(usual[name] * rng.gamma(8, 1 / 8, SAMPLES))
                stream.write(f"{name}.1,{','.join(map(str, row.tolist()))}\n")
            else:
                stream.write(f"{name}.1{few[place % len(few)]}")
    return path


@pytest.fixture
def dock(make_napari_viewer_proxy, qtbot, monkeypatch, tmp_path):
    from napari_aml.viewer.expression_dock import ExpressionWidget

    said = []
    monkeypatch.setattr("napari.utils.notifications.show_error", said.append)
    viewer = make_napari_viewer_proxy(show=True)
    dock = ExpressionWidget(viewer, LinkFile(tmp_path / "links.json"))
    viewer.window.add_dock_widget(dock, name="Expression", area="right")
    dock.said = said
    dock.prepare()
    yield dock
    dock.shut_down()
    qtbot.waitUntil(lambda: QThreadPool.globalInstance().activeThreadCount() == 0, timeout=20_000)
    viewer.window.remove_dock_widget(dock)
    dock.deleteLater()
    QApplication.processEvents()


class Pulse:
    """Beats while the window's event loop turns: a blocked window beats hardly at all."""

    def __init__(self):
        self.beats, self.begun = 0, time.monotonic()
        self.timer = QTimer()
        self.timer.setInterval(10)
        self.timer.timeout.connect(self.beat)
        self.timer.start()

    def beat(self):
        self.beats += 1

    def stop(self):
        """Beats a second, of a hundred that a window at rest gives."""
        self.timer.stop()
        return self.beats / (time.monotonic() - self.begun)


def test_it_opens_with_progress_can_be_cancelled_and_the_window_answers(dock, large, qtbot):
    bar, control = dock.job_bar, dock.controller
    shown, pulse = [], Pulse()
    bar.bar.valueChanged.connect(shown.append)
    dock.form.openRequested.emit(str(large))
    qtbot.waitUntil(lambda: bar.bar.maximum() > 0 and bar.bar.value() > 0, timeout=60_000)
    assert bar.busy and large.name in bar.message.text()
    assert not dock.form.open_button.isEnabled() and bar.cancel_button.isEnabled()
    whole = bar.bar.maximum()
    QTest.mouseClick(bar.cancel_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not bar.busy, timeout=10_000)
    assert pulse.stop() > 10
    # It stops where it is instead of reading on to the end.
    assert 0 < max(shown) < whole
    assert control.opened is None and dock.form.open_button.isEnabled() and not dock.said

    shown.clear()
    pulse = Pulse()
    with qtbot.waitSignal(control.openedChanged, timeout=240_000):
        dock.form.openRequested.emit(str(large))
    assert pulse.stop() > 10
    assert len(set(shown)) > 20 and not dock.said
    assert len(control.opened.samples) == SAMPLES and dock.chooser.count.text() == f"{SAMPLES} samples"
    call = control.opened.call("S0007")
    assert call.called is not None and sum(call.probabilities) == pytest.approx(1, abs=1e-4)
    control.choose("S0999")
    assert dock.call.value().sample == "S0999"
