"""The report of a comparison: one set of tables and figures, as Markdown and as one HTML file."""

from __future__ import annotations

import base64
import html
import json
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from napari_aml import RESEARCH_USE, __version__
from napari_aml._files import replacing
from napari_aml.classify.training.benchmark.comparing import FIGURES, Compared, Run, compare
from napari_aml.classify.training.benchmark.figures import draw_suite
from napari_aml.classify.training.benchmark.suites import Arm
from napari_aml.classify.training.engine import TrainConfig
from napari_aml.classify.training.engine.judging import FEWEST
from napari_aml.datasets import Dataset, Split
from napari_aml.provenance import now_utc

if TYPE_CHECKING:
    from napari_aml.classify.training.benchmark.running import BenchmarkResult

#: An interval over fewer groups (patients, or cells and their copies) would say nothing.
_FEWEST_GROUPS = 5
Table = tuple[list[str], list[list[str]]]
#: A page is a list of blocks: (kind, content); a figure is (file, title).
Block = (
    tuple[Literal["table"], Table]
    | tuple[Literal["list"], list[str]]
    | tuple[Literal["figure"], tuple[str, str]]
    | tuple[Literal["h1", "h2", "h3", "p"], str]
)


def write_report(
    out: Path,
    dataset: Dataset,
    config: TrainConfig,
    division: Split,
    codes: tuple[str, ...],
    arms: dict[str, list[Arm]],
    runs: dict[str, dict[str, list[Run]]],
    notes: list[str],
    failed: list[str],
) -> BenchmarkResult:
    """Write ``report.md``, ``report.html``, ``results.json`` and ``figures/``."""
    from napari_aml.classify.training.benchmark.running import BenchmarkResult

    blocks: list[Block] = [("h1", f"Comparison on {dataset.name}"), *_head(dataset, config, division, codes, runs)]
    held: dict[str, dict[str, Compared]] = {}
    first = ""
    for suite, found in runs.items():
        control = next(arm.name for arm in arms[suite] if arm.control)
        if not any(found.values()):
            continue
        held[suite] = compare(found, control, codes)
        table = main_table(held[suite], found, control)
        first = first or as_markdown(table)
        blocks += [("h2", suite.capitalize()), ("p", verdict(held[suite], control)), ("table", table)]
        for name, title in draw_suite(out / "figures", suite, held[suite], found, codes):
            blocks.append(("figure", (f"figures/{name}", title)))
        shown = [control] if suite != "backbones" else list(held[suite])
        blocks += [("h3", f"Per class, {suite}"), ("table", class_table(held[suite], shown, codes))]
    if failed:
        blocks += [("h2", "What could not be trained"), ("list", failed)]
    blocks += [("h2", "Notes"), ("list", [*notes, *_caveats(dataset, division)])]
    for name, text in (("report.md", page_markdown(blocks)), ("report.html", page_html(blocks, out))):
        with replacing(out / name) as beside:
            beside.write_text(text, "utf-8")
    with replacing(out / "results.json") as beside:
        beside.write_text(json.dumps(_plain(held), indent=1) + "\n", "utf-8")
    return BenchmarkResult(out / "report.html", first, failed)


def _head(
    dataset: Dataset,
    config: TrainConfig,
    division: Split,
    codes: tuple[str, ...],
    runs: dict[str, dict[str, list[Run]]],
) -> list[Block]:
    sizes = ", ".join(f"{len(division.rows(p)):,} {p}" for p in division.parts)
    seeds = max(len(r) for suite in runs.values() for r in suite.values())
    start = "pretrained weights" if config.pretrained or config.weights else "random weights (nothing pretrained)"
    return [
        ("p", f"{RESEARCH_USE} Made {now_utc()} with napari-aml {__version__}."),
        ("list", [
            f"Data: {dataset.name}, {len(codes)} classes ({', '.join(codes)}), {sizes} cells; "
            f"licence: {dataset.meta.get('licence') or 'not stated'}.",
            f"{division.leakage.text} Split seed {division.seed}; the same split for every arm and seed.",
            f"Equal budget: {config.epochs} epochs at {config.px} px, batch {config.batch}, from {start}; "
            f"{seeds} seed(s) an arm.",
            f"Recipe unless an axis says otherwise: {config.backbone}, {config.optimiser}, rate {config.rate:g}, "
            f"weight decay {config.weight_decay:g}, label smoothing {config.label_smoothing:g}, "
            f"Mixup {config.mixup:g}, drop path {config.drop_path:g}, SWA over the last {config.swa:.0%} of epochs, "
            f"augmentation {config.augmentation}, imbalance {config.imbalance}.",
            "Shown: mean ± standard deviation over the seeds. Differences: mean over the seeds, with paired 95 % "
            "bootstrap intervals over whole groups of test cells.",
        ]),
    ]  # fmt: skip


def main_table(held: dict[str, Compared], runs: dict[str, list[Run]], control: str) -> Table:
    """Return the table of one axis, an arm a row."""
    header = ["arm", "M parameters", *FIGURES.values(), f"Δ macro-F1 to {control}", "trained/s", "predicted/s"]
    rows = []
    for name, found in held.items():
        records = [r.record for r in runs[name]]
        line = [name, f"{records[0]['parameters'] / 1e6:.1f}"]
        line += [_pm(found.mean[k], found.sd[k]) for k in FIGURES]
        change = found.difference.get("macro_f1")
        line.append("(control)" if change is None else f"{change[0]:+.3f} ({change[1]:+.3f} to {change[2]:+.3f})")
        line += [f"{np.median([r[k] for r in records]):.0f}" for k in ("trained_per_second", "predicted_per_second")]
        rows.append(line)
    return header, rows


