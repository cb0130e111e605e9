"""Plots of a comparison: figures with intervals, learning curves, reliability, confusion."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from napari_aml.classify.training.benchmark.comparing import Compared, Run
from napari_aml.statistics import confusion, reliability, softmax

# Okabe and Ito's palette, which most colour-blind people can tell apart.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")


def draw_suite(
    folder: Path, suite: str, held: dict[str, Compared], runs: dict[str, list[Run]], codes: tuple[str, ...]
) -> list[tuple[str, str]]:
    """Draw the figures of one axis; return (file name, title) of each."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = [(f"{suite}-figures.png", "Mean over the seeds with 95 % bootstrap intervals; dots are single seeds.")]
    _forest(folder / drawn[0][0], held, runs, codes)
    drawn.append((f"{suite}-curves.png", "Learning curves: validation macro-F1, mean over the seeds."))
    _curves(folder / drawn[-1][0], runs)
    drawn.append((f"{suite}-reliability.png", "Reliability after temperature scaling, seeds pooled."))
    _reliability(folder / drawn[-1][0], runs)
    if suite == "backbones":
        drawn.append((f"{suite}-confusion.png", "Confusion on the test part, seeds pooled: rows are true, % of row."))
        _confusion(folder / drawn[-1][0], runs, codes)
    return drawn


def _figure(width: float, height: float, columns: int = 1):
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, np.atleast_1d(figure.subplots(1, columns))


def _forest(path: Path, held: dict[str, Compared], runs: dict[str, list[Run]], codes: tuple[str, ...]) -> None:
    from napari_aml.classify.training.benchmark.comparing import plain_figures

    keys = {"macro_f1": "macro-F1", "balanced_accuracy": "balanced accuracy", "tolerant_accuracy": "within one stage"}
    figure, axes = _figure(10, 1.2 + 0.38 * len(held), len(keys))
    names = list(held)[::-1]
    for axis, (key, title) in zip(axes, keys.items(), strict=True):
        for y, name in enumerate(names):
            low, high = held[name].interval[key]
            axis.plot([low, high], [y, y], color=_COLOURS[0], lw=2)
            axis.plot(held[name].mean[key], y, "o", color=_COLOURS[0])
            each = [plain_figures(r, codes)[key] for r in runs[name]]
            axis.plot(each, [y - 0.22] * len(each), ".", color=_COLOURS[1], ms=5)
        axis.set_yticks(range(len(names)), names if axis is axes[0] else [""] * len(names))
        axis.set_title(title, fontsize=10)
        axis.set_ylim(-0.6, len(names) - 0.4)
        axis.grid(axis="x", alpha=0.3)
    figure.savefig(path, dpi=110)


def _curves(path: Path, runs: dict[str, list[Run]]) -> None:
    figure, (axis,) = _figure(7, 3.6)
    for i, (name, found) in enumerate(runs.items()):
        if not found:
            continue
        most = min(len(r.record["history"]) for r in found)
        lines = [[e["validation"].get("macro_f1", np.nan) for e in r.record["history"][:most]] for r in found]
        style = "-" if i < len(_COLOURS) else "--"
        axis.plot(range(1, most + 1), np.mean(lines, 0), style, color=_COLOURS[i % len(_COLOURS)], label=name)
    axis.set(xlabel="epoch", ylabel="validation macro-F1")
    axis.xaxis.get_major_locator().set_params(integer=True)
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    figure.savefig(path, dpi=110)


def _reliability(path: Path, runs: dict[str, list[Run]]) -> None:
    figure, (axis,) = _figure(5.6, 3.8)
    axis.plot([0, 1], [0, 1], color="#999999", lw=1)
    for i, (name, found) in enumerate(runs.items()):
        if not found:
            continue
        prob = softmax(np.concatenate([r.logits for r in found]))
        curve = reliability(prob, np.concatenate([r.targets for r in found]), bins=int(np.clip(len(prob) // 20, 2, 8)))
        axis.plot(curve.confidence, curve.accuracy, "o-", ms=3, color=_COLOURS[i % len(_COLOURS)], label=name)
    axis.set(xlabel="confidence", ylabel="share right", xlim=(0, 1), ylim=(0, 1))
    axis.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    figure.savefig(path, dpi=110)


def _confusion(path: Path, runs: dict[str, list[Run]], codes: tuple[str, ...]) -> None:
    shown = {name: found for name, found in runs.items() if found}
    figure, axes = _figure(4.2 * len(shown), 4.4, len(shown))
    for axis, (name, found) in zip(axes, shown.items(), strict=True):
        matrix = np.sum([confusion(r.targets, r.logits.argmax(1), len(codes)) for r in found], axis=0)
        share = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
        axis.imshow(share, cmap="Blues", vmin=0, vmax=1)
        for y, x in zip(*np.nonzero(share >= 0.1), strict=True):
            shade = "white" if share[y, x] > 0.6 else "black"
            axis.text(x, y, f"{100 * share[y, x]:.0f}", ha="center", va="center", fontsize=6, color=shade)
        axis.set_xticks(range(len(codes)), codes, rotation=90, fontsize=7)
        axis.set_yticks(range(len(codes)), codes, fontsize=7)
        axis.set_title(name, fontsize=10)
    figure.savefig(path, dpi=110)
