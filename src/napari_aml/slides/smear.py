"""Does a picture look like a blood smear at all? Plain measures, each of which a person can check by eye.

Only what no smear in transmitted light can show speaks against a picture, so that a dim, blurred, noisy or badly
stained smear is never doubted; and it is a warning: the analysis goes on.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from napari_aml.slides.redcells import background_density, views

if TYPE_CHECKING:
    from napari_aml.slides.slide import Slide

Doubt = Literal["dark", "edges", "brown", "noise", "smooth", "blank", "grey"]

_WORDS: dict[str, str] = {
    "dark": "most of it is dark, while a smear is dark cells on a bright ground (fluorescence? a photograph?)",
    "edges": "it has hard edges that no microscope draws (a photograph? a screenshot? a document?)",
    "brown": "what is stained lets red and green pass and takes blue away, as brown and yellow things do, but not the "
    "stains of blood smears",
    "noise": "it is noise without anything in it",
    "smooth": "it shows nothing but a slow change of light or colour",
}
_WAY_OUT = "Check that the right picture was opened; do not rely on cells found here."

# A picture speaks against itself only beyond these limits. In brackets: the worst of 1,000 smear pictures of four
# sources, altered ones among them, on the allowed side.
_LEAST_LIGHT = 0.4  # median brightness, and that of the smooth parts, over the brightest (0.53)
_HARDEST_EDGE = 0.9  # log brightness from pixel to pixel, 99.5th percentile (0.70; text and photographs: 0.9 to 3)
_EDGE_TO_NOISE = 1.7  # 99.5th over 95th percentile: hard edges are few, noise (1.4 to 1.6) is everywhere
_MOST_BROWN = 0.6  # share of the stain that takes blue away far more than green (0.43)
_LEAST_STRUCTURE = 0.2  # what a blur leaves of the contrast (0.50)
_LEAST_DETAIL = 0.035  # contrast over 6 px, 99.5th percentile, over that of the whole (0.06; gradients: 0.002 to 0.027)
_LEAST_CONTRAST = 0.1  # optical density, 99th percentile (0.15)
_LEAST_COLOUR = 3.0  # difference of the channels, 95th percentile, grey levels (9)
# Smaller pictures are single cells, sharpened by whatever made them small.
_LEAST_SIDE = 200
_MOST_VIEWS = 8
_SIDE = 512


@dataclass(frozen=True)
class SmearCheck:
    """What speaks against a picture being a stained blood smear.

    Attributes
    ----------
    doubts
        ``dark``, ``edges``, ``brown``, ``noise``, ``smooth``: no smear looks so. ``blank``: nothing is to be seen.
        ``grey``: no colours. Empty for a picture that may be a smear.
    light, edge, brown, structure, detail, contrast, colour
        What was measured (the view that speaks least against the picture); see `measures`.
    """

    doubts: tuple[Doubt, ...] = ()
    light: float = 1.0
    edge: float = 0.0
    brown: float = 0.0
    structure: float = 1.0
    detail: float = 1.0
    contrast: float = 1.0
    colour: float = 255.0

    @property
    def warning(self) -> str:
        """The doubts in plain words with the way out; empty where there are none."""
        against = [_WORDS[doubt] for doubt in self.doubts if doubt in _WORDS]
        said = []
        if against:
            said.append(f"This does not look like a blood smear: {'; '.join(against)}. {_WAY_OUT}")
        if "blank" in self.doubts:
            said.append(
                "Nothing is to be seen here: the picture is of one colour. Check that the right one was opened."
            )
        if "grey" in self.doubts and not against:
            said.append(
                "This picture has no colours. Cells are found and classified by the stain's colours: open the colour "
                "picture that it was made from, and do not rely on what was found here."
            )
        return " ".join(said)

    def facts(self) -> dict[str, object]:
        """Return doubts and measures for provenance files."""
        said = {k: round(v, 4) if isinstance(v, float) else list(v) for k, v in asdict(self).items()}
        return {"looks_like_a_smear": not self.doubts, **said}


def check_smear(slide: Slide) -> SmearCheck:
    """Tell whether a slide looks like a stained blood smear.

    Parameters
    ----------
    slide
        Any slide. Of a large one up to eight views are looked at, and all of them that show anything must speak against
        it: pen marks, labels and the edge of the glass do not.

    Returns
    -------
    SmearCheck
    """
    found: list[SmearCheck] = []
    for count, (rgb, scale) in enumerate(views(slide), start=1):
        found.append(check_view(rgb, _middle(slide) if scale != 1 else rgb))
        if not found[-1].doubts or count >= _MOST_VIEWS:
            break
    shown = [check for check in found if "blank" not in check.doubts]
    return min(shown or found, key=lambda check: len(check.doubts), default=SmearCheck())


def check_view(rgb: np.ndarray, fine: np.ndarray | None = None) -> SmearCheck:
    """Judge one picture.

    Parameters
    ----------
    rgb
        uint8 (h, w, 3).
    fine
        The picture or its middle in its own pixels, where `rgb` was resized: edges are judged there.
    """
    import cv2

    fine = rgb if fine is None else fine
    scale = min(1.0, _SIDE / max(rgb.shape[:2]))
    small = cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else rgb
    if min(small.shape[:2]) < 16:
        return SmearCheck()
    stain = cv2.GaussianBlur(background_density(small), (0, 0), 1.2)
    depth = np.sqrt((stain**2).sum(2))
    smooth = cv2.GaussianBlur(small, (0, 0), 1.2).astype(np.float32)
    edge, finest = _edges(fine)
    light, structure, detail = _light(smooth.mean(2)), _structure(small), _detail(smooth)
    contrast, colour = float(np.percentile(depth, 99)), float(np.percentile(np.ptp(smooth, axis=2), 95))
    stained = depth > max(0.12, 0.3 * float(np.percentile(depth, 95)))
    brown = _brown(stain[stained], depth[stained])
    doubts: list[Doubt] = []
    if contrast < _LEAST_CONTRAST:
        doubts.append("blank")
    else:
        if light < _LEAST_LIGHT:
            doubts.append("dark")
        if min(fine.shape[:2]) >= _LEAST_SIDE and edge > max(_HARDEST_EDGE, _EDGE_TO_NOISE * finest):
            doubts.append("edges")
        if brown > _MOST_BROWN:
            doubts.append("brown")
        if min(fine.shape[:2]) >= _LEAST_SIDE and structure < _LEAST_STRUCTURE:
            doubts.append("noise")
        if min(fine.shape[:2]) >= _LEAST_SIDE and detail < _LEAST_DETAIL:
            doubts.append("smooth")
        if colour <= _LEAST_COLOUR:
            doubts.append("grey")
    return SmearCheck(tuple(doubts), light, edge, brown, structure, detail, contrast, colour)


def _middle(slide: Slide, side: int = 800) -> np.ndarray:
    height, width = slide.shape
    h, w = min(side, height), min(side, width)
    return slide.peek(0, (height - h) // 2, (width - w) // 2, h, w)


def _light(brightness: np.ndarray) -> float:
    """Return how bright the picture, or its smooth parts if those are darker, is against its brightest 2 %."""
    import cv2

    slope = np.hypot(*(cv2.Sobel(brightness, cv2.CV_32F, *d, scale=0.25) for d in ((1, 0), (0, 1))))
    smooth = brightness[slope <= np.percentile(slope, 40)]
    bright = max(1.0, float(np.percentile(brightness, 98)))
    return min(float(np.median(smooth)), float(np.median(brightness))) / bright


def _edges(rgb: np.ndarray) -> tuple[float, float]:
    """Return the 99.5th and 95th percentile of the steps of log brightness between neighbours in a row."""
    middle = rgb[:800, :800].mean(2, dtype=np.float32)
    steps = np.abs(np.diff(np.log(middle + 8), axis=1))
    if not steps.size:
        return 0.0, 0.0
    high, low = np.percentile(steps, [99.5, 95])
    return float(high), float(low)


def _structure(rgb: np.ndarray) -> float:
    """Return how much of the contrast a blur over 4 px leaves: noise goes, cells stay."""
    import cv2

    brightness = rgb.mean(2, dtype=np.float32)
    return float(cv2.GaussianBlur(brightness, (0, 0), 4).std() / max(float(brightness.std()), 1e-6))


def _detail(smooth: np.ndarray) -> float:
    """Return the contrast that a blur over 6 px takes away, as a part of the picture's range: cells have edges."""
    import cv2

    lost = np.abs(smooth - cv2.GaussianBlur(smooth, (0, 0), 6)).max(2)[8:-8, 8:-8]
    low, high = np.percentile(smooth, [2, 98], axis=(0, 1))
    return float(np.percentile(lost, 99.5) / max(1.0, float((high - low).max()))) if lost.size else 1.0


def _brown(stain: np.ndarray, depth: np.ndarray) -> float:
    """Return the share of the stain that takes blue away more than green, by over a fifth of its depth."""
    if len(depth) < 50:
        return 0.0
    return float((depth * (stain[:, 2] > stain[:, 1] + 0.2 * depth)).sum() / depth.sum())
