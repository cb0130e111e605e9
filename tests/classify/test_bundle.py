"""Bundles: what is written is read back the same; what is damaged is refused in words that name it."""

from __future__ import annotations

import json
import pickle
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_models import CODES, card, make_bundle, random_state

from napari_aml.classify import find_bundles, import_checkpoint, load_bundle, open_bundle, save_bundle
from napari_aml.classify.card import check_card, metric_lines
from napari_aml.classify.library import broken_bundles
from napari_aml.errors import BundleError, UnsafeWeightsError
from napari_aml.provenance import file_sha256


@pytest.fixture
def copied(tiny, tmp_path):
    """A copy of the tiny bundle's folder that a test may damage."""
    return shutil.copytree(tiny.path, tmp_path / "copied")


def rewrite(folder, **changes):
    path = folder / "bundle.json"
    held = json.loads(path.read_text("utf-8")) | changes
    path.write_text(json.dumps({k: v for k, v in held.items() if v != "absent"}), "utf-8")


def replace_weights(folder, state):
    from safetensors.torch import save_file

    save_file(state, folder / "model.safetensors")
    rewrite(folder, sha256=file_sha256(folder / "model.safetensors"))


def test_a_saved_bundle_loads_the_same_weights(tiny):
    loaded = load_bundle(tiny.path)
    assert (loaded.codes, loaded.crop_px, loaded.temperature) == (CODES, 64, 1.3)
    expected = random_state("test_convnext")
    for key, value in loaded.network("cpu").model.state_dict().items():
        assert torch.equal(value, expected[key]), key


def test_half_precision_files_are_half_the_size_and_run_in_float32(tiny, tmp_path):
    half = make_bundle(tmp_path / "half", half=True)
    sizes = [(b.path / "model.safetensors").stat().st_size for b in (half, tiny)]
    assert sizes[0] < 0.55 * sizes[1]
    assert {p.dtype for p in half.network("cpu").model.parameters()} == {torch.float32}


def test_opening_a_bundle_and_finding_bundles_loads_no_torch(tiny):
    code = (
        "import sys, napari_aml.classify as c; c.find_bundles(); "
        f"print(c.open_bundle({str(tiny.path)!r}).card_summary()); "
        "assert not {'torch', 'timm', 'pandas', 'cv2', 'napari'} & set(sys.modules), 'heavy import'"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "test_convnext, 16 classes" in done.stdout


@pytest.mark.parametrize(
    ("entry", "value", "said"),
    [
        ("format", "other", "format"),
        ("format_version", 2, "Update napari-aml"),
        ("kind", "segmenter", "segmenter"),
        ("name", "", "name"),
        ("backbone", "hf-hub:timm/convnext_atto", "backbone"),
        ("backbone", "local-dir:/tmp", "backbone"),
        ("class_codes", ["NGS", "NGS", "LYT"], "NGS twice"),
        ("class_codes", ["NGS"], "two or more"),
        ("crop_um", "absent", "crop_um"),
        ("crop_um", -3, "crop_um"),
        ("crop_px", 64.5, "crop_px"),
        ("mean", [0.5, 0.5], "mean"),
        ("std", [0.5, 0.0, 0.5], "std"),
        ("temperature", float("nan"), "temperature"),
        ("temperature", True, "temperature"),
        ("sha256", "abc", "sha256"),
        ("backbone_args", {"pretrained": True}, "backbone_args"),
        ("tta", {"views": [{"zoom": 2.0}]}, "first view"),
        ("tta", {"views": [{"zoom": 1}, {"zoom": 0.5}]}, "zoom"),
        ("tta", {"views": [{}], "average": "median"}, "average"),
    ],
)
def test_a_wrong_entry_of_the_card_is_named(copied, entry, value, said):
    rewrite(copied, **{entry: value})
    with pytest.raises(BundleError, match=said) as caught:
        open_bundle(copied)
    assert str(copied) in str(caught.value)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(), lambda c: st.lists(c) | st.dictionaries(st.text(), c)
    )
)
def test_no_json_value_breaks_the_reading_of_a_card(value):
    from math import isfinite
    from pathlib import Path

    valid = {
        "format": "napari-aml-bundle",
        "format_version": 1,
        "kind": "image-classifier",
        "sha256": "0" * 64,
        **card(),
    }
    assert check_card(valid, Path("x/bundle.json")) is valid
    wrong = [value, {**valid, "class_codes": value}]
    if isinstance(value, list) and len(value) == 3 and all(isinstance(v, float) and isfinite(v) for v in value):
        assert check_card({**valid, "mean": value}, Path("x/bundle.json"))["mean"] == value
    else:
        wrong.append({**valid, "mean": value})
    if isinstance(value, float) and 1 <= value <= 1000:
        assert check_card({**valid, "crop_um": value}, Path("x/bundle.json"))["crop_um"] == value
    else:
        wrong.append({**valid, "crop_um": value})
    for held in wrong:
        with pytest.raises(BundleError):
            check_card(held, Path("x/bundle.json"))
    for held in ({**valid, "tta": value}, {**valid, "backbone_args": value}):
        try:
            check_card(held, Path("x/bundle.json"))
        except BundleError:
            pass


