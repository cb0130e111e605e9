"""The tutorial "From a new slide to a better model in ten minutes", step by step, in a real viewer."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from qtpy.QtCore import QThreadPool
from qtpy.QtWidgets import QApplication

pytestmark = pytest.mark.viewer
PAGE = Path(__file__).resolve().parents[2] / "docs" / "tutorial-curation.md"


def test_from_a_new_slide_to_a_better_model(make_napari_viewer_proxy, qtbot, tmp_path, monkeypatch):
    from napari_aml.classify import find_bundles
    from napari_aml.viewer.sample_data import aml_mosaic
    from napari_aml.viewer.sessions import review_of
    from napari_aml.viewer.teach_dock import TeachDock

    monkeypatch.setenv("NAPARI_AML_MODELS", str(tmp_path / "models"))
    monkeypatch.setattr("napari_aml.classify.library.user_folder", lambda: tmp_path / "models")
    # 1. Open a slide and let the model speak
    viewer = make_napari_viewer_proxy(show=True)
    pixels, meta, _ = aml_mosaic()[0]
    viewer.add_image(pixels, **meta)
    review = review_of(viewer)
    review.prepare()
    review.analyse()
    qtbot.waitUntil(lambda: not review.controller.busy, timeout=600_000)
    state = review.state
    assert state.n_cells == 126
    # 2. Ask what to look at
    dock = TeachDock(viewer)
    viewer.window.add_dock_widget(dock, name="Teach", area="right")
    assert dock.queue.orders.currentText() == "Mix"
    dock.queue.fill_button.click()
    qtbot.waitUntil(lambda: not dock.teaching.busy, timeout=120_000)
    assert len(state.queue) == 126 and all(why for _, why in state.queue)
    # 3. Decide, 4. teach at once
    dock.teach.switch.setChecked(True)
    for uid, _ in state.queue[:20]:
        review.controller.decider.confirm([uid])
    qtbot.waitUntil(lambda: not dock.teaching.busy, timeout=120_000)
    assert dock.teaching.taught.decisions == 20 and "20 decisions" in dock.teach.status.text()
    # 5. Look for your own errors
    dock.queue.setValue("label-errors")
    dock.queue.fill_button.click()
    qtbot.waitUntil(lambda: not dock.teaching.busy, timeout=120_000)
    assert len(state.queue) == 20
    # 6. Fine-tune the network (on all cells, one epoch)
    dock.teach.back_button.click()
    for uid in state.analysis.cells.table["uid"]:
        if uid not in state.decided:
            review.controller.decider.confirm([uid])
    monkeypatch.setattr(dock.fine_tuning, "place", lambda: tmp_path)
    dock.fine_tune.form.epochs.setValue(1)
    failed = []
    dock.fine_tuning.failed.connect(failed.append)
    dock.fine_tune.start_button.click()
    assert dock.fine_tuning.bar.busy, dock.fine_tune.message.text()
    qtbot.waitUntil(lambda: not dock.fine_tuning.bar.busy, timeout=600_000)
    result = dock.fine_tune.value()
    assert not failed and result is not None
    # 7. Compare before you replace
    assert re.match(r"Of \d+ cells that training did not see", dock.fine_tune.verdict.text())
    dock.fine_tune.adopt_button.click()
    chosen = review.models.value()
    assert chosen.name == "demo-tuned" and chosen.card["parent"]["name"] == "demo"
    assert {b.name for b in find_bundles()} >= {"demo", "demo-tuned"}
    dock.shut_down()
    review.shut_down()
    qtbot.waitUntil(lambda: QThreadPool.globalInstance().activeThreadCount() == 0, timeout=30_000)
    QApplication.processEvents()


def test_the_commands_of_the_page_run_as_written(tmp_path, monkeypatch):
    import shlex
    import shutil

    from typer.testing import CliRunner

    from napari_aml.cli.app import app
    from napari_aml.samples import sample_paths

    if not PAGE.is_file():
        pytest.skip("the docs are not beside the tests")
    monkeypatch.chdir(tmp_path)
    shutil.copy(sample_paths("smear")[0], tmp_path / "picture.tif")  # read by content, whatever its suffix
    lines = [
        line for block in re.findall(r"```bash\n(.*?)```", PAGE.read_text("utf-8"), re.S) for line in block.split("\n")
    ]
    commands = [shlex.split(line)[1:] for line in lines if line.startswith("napari-aml")]
    assert len(commands) == 4
    for command in commands:
        done = CliRunner().invoke(app, command, catch_exceptions=False)
        assert done.exit_code == 0, done.output
    assert (tmp_path / "myeloblasts.csv").read_text("utf-8").startswith("place,uid,slide_id")
