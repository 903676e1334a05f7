"""Measurements behind every figure in the documentation; each prints JSON and can be run by anyone with the data."""
