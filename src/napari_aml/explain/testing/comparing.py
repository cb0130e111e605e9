"""All methods and stages on the same cells; one table, one recommendation with its reasons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_aml.errors import InputError
from napari_aml.explain.evidence import GRID, evidence_shares, upsample
from napari_aml.explain.methods import METHODS
from napari_aml.explain.testing import faithfulness, sanity
from napari_aml.explain.testing.subject import Subject
from napari_aml.progress import Progress, Steps

if TYPE_CHECKING:
    import pandas as pd

    from napari_aml.classify.bundle import ModelBundle

#: Methods that are tested unless others are named: those fast enough for every cell of a slide.
FAST = tuple(name for name, method in METHODS.items() if not method.slow)
CENTRE, RANDOM = "centre Gaussian", "random"
#: A map that still looks like this when all weights are shuffled shows the picture, not what was learnt.
MOST_SHUFFLED = 0.5


@dataclass(frozen=True)
class ExplainReport:
    """What was found.

    Attributes
    ----------
    bundle_id
        The model.
    table
        One row a method and stage, and the two controls: ``method, stage, deletion, insertion, faithfulness``
        (insertion minus deletion), ``over_random, over_centre`` with 95 % limits, ``road, in_cell, in_nucleus,
        pointing, shuffled_head, shuffled_stage, shuffled_all, noise, no_evidence``.
    recommended
        ``(method, stage)``, or None when none passes.
    reasons
        In words.
    n
        Cells.
    """

    bundle_id: str
    table: pd.DataFrame = field(repr=False)
    recommended: tuple[str, int] | None
    reasons: tuple[str, ...]
    n: int

    def entry(self) -> dict[str, Any]:
        """Return what a bundle's card stores, so that the figures stand beside the maps."""
        rows = {f"{r.method}@{r.stage}": {
            "faithfulness": round(r.faithfulness, 4), "over_random": [round(v, 4) for v in r.over_random],
            "over_centre": [round(v, 4) for v in r.over_centre], "in_nucleus": round(r.in_nucleus, 3),
            "pointing": round(r.pointing, 3), "shuffled_all": round(r.shuffled_all, 3), "noise": round(r.noise, 3),
        } for r in self.table.itertuples() if r.method in METHODS}  # fmt: skip
        recommended = None if self.recommended is None else f"{self.recommended[0]}@{self.recommended[1]}"
        return {"n": self.n, "recommended": recommended, "reasons": list(self.reasons), "methods": rows}


