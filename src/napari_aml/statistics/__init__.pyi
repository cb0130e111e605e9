from .agreement import Agreement, cohen_kappa, fleiss_kappa, krippendorff_alpha
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
    "Agreement",
    "ConformalSets",
    "EmbeddingScore",
    "Reliability",
    "RiskCoverage",
    "bootstrap_interval",
    "brier",
    "classification_metrics",
    "classwise_ece",
    "cohen_kappa",
    "confusion",
    "ece",
    "energy",
    "exact_interval",
    "fit_temperature",
    "fleiss_kappa",
    "grouped_stratified_folds",
    "krippendorff_alpha",
    "least_rows",
    "negative_log_likelihood",
    "per_class_ece",
    "reliability",
    "risk_coverage",
    "set_summary",
    "softmax",
    "summaries",
]
