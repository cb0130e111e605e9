"""The manifest at work in a real viewer: open files, samples and results as a person does."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.viewer
PLUGIN = "napari-aml"


@pytest.fixture
def viewer(make_napari_viewer, npe2_plugins):
    return make_napari_viewer(show=False)


@pytest.fixture
def npe2_plugins():
    """The real plugin, known to napari (its test viewers know none)."""
    from npe2 import PluginManager

    manager = PluginManager.instance()
    manager.discover()
    if PLUGIN not in manager._manifests:
        pytest.fail("napari does not find the plugin")
    return manager


def test_open_picture(viewer, field, field_path):
    (layer,) = viewer.open(field_path, plugin=PLUGIN)
    assert np.array_equal(layer.data, field)
    assert layer.source.reader_plugin == PLUGIN


def test_open_pyramid(viewer, field, tmp_path):
    import tifffile

    with tifffile.TiffWriter(tmp_path / "p.ome.tif", ome=True) as tif:
        metadata = {"axes": "YXS", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5}
        tif.write(field, subifds=1, photometric="rgb", tile=(128, 128), metadata=metadata)
        tif.write(field[::2, ::2], subfiletype=1, photometric="rgb", tile=(128, 128))
    (layer,) = viewer.open(tmp_path / "p.ome.tif", plugin=PLUGIN)
    assert layer.multiscale
    assert tuple(layer.scale) == (0.5, 0.5)
    assert np.array_equal(np.asarray(layer.data[0]), field)


def test_open_bad_picture_is_a_notification(viewer, tmp_path, notes):
    (tmp_path / "empty.png").write_bytes(b"")
    assert viewer.open(tmp_path / "empty.png", plugin=PLUGIN) == []
    assert any("empty.png" in note.message and "0 bytes" in note.message for note in notes)


def test_open_grey_picture_is_a_notification(viewer, field, tmp_path, notes):
    Image.fromarray(field).convert("L").save(tmp_path / "grey.png")
    assert viewer.open(tmp_path / "grey.png", plugin=PLUGIN) == []
    assert any("grey.png" in note.message for note in notes)


def test_open_results_folder(viewer, results):
    viewer.open(results, plugin=PLUGIN)
    assert "cells" in [layer.name for layer in viewer.layers]


@pytest.mark.parametrize("key", ["smear_touching", "smear_eosinophil", "smear_dark", "aml_mosaic"])
def test_open_sample(viewer, key):
    (layer,) = viewer.open_sample(PLUGIN, key)
    assert layer.rgb
    assert layer.data.shape[2] == 3


def test_open_synthetic_slide(viewer):
    pytest.importorskip("napari_aml.slides.synthetic")
    (layer,) = viewer.open_sample(PLUGIN, "synthetic_slide")
    assert layer.multiscale
    assert layer.data[0].shape == (20_000, 20_000, 3)
    assert max(layer.data[-1].shape[:2]) <= 4096


def test_settings_come_from_the_preferences(npe2pm, plugin_settings):
    from napari.settings import get_plugin_settings
    from npe2 import PluginManifest

    from napari_aml.viewer.settings import Settings, read_settings

    assert read_settings() == Settings(), "without the plugin, the defaults"
    npe2pm.register(PluginManifest.from_distribution(PLUGIN))
    assert read_settings() == Settings()
    stored = get_plugin_settings(PLUGIN)
    stored.heatmap.method, stored.analysis.pixel_size_um, stored.analysis.model_folder = "none", 0.1, "models"
    changed = read_settings()
    assert changed.cam_method is None
    assert changed.pixel_size_um == 0.1
    assert str(changed.model_folder) == "models"
    with pytest.raises(ValueError, match="gradcam"):
        stored.heatmap.method = "no such method"


def test_command_palette_offers_no_bare_readers(viewer, npe2_plugins):
    from napari._app_model import get_app_model

    menus = get_app_model().menus
    commands = {item.command.id: item.command for item in menus.get_menu(menus.COMMAND_PALETTE_ID)}
    for reader in ("read_picture", "read_results"):
        assert commands[f"{PLUGIN}.{reader}"].enablement.eval({}) is False
    assert commands[f"{PLUGIN}.analyse"].enablement is None


@pytest.mark.parametrize("command", ["segment", "classify", "analyse"])
def test_menu_commands_get_the_viewer(viewer, npe2_plugins, command, monkeypatch):
    from napari._app_model import get_app_model

    from napari_aml.viewer import actions

    called = []
    monkeypatch.setattr(actions, f"{command}_layer", lambda v: called.append(v))
    get_app_model().commands.execute_command(f"{PLUGIN}.{command}").result()
    assert len(called) == 1
    assert called[0] == viewer
