"""A comparison of models as tables, plots and a page."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from napari_aml import RESEARCH_USE
from napari_aml._files import replacing, replacing_folder
from napari_aml.expression.benchmarking import NETWORKS, Benchmark
from napari_aml.statistics import reliability

_OVERALL = ("accuracy", "balanced_accuracy", "macro_precision", "macro_recall", "macro_f1", "mcc", "ece", "brier")
_FILES = ("models.csv", "per_class.csv", "answers.csv", "misread.csv", "models.png", "calibration.png", "index.html",
          "README.md")  # fmt: skip


def overall_table(made: Benchmark) -> pd.DataFrame:
    """Return one row a model: each figure with its 95 % limits, calibration, settings chosen, processor seconds."""
    rows = []
    for one in made.judged:
        row: dict[str, object] = {"model": one.model}
        for key in _OVERALL:
            entry = one.metrics[key]
            low, high = entry["interval_95"] or (None, None)
            row |= {key: entry["value"], f"{key}_low": low, f"{key}_high": high}
        each = one.repeated(made.rows.targets)
        row |= {
            "mcc_of_repeats_least": float(each.min()), "mcc_of_repeats_greatest": float(each.max()),
            "classwise_ece": one.metrics["classwise_ece"],
            "negative_log_likelihood": one.metrics["negative_log_likelihood"],
            "silhouette_unseen": float(np.mean(one.silhouette)) if one.silhouette else None,
            "settings_chosen": " ".join(map(str, one.chosen)), "cpu_seconds": round(one.seconds, 1),
        }  # fmt: skip
        rows.append(row)
    return pd.DataFrame(rows).sort_values("mcc", ascending=False, kind="stable").reset_index(drop=True)


def per_class_table(made: Benchmark) -> pd.DataFrame:
    """Return one row a model and class: precision, recall and F1 with their limits."""
    rows = []
    for one in made.judged:
        for code, entry in one.metrics["per_class"].items():
            row: dict[str, object] = {"model": one.model, "class": code, "samples": made.rows.counts[code]}
            for key in ("precision", "recall", "f1"):
                low, high = entry[key]["interval_95"] or (None, None)
                row |= {key: entry[key]["value"], f"{key}_low": low, f"{key}_high": high}
            rows.append(row)
    return pd.DataFrame(rows)


def answers_table(made: Benchmark) -> pd.DataFrame:
    """Return every model's mean probabilities for every sample while it was in a test fold."""
    parts = []
    for one in made.judged:
        mean = one.prob.mean(0)
        part = pd.DataFrame(mean, columns=[f"p_{c}" for c in made.rows.classes])
        part.insert(0, "answer", [made.rows.classes[i] for i in mean.argmax(1)])
        part.insert(0, "label", [made.rows.classes[i] for i in made.rows.targets])
        part.insert(0, "sample", made.rows.samples)
        part.insert(0, "model", one.model)
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def misread_table(made: Benchmark) -> pd.DataFrame:
    """Return samples that a model misread in half of the repeats or more, with each model's share of misreadings."""
    columns = ["sample", "label", *[one.model for one in made.judged]]
    found = [{"sample": s, "label": label, **wrong} for s, label, wrong in made.misread()]
    return pd.DataFrame(found, columns=columns).fillna({one.model: 0.0 for one in made.judged})


def write_benchmark(made: Benchmark, folder: str | Path, command: str = "") -> Path:
    """Write tables (CSV), plots (PNG) and the page (HTML and Markdown) into a folder.

    Parameters
    ----------
    made
        From `benchmark_steps`.
    folder
        Made anew; files of other names in it are kept.
    command
        How it was made, for the page.
    """
    folder = Path(folder)
    with replacing_folder(folder, _FILES) as beside:
        overall_table(made).to_csv(beside / "models.csv", index=False)
        per_class_table(made).to_csv(beside / "per_class.csv", index=False)
        answers_table(made).to_csv(beside / "answers.csv", index=False, float_format="%.6f")
        misread_table(made).to_csv(beside / "misread.csv", index=False)
        draw_models(made, beside / "models.png")
        draw_calibration(made, beside / "calibration.png")
        (beside / "README.md").write_text(markdown(made, command), "utf-8")
        (beside / "index.html").write_text(page(made, command), "utf-8")
    return folder


