"""A model bundle: a folder with ``model.safetensors`` and ``bundle.json``, and nothing that can run code.

`open_bundle` reads and checks the card alone (no torch); `ModelBundle.verify` checks the weights against the card and
the backbone. ``docs/model-bundles.md`` describes the format.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_aml._files import replacing_folder
from napari_aml.classify.card import check_card, summarise_card
from napari_aml.classify.views import Tta
from napari_aml.errors import BundleError
from napari_aml.provenance import file_sha256

if TYPE_CHECKING:
    import torch

    from napari_aml._torch import Device
    from napari_aml.cells.stain import Stain
    from napari_aml.classify.network import Network
    from napari_aml.classify.trust.stored import Trust

WEIGHTS, CARD = "model.safetensors", "bundle.json"


@dataclass(eq=False)
class ModelBundle:
    """Weights and card of one image classifier.

    Attributes
    ----------
    path
        The bundle's folder.
    card
        The content of ``bundle.json``, checked.
    """

    path: Path
    card: dict[str, Any]
    _idle: dict[Device, Network] = field(default_factory=dict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def name(self) -> str:
        """Name of the bundle."""
        return self.card["name"]

    @property
    def version(self) -> str:
        """Version of the bundle."""
        return self.card["version"]

    @property
    def backbone(self) -> str:
        """Name of the timm architecture."""
        return self.card["backbone"]

    @property
    def codes(self) -> tuple[str, ...]:
        """Class codes, in the order of the network's outputs."""
        return tuple(self.card["class_codes"])

    @property
    def crop_um(self) -> float:
        """Side of a crop in µm."""
        return float(self.card["crop_um"])

    @property
    def crop_px(self) -> int:
        """Side of a crop in pixels: what the network takes."""
        return int(self.card["crop_px"])

    @property
    def mean(self) -> tuple[float, ...]:
        """Channel means (of values 0…1) that are subtracted."""
        return tuple(self.card["mean"])

    @property
    def std(self) -> tuple[float, ...]:
        """Channel deviations (of values 0…1) that are divided by."""
        return tuple(self.card["std"])

    @property
    def temperature(self) -> float:
        """Logits are divided by it (Guo et al. 2017, arXiv:1706.04599)."""
        return float(self.card["temperature"])

    @property
    def tta(self) -> Tta:
        """Test-time views that the bundle asks for."""
        return Tta.from_card(self.card.get("tta"))

    @property
    def stains(self) -> tuple[tuple[str, Stain], ...]:
        """Sources of the training pictures and their stains, the one with most pictures first; may be empty."""
        from napari_aml.cells.stain import Stain

        try:
            return tuple((str(held["source"]), Stain.read(held)) for held in self.card.get("stains") or ())
        except (KeyError, TypeError, ValueError) as error:
            raise BundleError(
                f"The stains in the card of the bundle '{self.name}' cannot be read: {error}.",
                "Each has a source, and ground, nucleus and red of three numbers.",
            ) from error

    @property
    def sha256(self) -> str:
        """SHA-256 of the weight file, as the card says it."""
        return self.card["sha256"]

    @property
    def bundle_id(self) -> str:
        """Name, version and weight hash in one line."""
        return f"{self.name} {self.version} sha256:{self.sha256[:12]}"

    @cached_property
    def trust(self) -> Trust:
        """Conformal sets and the score of likeness, where the bundle has them.

        Raises
        ------
        BundleError
            When they are damaged.
        """
        from napari_aml.classify.trust.stored import read_trust

        return read_trust(self.path, self.card)

    def card_summary(self) -> str:
        """Return the card in words, for the report and the shell."""
        return summarise_card(self.card, str(self.bundle_id))

    def state_dict(self) -> dict[str, torch.Tensor]:
        """Read the weights: tensors on the CPU, floating ones as float32.

        Raises
        ------
        BundleError
            Missing file, hash other than the card's, damaged file, or values that are not finite.
        UnsafeWeightsError
            When the file is a pickle.
        """
        from napari_aml._weights import check_finite, read_safetensors

        path = self.path / WEIGHTS
        if not path.is_file():
            raise BundleError(f"The model bundle '{self.path}' has no {WEIGHTS}.", "Copy it again, or train it anew.")
        state = read_safetensors(path)
        if file_sha256(path) != self.sha256:
            raise BundleError(
                f"{WEIGHTS} of the bundle '{self.path}' is not the file that its card describes (SHA-256 differs).",
                "Copy the bundle again; if you replaced the weights on purpose, save it anew with save_bundle().",
            )
        check_finite(state, path)
        return state

    def verify(self) -> ModelBundle:
        """Check weights against card and backbone without keeping them; return the bundle itself.

        Raises
        ------
        BundleError
            Naming the keys that are missing, superfluous or of another shape, or what else is wrong.
        """
        from napari_aml.classify.network import check_fit

        check_fit(self.backbone, len(self.codes), self.crop_px, self._arguments, self.path, self.state_dict())
        return self

    def network(self, device: Device | str = "cpu") -> Network:
        """Build the network with its weights on a device, in evaluation mode; a new one at every call."""
        from napari_aml._torch import Device, choose_device
        from napari_aml.classify.network import Network

        where = device if isinstance(device, Device) else choose_device(device)
        return Network.build(self, where)

    def borrow(self, device: Device | str = "auto") -> Network:
        """Borrow a network for one job; give it back with `give_back` when the job ended well.

        A network in use is never shared (heatmap jobs hook into its layers); an idle one is lent again, so that
        explaining a single cell does not read the weights anew.
        """
        from napari_aml._torch import choose_device

        where = choose_device(device) if isinstance(device, str) else device
        with self._lock:
            network = self._idle.pop(where, None)
        return network or self.network(where)

    def give_back(self, network: Network) -> None:
        """Keep a borrowed network for the next job on its device."""
        with self._lock:
            self._idle[network.device] = network

    def release(self) -> None:
        """Drop idle networks, and with them the memory they hold."""
        with self._lock:
            self._idle.clear()

    @property
    def _arguments(self) -> dict[str, Any]:
        return dict(self.card.get("backbone_args") or {})