def test_missing_and_broken_files(copied, tmp_path):
    with pytest.raises(BundleError, match="does not exist"):
        open_bundle(tmp_path / "nowhere")
    with pytest.raises(BundleError, match="no model bundle"):
        open_bundle(tmp_path)
    with pytest.raises(BundleError, match="a file, not a bundle's folder"):
        open_bundle(copied / "model.safetensors")
    (copied / "bundle.json").write_text("{", "utf-8")
    with pytest.raises(BundleError, match="Cannot read"):
        open_bundle(copied)
    (copied / "bundle.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BundleError, match="Cannot read"):
        open_bundle(copied)


def test_missing_weights(copied):
    (copied / "model.safetensors").unlink()
    with pytest.raises(BundleError, match=r"no model\.safetensors"):
        load_bundle(copied)


def test_changed_weights_are_noticed(copied):
    path = copied / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(BundleError, match="SHA-256"):
        load_bundle(copied)


def test_truncated_weights(copied):
    path = copied / "model.safetensors"
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(BundleError, match="damaged"):
        load_bundle(copied)
    path.write_bytes(b"")
    with pytest.raises(BundleError, match="damaged"):
        load_bundle(copied)


def test_keys_and_shapes_that_do_not_fit_are_named(copied):
    state = dict(random_state("test_convnext"))
    state["head.fc.weight"] = torch.zeros(5, 64)
    state["extra.weight"] = torch.zeros(2)
    del state["stem.0.bias"]
    replace_weights(copied, state)
    with pytest.raises(BundleError) as caught:
        load_bundle(copied)
    said = str(caught.value)
    assert "missing: stem.0.bias" in said and "unexpected: extra.weight" in said
    assert "head.fc.weight (is (5, 64), should be (16, 64))" in said


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_finite(copied, value):
    state = dict(random_state("test_convnext"))
    state["head.fc.bias"] = torch.full((16,), value)
    replace_weights(copied, state)
    with pytest.raises(BundleError, match=r"not finite, in head\.fc\.bias"):
        load_bundle(copied)


def test_an_unknown_backbone_gets_a_suggestion(copied):
    rewrite(copied, backbone="convnext_tinny")
    with pytest.raises(BundleError, match="convnext_tiny"):
        load_bundle(copied)


def test_a_backbone_with_other_classes_does_not_load(copied):
    rewrite(copied, class_codes=list(CODES[:5]))
    with pytest.raises(BundleError, match="with 5 classes"):
        load_bundle(copied)


class Payload:
    """What a hostile file would hold: code that runs while it is read."""

    def __reduce__(self):
        return (exec, ("import builtins; builtins.napari_aml_was_attacked = True",))


def test_a_pickle_under_a_safetensors_name_is_refused_and_never_run(copied):
    import builtins

    for protocol in (2, 4, 5):
        (copied / "model.safetensors").write_bytes(pickle.dumps(Payload(), protocol=protocol))
        with pytest.raises(UnsafeWeightsError, match="pickle"):
            load_bundle(copied)
    torch.save({"a": torch.zeros(2)}, copied / "model.safetensors")
    with pytest.raises(UnsafeWeightsError, match="pickle"):
        load_bundle(copied)
    assert not hasattr(builtins, "napari_aml_was_attacked")


def test_a_checkpoint_with_code_in_it_is_refused_and_never_run(tmp_path):
    import builtins

    path = tmp_path / "model.pth"
    torch.save({"state_dict": random_state("test_convnext"), "hook": Payload()}, path)
    with pytest.raises(UnsafeWeightsError, match="more than tensors"):
        import_checkpoint(path, tmp_path / "out", class_codes=CODES, crop_um=25, crop_px=64, backbone="test_convnext")
    assert not hasattr(builtins, "napari_aml_was_attacked")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("wrap", ["plain", "parallel", "nested", "lightning", "safetensors"])
def test_a_checkpoint_becomes_a_bundle(tmp_path, wrap):
    state = random_state("test_convnext")
    path = tmp_path / ("w.safetensors" if wrap == "safetensors" else "w.pth")
    settings = {"backbone": "test_convnext"}
    if wrap == "safetensors":
        from safetensors.torch import save_file

        save_file(state, path)
    elif wrap == "parallel":
        torch.save({f"module.{k}": v for k, v in state.items()}, path)
    elif wrap == "nested":
        torch.save({"arch": "test_convnext", "epoch": 3, "state_dict": state, "optimizer": {"lr": 0.1}}, path)
        settings = {}
    elif wrap == "lightning":
        torch.save({"epoch": 3, "state_dict": {f"model._orig_mod.{k}": v for k, v in state.items()}}, path)
    else:
        torch.save(state, path)
    made = import_checkpoint(path, tmp_path / "out", class_codes=CODES, crop_um=25, crop_px=64, **settings)
    assert load_bundle(tmp_path / "out").codes == CODES
    for key, value in made.state_dict().items():
        assert torch.equal(value, state[key])


def test_a_checkpoint_by_the_names_of_the_original_convnext_repository(tmp_path):
    state = {}
    for key, value in random_state("test_convnext2", 3).items():
        name = key.replace("stem.", "downsample_layers.0.").replace("head.norm.", "norm.").replace("head.fc.", "head.")
        parts = name.split(".")
        if parts[0] == "stages" and parts[2] == "downsample":
            parts = ["downsample_layers", *parts[1:2], *parts[3:]]
        elif parts[0] == "stages" and parts[2] == "blocks":
            parts = [*parts[:2], *parts[3:]]
        name = ".".join(parts).replace("conv_dw", "dwconv").replace("mlp.fc", "pwconv")
        state[name] = value
    torch.save({"model": state}, tmp_path / "fb.pth")
    made = import_checkpoint(
        tmp_path / "fb.pth",
        tmp_path / "out",
        class_codes=["A", "B", "C"],
        crop_um=25,
        crop_px=64,
        backbone="test_convnext2",
    )
    expected = random_state("test_convnext2", 3)
    assert all(torch.equal(v, expected[k]) for k, v in made.state_dict().items())


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", "damaged"), (b"hello, this is a text", "damaged"), (b"PK\x03\x04" + b"\0" * 200, "damaged")],
)
def test_a_checkpoint_that_is_no_checkpoint(tmp_path, content, said):
    path = tmp_path / "w.pth"
    path.write_bytes(content)
    with pytest.raises(BundleError, match=said) as caught:
        import_checkpoint(path, tmp_path / "out", class_codes=CODES, crop_um=25, crop_px=64, backbone="test_convnext")
    assert str(path) in str(caught.value)