def draw_models(made: Benchmark, path: Path) -> None:
    """Draw MCC, balanced accuracy and macro F1 with their intervals, one panel each."""
    from matplotlib.figure import Figure

    table = overall_table(made).iloc[::-1]
    figure = Figure(figsize=(11, 1.4 + 0.38 * len(table)), layout="constrained")
    titles = {"mcc": "MCC", "balanced_accuracy": "balanced accuracy", "macro_f1": "macro F1"}
    for ax, (key, title) in zip(figure.subplots(1, 3, sharey=True), titles.items(), strict=True):
        value = table[key].to_numpy(float)
        sides = np.stack([value - table[f"{key}_low"].to_numpy(float), table[f"{key}_high"].to_numpy(float) - value])
        colours = ["#d55e00" if m in NETWORKS else "#0072b2" for m in table["model"]]
        for y, (v, side, colour) in enumerate(zip(value, sides.T, colours, strict=True)):
            ax.errorbar(v, y, xerr=np.maximum(side, 0)[:, None], fmt="o", color=colour, capsize=3, markersize=5)
        ax.set_yticks(range(len(table)), table["model"], fontsize=8)
        ax.set_title(f"{title}, 95 % interval", fontsize=9)
        ax.grid(axis="x", linewidth=0.4)
        ax.tick_params(labelsize=8)
    with replacing(path) as beside:
        figure.savefig(beside, dpi=110)