def open_bundle(folder: str | Path) -> ModelBundle:
    """Open a bundle's folder and check its card; the weights are not read.

    Raises
    ------
    BundleError
        Missing folder or card, broken JSON, or a card whose entries are wrong; the message names the entry.
    """
    folder = Path(folder)
    if not folder.is_dir():
        what = "is a file, not a bundle's folder" if folder.is_file() else "does not exist"
        raise BundleError(
            f"The model bundle '{folder}' {what}.",
            "Give a folder with model.safetensors and bundle.json; a .pth or .safetensors file is turned into one "
            "by napari_aml.classify.import_checkpoint().",
        )
    path = folder / CARD
    if not path.is_file():
        raise BundleError(
            f"'{folder}' is no model bundle: it has no {CARD}.", "Give the folder that holds model.safetensors and it."
        )
    try:
        card = json.loads(path.read_text("utf-8"))
    except (ValueError, OSError) as error:
        raise BundleError(f"Cannot read '{path}': {error}.", "Copy the bundle again.") from error
    return ModelBundle(folder, check_card(card, path))


def save_bundle(
    folder: str | Path, state: Mapping[str, torch.Tensor], card: Mapping[str, Any], *, half: bool = True
) -> ModelBundle:
    """Write a bundle, check it by reading it back, and return it.

    Parameters
    ----------
    folder
        Where to; replaced as a whole when it exists, and only after the new bundle passed its checks.
    state
        The network's tensors by timm's names.
    card
        The entries of ``bundle.json``; ``format``, ``format_version``, ``kind`` and ``sha256`` are filled in.
    half
        Store floating tensors as float16 (half the size; they are read as float32).

    Raises
    ------
    BundleError
        When card or weights would not load again.
    OutputError
        When the folder cannot be written.
    """
    from napari_aml._weights import write_safetensors

    folder = Path(folder)
    with replacing_folder(folder) as beside:
        write_safetensors(beside / WEIGHTS, state, half=half)
        filled = {
            "format": "napari-aml-bundle", "format_version": 1, "kind": "image-classifier", "temperature": 1.0,
            "conformal": None, "ood": None, **card, "sha256": file_sha256(beside / WEIGHTS),
        }  # fmt: skip
        (beside / CARD).write_text(json.dumps(filled, indent=2, ensure_ascii=False) + "\n", "utf-8")
        open_bundle(beside).verify()
    return open_bundle(folder)
