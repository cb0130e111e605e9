"""The published network of AttentionAML (Li, Khoury, Wang and Wan 2025, bioRxiv 2025.05.20.655179), written anew.

Tensors bear the names of the published state dict, so that its ``MLP_attention.pth`` loads. A sample is one vector,
which the blocks treat as a sequence of length one: the softmax over one key is 1, whatever query and key are. Each
attention block is therefore the linear map ``value`` followed by ``fc_out``; ``query`` and ``key`` never reach the
output and get no gradient. There are no attention weights to look at, and none are returned. Genes are explained by
integrated gradients and by ablation instead.
"""

from __future__ import annotations

from napari_aml._torch import torch
from napari_aml.expression.models.network import Network

nn = torch.nn

HIDDEN, SECOND, HEADS = 512, 256, (8, 4)

#: The published classes in the order of the outputs.
PUBLISHED_CLASSES = (
    "BCL11B", "CBFB-GDXY", "CBFB::MYH11", "CEBPA", "DEK::NUP214", "ETS family", "GATA1", "GLISr", "HOXr", "KAT6Ar",
    "KMT2A-PTD", "KMT2Ar", "MECOM", "MNX1", "NPM1", "NUP98r", "PICALM::MLLT10", "RBM15::MKL1", "RUNX1::RUNX1T1",
    "RUNX1::RUNX1T1-like", "UBTF",
)  # fmt: skip


class OneTokenAttention(nn.Module):
    """Multi-head attention over a single token, reduced to what it computes.

    Parameters
    ----------
    width
        Of the token; the heads split it, which changes nothing at length one.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        # Held for the state dict alone: see the module's first lines.
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.fc_out = nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return what attention gives, (n, width)."""
        return self.fc_out(self.value(x))


class AttentionAML(Network):
    """Two linear layers, each followed by attention over one token with a residual and a LayerNorm; then the classes.

    Parameters
    ----------
    genes, classes
        Width of input and output.
    hidden, second
        Widths of the two layers; 512 and 256 as published.
    dropout
        After each layer while training; it adds no tensors.
    """

    def __init__(
        self, genes: int, classes: int, *, hidden: int = HIDDEN, second: int = SECOND, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.layer1 = nn.Linear(genes, hidden)
        self.attention1 = OneTokenAttention(hidden)
        self.layer_norm1 = nn.LayerNorm(hidden)
        self.layer2 = nn.Linear(hidden, second)
        self.attention2 = OneTokenAttention(second)
        self.layer_norm2 = nn.LayerNorm(second)
        self.layer3 = nn.Linear(second, classes)
        self.dropout = nn.Dropout(dropout)

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        """Return the last layer before the classes, (n, second)."""
        x = self.dropout(torch.relu(self.layer1(x)))
        x = self.layer_norm1(x + self.attention1(x))
        x = self.dropout(torch.relu(self.layer2(x)))
        return self.layer_norm2(x + self.attention2(x))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits, (n, classes), of log expression, (n, genes)."""
        return self.layer3(self.embed(x))
