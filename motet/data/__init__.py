"""Logs in, packed point-in-time arrays out."""
