"""Cells become Predictions and Heatmaps in one pass over the slide."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_aml.classify.predict import predict_steps
from napari_aml.classify.predictions import Predictions
from napari_aml.classify.recolouring import RecolouredCrops, choose_stain
from napari_aml.classify.sources import CropSource, SlideCrops
from napari_aml.errors import InputError, PixelSizeUnknownError
from napari_aml.explain.evidence import evidence_shares, sample_masks
from napari_aml.explain.heatmap import Heatmaps
from napari_aml.explain.layers import LAST
from napari_aml.explain.methods import get_method
from napari_aml.explain.passes import CamPass, ChooseTargets
from napari_aml.progress import Progress, Steps, run

if TYPE_CHECKING:
    import torch

    from napari_aml._torch import Device
    from napari_aml.cells.stain import Stain
    from napari_aml.cells.table import Cells
    from napari_aml.classify.bundle import ModelBundle
    from napari_aml.slides.slide import Slide

#: None or "predicted"; "runner_up"; a class code; or one class code or index a cell.
TargetSpec = str | Sequence[str] | Sequence[int] | np.ndarray | None


def classify_and_explain_steps(
    slide: Slide,
    cells: Cells,
    bundle: ModelBundle,
    device: Device | str = "auto",
    cam: str | None = "gradcam",
    stage: int = LAST,
    target: TargetSpec = None,
    rows: Sequence[int] | np.ndarray | None = None,
    stain: Stain | None = None,
) -> Steps[tuple[Predictions, Heatmaps | None]]:
    """Classify cells and explain each of them, yielding batches as they are finished.

    Parameters
    ----------
    slide
        Its pixel size is known.
    cells
        Its cells.
    bundle
        The model.
    device
        ``auto``, ``cpu``, ``cuda``, ``cuda:N``, ``mps``, or a `Device`.
    cam
        Heatmap method (a key of `METHODS`), or None for predictions alone.
    stage
        Stage that the heatmaps look at: 3 = last, lower = finer (and slower).
    target
        The class that is explained: None or ``"predicted"``, ``"runner_up"``, a class code, or one class code (or
        index) a row.
    rows
        Rows of ``cells.table`` to work on; all by default.
    stain
        The slide's (`Analysis.stain`): where it is not one that the bundle was trained on, the network sees the cells
        recoloured (`napari_aml.classify.recolouring`). None = in their own colours.

    Yields
    ------
    Progress
        Payload ``(rows, Predictions, Heatmaps | None)`` of a finished batch (rows of ``cells.table``), or None.

    Returns
    -------
    tuple
        Predictions and Heatmaps (or None), aligned with `rows`.

    Raises
    ------
    InputError
        Unknown method, stage or class.
    PixelSizeUnknownError
        When the slide's pixel size is unknown.
    """
    if slide.pixel_size.um is None:
        raise PixelSizeUnknownError(slide.name, slide.pixel_size.detail)
    table = cells.table
    chosen = np.arange(len(table)) if rows is None else np.asarray(rows, int)
    y, x = (table[name].to_numpy(float)[chosen] for name in ("y", "x"))
    choice = choose_stain(stain, bundle.stains)
    source = SlideCrops(slide, y, x, bundle.crop_um, bundle.crop_px)
    pictures: CropSource = source
    if choice is not None and choice.recolouring is not None:
        pictures = RecolouredCrops(source, choice.recolouring)
    labels = table["label"].to_numpy()[chosen]
    look = None
    if cam is not None:
        look = _CellPass(cam, stage, _choice(target, bundle, len(chosen)), cells, labels, source.boxes)
    parts: list[tuple[np.ndarray, Heatmaps]] = []
    steps = predict_steps(bundle, pictures, device, inspect=look, views=bundle.tta.slide_views)
    try:
        while True:
            event = next(steps)
            if event.payload is not None:
                outcome: Any = event.payload
                batch, said, seen = outcome
                if seen is not None:
                    parts.append((batch, seen))
                event = Progress(event.done, event.total, event.message, (chosen[batch], said, seen))
            yield event
    except StopIteration as stop:
        predictions = stop.value
    finally:
        steps.close()
    if cam is None:
        return predictions, None
    if not parts:
        return predictions, empty_heatmaps(cam, stage)
    order = np.argsort(np.concatenate([batch for batch, _ in parts]))
    return predictions, Heatmaps.concatenate([seen for _, seen in parts]).take(order)


def heatmaps_steps(
    slide: Slide,
    cells: Cells,
    bundle: ModelBundle,
    device: Device | str = "auto",
    method: str = "gradcam",
    stage: int = LAST,
    target: TargetSpec = None,
    rows: Sequence[int] | np.ndarray | None = None,
    stain: Stain | None = None,
) -> Steps[Heatmaps]:
    """Explain cells; parameters and events as in `classify_and_explain_steps`."""
    steps = classify_and_explain_steps(slide, cells, bundle, device, method, stage, target, rows, stain)
    _, maps = yield from steps
    assert maps is not None
    return maps


def heatmaps(
    slide: Slide,
    cells: Cells,
    bundle: ModelBundle,
    device: Device | str = "auto",
    method: str = "gradcam",
    stage: int = LAST,
    target: TargetSpec = None,
    rows: Sequence[int] | np.ndarray | None = None,
    stain: Stain | None = None,
) -> Heatmaps:
    """Explain cells; `heatmaps_steps` driven to its end.

    Examples
    --------
    >>> import napari_aml as aml
    >>> maps = aml.heatmaps(slide, cells, aml.load_bundle(), method="hirescam", target="MYO")  # doctest: +SKIP
    >>> maps.in_nucleus  # doctest: +SKIP
    """
    return run(heatmaps_steps(slide, cells, bundle, device, method, stage, target, rows, stain))


def empty_heatmaps(method: str, stage: int) -> Heatmaps:
    """Heatmaps of no cells."""
    f = np.float32
    none = np.zeros(0, f)
    maps, box = np.zeros((0, 1, 1), f), np.zeros((0, 4), f)
    return Heatmaps(maps, np.zeros(0, int), method, stage, box, none, none, np.zeros(0, bool))


class _CellPass:
    """A `CamPass` whose maps become `Heatmaps` of cells: boxes, and evidence inside cell and nucleus."""

    def __init__(
        self, method: str, stage: int, targets: ChooseTargets, cells: Cells, labels: np.ndarray, boxes: np.ndarray
    ) -> None:
        get_method(method)
        if not 0 <= stage <= LAST:
            raise InputError(f"There is no stage {stage} to explain.", "Stages are 0 (finest) to 3 (last).")
        self.inner = CamPass(method, stage, targets)
        self.cells, self.labels, self.boxes = cells, labels, boxes

    def __call__(self, network: Any, pictures: Any, rows: np.ndarray, stop: threading.Event) -> Any:
        logits, embedding, (maps, target) = self.inner(network, pictures, rows, stop)
        boxes = self.boxes[rows]
        parts = sample_masks(self.cells.masks, self.labels[rows], boxes)
        in_cell, in_nucleus, has = evidence_shares(maps, parts)
        found = Heatmaps(maps, target, self.inner.method, self.inner.stage, boxes, in_cell, in_nucleus, has)
        return logits, embedding, found


def _choice(target: TargetSpec, bundle: ModelBundle, count: int) -> ChooseTargets:
    """Turn a target specification into a function of (rows, logits)."""
    if target is None or (isinstance(target, str) and target == "predicted"):
        return lambda _rows, logits: logits.argmax(1)
    if isinstance(target, str) and target == "runner_up":
        return lambda _rows, logits: logits.topk(2, dim=1).indices[:, 1]
    fixed = np.array([_index(t, bundle) for t in ([target] * count if isinstance(target, str) else target)], np.int64)
    if len(fixed) != count:
        raise InputError(f"{len(fixed)} classes to explain were given for {count} cells.", "Give one a cell.")

    def choose(rows: np.ndarray, logits: torch.Tensor) -> torch.Tensor:
        from napari_aml._torch import torch

        return torch.from_numpy(fixed[rows]).to(logits.device)

    return choose


def _index(target: Any, bundle: ModelBundle) -> int:
    if isinstance(target, str):
        if target in bundle.codes:
            return bundle.codes.index(target)
    elif 0 <= int(target) < len(bundle.codes):
        return int(target)
    raise InputError(
        f"The model '{bundle.name}' has no class '{target}' to explain.", f"It knows {', '.join(bundle.codes)}."
    )
