"""In what units values are: reads, TPM, FPKM, and logarithms of these; and back to linear space.

Each sample is judged by its own values alone, and the samples of a file must agree. So what a sample becomes never
depends on the others: a file in which they disagree is refused, and the samples are named.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_aml.expression.errors import CellValueError, ExpressionError, UnitsError, WholeTableNeeded
from napari_aml.expression.grain import FIRST, check_thousands, one_read, one_read_of_logs
from napari_aml.expression.matrix import Detected
from napari_aml.expression.threads import in_threads
from napari_aml.progress import Progress, Steps, run

if TYPE_CHECKING:
    from napari_aml.expression.summary import Summary

#: What values may stand for. ``linear`` is proportional to one of the others, and which one cannot be told.
QUANTITIES = ("counts", "normalised-counts", "cpm", "tpm", "fpkm", "linear")
_LOGS = {"": 0.0, "log2": math.log(2), "ln": 1.0, "log10": math.log(10)}
_MILLION, _WHOLE_GENOME = 1e6, 10_000
Values = Callable[[], np.ndarray]
#: Logarithms of anything that is counted end far below this; linear values of a real sample reach above it.
LARGEST_LOG = 30.0


@dataclass(frozen=True, slots=True)
class Units:
    """Units of expression values.

    Attributes
    ----------
    quantity
        One of `QUANTITIES`.
    log
        ``log2``, ``ln``, ``log10``, or empty for linear values.
    offset
        What was added before the logarithm.
    """

    quantity: str
    log: str = ""
    offset: float = 1.0

    @property
    def name(self) -> str:
        """As the override takes it: ``counts``, ``log2-tpm``, ``log2-tpm+0.001``."""
        if not self.log:
            return self.quantity
        return f"{self.log}-{self.quantity}" + ("" if self.offset == 1.0 else f"+{self.offset:g}")

    @property
    def per_length(self) -> bool | None:
        """Whether reads are already divided by gene length; None where it cannot be told."""
        return None if self.quantity == "linear" else self.quantity in ("tpm", "fpkm")

    def linear(self, values: np.ndarray) -> np.ndarray:
        """Return values in linear space, float64; what a logarithm's rounding puts below zero becomes zero."""
        made = np.asarray(values, np.float64)
        if self.log:
            made = np.exp(made * _LOGS[self.log])
            made = np.maximum(made - self.offset, 0.0)
        return made

    def stored(self, linear: np.ndarray) -> np.ndarray:
        """Return linear values in these units: the inverse of `linear`."""
        return np.log(np.asarray(linear, np.float64) + self.offset) / _LOGS[self.log] if self.log else linear


def parse_units(text: str) -> Units:
    """Read units as a person writes them.

    Raises
    ------
    ExpressionError
        For words that are no units.
    """
    found = re.fullmatch(
        r"(?:(log2|ln|log10|log)[-_ (]?)?(counts|normali[sz]ed-counts|cpm|tpm|fpkm|rpkm|linear)\)?"
        r"(?:\+(\d*\.?\d+)\)?)?", text.strip().lower(),
    )  # fmt: skip
    if not found or found[1] == "log" or (found[3] and not found[1]):
        raise ExpressionError(
            f"'{text}' names no units.",
            f"Known: {', '.join(QUANTITIES)}, and each of them after log2-, ln- or log10-, such as log2-tpm (of the "
            "value + 1) or log2-tpm+0.001.",
        )
    quantity = found[2].replace("ized", "ised").replace("rpkm", "fpkm")
    return Units(quantity, found[1] or "", float(found[3]) if found[3] else 1.0)


@dataclass(frozen=True)
class Facts:
    """What one sample's values say at a glance; the rules below look at its values only where this does not do.

    Attributes
    ----------
    genes
        How many values.
    smallest, largest, total
        Extremes and sum.
    whole
        Share of whole numbers among the values above zero.
    """

    genes: int
    smallest: float
    largest: float
    whole: float
    total: float


def facts_of(summary: Summary, rows: Sequence[int]) -> list[Facts]:
    """Return the facts of some samples of a table of which only some lines were kept."""
    columns = summary.least, summary.most, summary.round_share(), summary.total
    return [Facts(summary.lines, *(float(column[i]) for column in columns)) for i in rows]


