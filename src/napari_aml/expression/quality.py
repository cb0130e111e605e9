"""What to look at before a sample's call is believed: depth, mitochondria, haemoglobin, sex, library, outliers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

import numpy as np

from napari_aml.expression.errors import ExpressionError
from napari_aml.expression.matrix import ExpressionMatrix
from napari_aml.expression.prepare import PreparedSamples
from napari_aml.expression.quality_genes import HAEMOGLOBIN, MITOCHONDRIAL, WITHOUT_TAIL, X_GENE, Y_GENES, is_histone

if TYPE_CHECKING:
    import pandas as pd

#: Limits beyond which a remark is made; those of depth and detection are for whole genomes only.
FEW_READS, FEW_GENES, MUCH_MITO, MUCH_HAEMOGLOBIN, TOTAL_RNA = 5e6, 12_000, 0.30, 0.10, 0.02
MANY_READS = 1e9
#: Parts per million of a sample's total: above the first a gene is on, below the second it is off.
_ON, _OFF = 10.0, 2.0
_WHOLE_GENOME = 15_000
SEXES = ("female", "male")


@dataclass(frozen=True)
class SampleQuality:
    """Quality control of one sample. A figure is NaN where the file cannot tell it.

    Attributes
    ----------
    sample
        Its name.
    usable
        Whether it has values at all.
    panel_present
        Share of the model's genes that are in the file; NaN without a model.
    panel_expressed
        Share of the model's genes above zero.
    library_size
        Reads, where the file tells.
    genes_detected
        Genes above zero.
    mitochondrial, haemoglobin
        Share of the sample's total in MT- genes and in haemoglobin genes.
    without_tail
        Share in RNA that has no poly-A tail.
    xist, y_genes
        Parts per million of the total in XIST and in seven genes of Y.
    sex
        ``female``, ``male``, ``unclear``, or ``unknown`` where the genes are not in the file.
    declared_sex
        As a person says, else empty.
    correlation
        Median Pearson correlation of its row with those of the other samples; NaN where there are none.
    nearest, nearest_correlation
        The other sample most like it.
    remarks
        What to look at, a sentence each.
    """

    sample: str
    usable: bool
    panel_present: float
    panel_expressed: float
    library_size: float
    genes_detected: int
    mitochondrial: float
    haemoglobin: float
    without_tail: float
    xist: float
    y_genes: float
    sex: str
    declared_sex: str
    correlation: float
    nearest: str
    nearest_correlation: float
    remarks: tuple[str, ...]


def quality(
    matrix: ExpressionMatrix, prepared: PreparedSamples | None = None, declared_sex: Mapping[str, str] | None = None
) -> list[SampleQuality]:
    """Judge the quality of every sample.

    Parameters
    ----------
    matrix
        The samples, with the genes of sex and of quality, which need not be in a model's panel; without `prepared`,
        with all the genes of the file.
    prepared
        The same samples as a model reads them; then the panel is judged, too, and samples are compared by it.
    declared_sex
        Sample → ``female`` or ``male`` as it stands in the records.

    Returns
    -------
    list of SampleQuality
        In the order of the matrix.
    """
    declared = _declared(matrix, declared_sex or {})
    groups = {
        "mito": [i for i, g in enumerate(matrix.genes) if g.startswith(MITOCHONDRIAL)],
        "haemoglobin": _places(matrix, HAEMOGLOBIN),
        "tail": _places(matrix, WITHOUT_TAIL) + [i for i, g in enumerate(matrix.genes) if is_histone(g)],
        "xist": _places(matrix, (X_GENE,)),
        "y": _places(matrix, Y_GENES),
    }
    per_million = 1e6 / np.maximum(matrix.totals, 1e-300)
    sums = {name: _sums(matrix, places) * per_million for name, places in groups.items()}
    detected = _detected(matrix)
    nearest = _alike(matrix, prepared)
    whole = matrix.genes_in_file >= _WHOLE_GENOME
    made = []
    for i, name in enumerate(matrix.samples):
        xist, y = float(sums["xist"][i]), float(sums["y"][i])
        sex = "unknown" if np.isnan(xist) and np.isnan(y) else _sex(xist, y)
        one = SampleQuality(
            name, name not in matrix.unusable,
            1 - prepared.missing_share if prepared else float("nan"),
            float((prepared.values[i] > 0).mean()) if prepared else float("nan"),
            float(matrix.library_sizes[i]) if matrix.library_sizes is not None else float("nan"),
            int(detected[i]), float(sums["mito"][i]) / 1e6, float(sums["haemoglobin"][i]) / 1e6,
            float(sums["tail"][i]) / 1e6, xist, y, sex, declared.get(name, ""), *nearest[i], (),
        )  # fmt: skip
        made.append(_with_remarks(one, matrix, nearest, whole))
    return made


def quality_table(rows: Sequence[SampleQuality]) -> pd.DataFrame:
    """Return quality as a table, one row a sample, remarks joined."""
    import pandas as pd

    names = [field.name for field in fields(SampleQuality)]
    table = pd.DataFrame([[getattr(row, name) for name in names] for row in rows], columns=names)
    table["remarks"] = [" ".join(row.remarks) for row in rows]
    return table


def _declared(matrix: ExpressionMatrix, declared: Mapping[str, str]) -> dict[str, str]:
    short = {"f": "female", "w": "female", "female": "female", "m": "male", "male": "male"}
    made = {}
    for name, said in declared.items():
        word = said.strip().lower()
        if word and word not in ("unknown", "na", "u", "-"):
            if word not in short:
                raise ExpressionError(f"The declared sex '{said}' of sample '{name}' is not understood.",
                                      "Write female or male, or leave it empty.")  # fmt: skip
            made[name] = short[word]
    if made and not set(made) & set(matrix.samples):
        raise ExpressionError(f"None of the samples with a declared sex is in '{matrix.name}'; it has "
                              f"'{matrix.samples[0]}', and a sex was declared for '{next(iter(made))}'.",
                              "Use the sample names of the file.")  # fmt: skip
    return made


def _places(matrix: ExpressionMatrix, wanted: Sequence[str]) -> list[int]:
    wanted_set = set(wanted)
    return [i for i, gene in enumerate(matrix.genes) if gene in wanted_set]


def _sums(matrix: ExpressionMatrix, places: list[int]) -> np.ndarray:
    if not places:
        return np.full(len(matrix), np.nan)
    return matrix.linear(slice(None), np.array(places)).sum(1)


def _detected(matrix: ExpressionMatrix) -> np.ndarray:
    """Genes above zero, a sample; counted along the memory."""
    if matrix.detected is not None:
        return matrix.detected
    floor = np.float32(matrix.scale.stored(np.array(1e-6))) if matrix.scale.log else np.float32(0.0)
    made = np.zeros(len(matrix), int)
    for start in range(0, len(matrix.genes), 2048):
        made += (matrix.values[:, start : start + 2048] > floor).sum(1)
    return made


def _sex(xist: float, y: float) -> str:
    """Say the sex by which of the two is on and twenty times the other; a gene that is not in the file is NaN."""
    if np.isnan(y):
        return "female" if xist > _ON else "male" if xist < _OFF else "unclear"
    if np.isnan(xist):
        return "male" if y > _ON else "unclear"
    if xist > _ON and y < xist / 20:
        return "female"
    return "male" if y > _ON and xist < y / 20 else "unclear"


def _alike(matrix: ExpressionMatrix, prepared: PreparedSamples | None) -> list[tuple[float, str, float]]:
    """For each sample: median correlation with the others, the nearest, and its correlation."""
    nothing = (float("nan"), "", float("nan"))
    usable = [i for i, name in enumerate(matrix.samples) if name not in matrix.unusable]
    made = [nothing] * len(matrix)
    if len(usable) < 2:
        return made
    if prepared is not None:
        rows = prepared.values[usable]
    else:  # the most abundant genes do for a comparison
        mean = matrix.linear(np.array(usable[:50])).mean(0)
        top = np.sort(np.argsort(mean)[-5000:])
        rows = np.log2(matrix.linear(np.array(usable), top) * (1e6 / matrix.totals[usable])[:, None] + 1)
    rows = rows - rows.mean(1, keepdims=True)
    size = np.sqrt((rows.astype(np.float64) ** 2).sum(1))
    rows = (rows / np.maximum(size, 1e-12)[:, None]).astype(np.float32)
    together = rows @ rows.T
    np.fill_diagonal(together, np.nan)
    best = np.nanargmax(together, 1)
    middle = np.nanmedian(together, 1)
    for k, i in enumerate(usable):
        made[i] = (float(middle[k]), matrix.samples[usable[best[k]]], float(min(1.0, together[k, best[k]])))
    return made


def _with_remarks(
    one: SampleQuality, matrix: ExpressionMatrix, nearest: list[tuple[float, str, float]], whole: bool
) -> SampleQuality:
    if not one.usable:
        return replace(one, remarks=(f"It cannot be used: {matrix.unusable[one.sample]}.",))
    said = []
    kind = "reads" if not matrix.scale.per_length else "transcripts"
    if whole and one.library_size < FEW_READS:
        said.append(f"Few reads: {one.library_size:,.0f} in genes.")
    if one.library_size > MANY_READS:
        said.append(f"More reads than are sequenced of one sample ({one.library_size:,.0f}): sums of coverage by base, "
                    "as recount3 gives, or samples added up?")  # fmt: skip
    if whole and one.genes_detected < FEW_GENES:
        said.append(f"Few genes detected: {one.genes_detected:,}.")
    if one.mitochondrial > MUCH_MITO:
        said.append(f"{100 * one.mitochondrial:.0f} % of {kind} are mitochondrial: dying cells or a thin library.")
    if one.haemoglobin > MUCH_HAEMOGLOBIN:
        said.append(f"{100 * one.haemoglobin:.0f} % of {kind} are haemoglobin: red cells, or globin was not depleted.")
    if one.without_tail > TOTAL_RNA:
        said.append(f"{100 * one.without_tail:.1f} % of {kind} have no poly-A tail: probably a library of total RNA; "
                    "models trained on poly-A libraries may misread it.")  # fmt: skip
    if one.declared_sex and one.sex in SEXES and one.sex != one.declared_sex:
        said.append(f"Declared {one.declared_sex}, but XIST and Y genes say {one.sex}: is it the right patient?")
    if one.sex == "unclear" and one.xist > _ON and one.y_genes > _ON:
        said.append("XIST and Y genes are both on: a mixture of two people (transplant, contamination) or XXY.")
    elif one.sex == "unclear" and one.xist < _OFF and one.y_genes < _OFF:
        said.append("Neither XIST nor Y genes are on: loss of Y or of the inactive X, both seen in AML.")
    others = np.array([row[0] for row in nearest])
    typical = np.nanmedian(others) if np.isfinite(others).any() else np.nan
    spread = np.nanmedian(np.abs(others - typical)) if np.isfinite(typical) else np.nan
    if len(matrix) >= 6 and one.correlation < min(typical - 6 * spread, typical - 0.05):
        said.append(f"Unlike the other samples: median correlation {one.correlation:.2f}, typical {typical:.2f}.")
    if one.nearest_correlation > 0.9999:
        said.append(f"As good as identical with another sample of the file, its nearest (correlation "
                    f"{one.nearest_correlation:.5f}).")  # fmt: skip
    return replace(one, remarks=tuple(said))
