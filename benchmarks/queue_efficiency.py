"""How many decisions does an order of the queue need? Simulated on labelled cells, whose truth plays the person.

    python benchmarks/queue_efficiency.py --data DATA --cache FOLDER [--features shipped bccd imagenet] [--seeds 5]
                                          [--orders random mix uncertain diverse rare] [--flips 10]

Decisions. Groups of near-duplicates are divided 70 : 30. Cells of the larger part are decided in batches, in the order
that the queue gives after the head was taught on all decisions so far; a random order is taught just the same. Two
accuracies are followed: of the labels of the pool itself (decided cells are right, the others have the taught model's
word), which is what a person curates for; and of cells outside the pool, whose labels nobody gave.

Label errors. 5 % of all labels are changed, either to any other class or to one that the model confuses with the true
one, and the label-error order is asked: which share of them stands in its first 15 %?
"""

from __future__ import annotations

import time

import numpy as np
from labelled_cells import Labelled, load, options

from napari_aml.review.queue import ORDERS, Pool, rank
from napari_aml.review.teach import Classroom

#: Levels of the pool's accuracy, and of accuracy outside the pool: parts of the way from the start to the best.
POOL_LEVELS = (0.90, 0.95, 0.98)
OUTSIDE_PARTS = (0.5, 0.75, 0.9)


def classroom(cells: Labelled) -> Classroom:
    uids = [f"cell{i}" for i in range(len(cells.truth))]
    said, embedding = cells.probabilities, cells.embedding
    if said is None:
        # A network that knows no cells says nothing; 1,280 features are turned into their 256 strongest directions.
        said = np.full((len(uids), len(cells.codes)), 1 / len(cells.codes), np.float32)
        centred = embedding - embedding.mean(0)
        embedding = np.ascontiguousarray(centred @ np.linalg.svd(centred, full_matrices=False)[2][:256].T)
    return Classroom(uids, cells.codes, embedding, said, cells.groups)


def part(room: Classroom, rows: np.ndarray) -> Classroom:
    uids = [room.uids[r] for r in rows]
    return Classroom(uids, room.codes, room.embedding[rows], room.probabilities[rows], room.groups[rows])


