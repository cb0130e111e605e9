"""A model's name becomes a network with standardised input; several members become one ensemble."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from napari_aml._torch import torch
from napari_aml.errors import InputError
from napari_aml.expression.models.attention_aml import AttentionAML
from napari_aml.expression.models.gene_attention import GeneAttention
from napari_aml.expression.models.network import Network

nn = torch.nn

#: Standardised values beyond this are cut: one wild gene is not to rule the call.
LIMIT = 6.0


class Logistic(Network):
    """Multinomial logistic regression."""

    def __init__(self, genes: int, classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(genes, classes)

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits: there is no layer before them."""
        return self.linear(x)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits, (n, classes)."""
        return self.linear(x)


class Mlp(Network):
    """Two hidden layers, no attention: what the published network is without its attention blocks."""

    def __init__(self, genes: int, classes: int, *, hidden: int = 512, second: int = 256, dropout: float = 0.0) -> None:
        super().__init__()
        self.layer1, self.layer2 = nn.Linear(genes, hidden), nn.Linear(hidden, second)
        self.layer3 = nn.Linear(second, classes)
        self.dropout = nn.Dropout(dropout)

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        """Return the last layer before the classes, (n, second)."""
        return torch.relu(self.layer2(self.dropout(torch.relu(self.layer1(x)))))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits, (n, classes)."""
        return self.layer3(self.dropout(self.embed(x)))


class Standardised(Network):
    """Members that see each gene minus its training mean, divided by its training spread; their logits are averaged.

    Parameters
    ----------
    members
        Networks of one architecture.
    genes
        Width of the input.
    """

    centre: torch.Tensor  # buffers
    spread: torch.Tensor

    def __init__(self, members: list[nn.Module], genes: int) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.register_buffer("centre", torch.zeros(genes))
        self.register_buffer("spread", torch.ones(genes))

    def standardise(self, x: torch.Tensor) -> torch.Tensor:
        """Return the standardised input."""
        return ((x - self.centre) / self.spread).clamp(-LIMIT, LIMIT)

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        """Return the members' last layers side by side."""
        z = self.standardise(x)
        return torch.cat([member.embed(z) for member in self.members if isinstance(member, Network)], 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the mean of the members' logits, (n, classes)."""
        z = self.standardise(x)
        return torch.stack([member(z) for member in self.members]).mean(0)


_CLASSES: dict[str, tuple[type[Network], frozenset[str]]] = {
    "attention-aml": (AttentionAML, frozenset({"hidden", "second", "dropout"})),
    "gene-attention": (GeneAttention, frozenset({"programmes", "width", "reading", "dropout"})),
    "mlp": (Mlp, frozenset({"hidden", "second", "dropout"})),
    "logistic": (Logistic, frozenset()),
}


def build(model: str, genes: int, classes: int, arguments: Mapping[str, Any]) -> Network:
    """Build a network with random weights.

    Parameters
    ----------
    model
        ``attention-aml``, ``gene-attention``, ``mlp`` or ``logistic``.
    genes, classes
        Width of input and output.
    arguments
        Of the architecture; ``members`` makes an ensemble on standardised input. Without ``members`` it is the bare
        network on log expression as it is, which is what published weights of AttentionAML want.

    Raises
    ------
    InputError
        When the model or an argument is unknown.
    """
    if model not in _CLASSES:
        raise InputError(f"There is no expression model '{model}'.", f"Use one of {', '.join(_CLASSES)}.")
    make, known = _CLASSES[model]
    arguments = dict(arguments)
    members = int(arguments.pop("members", 0))
    unknown = sorted(set(arguments) - known)
    if unknown:
        has = ", ".join(sorted(known)) or "none"
        raise InputError(f"{model} has no setting {', '.join(unknown)}.", f"It has {has}.")
    whole = {k: float(v) if k == "dropout" else int(v) for k, v in arguments.items()}
    if not members:
        return make(genes, classes, **whole)
    return Standardised([make(genes, classes, **whole) for _ in range(members)], genes)
