"""A network whose attention means something: learned programmes attend over the genes of a sample.

Every gene is a token. Its key starts from the co-expression of the training samples (their first principal components),
so that genes which rise and fall together lie close. A programme is a learned query; its attention over the genes is a
distribution (it sums to one) that depends on the sample, because a gene's key is shifted by how strongly the sample
expresses it. What a programme reads is the attention-weighted sum of the genes' values, each a learned vector times the
sample's standardised expression (pooling by multi-head attention: Lee et al. 2019, arXiv:1810.00825). The classes see
these readings and nothing else: a gene that no programme attends to cannot move the call.

Values start at zero and attention starts wide, so training begins as a shrunken linear model and departs from it only
where that helps; with tens of samples and hundreds of genes everything else over-fits (docs/expression-models.md).
"""

from __future__ import annotations

import math

import numpy as np

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
        Of keys and queries.
    reading
        Numbers that a programme reads.
    dropout
        Share of genes hidden from all programmes in a training step.
    """

    def __init__(
        self,
        genes: int,
        classes: int,
        *,
        programmes: int = 8,
        width: int = 8,
        reading: int = 4,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        self.gene_key = nn.Parameter(torch.randn(genes, width))
        self.gene_shift = nn.Parameter(torch.randn(genes, width) * 0.1)
        self.gene_value = nn.Parameter(torch.zeros(genes, reading))
        self.queries = nn.Parameter(torch.randn(programmes, width))
        self.head = nn.Linear(programmes * reading, classes)
        nn.init.normal_(self.head.weight, std=1 / math.sqrt(programmes))
        self.hidden_genes = dropout

    def start(self, z: np.ndarray) -> None:
        """Take the keys from the co-expression of standardised training samples, (n, genes); needs no labels."""
        _, spread, loadings = np.linalg.svd(z - z.mean(0), full_matrices=False)
        k = min(self.gene_key.shape[1], len(spread))
        keys = loadings[:k].T * spread[:k]
        with torch.no_grad():
            self.gene_key[:, :k] = torch.from_numpy(keys / max(float(keys.std()), 1e-9)).float()

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
        if self.training and self.hidden_genes > 0:
            hidden = torch.rand(x.shape, device=x.device) < self.hidden_genes
            scores = scores.masked_fill(hidden[:, None, :], -torch.inf)
        return scores.softmax(-1)

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        """Return the programmes' readings, (n, programmes x reading)."""
        read = (self.attention(x) * x[:, None, :]) @ self.gene_value
        # A mean over many genes is small; the root of their number keeps readings near one.
        return read.flatten(1) * math.sqrt(x.shape[1])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits, (n, classes)."""
        return self.head(self.embed(x))