def draw_calibration(made: Benchmark, path: Path) -> None:
    """Draw confidence against accuracy of each model."""
    from matplotlib.figure import Figure

    columns = min(4, len(made.judged))
    lines = -(-len(made.judged) // columns)
    figure = Figure(figsize=(2.7 * columns, 2.8 * lines), layout="constrained")
    axes = figure.subplots(lines, columns, squeeze=False, sharex=True, sharey=True).ravel()
    targets = np.tile(made.rows.targets, made.repeats)
    for ax, one in zip(axes, made.judged, strict=False):
        curve = reliability(one.prob.reshape(-1, one.prob.shape[-1]), targets, bins=8)
        ax.plot([0, 1], [0, 1], color="#999999", linewidth=0.8)
        sides = np.maximum(np.stack([curve.accuracy - curve.low, curve.high - curve.accuracy]), 0)
        ax.errorbar(curve.confidence, curve.accuracy, yerr=sides, fmt="o-", markersize=3.5, capsize=2, linewidth=1)
        ax.set_title(f"{one.model}\nECE {one.metrics['ece']['value']:.3f}", fontsize=8)
        ax.set_xlim(0.2, 1.02)
        ax.set_ylim(0.0, 1.02)
        ax.tick_params(labelsize=7)
    for ax in axes[len(made.judged) :]:
        ax.set_visible(False)
    figure.supxlabel("confidence", fontsize=8)
    figure.supylabel("accuracy", fontsize=8)
    with replacing(path) as beside:
        figure.savefig(beside, dpi=110)


def _shown(made: Benchmark) -> pd.DataFrame:
    table = overall_table(made)

    def text(row: pd.Series, key: str) -> str:
        if pd.isna(row[f"{key}_low"]):
            return f"{row[key]:.3f}"
        return f"{row[key]:.3f} ({row[f'{key}_low']:.3f}–{row[f'{key}_high']:.3f})"

    return pd.DataFrame({
        "model": table["model"],
        **{title: [text(row, key) for _, row in table.iterrows()] for key, title in (
            ("mcc", "MCC"), ("accuracy", "accuracy"), ("balanced_accuracy", "balanced accuracy"),
            ("macro_precision", "precision"), ("macro_f1", "F1"), ("ece", "ECE"), ("brier", "Brier"))},
        "MCC, least to greatest repeat": [
            f"{low:.3f}–{high:.3f}"
            for low, high in zip(table["mcc_of_repeats_least"], table["mcc_of_repeats_greatest"], strict=True)
        ],
    })  # fmt: skip


def _words(made: Benchmark) -> list[str]:
    counts = ", ".join(f"{code} {n}" for code, n in made.rows.counts.items())
    plain = f"{np.mean(made.plain_silhouette):.2f}" if made.plain_silhouette else "undefined"
    layers = "; ".join(
        f"{one.model} {np.mean(one.silhouette):.2f}" for one in made.judged if one.silhouette
    )  # fmt: skip
    return [
        f"{len(made.rows.samples)} samples, {len(made.rows.genes):,} genes of {made.rows.source}: {counts}.",
        *([f"Labels: {made.rows.rule}."] if made.rows.rule else []),
        f"{made.repeats} x {made.folds}-fold outer cross-validation, {made.inner} inner folds for settings and "
        f"temperature, seed {made.seed}; all models on the same folds. Limits are 95 % bootstrap limits over samples.",
        f"Silhouette of unseen samples: plain expression {plain}" + (f"; last layer: {layers}." if layers else "."),
    ]


def _misread_words(made: Benchmark) -> list[str]:
    return [
        f"{sample}, labelled {label}: misread by " + ", ".join(f"{m} ({100 * w:.0f} %)" for m, w in wrong.items())
        for sample, label, wrong in made.misread()
    ]


def markdown(made: Benchmark, command: str = "") -> str:
    """Return the page as Markdown."""
    table = _shown(made)
    lines = ["# Comparison of expression models", "", RESEARCH_USE, "", *_words(made), ""]
    if command:
        lines += [f"    {command}", ""]
    lines += ["| " + " | ".join(table.columns) + " |", "|" + " --- |" * len(table.columns)]
    lines += ["| " + " | ".join(map(str, row)) + " |" for row in table.itertuples(index=False)]
    lines += ["", "![MCC, balanced accuracy and F1](models.png)", "", "![Calibration](calibration.png)", ""]
    lines += ["## Samples misread in half of the repeats or more", ""]
    lines += [f"- {text}" for text in _misread_words(made)] or ["None."]
    return "\n".join(lines) + "\n"


def page(made: Benchmark, command: str = "") -> str:
    """Return the page as HTML; the pictures lie beside it."""
    from html import escape

    style = (
        "body{font:15px/1.5 system-ui,sans-serif;max-width:1100px;margin:2em auto;padding:0 1em}table{border-collapse:"
        "collapse;font-size:13px}td,th{border-bottom:1px solid #ddd;padding:.3em .6em;text-align:left}"
        "img{max-width:100%}"
    )
    tables = [
        ("All classes", _shown(made)), ("Each class", per_class_table(made).round(3)),
    ]  # fmt: skip
    body = [f"<p>{escape(text)}</p>" for text in (RESEARCH_USE, *_words(made))]
    body += [f"<pre>{escape(command)}</pre>"] if command else []
    for title, table in tables:
        body += [f"<h2>{title}</h2>", table.to_html(index=False, border=0, na_rep="–", escape=True)]
        if title == "All classes":
            body += ['<img src="models.png" alt="MCC, balanced accuracy, F1">', '<img src="calibration.png" alt="">']
    body += ["<h2>Samples misread in half of the repeats or more</h2><ul>"]
    body += [f"<li>{escape(text)}</li>" for text in _misread_words(made)]
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Comparison of expression models</title>'
        f"<style>{style}</style><h1>Comparison of expression models</h1>{''.join(body)}</ul></html>\n"
    )
