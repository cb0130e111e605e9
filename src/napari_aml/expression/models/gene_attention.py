"""A network whose attention means something: learned programmes attend over the genes of a sample.

Every gene is a token. Its key starts from the co-expression of the training samples (their first principal components),
so that genes which rise and fall together lie close. A programme is a learned query; its attention over the genes is a
distribution (it sums to one) that depends on the sample, because a gene's key is shifted by how strongly the sample
expresses it. What a programme reads is the attention-weighted sum of the genes' values, each a learned vector times the
sample's standardised expression (pooling by multi-head attention: Lee et al. 2019, arXiv:1810.00825). The classes see
these readings and nothing else: a gene that no programme attends to cannot move the call.

Attention starts wide, and values start from a strongly shrunken logistic regression on the same training samples:
training begins near the best linear model and departs from it only where that helps. From random values, with tens of
samples and hundreds of genes, it over-fits (docs/expression-models.md).
"""

from __future__ import annotations

import math

import numpy as np

from napari_aml._torch import torch
from napari_aml.expression.models.network import Network

nn = torch.nn


class GeneAttention(Network):
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
        Numbers that a programme reads; 0 is one a class.
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
        reading: int = 0,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        reading = reading or classes
        self.gene_key = nn.Parameter(torch.randn(genes, width))
        self.gene_shift = nn.Parameter(torch.randn(genes, width) * 0.1)
        self.gene_value = nn.Parameter(torch.zeros(genes, reading))
        # Half the usual length: attention starts wide, over hundreds of genes.
        self.queries = nn.Parameter(torch.randn(programmes, width) / 2)
        self.head = nn.Linear(programmes * reading, classes)
        nn.init.normal_(self.head.weight, std=1 / math.sqrt(programmes))
        self.hidden_genes = dropout

    def start(self, z: np.ndarray, linear: np.ndarray, intercept: np.ndarray) -> None:
        """Take keys from co-expression and values from a linear model.

        Parameters
        ----------
        z
            Standardised training samples, (n, genes); the keys look at no labels.
        linear, intercept
            Coefficients (classes, genes) and intercepts (classes,) of a linear model of the same samples.
        """
        _, spread, loadings = np.linalg.svd(z - z.mean(0), full_matrices=False)
        k = min(self.gene_key.shape[1], len(spread))
        keys = loadings[:k].T * spread[:k]
        with torch.no_grad():
            self.gene_key[:, :k] = torch.from_numpy(keys / max(float(keys.std()), 1e-9)).float()
            classes, reading = self.head.out_features, self.gene_value.shape[1]
            if reading < classes:
                return
            # With equal attention everywhere this is the linear model itself.
            self.gene_value[:, :classes] = torch.from_numpy(linear.T * math.sqrt(linear.shape[1])).float()
            programmes = len(self.queries)
            head = torch.zeros(classes, programmes, reading)
            head[:, :, :classes] = torch.eye(classes)[:, None, :] / programmes
            self.head.weight.copy_(head.flatten(1))
            self.head.bias.copy_(torch.from_numpy(intercept).float())

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