def _facts_steps(values: np.ndarray, whole: bool) -> Steps[list[Facts]]:
    """Look at all values (samples, genes), through memory in its own order; returns the facts of every sample."""
    samples, genes = values.shape
    least, most = np.full(samples, np.inf, np.float32), np.full(samples, -np.inf, np.float32)
    total, positive, round_ones = np.zeros(samples), np.zeros(samples, int), np.zeros(samples, int)
    step = max(1, (1 << 19) // max(1, samples))

    def look(start: int) -> tuple[np.ndarray, ...]:
        part = values[:, start : start + step]
        found = part.min(1), part.max(1), part.sum(1, dtype=np.float64)
        if whole:
            return found
        above = part > 0
        return (*found, above.sum(1), (above & (part == np.rint(part))).sum(1))

    for i, (low, high, both, *more) in enumerate(in_threads(look, range(0, genes, step))):
        np.minimum(least, low, out=least)
        np.maximum(most, high, out=most)
        total += both
        if more:
            positive += more[0]
            round_ones += more[1]
        if i % 8 == 7:
            yield Progress(i * step, genes, "Finding the units")
    share = np.ones(samples) if whole else round_ones / np.maximum(positive, 1)
    return [Facts(genes, *map(float, row)) for row in zip(least, most, share, total, strict=True)]


def judge(values: np.ndarray) -> tuple[Units, str, bool]:
    """Say in what units one sample is.

    Parameters
    ----------
    values
        All values of the sample, finite, at least one above zero.

    Returns
    -------
    units
    evidence
        Why, in words.
    sure
        Whether nothing else explains the values as well.

    Raises
    ------
    UnitsError
        Values below zero that no units explain, or the scale of a microarray.
    """
    (facts,) = run(_facts_steps(np.asarray(values, np.float32)[None], False))
    return _judge(facts, lambda: values, lambda: values[:FIRST])


def _judge(facts: Facts, values: Values, first: Values) -> tuple[Units, str, bool]:
    if facts.largest > LARGEST_LOG or (facts.smallest >= 0 and facts.whole == 1.0):
        return _judge_linear(facts, first)
    return _judge_logs(values(), facts)


def _of_reads(total: float) -> str:
    """The quantity of values that are reads times a factor, by their sum."""
    return "cpm" if 0.5 < total / _MILLION < 2 else "normalised-counts"


def _judge_linear(facts: Facts, first: Values) -> tuple[Units, str, bool]:
    if facts.smallest < 0:
        raise UnitsError("", f"values below zero ({facts.smallest:g}) beside values up to {facts.largest:,.4g}")
    near = abs(facts.total / _MILLION - 1)
    if facts.whole == 1.0:
        said = f"all values are whole numbers up to {facts.largest:,.0f}"
        rounded = near < 5e-4 or (near < 0.01 and facts.genes >= _WHOLE_GENOME)  # TPM without their decimals
        return Units("counts"), said + (", although they sum to a million" if rounded else ""), not rounded
    if facts.genes >= _WHOLE_GENOME and (read := one_read(first())):
        said = f"values up to {facts.largest:,.0f} that sum to {facts.total:,.0f}, whole multiples of {read:.4g}"
        return Units(_of_reads(facts.total)), said + ": reads times a factor", True
    if near < 0.01:
        return Units("tpm"), f"values up to {facts.largest:,.0f} that sum to {facts.total:,.0f}", True
    if facts.whole > 0.5 and facts.total > 1.05e6:
        said = f"{100 * facts.whole:.0f} % of the values above zero are whole numbers, the others not"
        return Units("counts"), said + ": estimated read counts", True
    if facts.genes < _WHOLE_GENOME:
        return Units("linear"), f"{facts.genes:,} genes up to {facts.largest:,.0f}, not whole numbers: part of a TPM, "\
            "FPKM or normalised count table", False  # fmt: skip
    if facts.total > 5e6:
        return Units("normalised-counts"), f"not whole numbers, and they sum to {facts.total:,.0f}, more than TPM or "\
            f"FPKM do{'; none is near zero, as on a microarray' if facts.smallest > 1 else ''}", False  # fmt: skip
    if facts.total > 1.05e6:
        return Units("linear"), f"not whole numbers, and they sum to {facts.total:,.0f}: much for FPKM, little for "\
            "normalised counts", False  # fmt: skip
    return Units("fpkm"), f"not whole numbers, and they sum to {facts.total:,.0f}, not to a million", True


def _judge_logs(values: np.ndarray, facts: Facts) -> tuple[Units, str, bool]:
    span = f"values from {facts.smallest:.2f} to {facts.largest:.2f}"
    if facts.smallest < 0:
        return _judge_below_zero(values, facts, span)
    low = float(np.quantile(values, 0.01))
    if low > 2.0 and facts.genes >= 1000:
        raise UnitsError("", f"{span}, of which 99 % lie above {low:.1f}: the scale of a microarray or of "
                         "variance-stabilised values, not of reads, TPM or FPKM")  # fmt: skip
    first, whole_genome = values[:FIRST], facts.genes >= _WHOLE_GENOME
    totals = {log: float(Units("tpm", log).linear(values).sum()) for log in ("log2", "ln", "log10")}
    for log, total in totals.items():
        if abs(total / _MILLION - 1) < 0.01:
            base = {"log2": "2^x", "ln": "e^x", "log10": "10^x"}[log]
            reads = whole_genome and one_read_of_logs(first, Units("tpm", log).linear(first))
            said = f"{span}, and {base} − 1 sums to {total:,.0f}"
            return Units("cpm" if reads else "tpm", log), said + (", in multiples of one read" if reads else ""), True
    for log in ("log2", "ln", "log10"):
        back = Units("counts", log).linear(values)
        # Only small numbers can be judged: rounding in the file moves large ones by more than a half.
        small = back[(back > 0.5) & (back < 200)]
        if small.size > 20 and np.mean(np.abs(small - np.rint(small)) < 0.01 + 1e-3 * small) > 0.99:
            return Units("counts", log), f"{span}, whole numbers less 1 once the {log} is undone", True
    for log in totals if whole_genome else ():
        if totals[log] < 1e12 and one_read_of_logs(first, Units("tpm", log).linear(first)):
            said = f"{span}, which undone as {log} sum to {totals[log]:,.0f}, in multiples of one read"
            return Units(_of_reads(totals[log]), log), said, True
    # The larger the base, the larger the sum: what is FPKM as ln would sum to many millions if it were log2 instead.
    likely = [log for log in ("log10", "ln", "log2") if 1.2e5 < totals[log] < 1.05e6]
    if whole_genome and likely:
        said = f"{span}, which undone as {likely[0]} sum to {totals[likely[0]]:,.0f}"
        return Units("fpkm", likely[0]), said, len(likely) == 1
    if whole_genome and totals["log2"] > 5e6:
        said = f"{span}, taken for log2 of the value + 1; they sum to {totals['log2']:,.0f}, more than TPM or FPKM do"
        return Units("normalised-counts", "log2"), said, False
    quantity = "fpkm" if whole_genome else "linear"
    return Units(quantity, "log2"), f"{span}, taken for log2 of the value + 1; their sum does not tell", False


def _judge_below_zero(values: np.ndarray, facts: Facts, span: str) -> tuple[Units, str, bool]:
    for offset in (0.001, 0.01, 0.1):
        floor = math.log2(offset)
        if abs(facts.smallest - floor) < 0.01 and np.mean(values == facts.smallest) > 0.01:
            units = Units("tpm", "log2", offset)
            total = float(units.linear(values).sum())
            quantity = "tpm" if abs(total / _MILLION - 1) < 0.02 else "fpkm"
            if facts.genes >= _WHOLE_GENOME and one_read_of_logs(values[:FIRST], units.linear(values[:FIRST])):
                quantity = _of_reads(total)
            return Units(quantity, "log2", offset), f"{span}; the least is log2 of {offset:g}, and 2^x − {offset:g} "\
                f"sums to {total:,.0f}", True  # fmt: skip
    total = float(np.exp2(np.minimum(values, 60)).sum())
    if facts.genes >= _WHOLE_GENOME and 0.5 < total / _MILLION < 2:
        # edgeR divides the million by a factor of about 1; reads above those of the least gene are whole all the same.
        reads = np.exp2(values[:FIRST].astype(np.float64)) - 2.0**facts.smallest
        if abs(total / _MILLION - 1) < 0.1 or one_read(np.where(reads > 1e-9, reads, 0.0)):
            return Units("cpm", "log2", 0.0), f"{span}, and 2^x sums to {total:,.0f}: log2 counts per million", True
    raise UnitsError("", f"{span}: neither reads, TPM, FPKM nor logarithms of value + 1 go below zero; standardised "
                     "values, log ratios or a microarray do")  # fmt: skip


def detect_units_steps(
    path: Path | str, values: np.ndarray | None, samples: Sequence[str], genes: Sequence[str],
    given: str | None = None, whole: bool = False, facts: Sequence[Facts] = (), begun: np.ndarray | None = None,
) -> Steps[tuple[Units, Detected, dict[str, str], np.ndarray]]:
    """Say in what units a file is, yielding progress.

    Parameters
    ----------
    path
        For messages.
    values
        (samples, genes), finite; None where they are not all at hand.
    samples, genes
        Their names.
    given
        Units as a person says, else None.
    whole
        Whether all values are known to be whole numbers, none below zero.
    facts
        Of every sample, where they are known.
    begun
        Values of the first lines, (samples, lines), where the others are not at hand.

    Returns
    -------
    units
    detected
    unusable
        Sample → why it cannot be used.
    totals
        Sum of each sample in linear space, float64 (samples,).

    Raises
    ------
    CellValueError
        A value below zero where none can be, named by gene and sample.
    UnitsError
        Where the samples disagree, or none can be used.
    WholeTableNeeded
        Where the values are not at hand and the facts do not do.
    """
    person = parse_units(given) if given else None

    def row(i: int) -> np.ndarray:
        if values is None:
            raise WholeTableNeeded
        return np.ascontiguousarray(values[i])

    def beginning(i: int) -> np.ndarray:
        return begun[i] if begun is not None else row(i) if values is None else values[i, :FIRST]

    if values is not None:
        facts = yield from _facts_steps(values, whole)
    unusable: dict[str, str] = {}
    found: dict[tuple[bool, str, float], list[tuple[str, Units, str, bool]]] = defaultdict(list)
    for i, (name, seen) in enumerate(zip(samples, facts, strict=True)):
        if seen.smallest == seen.largest:
            unusable[name] = f"all its values are {seen.smallest:g}"
            continue
        believed = person is not None and person.quantity != "counts"
        if not believed and LARGEST_LOG < seen.largest < 1000 and 0.1 < seen.whole < 1:
            check_thousands(path, name, beginning(i))
        try:
            judged = _believe(person, seen) if person else _judge(seen, partial(row, i), partial(beginning, i))
        except UnitsError as error:
            raise _blame(path, name, row(i), genes, error.reason) from error
        # TPM and FPKM lead to the same result, and so do all kinds of reads: only what differs later must agree.
        units = judged[0]
        family = units.quantity in ("counts", "normalised-counts", "cpm")
        found[(family, units.log, units.offset if units.log else 1.0)].append((name, *judged))
        if i % 32 == 31:
            yield Progress(i, len(samples), "Finding the units")
    if not found:
        raise UnitsError(path, "every sample is empty: it has one value throughout.", "Export it again.")
    if len(found) > 1:
        told = "; ".join(f"{rows[0][1].name} in '{rows[0][0]}'" + (f" and {len(rows) - 1} others" if rows[1:] else "")
                         for rows in found.values())  # fmt: skip
        raise UnitsError(path, f"its samples seem to be in different units: {told}.",
                         "Give the units (--units), or split the file.")  # fmt: skip
    rows = next(iter(found.values()))
    usual = Counter(judged[1] for judged in rows).most_common(1)[0][0]
    first, units, evidence, sure = next(judged for judged in rows if judged[1] == usual)
    # By its number: what is said of a file goes into the reports of all samples, and a name may tell who a person is.
    evidence = "as given" if person else f"in sample {samples.index(first) + 1} of {len(samples)} {evidence}"
    totals = np.array([seen.total for seen in facts])
    if units.log:
        for i in range(len(samples)):
            totals[i] = units.linear(row(i)).sum()
            if i % 16 == 15:
                yield Progress(i, len(samples), "Undoing the logarithm")
    return units, Detected(units.name, evidence, "person" if person else "file", sure), unusable, totals


def _believe(units: Units, facts: Facts) -> tuple[Units, str, bool]:
    """Take a person's word, unless the values cannot be that."""
    floor = 0.0 if not units.log else math.log(units.offset) / _LOGS[units.log] if units.offset else -math.inf
    if facts.smallest < floor - 0.01:
        raise UnitsError("", f"values down to {facts.smallest:g}, below what {units.name} can be")
    if units.log and facts.largest * _LOGS[units.log] > math.log(1e12):
        raise UnitsError("", f"values up to {facts.largest:,.4g}, which are no logarithms of {units.quantity}")
    return units, "as given", True


def _blame(
    path: Path | str, name: str, row: np.ndarray, genes: Sequence[str], reason: str
) -> UnitsError | CellValueError:
    """Turn what is wrong with one sample into an error that names it, and the gene where one is at fault."""
    least, few = int(row.argmin()), int((row < 0).sum())
    where = f"gene '{genes[least]}' of sample '{name}' is {row[least]:g}"
    hint = "Give reads, TPM or FPKM of RNA-seq, or say what the values are (--units)."
    if few and ("beside" in reason or "below what" in reason or few < 0.01 * row.size):
        return CellValueError(path, f"{where}: reads, TPM and FPKM cannot be below zero "
                              f"({few:,} of {row.size:,} values are).", hint)  # fmt: skip
    if few:
        return UnitsError(path, f"{where}; the sample has {reason}.", hint)
    return UnitsError(path, f"sample '{name}' has {reason}.", hint)
