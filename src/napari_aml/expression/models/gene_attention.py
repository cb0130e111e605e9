"""A network whose attention means something: learned programmes attend over the genes of a sample.

Every gene is a token. Its key and value are an embedding of the gene, shifted by the sample's standardised expression of
that gene. A programme is a learned query; its attention over the genes is a distribution (it sums to one) that depends
on the sample, and its reading is the attention-weighted mean of the values (pooling by multi-head attention: Lee et al.
2019, arXiv:1810.00825). The classes see the programmes' readings and nothing else, so a gene that no programme attends to
cannot move the call.

Learned groups rather than published pathways: a pathway list would tie the model to one release and licence, covers only
part of a panel, and subtype signatures of AML (HOX genes, MYH11, ...) are not the pathways of the usual collections.
"""

from __future__ import annotations

import math

from napari_aml._torch import torch

nn = torch.nn


class GeneAttention(nn.Module):
    """Pooling by attention over gene tokens.

    Parameters
    ----------
    genes, classes
        Tokens of a sample and outputs.
    programmes
        Learned queries.
    width
        Of keys and values.
    dropout
        Share of genes hidden from attention in a training step, and of readings dropped before the classes.
    """

    def __init__(
        self, genes: int, classes: int, *, programmes: int = 16, width: int = 16, dropout: float = 0.1
    ) -> None:
        super().__init__()
        self.gene_key = nn.Parameter(torch.randn(genes, width))
        self.gene_shift = nn.Parameter(torch.randn(genes, width) * 0.1)
        self.gene_value = nn.Parameter(torch.randn(genes, width) / math.sqrt(width))
        self.queries = nn.Parameter(torch.randn(programmes, width))
        self.norm = nn.LayerNorm(programmes * width)
        self.head = nn.Linear(programmes * width, classes)
        self.gene_dropout = dropout
        self.dropout = nn.Dropout(dropout)

    def attention(self, x: torch.Tensor) -> torch.Tensor:
        """Return each programme's attention over the genes, (n, programmes, genes); sums to one over the genes.

        Parameters
        ----------
        x
            Standardised expression, (n, genes).
        """
        scale = 1 / math.sqrt(self.queries.shape[1])
        # q·(key + z·shift) = q·key + z (q·shift): two small products instead of a token tensor of (n, genes, width).
        fixed = self.queries @ self.gene_key.T * scale
        moving = self.queries @ self.gene_shift.T * scale
        scores = fixed + x[:, None, :] * moving
        if self.training and self.gene_dropout > 0:
            hidden = torch.rand(x.shape, device=x.device) < self.gene_dropout
            scores = scores.masked_fill(hidden[:, None, :], -torch.inf)
        return scores.softmax(-1)

    def readings(self, x: torch.Tensor) -> torch.Tensor:
        """Return the programmes' readings, (n, programmes, width)."""
        return (self.attention(x) * x[:, None, :]) @ self.gene_value

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        """Return the last layer before the classes, (n, programmes x width)."""
        return self.norm(self.readings(x).flatten(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits, (n, classes)."""
        return self.head(self.dropout(self.embed(x)))
