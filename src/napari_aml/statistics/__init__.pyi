from .calibration import (
    Reliability,
    RiskCoverage,
    brier,
    classwise_ece,
    ece,
    fit_temperature,
    negative_log_likelihood,
    per_class_ece,
    reliability,
    risk_coverage,
    softmax,
)
from .conformal import ConformalSets, least_rows, set_summary
from .intervals import bootstrap_interval, exact_interval
from .metrics import classification_metrics, confusion, summaries
from .ood import EmbeddingScore, energy
from .splits import grouped_stratified_folds

__all__ = [
    "ConformalSets",
    "EmbeddingScore",
    "Reliability",
    "RiskCoverage",
    "bootstrap_interval",
    "brier",
    "classification_metrics",
    "classwise_ece",
    "confusion",
    "ece",
    "energy",
    "exact_interval",
    "fit_temperature",
    "grouped_stratified_folds",
    "least_rows",
    "negative_log_likelihood",
    "per_class_ece",
    "reliability",
    "risk_coverage",
    "set_summary",
    "softmax",
    "summaries",
]
