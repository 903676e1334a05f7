"""A small log of sequences without tasks: in each scenario users walk along a ring of items, mostly one step a time."""

from pathlib import Path

import numpy as np
import polars as pl

CONFIG = """\
tasks = []

[tables]
impressions = "log.csv"

[columns]
user = "user"
item = "item"
time = "time"
scenario = "surface"

[split]
by = "leave_last_out"

[history]
length = 8

[running]
keys = []

[train]
threads = 1

[next_item]
width = 16
layers = 1
dropout = 0.1
negatives = 10
epochs = 12
batch_size = 16
lr = 0.01

[evaluate]
workers = 1
"""
RINGS = {"web": 30, "app": 20}


def write(folder: Path, users: int = 120) -> Path:
    """Write the table and the schema; the path of the schema."""
    rng, parts = np.random.default_rng(3), []
    for surface, ring in RINGS.items():
        start_U, length_U = rng.integers(0, ring, users), rng.integers(5, 15, users)
        user_N = np.repeat(np.arange(users), length_U)
        place_N = np.concatenate([np.arange(length) for length in length_U])
        item_N = (np.repeat(start_U, length_U) + place_N) % ring
        parts.append(
            pl.DataFrame({
                "user": [f"u{u}" for u in user_N],
                "item": [f"{surface} {i}" for i in item_N],
                "time": 1_714_000_000 + place_N * 3600 + (surface == "app") * 1800,
                "surface": surface,
            })
        )  # fmt: skip
    pl.concat(parts).write_csv(folder / "log.csv")
    (folder / "motet.toml").write_text(CONFIG, encoding="utf-8")
    return folder / "motet.toml"
