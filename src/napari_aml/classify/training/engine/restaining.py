"""Stain exchange between sources: a class must not be known by the colours of the only scanner that saw it.

A share of each batch is recoloured towards the stain of another source of the dataset, by a random part of the way
(compare "stain mix-up", Chang et al. 2021, arXiv 2109.01106, there between single pictures and on estimated dyes).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_aml.datasets import Dataset
from napari_aml.datasets.pictures import PictureError
from napari_aml.progress import Progress, Steps

if TYPE_CHECKING:
    import torch

    from napari_aml.cells.stain import Stain

# Pictures of each source that its stain is measured on, and how far towards the other stain a picture may go.
_PICTURES, _WAY = 80, (0.4, 1.2)


@dataclass(frozen=True)
class Stains:
    """The stains of a dataset's sources.

    Attributes
    ----------
    names
        Sources whose stain could be measured, those with most pictures first.
    stains
        Theirs.
    of_row
        int64 (n,): which of them a training picture has; -1 where its source has none.
    """

    names: tuple[str, ...]
    stains: tuple[Stain, ...]
    of_row: np.ndarray

    def entry(self) -> list[dict[str, Any]]:
        """Return what the card says of them; the first is the one that strange slides are recoloured to."""
        return [{"source": n, **s.facts()} for n, s in zip(self.names, self.stains, strict=True)]


def stains_steps(dataset: Dataset, rows: np.ndarray) -> Steps[Stains]:
    """Measure the stain of each source of some rows on segmented pictures, yielding progress.

    Parameters
    ----------
    dataset, rows
        A dataset and its rows; pictures of unknown scale are left out.

    Returns
    -------
    Stains
    """
    from napari_aml.cells.segment import segment
    from napari_aml.cells.stain import StainSample
    from napari_aml.slides import open_slide

    sources = dataset.table["source"].to_numpy(str)[rows]
    names, counts = np.unique(sources, return_counts=True)
    um = dataset.table["pixel_size_um"].to_numpy(float)[rows]
    found: dict[str, Stain] = {}
    for name in names[np.argsort(-counts, kind="stable")]:
        known = np.flatnonzero((sources == name) & np.isfinite(um))
        chosen = np.sort(np.random.default_rng(0).permutation(known)[:_PICTURES])
        sample = StainSample(len(chosen))
        for done, position in enumerate(chosen):
            yield Progress(done, len(chosen), f"Measuring the stain of {name or 'the pictures'}")
            try:
                rgb = dataset.pixels(int(rows[position]))
            except PictureError:  # counted when the crops are cut
                continue
            masks = segment(open_slide(rgb, float(um[position]))).masks
            sample.add(rgb, masks.to_array("cell"), masks.to_array("nucleus"))
        if (stain := sample.stain()) is not None:
            found[str(name)] = stain
    column = {name: i for i, name in enumerate(found)}
    of_row = np.array([column.get(name, -1) for name in sources], np.int64)
    return Stains(tuple(found), tuple(found.values()), of_row)


class Restaining:
    """Recolours batches; on the device of the training.

    Parameters
    ----------
    stains
        Of two sources or more.
    where
        The device.
    """

    def __init__(self, stains: Stains, where: torch.device) -> None:
        from napari_aml._torch import torch
        from napari_aml.cells.stain import DARK

        def held(values: list[np.ndarray]) -> torch.Tensor:
            return torch.tensor(np.array(values), dtype=torch.float32, device=where)

        self.count = len(stains.stains)
        self.ground = held([np.log(np.array(s.ground) + DARK) for s in stains.stains])
        self.nucleus = held([np.array(s.nucleus) for s in stains.stains])
        self.red = held([np.array(s.red) for s in stains.stains])
        self.inverse = held([np.linalg.inv(s.basis) for s in stains.stains])

    def __call__(self, x: torch.Tensor, source: torch.Tensor, share: float, generator: torch.Generator) -> torch.Tensor:
        """Recolour the last pictures of a batch.

        Parameters
        ----------
        x
            float32 (n, 3, h, w) in 0…1.
        source
            int64 (n,), on the device; -1 = as it is.
        share
            Of the batch.
        generator
            On the device.
        """
        from napari_aml._torch import torch
        from napari_aml.cells.stain import DARK

        k = round(share * len(x))
        if not k:
            return x
        u = torch.rand(2, k, generator=generator, device=generator.device)
        of = source[-k:]
        own = of.clamp_min(0)
        other = (own + 1 + (u[0] * (self.count - 1)).long().clamp_max(self.count - 2)) % self.count
        way = (_WAY[0] + u[1] * (_WAY[1] - _WAY[0]))[:, None]
        ground, nucleus, red = (
            of_all[own] + way * (of_all[other] - of_all[own]) for of_all in (self.ground, self.nucleus, self.red)
        )
        third = torch.linalg.cross(nucleus, red)
        third = third * (nucleus.norm(dim=1, keepdim=True) / third.norm(dim=1, keepdim=True).clamp_min(1e-4))
        matrix = torch.stack([nucleus, red, third], -1) @ self.inverse[own]
        part = x[-k:].clamp(0, 1)
        density = self.ground[own][:, :, None, None] - torch.log(part * 255 + DARK)
        new = torch.exp(ground[:, :, None] - matrix @ density.flatten(2)).view_as(part)
        new = ((new - DARK) / 255).clamp(0, 1)
        return torch.cat([x[:-k], torch.where((of >= 0)[:, None, None, None], new, part)])
