"""The cells of a whole project as one pool."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from napari_aml.errors import InputError
from napari_aml.progress import Progress, Steps
from napari_aml.review.final import settled
from napari_aml.review.queue.pool import Pool
from napari_aml.review.queue.trust import CellTrust, trust_of
from napari_aml.review.teach.classroom import Classroom, teach_steps

if TYPE_CHECKING:
    import pandas as pd

    from napari_aml.classify import Predictions
    from napari_aml.review.project import Project
    from napari_aml.review.queue.ranking import Ranking


def project_pool_steps(
    project: Project,
    *,
    reader: str | None = None,
    slide_ids: Sequence[str] | None = None,
    teach: bool = True,
    wanted: tuple[str, ...] = (),
) -> Steps[tuple[Pool, np.ndarray, list[str]]]:
    """Gather the cells of a project's slides of which one model spoke.

    Parameters
    ----------
    project
        Open.
    reader
        Whose decisions count; None: what all agree on.
    slide_ids
        Of which slides; all by default.
    teach
        Let the decisions teach a light head before cells are ordered.
    wanted
        Class codes to hunt for.

    Returns
    -------
    tuple
        The pool, the slide of each of its cells, and what a person should know.

    Raises
    ------
    InputError
        When no slide of the project is classified, or a slide is not in the project.
    """
    entries = [project.entry(s) for s in slide_ids] if slide_ids else project.slides()
    parts, notes = [], []
    for done, entry in enumerate(entries):
        yield Progress(done, len(entries), f"Reading {entry.slide_id}")
        said = project.predictions(entry.slide_id) if project.has_cells(entry.slide_id) else None
        if said is None or not len(said) or not said.embedding.shape[1]:
            notes.append(f"{entry.slide_id} is left out: its cells are not classified.")
        else:
            parts.append((entry.slide_id, project.cells(entry.slide_id).table["uid"].tolist(), said))
    if not parts:
        raise InputError(
            "No slide of this project has classified cells.",
            "Add pictures: napari-aml project add PROJECT PICTURE",
        )
    kind: Counter[tuple[str, tuple[str, ...], int]] = Counter()
    for _, _, said in parts:
        kind[said.bundle_id, said.codes, said.embedding.shape[1]] += len(said)
    chosen = kind.most_common(1)[0][0]
    for slide_id, _, said in parts:
        if (said.bundle_id, said.codes, said.embedding.shape[1]) != chosen:
            notes.append(f"{slide_id} is left out: it was classified by {said.bundle_id}, the others by {chosen[0]}.")
    parts = [p for p in parts if (p[2].bundle_id, p[2].codes, p[2].embedding.shape[1]) == chosen]
    uids = [uid for _, own, _ in parts for uid in own]
    embedding = np.concatenate([said.embedding for _, _, said in parts])
    room = Classroom(uids, chosen[1], embedding, np.concatenate([said.probabilities for _, _, said in parts]))
    decided = {uid: code for uid, (code, _, _) in settled(project.decisions(), reader).items() if code}
    taught = (yield from teach_steps(room, decided)) if teach and decided else None
    trust = CellTrust.joined([_trust(project, slide_id, said) for slide_id, _, said in parts])
    slides = np.repeat([slide_id for slide_id, _, _ in parts], [len(own) for _, own, _ in parts])
    return Pool(room, decided, taught, wanted=wanted, trust=trust), slides, notes


def _trust(project: Project, slide_id: str, said: Predictions) -> CellTrust:
    from napari_aml.review.project.runs import find_bundle

    run = project.cell_store.current(slide_id)
    bundle = None if run is None else find_bundle(run.bundle_id, run.bundle_path)
    return trust_of(bundle, said, len(said))


def queue_table(ranking: Ranking, pool: Pool, slides: np.ndarray, most: int | None = None) -> pd.DataFrame:
    """Return ``place, uid, slide_id, model, probability, decided, score, order, why`` of the first cells of a queue."""
    import pandas as pd

    table = ranking.table(most)
    rows = ranking.rows[: len(table)]
    first = pool.ranks[0][rows] if len(rows) else np.zeros(0, int)
    table.insert(2, "slide_id", pd.Series(slides[rows], dtype="str"))
    table.insert(3, "model", pd.Series([pool.codes[c] for c in first], dtype="str"))
    table.insert(4, "probability", pool.probabilities[rows, first].astype(float).round(4))
    table.insert(5, "decided", pd.Series([pool.decided.get(uid, "") for uid in table["uid"]], dtype="str"))
    return table
