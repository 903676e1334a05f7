"""Simple models every table shows, behind the ranker's protocol."""
