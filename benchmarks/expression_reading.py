"""How long an expression table takes from the file to the calls, and how much memory, against plain pandas.

    python benchmarks/expression_reading.py [--genes 60660] [--samples 1000] [--repeats 3] [--gzip]
        [--model attention-aml] [--genes-called 13592] [--kind counts] [--keep-all]

Makes a table of reads with real Ensembl ids (a negative binomial per gene), then goes from file to calls in two ways,
in turns, each in a process of its own: with this package, and with pandas.read_csv and the same steps as one writes
them with pandas: cells checked, versions cut off, ids turned into symbols, lines of one gene summed, the model's genes
taken, divided by gene length, scaled to a million, log2(x + 1), called by the same network. Imports and the gene tables
are loaded before the clock starts, for both. The package keeps the values of the model's genes and of those by which
quality is judged, and checks and sums all others while it reads (--keep-all: it keeps all). The results are compared.
Memory is the largest that the process held less what it held before, as a multiple of the table as float32.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

PARTS = ("read", "convert", "call")


def make(path: Path, genes: int, samples: int, kind: str) -> None:
    """Write the table, genes in rows."""
    from napari_aml.expression.genes import gene_book

    rng = np.random.default_rng(0)
    ids = sorted(gene_book().length)[:genes]
    ids += [f"ENSG{99_000_000_000 + i}" for i in range(genes - len(ids))]
    typical = np.where(rng.random(genes) < 0.4, 0.02, np.exp(np.clip(rng.normal(3.0, 2.6, genes), -9, 13)))
    opened = gzip.open(path, "wt", compresslevel=4) if path.suffix == ".gz" else open(path, "w")
    with opened as stream:
        stream.write("gene_id," + ",".join(f"sample_{i:04d}" for i in range(samples)) + "\n")
        for i, (name, mean) in enumerate(zip(ids, typical, strict=True)):
            row = rng.negative_binomial(2, 2 / (2 + mean), samples)
            cells = map(str, row.tolist()) if kind == "counts" else (f"{v:.4f}" for v in (row * 0.0371).tolist())
            stream.write(f"{name}.{i % 17 + 1}," + ",".join(cells) + "\n")


def model(name: str, count: int) -> tuple[object, list[str], dict[str, float]]:
    """A network with random weights, its genes and their lengths."""
    import torch

    from napari_aml.expression.genes import gene_book
    from napari_aml.expression.models.building import build

    torch.manual_seed(0)
    torch.set_num_threads(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    book = gene_book()
    known = [s for s, ids in book.symbols.items() if len(ids) == 1 and ids[0] in book.length]
    usual = sorted(s for s in known if int(book.symbols[s][0][4:]) < 280_000)
    panel = [usual[i] for i in np.linspace(0, len(usual) - 1, count).astype(int)]
    return build(name, len(panel), 21, {}).eval(), panel, {s: book.length_of(s) for s in panel}


def network_says(network: object, rows: np.ndarray) -> np.ndarray:
    """Logits, one sample at a time, as the package does it."""
    import torch

    with torch.inference_mode():
        return np.concatenate([network(torch.from_numpy(rows[i : i + 1])).numpy() for i in range(len(rows))])


def now() -> tuple[float, float]:
    """Wall clock and processor time of this process."""
    return time.perf_counter(), time.process_time()


def spent(clock: list[tuple[float, float]]) -> dict[str, float]:
    """Seconds of each part by both clocks."""
    steps = np.diff(np.array(clock), axis=0)
    clocks = ("wall", "cpu")
    return {f"{part} {name}": float(steps[i, k]) for i, part in enumerate(PARTS) for k, name in enumerate(clocks)}


def ours(
    path: Path, network: object, panel: list[str], lengths: dict, kind: str, keep_all: bool
) -> tuple[dict, np.ndarray]:
    """With the package."""
    from napari_aml.expression import prepare, read_expression

    clock = [now()]
    matrix = read_expression(path, genes=None if keep_all else panel)
    clock.append(now())
    made = prepare(matrix, panel)
    clock.append(now())
    said = network_says(network, made.values)
    clock.append(now())
    return spent(clock), said


def pandas(
    path: Path, network: object, panel: list[str], lengths: dict, kind: str, keep_all: bool
) -> tuple[dict, np.ndarray]:
    """With pandas."""
    import pandas as pd

    from napari_aml.expression.genes import gene_book

    symbols = gene_book().ensembl
    clock = [now()]
    table = pd.read_csv(path, index_col=0)
    clock.append(now())
    if table.isna().to_numpy().any() or (table < 0).to_numpy().any():
        raise ValueError("bad cells")
    table.index = table.index.str.replace(r"\.\d+$", "", regex=True).map(lambda gene: symbols.get(gene, gene))
    table = table.groupby(level=0).sum()
    part = table.reindex(panel)
    if kind == "counts":
        part = part.div(pd.Series(lengths), axis=0)
    rows = np.log2(part / part.sum() * 1e6 + 1).T.to_numpy(np.float32)
    clock.append(now())
    said = network_says(network, np.ascontiguousarray(rows))
    clock.append(now())
    return spent(clock), said


def child(way: str, path: Path, out: Path, args: argparse.Namespace) -> None:
    """One way, in this process; prints seconds and bytes."""
    import pandas as _  # noqa: F401  (both ways have it loaded)
    import psutil
    import pyarrow.csv as _csv  # noqa: F401

    import napari_aml.expression.reading as _reading  # noqa: F401

    network, panel, lengths = model(args.model, args.genes_called)
    network_says(network, np.zeros((2, len(panel)), np.float32))
    before = psutil.Process().memory_info().rss
    reset = Path("/proc/self/clear_refs")
    if reset.exists():
        reset.write_text("5")  # the high-water mark begins here
    seconds, said = {"ours": ours, "pandas": pandas}[way](path, network, panel, lengths, args.kind, args.keep_all)
    peak = _peak() - before
    np.save(out, said, allow_pickle=False)
    print(json.dumps({**seconds, "peak": peak}))


def _peak() -> int:
    status = Path("/proc/self/status")
    if status.exists():
        return 1024 * next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--genes", type=int, default=60_660)
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--kind", choices=["counts", "decimals"], default="counts")
    parser.add_argument("--model", default="attention-aml", help="architecture of the network that calls")
    parser.add_argument("--genes-called", type=int, default=13_592, help="genes that it reads")
    parser.add_argument("--gzip", action="store_true")
    parser.add_argument("--keep-all", action="store_true", help="the package keeps the values of all genes")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        child(args.child[0], Path(args.child[1]), Path(args.child[2]), args)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / ("table.csv.gz" if args.gzip else "table.csv")
        make(path, args.genes, args.samples, args.kind)
        dense = args.genes * args.samples * 4
        print(f"{platform.machine()}, {os.cpu_count()} cores; {args.genes:,} x {args.samples:,} {args.kind}, "
              f"{path.stat().st_size / 1e6:.0f} MB on disk, {dense / 1e6:.0f} MB as float32")  # fmt: skip
        runs: dict[str, list[dict]] = {"ours": [], "pandas": []}
        for _ in range(args.repeats):
            for way in runs:
                command = [sys.executable, __file__, "--kind", args.kind, "--model", args.model, "--genes-called",
                           str(args.genes_called), *(["--keep-all"] if args.keep_all else []), "--child", way,
                           str(path), f"{folder}/{way}.npy"]  # fmt: skip
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                if done.returncode:
                    sys.exit(done.stderr)
                runs[way].append(json.loads(done.stdout.splitlines()[-1]))
                for clock in ("wall", "cpu"):
                    runs[way][-1][f"total {clock}"] = sum(runs[way][-1][f"{part} {clock}"] for part in PARTS)
        difference = np.abs(np.load(f"{folder}/ours.npy") - np.load(f"{folder}/pandas.npy")).max()
    for way, made in runs.items():
        for clock in ("wall", "cpu"):
            middle = {part: statistics.median(one[f"{part} {clock}"] for one in made) for part in (*PARTS, "total")}
            print(f"{way}, {clock} clock: " + ", ".join(f"{part} {value:.2f} s" for part, value in middle.items()))
        print(f"{way}: memory {statistics.median(one['peak'] for one in made) / dense:.2f} x the matrix")
    for part in (*PARTS, "total"):
        for clock in ("wall", "cpu"):
            key = f"{part} {clock}"
            ratios = [theirs[key] / mine[key] for mine, theirs in zip(runs["ours"], runs["pandas"], strict=True)]
            best = min(one[key] for one in runs["pandas"]) / min(one[key] for one in runs["ours"])
            print(f"{part}, {clock} clock: pandas takes {statistics.median(ratios):.1f}x as long "
                  f"({min(ratios):.1f} to {max(ratios):.1f}; best against best {best:.1f}x)")  # fmt: skip
    print(f"largest difference of the network's outputs: {difference:.1e}")


if __name__ == "__main__":
    main()