def test_checkpoints_that_do_not_say_enough(tmp_path):
    path = tmp_path / "w.pth"
    torch.save(random_state("test_convnext"), path)
    common = {"class_codes": CODES, "crop_um": 25, "crop_px": 64}
    with pytest.raises(BundleError, match="which backbone"):
        import_checkpoint(path, tmp_path / "out", **common)
    with pytest.raises(BundleError, match="do not fit"):
        import_checkpoint(path, tmp_path / "out", backbone="resnet18", **common)
    torch.save([1, 2], path)
    with pytest.raises(BundleError, match="no tensors"):
        import_checkpoint(path, tmp_path / "out", backbone="test_convnext", **common)
    with pytest.raises(BundleError, match="no weight file"):
        import_checkpoint(tmp_path / "none.pth", tmp_path / "out", backbone="test_convnext", **common)


def test_a_bundle_that_fails_its_check_leaves_the_old_one(copied):
    before = (copied / "bundle.json").read_bytes()
    with pytest.raises(BundleError):
        save_bundle(copied, {"a": torch.zeros(1)}, card())
    assert (copied / "bundle.json").read_bytes() == before
    assert [p.name for p in copied.parent.iterdir()] == ["copied"]


def test_bundles_are_found_by_name_in_the_given_folders(tiny, tmp_path, monkeypatch):
    shutil.copytree(tiny.path, tmp_path / "mine")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "bundle.json").write_text("[]", "utf-8")
    monkeypatch.setenv("NAPARI_AML_MODELS", str(tmp_path))
    assert "tiny" in [bundle.name for bundle in find_bundles()]
    assert tmp_path / "broken" in broken_bundles()
    assert load_bundle("tiny").path == load_bundle("mine").path == tmp_path / "mine"
    with pytest.raises(BundleError, match="no JSON object"):
        load_bundle("broken")
    with pytest.raises(BundleError, match="found: tiny"):
        load_bundle("other")