def explain_test_steps(
    bundle: ModelBundle,
    crops: np.ndarray,
    *,
    methods: Sequence[str] = FAST,
    stages: Sequence[int] = (3, 2),
    steps: int = 12,
    randoms: int = 20,
    with_road: bool = True,
    device: str = "auto",
    seed: int = 0,
) -> Steps[ExplainReport]:
    """Test heatmaps.

    Parameters
    ----------
    bundle
        The model.
    crops
        uint8 (n, px, px, 3), each with its cell in the middle, as the bundle takes them.
    methods, stages
        Which; each is tested with each.
    steps
        Of deletion and insertion.
    randoms
        Random maps a cell.
    with_road
        Also compute ROAD, the slowest part.
    device, seed
        Where; of random maps, noise and shuffling.

    Raises
    ------
    InputError
        With fewer than ten crops, or an unknown method.
    """
    import pandas as pd

    from napari_aml.explain.methods import get_method

    if len(crops) < 10:
        raise InputError(f"{len(crops)} cells are too few to judge heatmaps.", "Give at least ten.")
    for name in methods:
        get_method(name)
    yield Progress(0, 0, "Loading the model")
    network = bundle.network(device)
    subject = Subject.of(network, crops)
    parts = yield from _masks(bundle, crops)
    networks, with_noise = sanity.shuffled_networks(network, seed), sanity.noisy(crops, seed)
    pairs = [(m, s) for m in methods for s in stages]
    total = (len(pairs) + 1 + randoms) * (steps + 1)
    done, scores = 0, {}
    rng = np.random.default_rng(seed)
    controls = [(CENTRE, faithfulness.centre_gaussian(len(crops)))]
    controls += [(f"{RANDOM} {i}", faithfulness.random_maps(len(crops), rng)) for i in range(randoms)]
    tested = [((m, s), None) for m, s in pairs] + [((name, -1), maps) for name, maps in controls]
    rows = []
    for (name, stage), given in tested:
        maps = subject.maps(name, stage) if given is None else given
        for areas in faithfulness.deletion_insertion(subject, maps, steps):
            if areas is not None:
                scores[name, stage] = areas
            done += 1
            yield Progress(min(done, total), total, f"Deletion and insertion: {name}")
        if given is not None and name != CENTRE:
            continue
        row = {"method": name, "stage": stage, **_places(maps, parts)}
        if given is None:
            agree = sanity.agreement(subject, name, stage, maps, networks, with_noise)
            row |= {"shuffled_head": agree["head"], "shuffled_stage": agree.get("head and last stage", np.nan),
                    "shuffled_all": agree["all weights"], "noise": agree["noise"]}  # fmt: skip
        row["road"] = float(faithfulness.road(subject, maps).mean()) if with_road else np.nan
        rows.append(row)
        yield Progress(min(done, total), total, f"Tested: {name}")
    by_chance = np.mean([scores[f"{RANDOM} {i}", -1] for i in range(randoms)], axis=0)
    scores[RANDOM, -1] = by_chance
    rows.append({"method": RANDOM, "stage": -1, **_places(controls[-1][1], parts)})
    table = pd.DataFrame([row | _faithful(row, scores, seed) for row in rows])
    table = table.reindex(columns=_COLUMNS)
    recommended, reasons = recommend(table)
    return ExplainReport(bundle.bundle_id, table, recommended, reasons, len(crops))


_COLUMNS = [
    "method", "stage", "deletion", "insertion", "faithfulness", "over_random", "over_centre", "road", "in_cell",
    "in_nucleus", "pointing", "shuffled_head", "shuffled_stage", "shuffled_all", "noise", "no_evidence",
]  # fmt: skip


def recommend(table: pd.DataFrame) -> tuple[tuple[str, int] | None, tuple[str, ...]]:
    """Choose the most faithful method that depends on weights and class; of two alike the coarser, cheaper one.

    A map that is the same whichever class is asked for cannot say why a cell was called what it was, so that it is
    recommended only where no other passes. Two are alike when the lower limit of the better one's advantage over random
    lies below the other's mean.
    """
    real = table[table["method"].isin(list(METHODS))]
    better = np.array([low > 0 for _, low, _ in real["over_random"]], bool)
    passed = real[(real["shuffled_all"] < MOST_SHUFFLED).to_numpy() & better]
    reasons = [
        f"{r.method} at stage {r.stage} is left out: its maps stay alike (rank correlation {r.shuffled_all:.2f}) "
        "when all weights are shuffled." for r in real.itertuples() if r.shuffled_all >= MOST_SHUFFLED
    ]  # fmt: skip
    if passed.empty:
        return None, (*reasons, "No method is more faithful than random maps and depends on the weights.")
    by_class = passed[np.array([METHODS[m].by_class for m in passed["method"]], bool)]
    first = passed.loc[passed["faithfulness"].idxmax()]
    if len(by_class) and not METHODS[first["method"]].by_class:
        mean, low, high = first["over_random"]
        reasons.append(
            f"{METHODS[first['method']].title} at stage {first['stage']} is more faithful ({mean:.3f}, {low:.3f} to "
            f"{high:.3f}, above random maps), but shows the same map whichever class is asked for."
        )
    passed = by_class if len(by_class) else passed
    best = passed.loc[passed["faithfulness"].idxmax()]
    low = best["over_random"][1]
    alike = passed[np.array([mean >= low for mean, _, _ in passed["over_random"]], bool)]
    order = {name: i for i, name in enumerate(METHODS)}
    chosen = min(alike.itertuples(), key=lambda r: (-r.stage, order[r.method]))
    mean, low, high = chosen.over_random
    is_best = (chosen.method, chosen.stage) == (best["method"], best["stage"])
    most = ", the most of all." if best.equals(first) else ", the most of those that explain a class."
    rival = f"; as good as the best, {best['method']} at stage {best['stage']}, and cheaper."
    reasons.append(
        f"{METHODS[chosen.method].title} at stage {chosen.stage}: insertion less deletion is {mean:.3f} "
        f"({low:.3f} to {high:.3f}) above random maps{most if is_best else rival}"
    )
    mean, low, high = chosen.over_centre
    if low <= 0:
        reasons.append(
            f"It is not shown to be better than a map that only knows the middle of the crop ({mean:+.3f}, "
            f"{low:.3f} to {high:.3f}): read it as where the cell is, not as which part of it spoke."
        )
    return (str(chosen.method), int(chosen.stage)), tuple(reasons)


