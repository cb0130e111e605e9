"""One cell of the state becomes what the inspector shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_aml.taxonomy import cell_class
from napari_aml.ui.cell_view import Bar, CellView, Evidence
from napari_aml.ui.state import UNCLASSIFIED, ReviewState
from napari_aml.viewer.picture_layers import BLANK

if TYPE_CHECKING:
    from napari_aml.classify import Predictions
    from napari_aml.explain import Heatmaps

#: Side of the picture of a cell: µm when no model says it, and pixels on the screen.
CROP_UM, CROP_PX = 25.0, 192


def cell_view(state: ReviewState, extra: Heatmaps | None = None) -> CellView | None:
    """Describe the selected cell.

    Parameters
    ----------
    state
        The review's state.
    extra
        A second heatmap of this cell (one row) to stand beside the first: the runner-up's, as a rule.

    Returns
    -------
    CellView or None
        None when no cell is selected.
    """
    row = state.row(state.selected)
    if row is None:
        return None
    analysis = state.at_hand
    cell = analysis.cells.table.iloc[row]
    crop_um = analysis.bundle.crop_um if analysis.bundle is not None else CROP_UM
    crop, outline = _crop(analysis, cell, crop_um)
    uid = str(cell["uid"])
    code = state.decided.get(uid) or state.code(row)
    visible = state.shows_model(uid) and state.model_code(row) != UNCLASSIFIED
    said = analysis.predictions if visible else None
    return CellView(
        uid=uid,
        title=_title(state, row, uid),
        subtitle=_subtitle(state, row, uid),
        colour=cell_class(code).colour if code else "#888888",
        crop=crop,
        outline=outline,
        evidence=_evidence(state, row, said, extra) if said is not None else (),
        limit=state.heat_limit,
        bars=_bars(said.codes, said.probabilities[row]) if said is not None else (),
        measurements=_measurements(cell),
        remarks=_remarks(state, row, cell),
        tags=state.tags.get(uid, frozenset()),
        note=state.notes.get(uid, ""),
        known_tags=frozenset().union(*state.tags.values()),
    )


def _title(state: ReviewState, row: int, uid: str) -> str:
    """Say the class: a person's word goes before the model's."""
    if uid in state.decided:
        code = state.decided[uid]
        return f"{code} · {cell_class(code).name} · decided by {state.reader}"
    if not state.shows_model(uid):
        return "not decided yet (blinded reading)"
    said = state.at_hand.predictions
    if said is None:
        return "not classified"
    code = state.model_code(row)
    if code == UNCLASSIFIED:
        return "being classified …"
    return f"{code} · {cell_class(code).name} · {100 * said.probabilities[row].max():.0f} %"


def _subtitle(state: ReviewState, row: int, uid: str) -> str:
    words = f"Cell {row + 1} of {state.n_cells}, label {int(state.at_hand.cells.table['label'].iloc[row])}"
    code, said = state.model_code(row), state.at_hand.predictions
    if uid in state.decided and said is not None and code != UNCLASSIFIED:
        words += f" · model: {code} {100 * said.probabilities[row].max():.0f} %"
    if len(state.selection) > 1:
        words += f" · {len(state.selection)} cells chosen"
    return words


def _crop(analysis: Any, cell: Any, crop_um: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the picture of a cell and the border of its mask in it."""
    import cv2

    from napari_aml.cells import crops

    if analysis.slide.ready:
        picture = crops(analysis.slide, [cell["y"]], [cell["x"]], crop_um, CROP_PX)[0]
    else:  # the window does not wait for it
        picture = np.full((CROP_PX, CROP_PX, 3), BLANK, np.uint8)
    side = crop_um / analysis.slide.pixel_size.um
    top, left = float(cell["y"]) - side / 2, float(cell["x"]) - side / 2
    y0, x0 = int(np.floor(top)), int(np.floor(left))
    n = int(np.ceil(side)) + 2
    mine = (analysis.cells.masks.region(y0, x0, n, n) == int(cell["label"])).astype(np.uint8)
    k = side / CROP_PX
    matrix = np.array([[k, 0, left - _shift(x0, k)], [0, k, top - _shift(y0, k)]])
    flags = cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
    mask = cv2.warpAffine(mine, matrix, (CROP_PX, CROP_PX), flags=flags)
    return picture, cv2.morphologyEx(mask, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0


def _shift(start: int, k: float) -> float:
    """Return the offset that maps centres of output pixels to centres of input pixels that begin at `start`."""
    return start + 0.5 - k / 2


def _bars(codes: tuple[str, ...], probabilities: np.ndarray) -> tuple[Bar, ...]:
    order = np.argsort(-probabilities)
    return tuple(
        Bar(codes[k], cell_class(codes[k]).name, cell_class(codes[k]).colour, float(probabilities[k])) for k in order
    )


def _evidence(state: ReviewState, row: int, said: Predictions, extra: Heatmaps | None) -> tuple[Evidence, ...]:
    heatmaps, chances = state.at_hand.heatmaps, said.probabilities[row]
    found = []
    if heatmaps is not None and len(heatmaps.maps):
        found.append(_one(heatmaps, row, said.codes, chances))
    if extra is not None:
        found.append(_one(extra, 0, said.codes, chances))
    return tuple(found)


def _one(heatmaps: Heatmaps, row: int, codes: tuple[str, ...], chances: np.ndarray) -> Evidence:
    target = int(heatmaps.target[row])
    title = f"for {codes[target]} ({100 * float(chances[target]):.0f} %)"
    if not bool(heatmaps.has_evidence[row]):
        return Evidence(title, heatmaps.maps[row], "no positive evidence")
    nucleus, whole = float(heatmaps.in_nucleus[row]), float(heatmaps.in_cell[row])
    shares = (("nucleus", nucleus), ("cell", whole))
    notes = [f"in {where} {value:.1f}×" for where, value in shares if np.isfinite(value)]
    return Evidence(title, heatmaps.maps[row], ", ".join(notes))


def _measurements(cell: Any) -> tuple[tuple[str, str], ...]:
    area = float(cell["area_um2"])
    rows = [
        ("Area", f"{area:.0f} µm² (as a disc: Ø {2 * np.sqrt(area / np.pi):.1f} µm)"),
        ("Nucleus", f"{float(cell['nucleus_area_um2']):.0f} µm²"),
        ("Nucleus / cell", f"{float(cell['nc_ratio']):.2f}"),
        ("Eccentricity", f"{float(cell['eccentricity']):.2f}"),
        ("Solidity", f"{float(cell['solidity']):.2f}"),
        ("Position", f"x {float(cell['x']):.0f}, y {float(cell['y']):.0f} px"),
    ]
    return tuple(rows)


def _remarks(state: ReviewState, row: int, cell: Any) -> tuple[str, ...]:
    remarks = []
    analysis = state.at_hand
    if bool(cell["touches_border"]):
        remarks.append("Cut off by the border of the picture: class and measurements are unsure.")
    said = analysis.predictions
    uid = str(cell["uid"])
    if said is not None and uid not in state.pending and state.shows_model(uid):
        order = np.sort(said.probabilities[row])[::-1]
        if len(order) > 1 and order[0] < 0.5:
            remarks.append("The model is unsure: no class reaches 50 %.")
        remarks += _trust(analysis, row)
        if analysis.heatmaps is not None and not bool(analysis.heatmaps.has_evidence[row]):
            remarks.append("No positive evidence for this class anywhere in the crop.")
    return tuple(remarks)


def _trust(analysis: Any, row: int) -> list[str]:
    """Say which classes are possible, and whether the model knows cells like this one."""
    from napari_aml.review.queue.trust import trust_of

    said = analysis.predictions.take(np.array([row]))
    trust = trust_of(analysis.bundle, said, 1)
    out = []
    if trust.size[0] == 0:
        out.append("No class fits well: the model has seen no such cell of any class.")
    elif trust.size[0] > 0:
        possible = analysis.bundle.trust.sets(said.probabilities)[0].split("|")
        best = said.codes[int(said.probabilities[0].argmax())]
        if best not in possible:
            out.append(f"Possible classes: {', '.join(possible)}. {best} is not among them: look for yourself.")
        elif len(possible) > 1:
            out.append(f"Possible classes: {', '.join(possible)}. The model cannot tell them apart here.")
    if trust.unlike[0]:
        out.append("Unlike the cells that the model learnt from: do not rely on its class.")
    return out
