"""Training of expression models: labels, fitting, cross-validation, calibration, bundles."""
