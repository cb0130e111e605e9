"""The light head: a multinomial logistic correction of what the network says, fitted to decisions.

    log-odds = log p(network) + embedding · W + b

``W`` and ``b`` are pulled towards zero, so that without decisions the network's own word stands, and few decisions move
it little where they speak for little. It needs nothing but stored probabilities and embeddings: no network, no GPU.
How it was chosen among ridge, LDA and logistic heads, and with what figures: docs/benchmarks/curation.md.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: Strengths of the pull that are tried, weakest first. Where the network is at home a strong one is right (few
#: decisions can only disturb it), on a smear that it has never seen the like of a weak one.
PULLS = (0.1, 0.3, 1.0, 3.0, 10.0)
#: With fewer decisions than this the pull is not chosen but taken as `CAUTIOUS`.
FEWEST = 8
CAUTIOUS = 3.0

#: Log-probabilities below this say no more than "never": a class that the network does not know starts here.
FLOOR = float(np.log(1e-4))

#: A gain below so many nats a cell is no reason for a weaker pull: it only makes right answers a little surer.
_WORTH = 0.04

#: Rows that the pull is chosen on at most; more would only cost time.
_ENOUGH = 800


@dataclass(frozen=True, eq=False)
class Head:
    """A fitted correction.

    Attributes
    ----------
    weight
        float32 (d, k), for embeddings as they are stored.
    bias
        float32 (k,).
    pull
        How strongly it was held to the network's word.
    """

    weight: np.ndarray
    bias: np.ndarray
    pull: float

    def probabilities(self, embedding: np.ndarray, offset: np.ndarray) -> np.ndarray:
        """Return float32 (n, k) for embeddings (n, d) and the network's log-probabilities (n, k)."""
        return _softmax(embedding @ self.weight + (self.bias + offset))


@dataclass(frozen=True, eq=False)
class Scale:
    """Centre and spread of all embeddings of a pool; cells are compared after it, whether decided or not."""

    mean: np.ndarray
    factor: np.ndarray

    @classmethod
    def of(cls, embedding: np.ndarray) -> Scale:
        """Measure a pool (n, d). The factor makes a cell's squared length 1 on average, whatever d is."""
        if not len(embedding):
            return cls(np.zeros(embedding.shape[1], np.float32), np.ones(embedding.shape[1], np.float32))
        mean, spread = embedding.mean(0, dtype=np.float64), embedding.std(0, dtype=np.float64)
        known = spread > 1e-6 * max(float(spread.max()), 1e-12)
        factor = np.where(known, 1 / np.where(known, spread, 1), 0) / np.sqrt(max(int(known.sum()), 1))
        return cls(mean.astype(np.float32), factor.astype(np.float32))

    def __call__(self, embedding: np.ndarray) -> np.ndarray:
        """Return scaled rows, float32 (n, d)."""
        return (embedding - self.mean) * self.factor


def log_probabilities(probabilities: np.ndarray) -> np.ndarray:
    """Return the offsets of the head, float32 (n, k), `FLOOR` at least."""
    return np.log(np.maximum(probabilities, np.exp(FLOOR))).astype(np.float32)


def fit_head(
    rows: np.ndarray,
    offset: np.ndarray,
    targets: np.ndarray,
    pull: float,
    scale: Scale,
    *,
    start: Head | None = None,
    iterations: int = 40,
) -> Head:
    """Fit a head to decided cells.

    Parameters
    ----------
    rows
        float32 (n, d): embeddings of decided cells, as they are stored.
    offset
        float32 (n, k): what the network says of them, as log-probabilities.
    targets
        int (n,): what people say.
    pull
        Weight of the squared size of the correction.
    scale
        Of the pool.
    start
        An earlier head to go on from (a warm start).
    iterations
        Of L-BFGS at most.
    """
    from scipy.optimize import minimize

    z = np.hstack([scale(rows), np.ones((len(rows), 1), np.float32)])
    k = offset.shape[1]
    wanted = np.zeros((len(rows), k), np.float32)
    wanted[np.arange(len(rows)), targets] = 1
    first = np.zeros((z.shape[1], k), np.float32) if start is None else _scaled(start, scale)

    def cost(flat: np.ndarray) -> tuple[float, np.ndarray]:
        w = flat.reshape(first.shape).astype(np.float32)
        logits = offset + z @ w
        logits -= logits.max(1, keepdims=True)
        chances = np.exp(logits)
        total = chances.sum(1, keepdims=True)
        loss = float(np.log(total).sum() - logits[np.arange(len(targets)), targets].sum())
        gradient = z.T @ (chances / total - wanted) + pull * w
        return loss + 0.5 * pull * float((w * w).sum()), gradient.ravel().astype(np.float64)

    done = minimize(
        cost, first.ravel().astype(np.float64), jac=True, method="L-BFGS-B", options={"maxiter": iterations}
    )
    w = done.x.reshape(first.shape).astype(np.float32)
    weight = w[:-1] * scale.factor[:, None]
    return Head(weight, w[-1] - scale.mean @ weight, pull)


