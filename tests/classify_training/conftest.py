"""A small set of made-up cells: two sources, three classes, drawn so that the class shows."""

from __future__ import annotations

import numpy as np
import pytest


def drawn_cell(side: int, kind: int, rng: np.random.Generator, background: tuple[int, int, int]) -> np.ndarray:
    """A picture with one big (0), two middling (1) or three small (2) nuclei inside a pale cell."""
    import cv2

    picture = np.full((side, side, 3), background, np.uint8)
    centre = side // 2
    cv2.circle(picture, (centre, centre), side // 4, (200, 180, 210), -1)
    for part in range(kind + 1):
        angle = 2 * np.pi * part / (kind + 1) + rng.uniform(0, 6)
        off = 0 if kind == 0 else side // 9
        at = (round(centre + off * np.cos(angle)), round(centre + off * np.sin(angle)))
        cv2.circle(picture, at, side // (7 + 4 * kind), (90 + 30 * kind, 40, 140), -1)
    noise = rng.normal(0, 6, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


@pytest.fixture
def made_up_cells():
    """60 cells: 40 of the source pbc, 20 of lmu; classes BAS, EBO, EOS in turn."""
    import pandas as pd

    from napari_aml.classify.training.data import CLASS_CODES, SIDE_PX, CellSet

    rng = np.random.default_rng(0)
    counts = {"pbc": 40, "lmu": 20}
    images, rows, position = {}, [], []
    for source, n in counts.items():
        background = (245, 220, 200) if source == "pbc" else (230, 225, 240)
        images[source] = np.stack([drawn_cell(SIDE_PX[source], i % 3, rng, background) for i in range(n)])
        rows += [(f"{source}{i}", source, "made up", CLASS_CODES[i % 3], "") for i in range(n)]
        position += range(n)
    table = pd.DataFrame(rows, columns=["path", "source", "kind", "code", "original"])
    table["group"] = np.arange(len(table))
    return CellSet(table, images, np.array(position))
