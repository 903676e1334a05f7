"""Answering requests: retrieve, rank, blend."""
