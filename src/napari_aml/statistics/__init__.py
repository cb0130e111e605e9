"""Figures that every room needs: metrics, intervals, calibration, conformal sets, agreement. NumPy only."""
