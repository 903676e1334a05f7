"""Pure functions on probabilities and labels: metrics, calibration, blend."""
