"""Searches for better settings, on valid cells alone."""
