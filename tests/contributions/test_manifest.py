"""The manifest is valid, the same in the package as at the top, and every entry leads somewhere."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from npe2 import PluginManifest

REPO = Path(__file__).resolve().parents[2]
TOP = REPO / "napari.yaml"


@pytest.fixture(scope="module")
def manifest() -> PluginManifest:
    return PluginManifest.from_file(TOP)


def test_manifest_is_valid_and_installed(manifest):
    installed = PluginManifest.from_distribution("napari-aml")
    assert installed.name == manifest.name == "napari-aml"
    assert installed.contributions == manifest.contributions, "run: python hatch_build.py"


def test_every_command_leads_to_something_callable(manifest):
    for command in manifest.contributions.commands:
        module, _, name = command.python_name.partition(":")
        assert callable(getattr(import_module(module), name)), command.id


def test_everything_that_names_a_command_names_one_that_is_there(manifest):
    points = manifest.contributions
    known = {command.id for command in points.commands}
    named = {item.command for group in (points.readers, points.widgets, points.sample_data) for item in group}
    named |= {item.command for items in points.menus.values() for item in items}
    assert named == known


def test_menus_are_napari_menus_that_take_contributions(manifest):
    from napari._app_model.constants._menus import is_menu_contributable

    assert set(manifest.contributions.menus) == {"napari/layers/segment", "napari/layers/classify"}
    assert all(is_menu_contributable(menu) for menu in manifest.contributions.menus)


def test_reader_takes_every_format_that_is_read(manifest):
    from napari_aml.slides import SUFFIXES

    patterns = {p for r in manifest.contributions.readers for p in r.filename_patterns}
    assert {f"*{suffix}" for suffix in SUFFIXES} <= patterns


def test_settings_of_the_manifest_are_the_defaults_in_code(manifest):
    from napari_aml.viewer.settings import Settings

    properties = manifest.contributions.configurations
    default = Settings()
    assert properties["analysis"].properties["device"].default == default.device
    assert properties["heatmap"].properties["method"].default == default.cam_method
    assert properties["heatmap"].properties["stage"].default == default.cam_stage
    assert properties["heatmap"].properties["opacity"].default == default.cam_opacity


def test_heatmap_methods_of_the_manifest_are_those_of_the_command_line(manifest):
    from napari_aml.cli.app import Cam

    listed = manifest.contributions.configurations["heatmap"].properties["method"].enum
    assert set(listed) == {method.value for method in Cam}


@pytest.mark.parametrize("module", ["readers", "sample_data", "commands", "settings"])
def test_contributions_load_nothing_heavy(module):
    code = f"import napari_aml.viewer.{module}, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "timm", "napari", "qtpy", "cv2", "skimage", "pandas", "tifffile"} & set(done.stdout.split())


def test_build_hook_copies_the_manifest(tmp_path):
    sys.path.insert(0, str(REPO))
    try:
        from hatch_build import COPY, copy_manifest
    finally:
        sys.path.remove(str(REPO))
    (tmp_path / "src" / "napari_aml").mkdir(parents=True)
    (tmp_path / "napari.yaml").write_text("name: napari-aml\n")
    copy_manifest(tmp_path)
    assert (tmp_path / COPY).read_text() == "name: napari-aml\n"
