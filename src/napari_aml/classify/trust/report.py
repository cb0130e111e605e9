"""A trust report as files: ``trust.json``, ``trust.md``, two plots, the subgroups as CSV."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from napari_aml import RESEARCH_USE
from napari_aml._files import replacing_folder
from napari_aml.classify.trust.judging import TrustReport

FILES = ("trust.json", "trust.md", "reliability.png", "risk_coverage.png", "subgroups.csv")


def write_report(report: TrustReport, folder: str | Path) -> Path:
    """Write a report's files into a folder; what else lies there stays.

    Raises
    ------
    OutputError
        When the folder cannot be written.
    """
    import pandas as pd

    folder = Path(folder)
    with replacing_folder(folder, FILES) as beside:
        content = {
            "bundle": report.bundle_id, "dataset": report.dataset, "leakage": report.leakage,
            "notes": list(report.notes), "figures": report.figures, "subgroups": report.subgroups,
            "temperature": report.calibration.temperature, "research_use": RESEARCH_USE,
        }  # fmt: skip
        text = json.dumps(content, indent=2, ensure_ascii=False, default=str)
        (beside / "trust.json").write_text(text + "\n", "utf-8")
        (beside / "trust.md").write_text(as_markdown(report), "utf-8")
        pd.DataFrame(report.subgroups).to_csv(beside / "subgroups.csv", index=False)
        _plots(report, beside)
    return folder


def as_markdown(report: TrustReport) -> str:
    """Return the report as Markdown."""
    f = report.figures
    lines = [
        f"# Trust: {report.bundle_id}", "", f"Judged on {report.dataset}. {report.leakage} {RESEARCH_USE}", "",
        *[f"- {note}" for note in report.notes], "",
        "| | as it is | calibrated on the other half |", "|---|---|---|",
    ]  # fmt: skip
    before, after = f["as it is"], f["calibrated on the other half"]
    for name in ("accuracy", "balanced_accuracy", "macro_f1", "mcc", "ece", "brier"):
        lines.append(f"| {name.replace('_', ' ')} | {_entry(before[name])} | {_entry(after[name])} |")
    for name in ("classwise_ece", "negative_log_likelihood"):
        lines.append(f"| {name.replace('_', ' ')} | {before[name]:.3f} | {after[name]:.3f} |")
    alpha = report.calibration.sets.alpha
    lines += ["", "## Sets", "", f"Classes that cannot be excluded, at an error of {alpha:g} a class.", ""]
    lines += [f"- {name.replace('_', ' ')}: {_value(value)}" for name, value in f["sets"].items()]
    if "unlike" in f:
        lines += ["", "## Unlike the training cells", "", "AUROC against held-out cells; share flagged.", ""]
        lines += ["| | Mahalanobis | k nearest | n |", "|---|---|---|---|"]
        for name, entry in f["unlike"].items():
            n = next(iter(entry.values()))["n"]
            lines.append(f"| {name} | {_score(entry.get('mahalanobis'))} | {_score(entry.get('knn'))} | {n} |")
    if "shortcut" in f:
        s = f["shortcut"]
        words = f"With a plain background {s['changed_class']:.0%} of {s['n']} cells change their class; "
        lines += ["", "## Shortcut", "", f"{words}probabilities move by {s['mean_change']:.2f} on average."]
    probe = f["site probe"]
    if probe["balanced_accuracy"] == probe["balanced_accuracy"]:
        words = f"A linear probe tells {', '.join(probe['sites'])} apart with a balanced accuracy of "
        chance = 1 / len(probe["sites"])
        lines += ["", "## Sites", "", f"{words}{probe['balanced_accuracy']:.2f}; {chance:.2f} is chance."]
    if report.subgroups:
        lines += ["", "## Subgroups", "", "| by | subgroup | n | accuracy (95 % interval) | |", "|---|---|---|---|---|"]
        for r in report.subgroups:
            interval = f" ({r['low']:.3f}–{r['high']:.3f})" if r["low"] is not None else ""
            lines.append(f"| {r['by']} | {r['subgroup']} | {r['n']} | {r['accuracy']:.3f}{interval} | {r['warning']} |")
    lines += ["", "## Per class", "", "| class | n | precision | recall | F1 |", "|---|---|---|---|---|"]
    for code, entry in before["per_class"].items():
        if entry["n"]:
            figures = " | ".join(_entry(entry[k]) for k in ("precision", "recall", "f1"))
            lines.append(f"| {code} | {entry['n']} | {figures} |")
    return "\n".join([*lines, ""])


def _entry(entry: dict[str, Any]) -> str:
    if entry["value"] is None:
        return "–"
    interval = entry.get("interval_95")
    return f"{entry['value']:.3f}" + (f" ({interval[0]:.3f}–{interval[1]:.3f})" if interval else "")


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{k} {_value(v)}" for k, v in value.items() if v is not None)
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _score(entry: dict[str, Any] | None) -> str:
    if entry is None:
        return "–"
    area = f"{entry['auroc']:.2f}, " if "auroc" in entry else ""
    return f"{area}{entry['flagged']:.0%}"


def _plots(report: TrustReport, folder: Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    def figure(title: str, x: str, y: str) -> tuple[Any, Any]:
        drawn = Figure(figsize=(4.5, 4), dpi=130, layout="constrained")
        FigureCanvasAgg(drawn)
        axes = drawn.add_subplot()
        axes.set(title=title, xlabel=x, ylabel=y)
        axes.spines[["top", "right"]].set_visible(False)
        return drawn, axes

    drawn, axes = figure("Reliability", "mean probability of the class that was said", "share that was right")
    bins = report.reliability
    axes.plot([0, 1], [0, 1], "--", color="0.6", lw=1)
    axes.plot(bins.confidence, bins.accuracy, "o-", color="#d62728", ms=4)
    axes.set(xlim=(0, 1), ylim=(0, 1))
    drawn.savefig(folder / "reliability.png")
    drawn, axes = figure("Risk and coverage", "share of cells kept, surest first", "share of these that is wrong")
    axes.plot(report.risk.coverage, report.risk.risk, color="#1f77b4")
    axes.set(xlim=(0, 1), ylim=(0, None))
    drawn.savefig(folder / "risk_coverage.png")
