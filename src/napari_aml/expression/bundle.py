"""An expression bundle: a folder with ``model.safetensors``, ``bundle.json`` and ``genes.txt``; no code.

The format is that of the image models' bundles, with the kind ``expression-classifier``. `open_expression_bundle` reads
and checks the card and the genes alone (no torch); `ExpressionBundle.verify` checks the weights against them.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_aml._bundles import CARD, EXPRESSION, FORMAT, FORMAT_VERSION, SHIPPED, WEIGHTS, search
from napari_aml._files import replacing_folder
from napari_aml.errors import BundleError
from napari_aml.expression.card import check_card, summarise_card
from napari_aml.provenance import file_sha256

if TYPE_CHECKING:
    import torch

    from napari_aml.expression.likeness import ProfileLikeness
    from napari_aml.statistics import ConformalSets

GENES = "genes.txt"
DEMO = "expression-demo"
#: Tensors beside the network's own, by what they are for.
_SUMMARY, _LIKENESS, _MAP = "summary.", "likeness.", "map."


@dataclass(eq=False)
class ExpressionBundle:
    """Weights, card and genes of one expression model.

    Attributes
    ----------
    path
        The bundle's folder.
    card
        The content of ``bundle.json``, checked.
    genes
        The panel, in the order of the network's inputs.
    """

    path: Path
    card: dict[str, Any]
    genes: tuple[str, ...] = field(repr=False)
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
    def model(self) -> str:
        """Name of the architecture (`napari_aml.expression.models.MODELS`)."""
        return self.card["model"]

    @property
    def codes(self) -> tuple[str, ...]:
        """Subtypes, in the order of the network's outputs."""
        return tuple(self.card["classes"])

    @property
    def temperature(self) -> float:
        """Logits are divided by it."""
        return float(self.card["temperature"])

    @property
    def age_range(self) -> tuple[float, float] | None:
        """Ages in years that the training samples cover, None where the card does not say."""
        ages = self.card.get("age_range")
        return (float(ages[0]), float(ages[1])) if ages else None

    @property
    def accepts_uncorrected(self) -> bool:
        """Whether values not divided by gene length (counts, counts per million) are as good as TPM."""
        return bool(self.card.get("accepts_uncorrected", False))

    @property
    def sha256(self) -> str:
        """SHA-256 of the weight file, as the card says it."""
        return self.card["sha256"]

    @property
    def bundle_id(self) -> str:
        """Name, version and weight hash in one line."""
        return f"{self.name} {self.version} sha256:{self.sha256[:12]}"

    def card_summary(self) -> str:
        """Return the card in words."""
        return summarise_card(self.card, len(self.genes), self.bundle_id)

    @cached_property
    def conformal(self) -> ConformalSets | None:
        """Class-conditional conformal sets; None where the model was not calibrated."""
        from napari_aml.statistics import ConformalSets

        entry = self.card.get("conformal")
        return ConformalSets.from_dict(entry) if entry else None

    @cached_property
    def likeness(self) -> ProfileLikeness | None:
        """Score of how unlike the training data a profile is; None where there is none."""
        from napari_aml.expression.likeness import ProfileLikeness

        entry = self.card.get("ood")
        return ProfileLikeness.from_dict(entry, self._arrays(_LIKENESS)) if entry else None

    @cached_property
    def summary(self) -> dict[str, np.ndarray]:
        """What is known of the training data: ``mean``, ``sd`` (genes,) in all and ``class_mean``, ``class_sd``.

        The last two are (classes, genes). Empty where the card has none (imported weights).
        """
        return self._arrays(_SUMMARY)

    @property
    def reference(self) -> np.ndarray:
        """The profile that attributions start from and missing genes may be filled with, float64 (genes,).

        The mean of the training data; of imported weights, which come without any, zeros.
        """
        held = self.summary.get("mean")
        return np.zeros(len(self.genes)) if held is None else held.astype(np.float64)

    @cached_property
    def _tensors(self) -> dict[str, torch.Tensor]:
        return self.state_dict()

    def _arrays(self, prefix: str) -> dict[str, np.ndarray]:
        return {k.removeprefix(prefix): v.numpy() for k, v in self._tensors.items() if k.startswith(prefix)}

    def state_dict(self) -> dict[str, torch.Tensor]:
        """Read all tensors: on the CPU, floating ones as float32.

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
                "Copy the bundle again, or train it anew.",
            )
        check_finite(state, path)
        return state

    def network(self) -> torch.nn.Module:
        """Build the network with its weights, on the CPU, in evaluation mode; a new one at every call."""
        from napari_aml.expression.models.building import build

        network = build(self.model, len(self.genes), len(self.codes), self.card.get("model_args") or {})
        state = {k: v for k, v in self._tensors.items() if not k.startswith((_SUMMARY, _LIKENESS, _MAP))}
        difference = _difference(network, state)
        if difference:
            raise BundleError(
                f"The weights of '{self.path}' do not fit {self.model} with {len(self.genes):,} genes and "
                f"{len(self.codes)} classes. {difference}.", "Copy the bundle again, or train it anew.",
            )  # fmt: skip
        network.load_state_dict(state)
        return network.eval()

    def verify(self) -> ExpressionBundle:
        """Check weights against card and genes; return the bundle itself.

        Raises
        ------
        BundleError
            Naming the keys that are missing, superfluous or of another shape, or what else is wrong.
        """
        with self._lock:
            self.network()
            _ = self.conformal, self.likeness
        return self


def _difference(network: torch.nn.Module, state: Mapping[str, torch.Tensor]) -> str:
    from napari_aml._weights import compare

    return compare({k: tuple(v.shape) for k, v in network.state_dict().items()}, state)


def open_expression_bundle(folder: str | Path) -> ExpressionBundle:
    """Open a bundle's folder and check its card and genes; the weights are not read.

    Raises
    ------
    BundleError
        Missing folder or card, broken JSON, or entries that are wrong; the message names the entry.
    """
    folder = Path(folder)
    if not folder.is_dir():
        what = "is a file, not a bundle's folder" if folder.is_file() else "does not exist"
        raise BundleError(
            f"The model bundle '{folder}' {what}.",
            "Give a folder with model.safetensors and bundle.json; a .pth file of AttentionAML is turned into one by "
            "'napari-aml expression import-checkpoint'.",
        )
    path = folder / CARD
    if not path.is_file():
        raise BundleError(f"'{folder}' is no model bundle: it has no {CARD}.", "Give the folder that holds it.")
    try:
        card = json.loads(path.read_text("utf-8"))
        listed = (folder / GENES).read_text("utf-8")
    except (ValueError, OSError) as error:
        raise BundleError(f"Cannot read the bundle '{folder}': {error}.", "Copy the bundle again.") from error
    card = check_card(card, path)
    genes = check_genes(listed.split("\n"), folder / GENES)
    if file_sha256(folder / GENES) != card["genes_sha256"]:
        raise BundleError(
            f"{GENES} of the bundle '{folder}' is not the list that its card describes (SHA-256 differs).",
            "Copy the bundle again: the order of the genes is the order of the weights.",
        )
    return ExpressionBundle(folder, card, genes)


def check_genes(lines: Sequence[str], path: Path) -> tuple[str, ...]:
    """Return the genes of a list, one a line.

    Raises
    ------
    BundleError
        When it is empty, names a gene twice, or holds more than one word a line.
    """
    genes = [line.strip() for line in lines]
    genes = [gene for gene in genes if gene]
    if not genes:
        raise BundleError(f"The gene list '{path}' is empty.", "Give one gene a line, in the order of the weights.")
    odd = next((g for g in genes if any(c in g for c in ",;\t") or not g.isprintable()), None)
    if odd is not None:
        raise BundleError(f"The gene list '{path}' holds {odd!r:.60}, which is no gene.", "Give one gene a line.")
    twice = next((gene for gene, times in Counter(genes).items() if times > 1), None)
    if twice:
        raise BundleError(f"The gene list '{path}' names {twice} twice.", "Each gene is one input of the network.")
    return tuple(genes)


def save_expression_bundle(
    folder: str | Path,
    network: torch.nn.Module,
    genes: Sequence[str],
    card: Mapping[str, Any],
    *,
    summary: Mapping[str, np.ndarray] | None = None,
    likeness: ProfileLikeness | None = None,
    half: bool = False,
) -> ExpressionBundle:
    """Write a bundle, check it by reading it back, and return it.

    Parameters
    ----------
    folder
        Where to; replaced as a whole when it exists, and only after the new bundle passed its checks.
    network
        As `models.building.build` makes it.
    genes
        The panel in the order of the inputs.
    card
        The entries of ``bundle.json``; format, kind and hashes are filled in.
    summary, likeness
        See `ExpressionBundle`.
    half
        Store floating tensors of the network as float16.

    Raises
    ------
    BundleError
        When card or weights would not load again.
    OutputError
        When the folder cannot be written.
    """
    from napari_aml._torch import torch
    from napari_aml._weights import write_safetensors

    folder = Path(folder)
    state = {k: v.detach().cpu() for k, v in network.state_dict().items()}
    extra = {_SUMMARY + k: v for k, v in (summary or {}).items()}
    if likeness is not None:
        extra |= {_LIKENESS + k: v for k, v in likeness.arrays().items()}
    state |= {k: torch.from_numpy(np.ascontiguousarray(v, np.float32)) for k, v in extra.items()}
    with replacing_folder(folder) as beside:
        write_safetensors(beside / WEIGHTS, state, half=half)
        (beside / GENES).write_text("\n".join(genes) + "\n", "utf-8", newline="\n")
        filled = {
            "format": FORMAT, "format_version": FORMAT_VERSION, "kind": EXPRESSION, "temperature": 1.0,
            "conformal": None, **card, "ood": likeness.to_dict() if likeness else None,
            "sha256": file_sha256(beside / WEIGHTS), "genes_sha256": file_sha256(beside / GENES),
        }  # fmt: skip
        (beside / CARD).write_text(json.dumps(filled, indent=2, ensure_ascii=False) + "\n", "utf-8")
        open_expression_bundle(beside).verify()
    return open_expression_bundle(folder)


def find_expression_bundles() -> list[ExpressionBundle]:
    """Find the expression bundles on this machine, their cards checked and their weights not read; loads no torch."""
    return [found for _, found in search(EXPRESSION, open_expression_bundle) if isinstance(found, ExpressionBundle)]


def load_expression_bundle(spec: str | Path | ExpressionBundle | None = None) -> ExpressionBundle:
    """Load a bundle and check its weights.

    Parameters
    ----------
    spec
        None or ``expression-demo``: the shipped one. A folder, or the name of one that `find_expression_bundles` finds.

    Raises
    ------
    BundleError
        When there is no such bundle (the message lists those found), or it is damaged or does not fit.
    UnsafeWeightsError
        When its weights are a pickle.
    """
    if isinstance(spec, ExpressionBundle):
        return spec
    if spec is None or spec == DEMO:
        return open_expression_bundle(SHIPPED / DEMO).verify()
    path = Path(spec).expanduser()
    if path.exists():
        return open_expression_bundle(path).verify()
    found = search(EXPRESSION, open_expression_bundle)
    for where, bundle in found:
        if isinstance(bundle, ExpressionBundle) and str(spec) in (bundle.name, where.name):
            return bundle.verify()
    for where, error in found:
        if isinstance(error, BundleError) and where.name == str(spec):
            raise error
    known = ", ".join(b.name for _, b in found if isinstance(b, ExpressionBundle)) or "none"
    raise BundleError(
        f"There is no expression bundle '{spec}': neither a folder nor a known name (found: {known}).",
        "Give a bundle's folder, or put it where $NAPARI_AML_MODELS points.",
    )
