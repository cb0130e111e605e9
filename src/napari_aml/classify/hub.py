"""Bundles and timm weights on the Hugging Face hub. Only `load_bundle("hub:…")` comes here; nothing else downloads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from napari_aml.classify.bundle import CARD, WEIGHTS, ModelBundle, open_bundle
from napari_aml.classify.checkpoint import IMAGENET_MEAN, IMAGENET_STD, import_checkpoint
from napari_aml.errors import BundleError

# What a crop covers when a hub network does not say: a white cell with its nearest neighbours.
_DEFAULT_CROP_UM = 25.0


def fetch_bundle(repository: str) -> ModelBundle:
    """Fetch a bundle from the hub, or timm weights that become one.

    Parameters
    ----------
    repository
        ``OWNER/NAME``, e.g. ``timm/convnext_atto.d2_in1k``. A repository with ``bundle.json`` is taken as it is; one
        with timm's ``config.json`` and ``model.safetensors`` is turned into a bundle, its classes named as there.

    Raises
    ------
    BundleError
        When the hub cannot be reached, or the repository holds neither.
    """
    card = _download(repository, CARD)
    if card is not None:
        _required(repository, WEIGHTS)
        return open_bundle(card.parent)
    config_path = _required(repository, "config.json")
    weights = _required(repository, WEIGHTS)
    try:
        config = json.loads(config_path.read_text("utf-8"))
    except ValueError as error:
        raise BundleError(f"config.json of '{repository}' cannot be read: {error}.") from error
    return _from_timm(repository, config, weights)


def _from_timm(repository: str, config: dict[str, Any], weights: Path) -> ModelBundle:
    from napari_aml.classify.library import user_folder

    pretrained = config.get("pretrained_cfg") or config
    names = config.get("label_names") or pretrained.get("label_names")
    count = int(config.get("num_classes") or pretrained.get("num_classes") or 0)
    codes = list(names) if names and len(set(names)) == count else [f"C{i:04d}" for i in range(count)]
    size = pretrained.get("input_size") or [3, 224, 224]
    return import_checkpoint(
        weights,
        user_folder() / repository.replace("/", "--"),
        backbone=config.get("architecture"),
        class_codes=codes,
        crop_um=float(config.get("crop_um", _DEFAULT_CROP_UM)),
        crop_px=int(size[-1]),
        mean=pretrained.get("mean", IMAGENET_MEAN),
        std=pretrained.get("std", IMAGENET_STD),
        name=repository,
        card={
            "licence": pretrained.get("license") or config.get("license") or "not stated",
            "backbone_args": config.get("model_args") or {},
            "limits": f"Fetched from the hub ({repository}). Its classes are those it was trained on, which need not "
            "be blood cells; nothing was evaluated here.",
        },
    )


def _required(repository: str, name: str) -> Path:
    path = _download(repository, name)
    if path is None:
        raise BundleError(
            f"The hub repository '{repository}' has no {name}.",
            "Weights as pickles (pytorch_model.bin) are not read; choose a repository with safetensors.",
        )
    return path


def _download(repository: str, name: str) -> Path | None:
    """Return the local copy of a file, None when the repository has no such file."""
    import huggingface_hub
    from huggingface_hub import errors

    try:
        return Path(huggingface_hub.hf_hub_download(repository, name))
    except errors.LocalEntryNotFoundError as error:
        raise _unreachable(repository) from error
    except errors.EntryNotFoundError:
        return None
    except (errors.RepositoryNotFoundError, errors.HFValidationError) as error:
        raise BundleError(
            f"There is no hub repository '{repository}' that can be read.", "Write it as hub:OWNER/NAME."
        ) from error
    except OSError as error:
        raise _unreachable(repository) from error


def _unreachable(repository: str) -> BundleError:
    return BundleError(
        f"The model '{repository}' was asked for from the hub, which cannot be reached.",
        "Connect this machine to the network once, or copy the bundle's folder here and name the folder.",
    )