def test_a_card_in_words(tmp_path):
    bundle = make_bundle(
        tmp_path / "b",
        training_data=[{"name": "PBC", "licence": "CC BY 4.0", "n": 12794}],
        metrics={"pbc": {"accuracy": {"value": 0.91, "n": 2500, "interval": [0.9, 0.92]}}, "seeds": 3},
        intended_use="Demonstration.",
        limits=["No donors.", "Two scanners."],
    )
    text = bundle.card_summary()
    assert "trained on PBC, 12,794 cells (CC BY 4.0)" in text
    assert "pbc, accuracy: 0.91 (95 % interval 0.9–0.92, n = 2,500)" in text
    assert "limits: No donors.; Two scanners." in text
    assert metric_lines(None) == []


def test_an_idle_network_is_lent_again_but_never_twice_at_once(tiny):
    first = tiny.borrow("cpu")
    second = tiny.borrow("cpu")
    assert first is not second
    tiny.give_back(first)
    assert tiny.borrow("cpu") is first
    tiny.give_back(first)
    tiny.release()
    assert tiny.borrow("cpu") is not first


@pytest.mark.parametrize(
    ("backbone", "px"),
    [
        ("test_convnext", 64), ("test_resnet", 64), ("test_vit", 96), ("test_efficientnet", 64),
        ("test_vit_relpos", 96),
    ],
)  # fmt: skip
def test_every_timm_backbone_loads_by_the_same_code(tmp_path, backbone, px):
    import timm

    from napari_aml._torch import choose_device
    from napari_aml.classify.network import create

    state = create(backbone, 3, px, {}, "test").state_dict()
    bundle = save_bundle(tmp_path / "b", state, card(backbone=backbone, class_codes=["A", "B", "C"], crop_px=px))
    network = bundle.network(choose_device("cpu"))
    crops = np.random.default_rng(0).integers(0, 256, (2, px, px, 3), dtype=np.uint8)
    with torch.no_grad():
        pictures = network.prepare(crops)
        logits, embedding = network.head(network.features(pictures))
        extra = {"img_size": px} if backbone.startswith("test_vit") else {}
        plain = timm.create_model(backbone, num_classes=3, **extra).eval()
        plain.load_state_dict(bundle.state_dict())
        values = (crops / 255.0 - bundle.mean) / bundle.std
        expected = plain(torch.from_numpy(values).permute(0, 3, 1, 2).float())
    assert embedding.shape == (2, network.dim)
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4)
