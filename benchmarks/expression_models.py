"""Compare the expression networks with the usual baselines on TCGA-LAML: repeated stratified nested cross-validation.

``python benchmarks/expression_models.py DATA_FOLDER --out RESULTS`` where DATA_FOLDER holds
``expression/tcga_laml_genExpr_714x173.csv.gz`` and ``expression/tcga_laml_labels.csv``. Writes what
``napari-aml expression benchmark`` writes, and prints it with every model's MCC as a share of the best baseline's.
Finished folds are kept in RESULTS-folds until all is written: a run that was broken off goes on from there.
"""

from __future__ import annotations

import argparse
import platform
import shutil
from datetime import date
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--members", type=int, default=2)
    parser.add_argument("--seed", type=int, default=100)
    parser.add_argument("--jobs", type=int, default=1)
    given = parser.parse_args()

    from napari_aml.expression.benchmark_report import markdown, overall_table, write_benchmark
    from napari_aml.expression.benchmarking import NETWORKS, benchmark_steps
    from napari_aml.expression.training.data import training_rows_steps
    from napari_aml.progress import run

    folder = given.data / "expression"
    rows = run(
        training_rows_steps(folder / "tcga_laml_genExpr_714x173.csv.gz", folder / "tcga_laml_labels.csv")
    )  # fmt: skip
    folds = given.out.with_name(f"{given.out.name}-folds")
    before = len(list(folds.rglob("*.npz")))
    if before:
        print(f"{before} finished folds lie in {folds}; those of these settings are not run again.", flush=True)
    made = run(
        benchmark_steps(
            rows, folds=given.folds, repeats=given.repeats, members=given.members, seed=given.seed, jobs=given.jobs,
            keep=folds,
        )
    )
    command = (
        f"python benchmarks/expression_models.py DATA --out RESULTS --folds {given.folds} --repeats {given.repeats} "
        f"--members {given.members} --seed {given.seed}"
    )
    write_benchmark(made, given.out, command)
    shutil.rmtree(folds, ignore_errors=True)
    print(markdown(made, command))
    table = overall_table(made)
    best = table[~table["model"].isin(list(NETWORKS))]["mcc"].max()
    for row in table.itertuples():
        print(f"{row.model}: MCC {row.mcc / best:.3f} of the best baseline's, {row.cpu_seconds:.0f} s of processor")
    print(f"{date.today()}, {platform.machine()}, Python {platform.python_version()}")


if __name__ == "__main__":
    main()
