"""Hub names: real loading code, on a stand-in for the download; no test reaches the network."""

from __future__ import annotations

import json

import pytest
from small_models import random_state

from napari_aml.classify import load_bundle
from napari_aml.errors import BundleError


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A folder that stands for one hub repository, `owner/net`."""
    import huggingface_hub
    from huggingface_hub import errors

    folder = tmp_path / "hub"
    folder.mkdir()

    def download(repository, name):
        if repository != "owner/net":
            raise errors.LocalEntryNotFoundError("offline")
        if not (folder / name).exists():
            raise errors.EntryNotFoundError(name)
        return str(folder / name)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    monkeypatch.setattr("napari_aml.classify.library.user_folder", lambda: tmp_path / "own")
    return folder


def write_timm(folder, **changes):
    from safetensors.torch import save_file

    save_file(random_state("test_convnext", 3), folder / "model.safetensors")
    config = {
        "architecture": "test_convnext", "num_classes": 3,
        "pretrained_cfg": {"input_size": [3, 160, 160], "mean": [0.5] * 3, "std": [0.5] * 3, "license": "mit"},
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config | changes))


def test_timm_weights_become_a_bundle(hub):
    write_timm(hub, label_names=["NGS", "LYT", "MON"])
    bundle = load_bundle("hub:owner/net")
    assert bundle.codes == ("NGS", "LYT", "MON") and bundle.crop_px == 160 and bundle.mean == (0.5, 0.5, 0.5)
    assert bundle.card["licence"] == "mit" and "not be blood cells" in bundle.card_summary()


def test_classes_without_names_get_numbers(hub):
    write_timm(hub)
    assert load_bundle("hub:owner/net").codes == ("C0000", "C0001", "C0002")


def test_a_bundle_on_the_hub_is_taken_as_it_is(hub, tiny):
    for path in tiny.path.iterdir():
        (hub / path.name).write_bytes(path.read_bytes())
    assert load_bundle("hub:owner/net").bundle_id == tiny.bundle_id


def test_being_offline_is_said_in_plain_words(hub):
    with pytest.raises(BundleError, match="cannot be reached.*copy the bundle's folder"):
        load_bundle("hub:timm/other")


def test_a_repository_with_pickles_alone(hub):
    (hub / "config.json").write_text("{}")
    (hub / "pytorch_model.bin").write_bytes(b"PK")
    with pytest.raises(BundleError, match=r"no model\.safetensors"):
        load_bundle("hub:owner/net")


def test_a_backbone_that_the_hub_does_not_name(hub):
    write_timm(hub, architecture=None)
    with pytest.raises(BundleError, match="which backbone"):
        load_bundle("hub:owner/net")
