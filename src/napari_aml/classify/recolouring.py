"""Whether the crops of a slide are recoloured before a model sees them, and to which stain.

A network knows the colours of the scanners that it was trained on. A slide of another stain is taken to one of theirs
with the map of `napari_aml.cells.stain`; a slide that looks like one of them stays as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_aml.progress import Progress, Steps

if TYPE_CHECKING:
    from napari_aml.cells.stain import Recolouring, Stain
    from napari_aml.classify.bundle import ModelBundle
    from napari_aml.classify.sources import CropSource

#: Stains whose colours lie less than this apart (root mean square, 0…255) count as the same (docs/trust.md). One cell
#: tells a stain less well than many do: measured on single cells of known stains 95 in 100 lie nearer than 21, on
#: single cells of BCCD 95 in 100 beyond 34.
ALIKE, ALIKE_OF_ONE = 12.0, 27.0
# Another known stain than the first is the target where it is this much nearer: what is as far from all of them goes
# to the one that most pictures of the training had.
_NEARER = 0.7
# Single-cell pictures: so many are looked at, and where the first of them are not clearly of a known stain, so many
# more; of these so large a share must each be strange on its own.
_FIRST, _CLEARLY, _PICTURES, _STRANGE = 8, ALIKE / 2, 32, 0.8


@dataclass(frozen=True)
class StainChoice:
    """What is done about a slide's stain.

    Attributes
    ----------
    recolouring
        What the crops go through; None = they stay as they are.
    source
        The source of the training whose stain is the nearest, or the target.
    distance
        To that stain, root mean square of colour differences, 0…255.
    """

    recolouring: Recolouring | None
    source: str
    distance: float

    @property
    def note(self) -> str:
        """What a person should know; empty where nothing is done."""
        if self.recolouring is None:
            return ""
        return (
            f"This stain is new to the model (colours {self.distance:.0f} of 255 from those of '{self.source}'): "
            "it saw the cells recoloured, you see the originals. Check the classes with more care."
        )

    def facts(self) -> dict[str, object]:
        """Return plain values for the provenance."""
        done = self.recolouring is not None
        return {"recoloured": done, "source": self.source, "distance": round(self.distance, 1), "note": self.note}


def choose_stain(stain: Stain | None, known: Sequence[tuple[str, Stain]]) -> StainChoice | None:
    """Decide what is done about a slide's stain.

    Parameters
    ----------
    stain
        The slide's; None where it could not be measured.
    known
        Sources of the training and their stains, that with most pictures first (`ModelBundle.stains`).

    Returns
    -------
    StainChoice or None
        None where either side is unknown.
    """
    from napari_aml.cells.stain import Recolouring

    if stain is None or not known:
        return None
    distances = [stain.distance(other) for _, other in known]
    nearest = min(range(len(known)), key=distances.__getitem__)
    if distances[nearest] < max(ALIKE, ALIKE_OF_ONE / np.sqrt(stain.cells or np.inf)):
        return StainChoice(None, known[nearest][0], distances[nearest])
    chosen = nearest if distances[nearest] < _NEARER * distances[0] else 0
    source, target = known[chosen]
    return StainChoice(Recolouring(stain, target), source, distances[chosen])


def crops_stain_steps(
    crops: CropSource, um: float, known: Sequence[tuple[str, Stain]]
) -> Steps[tuple[Stain | None, StainChoice | None]]:
    """Measure the stain of single-cell pictures and decide what is done about it, yielding progress.

    A folder may hold pictures of several scanners: they are recoloured only where nearly all of those that are looked
    at are themselves strange.

    Parameters
    ----------
    crops
        Pictures of single cells.
    um
        µm per pixel of the crops.
    known
        As for `choose_stain`.

    Returns
    -------
    tuple
        The stain, or None where it could not be measured; the choice, or None.
    """
    order = np.random.default_rng(0).permutation(len(crops))
    for n in (_FIRST, _PICTURES):
        yield Progress(0, 0, "Measuring the stain")
        stain, single = _stain_of(crops.read(np.sort(order[:n])), um, known)
        choice = choose_stain(stain, known)
        if n >= len(order) or (choice is not None and choice.distance < _CLEARLY):
            break
    if choice is None or choice.recolouring is None or np.mean(np.array(single or [0.0]) > ALIKE_OF_ONE) >= _STRANGE:
        return stain, choice
    return stain, StainChoice(None, choice.source, choice.distance)


def _stain_of(
    pictures: np.ndarray, um: float, known: Sequence[tuple[str, Stain]]
) -> tuple[Stain | None, list[float]]:
    """Return the stain of pictures of single cells, and how far each that tells one lies from the nearest known."""
    from napari_aml.cells.segment import segment
    from napari_aml.cells.stain import StainSample
    from napari_aml.slides import open_slide

    # Side by side in one picture: segmented at once instead of one by one, which takes ten times as long.
    across, side = int(np.ceil(np.sqrt(len(pictures)))), pictures.shape[1]
    mosaic = np.full((across * side, across * side, 3), 255, np.uint8)
    corners = [(i // across * side, i % across * side) for i in range(len(pictures))]
    places = [(slice(y, y + side), slice(x, x + side)) for y, x in corners]
    for where, rgb in zip(places, pictures, strict=True):
        mosaic[where] = rgb
    masks = segment(open_slide(mosaic, um)).masks
    cells, nuclei = masks.to_array("cell"), masks.to_array("nucleus")
    whole, single = StainSample(len(pictures)), []
    for where, rgb in zip(places, pictures, strict=True):
        whole.add(rgb, cells[where], nuclei[where])
        one = StainSample(1)
        one.add(rgb, cells[where], nuclei[where])
        if known and (found := one.stain()) is not None:
            single.append(min(found.distance(other) for _, other in known))
    return whole.stain(), single


def recoloured_steps(crops: CropSource, bundle: ModelBundle) -> Steps[tuple[CropSource, StainChoice | None]]:
    """Return single-cell pictures as a bundle should see them, and the choice; yields progress.

    Parameters
    ----------
    crops
        Pictures of single cells of the bundle's field and size.
    bundle
        The model.
    """
    if not bundle.stains or not len(crops):
        return crops, None
    _, choice = yield from crops_stain_steps(crops, bundle.crop_um / bundle.crop_px, bundle.stains)
    if choice is None or choice.recolouring is None:
        return crops, choice
    return RecolouredCrops(crops, choice.recolouring), choice


class RecolouredCrops:
    """Crops of another source, recoloured as they are read."""

    def __init__(self, crops: CropSource, recolouring: Recolouring) -> None:
        self._crops, self._recolouring = crops, recolouring

    def __len__(self) -> int:
        """Return the number of crops."""
        return len(self._crops)

    @property
    def order(self) -> np.ndarray:
        """As of the other source."""
        return self._crops.order

    def read(self, rows: np.ndarray, zoom: float = 1.0) -> np.ndarray:
        """Return uint8 (len(rows), px, px, 3)."""
        return self._recolouring(self._crops.read(rows, zoom))