def _scaled(head: Head, scale: Scale) -> np.ndarray:
    """Return a head's weights for scaled embeddings, the bias as the last row."""
    factor = np.where(scale.factor > 0, scale.factor, 1)[:, None]
    weight = np.where(scale.factor[:, None] > 0, head.weight / factor, 0)
    return np.vstack([weight, (head.bias + scale.mean @ head.weight)[None]]).astype(np.float32)


def choose_pull(
    rows: np.ndarray, offset: np.ndarray, targets: np.ndarray, scale: Scale, groups: np.ndarray | None = None
) -> float:
    """Choose the strongest pull whose out-of-fold log loss is the least but for one standard error, or for too little.

    With fewer than `FEWEST` decisions it is `CAUTIOUS`; of many, an even sample of 800 decides.
    """
    if len(targets) < FEWEST:
        return CAUTIOUS
    if len(targets) > _ENOUGH:
        keep = np.linspace(0, len(targets) - 1, _ENOUGH).astype(int)
        rows, offset, targets = rows[keep], offset[keep], targets[keep]
        groups = None if groups is None else groups[keep]
    at = np.arange(len(targets))
    losses: dict[float, np.ndarray] = {}
    starts: list[Head] | None = None
    for pull in reversed(PULLS):
        chances, starts = _cross_fitted(rows, offset, targets, pull, scale, groups, 3, 15, 0, starts)
        losses[pull] = -np.log(np.maximum(chances[at, targets], 1e-6))
        if losses[pull].mean() > min(loss.mean() for loss in losses.values()) + 0.05:
            break  # weaker still is worse still
    best = min(losses.values(), key=lambda loss: loss.mean())
    for pull, loss in losses.items():  # strongest first
        gap = loss - best
        if gap.mean() <= max(gap.std() / np.sqrt(len(gap)), _WORTH):
            return pull
    raise AssertionError("the best pull is as good as itself")


def out_of_fold(
    rows: np.ndarray,
    offset: np.ndarray,
    targets: np.ndarray,
    pull: float,
    scale: Scale,
    *,
    groups: np.ndarray | None = None,
    folds: int = 5,
    iterations: int = 40,
    seed: int = 0,
) -> np.ndarray:
    """Return what heads say of decided cells that they were not fitted to, float32 (n, k).

    Cells of one group (near-duplicates) stay in one fold; without groups, cells whose embeddings are equal do.
    """
    return _cross_fitted(rows, offset, targets, pull, scale, groups, folds, iterations, seed, None)[0]


def _cross_fitted(
    rows: np.ndarray,
    offset: np.ndarray,
    targets: np.ndarray,
    pull: float,
    scale: Scale,
    groups: np.ndarray | None,
    folds: int,
    iterations: int,
    seed: int,
    starts: list[Head] | None,
) -> tuple[np.ndarray, list[Head]]:
    """Return out-of-fold probabilities and the heads of the folds, from which the next round may start."""
    if groups is None:
        groups = np.unique(rows, axis=0, return_inverse=True)[1].ravel() if len(rows) < 20_000 else np.arange(len(rows))
    names, group = np.unique(groups, return_inverse=True)
    if len(names) < 2:
        return _softmax(offset.copy()), []
    fold = _dealt(targets, group, len(names), min(folds, len(names)), seed)
    out, heads = np.empty_like(offset), []
    for f in range(int(fold.max()) + 1):
        kept, left = fold != f, fold == f
        start = starts[f] if starts else None
        heads.append(fit_head(rows[kept], offset[kept], targets[kept], pull, scale, start=start, iterations=iterations))
        out[left] = heads[-1].probabilities(rows[left], offset[left])
    return out, heads


def _dealt(targets: np.ndarray, group: np.ndarray, groups: int, folds: int, seed: int) -> np.ndarray:
    """Deal groups to folds in turn, class by class, so that every class is spread evenly."""
    class_of = np.zeros(groups, np.int64)
    class_of[group] = targets
    shuffled = np.random.default_rng(seed).permutation(groups)
    order = shuffled[np.argsort(class_of[shuffled], kind="stable")]
    fold = np.empty(groups, np.int64)
    fold[order] = np.arange(groups) % folds
    return fold[group]


def _softmax(logits: np.ndarray) -> np.ndarray:
    logits -= logits.max(1, keepdims=True)
    np.exp(logits, out=logits)
    logits /= logits.sum(1, keepdims=True)
    return logits.astype(np.float32, copy=False)
