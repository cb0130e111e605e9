"""Make the shipped example again: ``python -m napari_aml.expression.training.example``.

Synthetic samples drawn from the shipped bundle's class summaries: nobody's profile, and marked so in the file's name,
its samples' names and the note beside it.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

import numpy as np

from napari_aml._files import replacing
from napari_aml.expression.bundle import ExpressionBundle, load_expression_bundle

#: Samples of each class, and how far they spread as a share of the class's own spread: genes are drawn one by one, and
#: without their correlations a full spread would look like no real sample.
EACH, SPREAD = 3, 0.5
NAME = "synthetic_expression_tpm.csv"
NOTE = """SYNTHETIC EXPRESSION PROFILES - NO PATIENT'S DATA
For Research Use Only. Not for use in diagnostic procedures.

{name}: {n} samples x {genes} genes, scaled to one million over these genes.
Drawn gene by gene from the class means and deviations of the bundle {bundle},
which was trained on TCGA-LAML (The Cancer Genome Atlas Research Network 2013, N Engl J Med 368:2059).
Made by: python -m napari_aml.expression.training.example
SHA-256 of the bundle's weights: {sha256}
"""


def draw(bundle: ExpressionBundle, each: int = EACH, seed: int = 0) -> tuple[list[str], np.ndarray]:
    """Draw synthetic samples: names, and linear values (samples, genes) that sum to one million."""
    rng = np.random.default_rng(seed)
    names, rows = [], []
    for c, code in enumerate(bundle.codes):
        mean, sd = bundle.summary["class_mean"][c], bundle.summary["class_sd"][c]
        for i in range(each):
            names.append(f"SYNTHETIC_{re.sub('[^A-Za-z0-9]+', '_', code)}_{i + 1}")
            rows.append(np.maximum(2 ** (mean + SPREAD * sd * rng.normal(size=len(mean))) - 1, 0))
    linear = np.array(rows)
    return names, linear / linear.sum(1, keepdims=True) * 1e6


def make(folder: Path) -> Path:
    """Write the example and its note into a folder; return the example."""
    bundle = load_expression_bundle()
    names, values = draw(bundle)
    path = folder / NAME
    with replacing(path) as beside:
        lines = [",".join(["gene", *names])]
        lines += [",".join([gene, *(f"{v:.3f}" for v in values[:, i])]) for i, gene in enumerate(bundle.genes)]
        beside.write_text("\n".join(lines) + "\n", "utf-8", newline="\n")
    with replacing(folder / "README.txt") as beside:
        text = NOTE.format(
            name=NAME, n=len(names), genes=len(bundle.genes), bundle=bundle.bundle_id, sha256=bundle.sha256
        )
        beside.write_text(text, "utf-8")
    return path


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line."""
    from napari_aml.samples import folder

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=folder() / "expression", help="where the example goes")
    print(make(parser.parse_args(arguments).out))
    return 0


if __name__ == "__main__":
    sys.exit(main())
