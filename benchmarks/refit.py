"""How long does teaching at once take, and which head learns best? Two tables.

    python benchmarks/refit.py [--data DATA --cache FOLDER] [--cells 100000] [--dims 384] [--classes 16]

Speed: synthetic cells in class clouds. A further decision is taken on top of those that are there; measured is the
time from it until all cells are ranked anew (fit, probabilities of all cells, list of changes, order of the queue),
and until the figures beside it are there. The bare product of all embeddings with a weight matrix, which no head can
do without, stands beside it; ratios to it carry over to other machines. Processor time is printed, too: it is what
matters where other programs run.

Heads (with --data): ridge, LDA and logistic heads and the one that is used, on the labelled cells: accuracy on groups
of cells that were not decided, over the number of decisions drawn at random.
"""

from __future__ import annotations

import statistics
import time

import numpy as np
from labelled_cells import load, options
from queue_efficiency import classroom, part

from napari_aml.progress import run
from napari_aml.review.queue import Pool, rank_steps
from napari_aml.review.teach import Classroom, Taught, fit_head, teach_steps


def synthetic(n: int, d: int, k: int) -> tuple[Classroom, np.ndarray]:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, k, n)
    embedding = (rng.normal(size=(k, d)) * 0.35).astype(np.float32)[truth] + rng.normal(size=(n, d)).astype(np.float32)
    # A model that is right in four of five cells.
    said = np.where(rng.random(n) < 0.8, truth, rng.integers(0, k, n))
    chances = np.full((n, k), 0.4 / k, np.float32)
    chances[np.arange(n), said] += 0.6
    return Classroom([f"u{i}" for i in range(n)], tuple(f"C{i:02d}" for i in range(k)), embedding, chances), truth


def timed(room: Classroom, decided: dict[str, str]) -> dict[str, float]:
    """Seconds (wall and processor) until the ranking and until the figures."""
    wall, cpu, out = time.perf_counter(), time.process_time(), {}
    taught = None
    for event in teach_steps(room, decided):
        if isinstance(event.payload, Taught):
            taught = event.payload
            ranking = run(rank_steps(Pool(room, decided, taught), "uncertain"))
            ranking.entries(5000)
            out["ranked"], out["ranked_cpu"] = time.perf_counter() - wall, time.process_time() - cpu
    out["all"], out["all_cpu"] = time.perf_counter() - wall, time.process_time() - cpu
    return out


def speed(n: int, d: int, k: int) -> None:
    room, truth = synthetic(n, d, k)
    weight = np.zeros((d, k), np.float32)
    products = []
    for _ in range(5):
        started = time.perf_counter()
        room.embedding @ weight
        products.append(time.perf_counter() - started)
    bare = statistics.median(products)
    print(f"{n} cells x {d} dims, {k} classes; bare product {1000 * bare:.0f} ms")
    for many in (10, 50, 200, 1000, 5000):
        decided = {room.uids[i]: room.codes[truth[i]] for i in range(many)}
        first = timed(room, decided)
        rows = []
        for more in range(5):
            decided[room.uids[many + more]] = room.codes[truth[many + more]]
            rows.append(timed(room, decided))
        m = {key: statistics.median(r[key] for r in rows) for key in rows[0]}
        print(
            f"  {many:5d} decisions: ranked {1000 * m['ranked']:5.0f} ms ({1000 * m['ranked_cpu']:5.0f} of processor, "
            f"{m['ranked'] / bare:4.1f} bare products), figures {1000 * m['all']:5.0f} ms; slowest ranked "
            f"{1000 * max(r['ranked'] for r in rows):5.0f} ms; choosing the pull anew "
            f"{1000 * first['ranked']:5.0f} ms ({1000 * first['ranked_cpu']:.0f} of processor)",
            flush=True,
        )


def ridge(z, offset, targets, pull):
    """Closed form on what the model's probabilities leave over."""
    p = np.exp(offset)
    b = np.hstack([z, np.ones((len(z), 1), np.float32)])
    left = np.eye(offset.shape[1], dtype=np.float32)[targets] - p
    w = np.linalg.solve(b.T @ b + pull * np.eye(b.shape[1], dtype=np.float32), b.T @ left)
    return lambda y, o: np.exp(o) + np.hstack([y, np.ones((len(y), 1), np.float32)]) @ w


def lda(z, offset, targets, shrink):
    """Gaussian classes with one shrunken covariance, times the model's probabilities."""
    k = offset.shape[1]
    prior = np.bincount(targets, minlength=k) + 0.5
    means = np.stack([z[targets == c].sum(0) / ((targets == c).sum() + 1) for c in range(k)])
    cov = np.atleast_2d(np.cov((z - means[targets]).T))
    cov = (1 - shrink) * cov + shrink * np.eye(len(cov)) * np.trace(cov) / len(cov)
    a = np.linalg.solve(cov, means.T)
    b = -0.5 * (means.T * a).sum(0) + np.log(prior / prior.sum())
    return lambda y, o: y @ a + b + o


def heads(args) -> None:
    for features in args.features:
        cells = load(features, args.data, args.cache)
        room = classroom(cells)
        z, offset = room.scale(room.embedding), room.offsets(len(room.codes))
        names = np.array(cells.codes)
        print(f"{features}: {len(z)} cells, {z.shape[1]} dims; the model alone and each head, mean of 5 splits")
        for n in (10, 25, 50, 100, 200, 500, 1000):
            found: dict[str, list[float]] = {}
            for seed in range(5):
                rng = np.random.default_rng(seed)
                groups = rng.permutation(np.unique(cells.groups))
                out = np.isin(cells.groups, groups[: len(groups) * 3 // 10])
                if n > (~out).sum():
                    continue
                rows, left = rng.choice(np.flatnonzero(~out), n, replace=False), np.flatnonzero(out)
                t, truth = cells.truth[rows], cells.truth[left]

                def note(name, scores, truth=truth, found=found):
                    found.setdefault(name, []).append(float((scores.argmax(1) == truth).mean()))

                note("model", offset[left])
                for pull in (0.1, 1.0, 10.0):
                    head = fit_head(room.embedding[rows], offset[rows], t, pull, room.scale)
                    note(f"logistic {pull:g}", head.probabilities(room.embedding[left], offset[left]))
                for pull in (0.1, 1.0):
                    note(f"ridge {pull:g}", ridge(z[rows], offset[rows], t, pull)(z[left], offset[left]))
                note("LDA 0.3", lda(z[rows], offset[rows], t, 0.3)(z[left], offset[left]))
                pool = part(room, np.r_[rows, left])
                taught = pool.teach({pool.uids[i]: str(names[c]) for i, c in enumerate(t)})
                note("used", taught.probabilities[len(rows) :])
            if found:
                print(f"  {n:5d}: " + ", ".join(f"{k} {np.mean(v):.3f}" for k, v in found.items()), flush=True)


def main() -> None:
    parser = options(__doc__)
    for action in parser._actions:
        action.required = False
    parser.add_argument("--cells", type=int, default=100_000)
    parser.add_argument("--dims", type=int, default=384)
    parser.add_argument("--classes", type=int, default=16)
    args = parser.parse_args()
    if args.cells:
        speed(args.cells, args.dims, args.classes)
    if args.data and args.cache:
        heads(args)


if __name__ == "__main__":
    main()
