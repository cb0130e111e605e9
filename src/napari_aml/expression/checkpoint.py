"""A published weight file of AttentionAML becomes a bundle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from napari_aml import RESEARCH_USE
from napari_aml.errors import BundleError
from napari_aml.expression.bundle import ExpressionBundle, check_genes, save_expression_bundle
from napari_aml.expression.card import INPUT

#: What the card says of imported weights when nobody says otherwise; the ages are those of the published cohort.
PUBLISHED_AGES = (0, 29)


def import_checkpoint(
    path: str | Path,
    genes: str | Path,
    out: str | Path,
    *,
    classes: Sequence[str] | None = None,
    name: str | None = None,
    age_range: Sequence[float] | None = PUBLISHED_AGES,
    card: Mapping[str, Any] | None = None,
) -> ExpressionBundle:
    """Turn a ``.pth`` or ``.safetensors`` state dict of AttentionAML into a bundle.

    The file is read with ``weights_only=True`` and nothing else. Width and number of classes are read from the weights;
    both must fit the gene list and the class list.

    Parameters
    ----------
    path
        The weight file.
    genes
        A text file with one gene a line, in the order of the network's inputs. The order cannot be checked against the
        weights: a list in another order gives wrong calls.
    out
        The bundle's folder.
    classes
        In the order of the outputs; by default the 21 published ones.
    name
        Of the bundle; the file's stem by default.
    age_range
        Ages of the training samples; the published ones by default, None for unknown.
    card
        Further entries of the card.

    Raises
    ------
    UnsafeWeightsError
        When the file holds more than tensors.
    BundleError
        When keys, shapes, width, classes or values do not fit; each is named.
    """
    from napari_aml._weights import check_finite, compare, read_checkpoint
    from napari_aml.expression.models.attention_aml import PUBLISHED_CLASSES
    from napari_aml.expression.models.building import build

    path, listed = Path(path), Path(genes)
    state, _ = read_checkpoint(path)
    check_finite(state, path)
    panel = read_gene_list(listed)
    codes = tuple(classes) if classes is not None else PUBLISHED_CLASSES
    sizes = {}
    for key in ("layer1.weight", "layer2.weight", "layer3.weight"):
        if key not in state or state[key].ndim != 2:
            found = ", ".join(list(state)[:4])
            raise BundleError(
                f"'{path}' holds no network of AttentionAML: it lacks the matrix {key} (it holds {found} …).",
                "Give the state dict of the published architecture.",
            )
        sizes[key] = tuple(state[key].shape)
    (hidden, width), (second, _), (outputs, _) = sizes.values()
    if width != len(panel):
        raise BundleError(
            f"The weights of '{path}' read {width:,} genes; '{listed}' lists {len(panel):,}.",
            "Give the list of exactly the genes that the network was trained on, in its order.",
        )
    if outputs != len(codes):
        raise BundleError(
            f"The weights of '{path}' tell {outputs} classes apart; {len(codes)} were named.",
            "Name one class an output, in their order.",
        )
    arguments = {"hidden": hidden, "second": second}
    network = build("attention-aml", width, outputs, arguments)
    difference = compare({k: tuple(v.shape) for k, v in network.state_dict().items()}, state)
    if difference:
        raise BundleError(f"The weights of '{path}' do not fit AttentionAML. {difference}.", "Check the file.")
    network.load_state_dict(state)
    entries = {
        "name": name or path.stem, "version": "1", "title": f"AttentionAML, imported from {path.name}",
        "model": "attention-aml", "model_args": arguments, "classes": list(codes), "input": INPUT,
        "age_range": list(age_range) if age_range else None, "training_data": [], "licence": "not stated",
        "split_level": "not stated", "metrics": {},
        "intended_use": f"{RESEARCH_USE} Says which training class a profile is similar to.",
        "limits": [
            "Imported; not evaluated, not calibrated: probabilities are those of the network as it is, there are no "
            "sets and no score of unlikeness.",
            "That the genes stand in the order of the weights was taken from the list and cannot be checked.",
            "Nothing can be said that is not among the classes; the published ones lack PML::RARA and normal samples.",
            "Attention over one token is constant and explains nothing; use gene attributions.",
        ],
        **(card or {}),
    }  # fmt: skip
    return save_expression_bundle(out, network, panel, entries)


def read_gene_list(path: Path) -> tuple[str, ...]:
    """Return the genes of a text file, one a line; lines that begin with # are left out."""
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except FileNotFoundError as error:
        raise BundleError(f"There is no gene list '{path}'.", "Check the path.") from error
    except (OSError, UnicodeError) as error:
        raise BundleError(f"Cannot read the gene list '{path}': {error}.", "Give one gene a line.") from error
    return check_genes([line for line in lines if not line.startswith("#")], path)