def curve(cells: Labelled, order: str, seed: int, batch: int) -> np.ndarray:
    """Return (decisions, accuracy in the pool, accuracy outside, balanced accuracy outside) after each batch."""
    rng = np.random.default_rng(seed)
    room = classroom(cells)
    groups = rng.permutation(np.unique(cells.groups))
    outside = np.isin(cells.groups, groups[: len(groups) * 3 // 10])
    inside, outside = rng.permutation(np.flatnonzero(~outside)), np.flatnonzero(outside)
    pool, rest = part(room, inside), room.embedding[outside]
    names, truth = np.array(cells.codes), cells.truth[inside]
    unseen_offset = part(room, outside).offsets(len(cells.codes))
    decided: dict[str, str] = {}
    shuffled = rng.permutation(len(inside))
    out = []
    while True:
        taught = pool.teach(decided)
        said = taught.probabilities.argmax(1)
        done = np.array([pool.row(uid) for uid in decided], int)
        right = said == truth
        right[done] = True
        model = unseen_offset if taught.head is None else taught.head.probabilities(rest, unseen_offset)
        hit = model.argmax(1) == cells.truth[outside]
        each = [hit[cells.truth[outside] == c].mean() for c in np.unique(cells.truth[outside])]
        out.append((len(decided), right.mean(), hit.mean(), np.mean(each)))
        if len(decided) == len(inside):
            return np.array(out)
        if order == "random":
            rows = [r for r in shuffled if pool.uids[r] not in decided]
        else:
            ranked = rank(Pool(pool, decided, taught if decided else None), order).rows
            rows = [r for r in ranked if pool.uids[r] not in decided]
            rows += [r for r in shuffled if pool.uids[r] not in decided and len(rows) < batch]
        decided.update({pool.uids[r]: str(names[truth[r]]) for r in rows[:batch]})


def mean_curve(curves: list[np.ndarray]) -> np.ndarray:
    """Mean over splits, as far as the shortest goes: groups differ in size, and so do the pools."""
    return np.mean([c[: min(map(len, curves))] for c in curves], 0)


def needed(curves: list[np.ndarray], column: int, level: float) -> float:
    """Decisions at which the mean curve first reaches a level."""
    mean = mean_curve(curves)
    reached = np.flatnonzero(mean[:, column] >= level - 1e-12)
    return float(mean[reached[0], 0]) if len(reached) else float("inf")


def decisions(cells: Labelled, orders: list[str], seeds: int, batch: int) -> None:
    curves = {order: [curve(cells, order, seed, batch) for seed in range(seeds)] for order in orders}
    base = mean_curve(curves["random"])
    print(f"  at the start: {base[0, 1]:.3f} of the pool's labels right, {base[0, 2]:.3f} outside")
    print(f"  all {base[-1, 0]:.0f} decided: {base[-1, 2]:.3f} outside (balanced {base[-1, 3]:.3f})")
    for column, title, levels in (
        (1, "labels of the pool", [level for level in POOL_LEVELS if level > base[0, 1]]),
        (2, "cells outside", [base[0, 2] + p * (base[-1, 2] - base[0, 2]) for p in OUTSIDE_PARTS]),
    ):
        for level in levels:
            random = needed(curves["random"], column, level)
            told = ", ".join(
                f"{order} {needed(curves[order], column, level):.0f} "
                f"({needed(curves[order], column, level) / max(random, 1):.2f})"
                for order in orders if order != "random"
            )  # fmt: skip
            print(f"  {title} {level:.3f}: random {random:.0f}; {told}", flush=True)


def flipped(cells: Labelled, rng: np.random.Generator, near: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return labels of which 5 % are changed, and which."""
    given = cells.truth.copy()
    rows = rng.choice(len(given), round(0.05 * len(given)), replace=False)
    used = np.unique(cells.truth)
    for row in rows:
        chance = np.zeros(len(cells.codes))
        if near and cells.probabilities is not None:
            chance += cells.probabilities[cells.truth == given[row]].mean(0)
        else:
            chance[used] = 1
        chance[given[row]] = 0
        given[row] = rng.choice(len(chance), p=chance / chance.sum())
    return given, rows


def label_errors(cells: Labelled, repeats: int) -> None:
    room, names = classroom(cells), np.array(cells.codes)
    for near in (False, True):
        if near and cells.probabilities is None:
            continue
        found = []
        for seed in range(repeats):
            given, wrong = flipped(cells, np.random.default_rng(seed), near)
            decided = {room.uids[i]: str(names[c]) for i, c in enumerate(given)}
            ranked = rank(Pool(room, decided), "label-errors")
            first = ranked.rows[: round(0.15 * len(given))]
            found.append(np.isin(wrong, first).mean())
        kind = "to a class that the model confuses with it" if near else "to any class"
        print(
            f"  5 % of {len(given)} labels changed {kind}: {np.mean(found):.3f} of them in the first 15 % "
            f"(least {min(found):.3f}, {repeats} draws)",
            flush=True,
        )


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=0, help="decisions between two refits; 0 = a fortieth of the pool")
    parser.add_argument("--orders", nargs="+", default=["random", "mix", "uncertain", "diverse", "rare"])
    parser.add_argument("--flips", type=int, default=10, help="draws of planted label errors; 0 = none")
    args = parser.parse_args()
    assert set(args.orders) <= {"random", *ORDERS} and "random" in args.orders
    for features in args.features:
        cells = load(features, args.data, args.cache)
        started = time.process_time()
        print(f"{features}: {len(cells.truth)} cells, {len(np.unique(cells.truth))} classes")
        if args.seeds:
            decisions(cells, args.orders, args.seeds, args.batch or max(2, round(0.7 * len(cells.truth) / 40)))
        if args.flips and len(cells.truth) > 500:
            label_errors(cells, args.flips)
        print(f"  {time.process_time() - started:.0f} s of processor time", flush=True)


if __name__ == "__main__":
    main()
