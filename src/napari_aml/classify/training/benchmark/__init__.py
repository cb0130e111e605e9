"""Compare backbones and recipes at equal budget, on one split and the same seeds: ``napari-aml benchmark``."""

from napari_aml.classify.training.benchmark.running import BenchmarkResult, benchmark_steps
from napari_aml.classify.training.benchmark.suites import SUITES, Arm, arms_of

__all__ = ["SUITES", "Arm", "BenchmarkResult", "arms_of", "benchmark_steps"]
