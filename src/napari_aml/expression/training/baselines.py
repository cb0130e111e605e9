"""What the networks are measured against: logistic regression, linear SVM, random forest, nearest neighbours.

Every model answers with scores that a softmax turns into probabilities after a temperature is fitted on inner folds;
for models that give shares (forest, neighbours) the score is the logarithm of the share.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

#: A gene's least spread, as for the networks.
_LEAST_SPREAD = 0.3

#: Model → the settings that inner folds choose between.
BASELINES: dict[str, tuple[dict[str, Any], ...]] = {
    "logistic regression": (
        {"C": 0.001, "class_weight": "balanced"}, {"C": 0.01, "class_weight": "balanced"},
        {"C": 0.1, "class_weight": "balanced"}, {"C": 0.01},
    ),
    "linear SVM": (
        {"C": 1e-4, "class_weight": "balanced"}, {"C": 1e-3, "class_weight": "balanced"},
        {"C": 1e-2, "class_weight": "balanced"}, {"C": 1e-3},
    ),
    "random forest": ({"max_features": "sqrt"}, {"max_features": 0.1}),
    "nearest neighbours": ({"n_neighbors": 1}, {"n_neighbors": 3}, {"n_neighbors": 7}),
}

Scorer = Callable[[np.ndarray], np.ndarray]


def fit_baseline(
    name: str, x: np.ndarray, targets: np.ndarray, classes: int, settings: Mapping[str, Any], seed: int
) -> Scorer:
    """Fit one baseline; return what gives the scores (n, classes) of new rows.

    Parameters
    ----------
    name
        A key of `BASELINES`.
    x, targets, classes
        (n, genes) log expression and (n,) classes. Standardised by these rows alone.
    settings, seed
        Of the model.
    """
    centre, spread = x.mean(0), x.std(0) + _LEAST_SPREAD

    def standardised(rows: np.ndarray) -> np.ndarray:
        return np.clip((rows - centre) / spread, -6, 6)

    model = _model(name, settings, seed, len(x)).fit(standardised(x), targets)
    present = np.asarray(model.classes_, int)

    def score(rows: np.ndarray) -> np.ndarray:
        out = np.full((len(rows), classes), -30.0)
        if hasattr(model, "predict_proba"):
            held = np.log(np.clip(model.predict_proba(standardised(rows)), 1e-3, 1))
        else:
            held = np.asarray(model.decision_function(standardised(rows)))
            held = np.column_stack([-held, held]) if held.ndim == 1 else held
        out[:, present] = held
        return out

    return score


def _model(name: str, settings: Mapping[str, Any], seed: int, rows: int) -> Any:
    if name == "logistic regression":
        from sklearn.linear_model import LogisticRegression

        return LogisticRegression(max_iter=3000, **settings)
    if name == "linear SVM":
        from sklearn.svm import LinearSVC

        return LinearSVC(max_iter=20000, random_state=seed, **settings)
    if name == "random forest":
        from sklearn.ensemble import RandomForestClassifier

        options = {"class_weight": "balanced_subsample", "n_jobs": 1, **settings}
        return RandomForestClassifier(200, random_state=seed, **options)
    from sklearn.neighbors import KNeighborsClassifier

    settings = {**settings, "n_neighbors": min(settings["n_neighbors"], rows)}
    return KNeighborsClassifier(weights="distance", **settings)
