"""Cells as points around class centres, and a model that confuses two of the classes."""

from __future__ import annotations

import numpy as np

from napari_aml.review.teach import Classroom

CODES = ("MYO", "LYT", "NGS", "MON")


def blobs(n=200, dim=12, seed=0, right=0.9, shares=(0.25, 0.25, 0.25, 0.25), spread=0.5):
    """Return (classroom, truth): a model that is right in `right` of the cells and takes MON for LYT otherwise."""
    rng = np.random.default_rng(seed)
    truth = rng.choice(4, n, p=shares)
    centres = np.eye(4, dim) * 3
    embedding = (centres[truth] + rng.normal(size=(n, dim)) * spread).astype(np.float32)
    said = truth.copy()
    wrong = rng.random(n) > right
    said[wrong] = np.where(truth[wrong] == 3, 1, 3)
    chances = np.full((n, 4), 0.1, np.float32)
    chances[np.arange(n), said] = 0.7
    chances += rng.uniform(0, 0.05, chances.shape).astype(np.float32)
    chances /= chances.sum(1, keepdims=True)
    return Classroom([f"c{i}" for i in range(n)], CODES, embedding, chances), truth


def say(room, truth, rows):
    """Return the decisions of a person who is right about these rows."""
    return {room.uids[r]: CODES[truth[r]] for r in rows}
