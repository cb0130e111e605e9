"""Simulated patients: mixtures of real labelled cells. They show that the method works, nothing about AML.

The mixtures are drawn around the compositions below, which exaggerate what the literature says of these subtypes
(abnormal promyelocytes in PML::RARA, eosinophils and monocytes beside blasts in CBFB::MYH11, maturing granulocytes
beside blasts in RUNX1::RUNX1T1, monocytic blasts in NPM1). They are not measured from patients.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from napari_aml.errors import InputError
from napari_aml.patients.bags import Bag, Cohort

#: Subtype → relative share of cell classes.
PROFILES: dict[str, dict[str, float]] = {
    "control": {"NGS": 58, "LYT": 28, "MON": 7, "EOS": 4, "BAS": 1, "NGB": 2},
    "CBFB::MYH11": {"MYO": 34, "MON": 20, "EOS": 12, "LYT": 14, "NGS": 14, "MOB": 4, "MYB": 2},
    "NPM1": {"MYO": 36, "MOB": 16, "MON": 18, "LYT": 15, "NGS": 15},
    "PML::RARA": {"PMO": 40, "PMB": 20, "MYO": 12, "LYT": 16, "NGS": 12},
    "RUNX1::RUNX1T1": {"MYO": 46, "NGS": 16, "LYT": 18, "MYB": 8, "MMZ": 4, "EOS": 4, "PMO": 4},
}

NOTE = (
    "These patients are simulated: mixtures of cells of other people, drawn around invented compositions. "
    "They show that the method works and say nothing about AML."
)


def simulated_cohort(
    codes: Sequence[str],
    labels: Sequence[str] | np.ndarray,
    probabilities: np.ndarray,
    embedding: np.ndarray,
    uids: Sequence[str],
    bundle_id: str,
    *,
    groups: Sequence[str] | np.ndarray | None = None,
    profiles: Mapping[str, Mapping[str, float]] | None = None,
    patients: int = 20,
    cells: int = 150,
    concentration: float = 20.0,
    pools: int = 5,
    seed: int = 0,
) -> Cohort:
    """Put simulated patients together from real cells.

    Parameters
    ----------
    codes
        Class codes, the columns of `probabilities`.
    labels
        (n,) the class code that an expert gave each cell.
    probabilities, embedding
        float32 (n, k) and (n, d): what the image model says of them.
    uids
        (n,) the cells.
    bundle_id
        The image model.
    groups
        (n,) near-duplicates and the like: cells of one group go into one pool.
    profiles
        Subtype → composition; `PROFILES` by default. Classes without cells are left out.
    patients
        Of each subtype.
    cells
        Mean number of cells a patient.
    concentration
        Of the Dirichlet distribution around a composition; higher = patients more alike.
    pools
        The cells are parted into so many pools; a patient draws from one of them, and pools are what a split keeps
        together: no cell stands on both sides.
    seed
        Of everything that is drawn.

    Raises
    ------
    InputError
        When a composition has no cells at all in a pool.
    """
    rng = np.random.default_rng(seed)
    labels = np.asarray(labels, object)
    chosen = PROFILES if profiles is None else profiles
    pool = _pools(np.arange(len(labels)) if groups is None else np.asarray(groups, object), labels, pools, rng)
    bags = []
    for subtype, composition in chosen.items():
        for i in range(patients):
            mine = i % pools
            members = {c: np.flatnonzero((labels == c) & (pool == mine)) for c in composition}
            members = {c: m for c, m in members.items() if len(m)}
            if not members:
                raise InputError(
                    f"There are no cells for '{subtype}' in pool {mine + 1}.", "Use fewer pools or more labelled cells."
                )
            shares = np.array([composition[c] for c in members], float)
            share = rng.dirichlet(concentration * shares / shares.sum())
            drawn = rng.multinomial(max(10, rng.poisson(cells)), share)
            rows = np.concatenate([rng.choice(m, n) for m, n in zip(members.values(), drawn, strict=True)])
            names = tuple(f"{uids[row]}#{j}" for j, row in enumerate(rows))
            name = f"simulated {subtype} {i + 1:02d}"
            bags.append(Bag(name, probabilities[rows], embedding[rows], names, subtype, f"pool {mine + 1}"))
    return Cohort(tuple(bags), tuple(codes), bundle_id, "simulated patients", simulated=True, notes=(NOTE,))


def _pools(groups: np.ndarray, labels: np.ndarray, pools: int, rng: np.random.Generator) -> np.ndarray:
    """Part cells into pools, group by group, each class spread evenly."""
    names, first, index = np.unique(groups.astype(str), return_index=True, return_inverse=True)
    of_group = np.zeros(len(names), int)
    for label in np.unique(labels[first].astype(str)):
        members = rng.permutation(np.flatnonzero(labels[first].astype(str) == label))
        of_group[members] = (np.arange(len(members)) + rng.integers(pools)) % pools
    return of_group[index]