def class_table(held: dict[str, Compared], names: list[str], codes: tuple[str, ...]) -> Table:
    """Return F1 and recall per class; classes of few cells get no figures, those of few groups no intervals."""
    header = ["class", "n (groups)", *[f"{name}: {key} (95 %)" for key in ("F1", "recall") for name in names]]
    rows = []
    for code in codes:
        n = held[names[0]].per_class[code]["n"]
        groups = held[names[0]].per_class[code]["groups"]
        line = [code, f"{n} ({groups})"]
        for key in ("f1", "recall"):
            for name in names:
                value, low, high = held[name].per_class[code][key]
                limits = f" ({low:.2f}–{high:.2f})" if groups >= _FEWEST_GROUPS else ""
                line.append(f"n < {FEWEST}" if n < FEWEST else f"{value:.2f}{limits}")
        rows.append(line)
    return header, rows


def verdict(held: dict[str, Compared], control: str) -> str:
    """Say which differences the test cells can tell apart from chance."""
    if control not in held:
        return f"The control ({control}) could not be trained: no differences."
    best = max(held, key=lambda name: held[name].mean["macro_f1"])
    text = f"Highest mean macro-F1: {best} ({_pm(held[best].mean['macro_f1'], held[best].sd['macro_f1'])}). "
    told = [
        f"{name} {'above' if d[0] > 0 else 'below'} {control}"
        for name, found in held.items()
        if (d := found.difference.get("macro_f1")) and (d[1] > 0 or d[2] < 0)
    ]
    if told:
        return text + f"Intervals that exclude zero: {'; '.join(told)}. Nothing is corrected for the number of arms."
    return text + f"No arm can be told apart from {control} on these cells: every interval includes zero."


def _caveats(dataset: Dataset, division: Split) -> list[str]:
    caveats = [
        "Intervals describe other cells of the same kind; another scanner, stain or hospital is another question.",
        "One recipe for all arms is equal budget, not equal tuning: a backbone may do better with settings of its own.",
    ]
    if division.leakage.level != "patient":
        caveats.insert(0, "Figures of a split that is not by patient tend to be too high.")
    if len(set(dataset.table["source"]) - {""}) > 1:
        caveats.append("Several sources are mixed: a network may tell the scanner instead of the cell.")
    return caveats


def _pm(mean: float, sd: float) -> str:
    if not np.isfinite(mean):
        return "–"
    return f"{mean:.3f}" + (f" ± {sd:.3f}" if np.isfinite(sd) else "")


def _plain(held: dict[str, dict[str, Compared]]) -> dict[str, object]:
    def number(value: object) -> object:
        if isinstance(value, float):
            return round(value, 6) if np.isfinite(value) else None
        if isinstance(value, dict):
            return {k: number(v) for k, v in value.items()}
        if isinstance(value, tuple | list):
            return [number(v) for v in value]
        return value

    return {s: {n: number(vars(c)) for n, c in found.items()} for s, found in held.items()}


def as_markdown(table: Table) -> str:
    """Return a table as Markdown."""
    header, rows = table
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def page_markdown(blocks: list[Block]) -> str:
    """Return the page as Markdown."""
    out = []
    for block in blocks:
        if block[0] == "table":
            out.append(as_markdown(block[1]))
        elif block[0] == "list":
            out.append("\n".join(f"- {line}" for line in block[1]))
        elif block[0] == "figure":
            name, title = block[1]
            out.append(f"![{title}]({name})")
        else:
            out.append({"h1": "# ", "h2": "## ", "h3": "### ", "p": ""}[block[0]] + block[1])
    return "\n\n".join(out) + "\n"


_STYLE = """body{font:15px/1.5 system-ui,sans-serif;max-width:75rem;margin:2rem auto;padding:0 1rem;color:#222}
table{border-collapse:collapse;display:block;overflow-x:auto;font-size:13px}
td,th{border:1px solid #ccc;padding:.25rem .5rem;text-align:right;white-space:nowrap}
th{background:#f3f3f3;white-space:normal;text-align:center}td:first-child{text-align:left}img{max-width:100%}"""


def page_html(blocks: list[Block], folder: Path) -> str:
    """Return the page as one HTML file, figures inside."""
    out = []
    for block in blocks:
        if block[0] == "table":
            header, rows = block[1]
            cells = "".join(f"<th>{html.escape(c)}</th>" for c in header)
            lines = ["<tr>" + "".join(f"<td>{html.escape(c)}</td>" for c in row) + "</tr>" for row in rows]
            out.append(f"<table><tr>{cells}</tr>{''.join(lines)}</table>")
        elif block[0] == "list":
            out.append("<ul>" + "".join(f"<li>{html.escape(line)}</li>" for line in block[1]) + "</ul>")
        elif block[0] == "figure":
            name, title = block[1]
            data, title = base64.b64encode((folder / name).read_bytes()).decode(), html.escape(title)
            image = f'<img alt="{title}" src="data:image/png;base64,{data}">'
            out.append(f"<figure>{image}<figcaption>{title}</figcaption></figure>")
        else:
            out.append(f"<{block[0]}>{html.escape(block[1])}</{block[0]}>")
    title = html.escape(str(blocks[0][1]))
    body = "\n".join(out)
    head = f'<meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>'
    return f'<!doctype html><html lang="en">{head}{body}</html>\n'
