"""Two calls put into one number, over the classes that both models know and one rest.

Re-based from each model's own training shares to common ones, then pooled log-linearly. It assumes that the two calls
are independent given the class, which has never been tested on paired data: whoever shows the number says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from napari_aml.errors import InputError
from napari_aml.review.subtypes import OTHER, SharedClasses, same_name

#: Stands beside every fused number.
NOT_VALIDATED = "not validated on paired data"
#: A share below this is taken as this: a model that cannot say a class says nothing about it.
_LEAST = 1e-6


@dataclass(frozen=True, slots=True)
class FusionSettings:
    """How two calls are pooled.

    Attributes
    ----------
    alpha, beta
        Weights of the image's and the expression's call, each 0…1. One half each until someone has paired data to fit
        them on.
    prior
        Class → share that is assumed for the patient at hand, over the shared classes and ``other``; None: the mean of
        the two models' training shares. Shown beside the number.
    """

    alpha: float = 0.5
    beta: float = 0.5
    prior: Mapping[str, float] | None = None

    def __post_init__(self) -> None:
        for name in ("alpha", "beta"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"The weight {name} is {getattr(self, name)}.", "Give a number between 0 and 1.")
        if self.prior is not None and not all(np.isfinite(v) and v >= 0 for v in self.prior.values()):
            raise InputError("A prior share is negative or no number.", "Give shares of 0 or more.")


@dataclass(frozen=True, slots=True)
class Fused:
    """A fused call; shown only after both inputs.

    Attributes
    ----------
    classes, probabilities
        The shared classes and ``other``; sums to 1.
    prior
        The shares assumed, over the same classes.
    alpha, beta
        The weights used.
    note
        What must stand beside the numbers.
    """

    classes: tuple[str, ...]
    probabilities: tuple[float, ...]
    prior: tuple[float, ...]
    alpha: float
    beta: float
    note: str = field(
        default=f"{NOT_VALIDATED}; it assumes that picture and expression are independent given the class"
    )


def collapsed(classes: Sequence[str], values: Sequence[float] | np.ndarray, shared: SharedClasses) -> np.ndarray:
    """Return one model's probabilities (or training shares) over the shared classes and the rest.

    Parameters
    ----------
    classes, values
        (k,) a model's classes and what it gives them.
    shared
        What both models know.

    Returns
    -------
    numpy.ndarray
        float64 (len(shared.shared) + 1,); the last is everything else.
    """
    at = {same_name(c): i for i, c in enumerate(shared.shared)}
    out = np.zeros(len(shared.shared) + 1)
    for name, value in zip(classes, values, strict=True):
        out[at.get(same_name(name), -1)] += float(value)
    return out


def rebased(probabilities: np.ndarray, trained: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """Move probabilities from the shares a model was trained on to other shares: p · prior / trained, normed to 1.

    Parameters
    ----------
    probabilities, trained, prior
        (k,), each of sum 1. Where a model was trained without a class it says nothing about it, and the prior stands.
    """
    ratio = np.maximum(probabilities, _LEAST) / np.maximum(trained, _LEAST)
    out = ratio * prior
    return out / out.sum()


def divergence_bits(p: np.ndarray, q: np.ndarray) -> float:
    """Return the Jensen–Shannon divergence of two distributions in bits: 0 alike, 1 without overlap.

    Lin 1991, doi 10.1109/18.61115.
    """
    p, q = (np.asarray(v, float) / np.sum(v) for v in (p, q))
    middle = (p + q) / 2

    def apart(a: np.ndarray) -> float:
        there = a > 0
        return float(np.sum(a[there] * np.log2(a[there] / middle[there])))

    return min(1.0, max(0.0, (apart(p) + apart(q)) / 2))


def fuse(
    image: np.ndarray,
    expression: np.ndarray,
    image_trained: np.ndarray,
    expression_trained: np.ndarray,
    shared: SharedClasses,
    settings: FusionSettings | None = None,
) -> Fused:
    """Pool two calls: log p = α·log p_image + β·log p_expression − (α+β−1)·log prior + a constant.

    Parameters
    ----------
    image, expression
        (k,) from `collapsed`.
    image_trained, expression_trained
        (k,) the shares each model was trained on, from `collapsed`.
    shared
        What both models know; k = its classes and one rest.
    settings
        Weights and prior.

    Raises
    ------
    InputError
        When the prior names a class that is not shared, or is all zero.
    """
    settings = settings or FusionSettings()
    names = (*shared.shared, OTHER)
    prior = _prior(settings.prior, (image_trained + expression_trained) / 2, names)
    a = rebased(image, image_trained, prior)
    b = rebased(expression, expression_trained, prior)
    said = settings.alpha * np.log(np.maximum(a, _LEAST)) + settings.beta * np.log(np.maximum(b, _LEAST))
    said -= (settings.alpha + settings.beta - 1) * np.log(np.maximum(prior, _LEAST))
    p = np.exp(said - said.max())
    p /= p.sum()
    return Fused(names, tuple(map(float, p)), tuple(map(float, prior)), settings.alpha, settings.beta)


def _prior(given: Mapping[str, float] | None, trained: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
    if given is None:
        prior = np.maximum(trained, _LEAST)
        return prior / prior.sum()
    at = {same_name(name): i for i, name in enumerate(names)}
    prior = np.zeros(len(names))
    for name, value in given.items():
        if same_name(name) not in at:
            raise InputError(
                f"The prior names '{name}', which not both models know.", f"Give shares for: {', '.join(names)}."
            )
        prior[at[same_name(name)]] = value
    if prior.sum() <= 0:
        raise InputError("The prior shares are all 0.", f"Give shares for: {', '.join(names)}.")
    prior = np.maximum(prior / prior.sum(), _LEAST)
    return prior / prior.sum()