def _faithful(row: dict[str, Any], scores: dict[tuple[str, int], np.ndarray], seed: int) -> dict[str, Any]:
    areas = scores[row["method"], row["stage"]]
    own = areas[:, 1] - areas[:, 0]

    def over(other: tuple[str, int]) -> tuple[float, float, float]:
        from napari_aml.statistics import bootstrap_interval

        gain = own - (scores[other][:, 1] - scores[other][:, 0])
        low, high = bootstrap_interval(lambda rows: float(gain[rows].mean()), len(gain), seed=seed)
        return float(gain.mean()), float(low), float(high)

    return {
        "deletion": float(areas[:, 0].mean()), "insertion": float(areas[:, 1].mean()),
        "faithfulness": float(own.mean()), "over_random": over((RANDOM, -1)), "over_centre": over((CENTRE, -1)),
    }  # fmt: skip


def _places(maps: np.ndarray, parts: np.ndarray) -> dict[str, float]:
    """Share of evidence in cell and nucleus over their area, hits of the pointing game, maps without evidence."""
    import warnings

    in_cell, in_nucleus, has = evidence_shares(maps, parts)
    big = upsample(maps, parts.shape[1]).reshape(len(maps), -1)
    nucleus = (parts == 2).reshape(len(maps), -1)
    known = nucleus.any(1) & has
    hits = nucleus[np.arange(len(maps)), big.argmax(1)][known]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the mean of nothing is NaN, which is what is meant
        return {"in_cell": float(np.nanmean(in_cell)), "in_nucleus": float(np.nanmean(in_nucleus)),
                "pointing": float(hits.mean()) if len(hits) else float("nan"),
                "no_evidence": float(1 - has.mean())}  # fmt: skip


def _masks(bundle: ModelBundle, crops: np.ndarray) -> Any:
    """Yield progress, then return uint8 (n, GRID, GRID): 1 cell, 2 nucleus of the cell in the middle."""
    import cv2

    from napari_aml.cells import get_segmenter

    segmenter, scale = get_segmenter("default"), bundle.crop_um / crops.shape[1]
    out = np.zeros((len(crops), GRID, GRID), np.uint8)
    for i, crop in enumerate(crops):
        yield Progress(i, len(crops), "Finding the cells")
        found = segmenter.segment(crop, scale)
        middle = found.cells[crop.shape[0] // 2, crop.shape[1] // 2]
        if middle:
            mask = (found.cells == middle).astype(np.uint8) + ((found.cells == middle) & (found.nuclei == middle))
            out[i] = cv2.resize(mask.astype(np.uint8), (GRID, GRID), interpolation=cv2.INTER_NEAREST)
    return out
