"""A small log of CSV tables with its motet.toml, made to be broken in one place at a time."""

from pathlib import Path

import numpy as np
import polars as pl

CONFIG = """\
[tables]
impressions = "log.csv"
items = "items.csv"

[columns]
user = "user"
item = "item"
time = "time"
scenario = "surface"
kind = "kind"

[[tasks]]
name = "click"
label = "clicked"

[[tasks]]
name = "stars"
label = "rating"
form = "regression"
low = 1
high = 5
observed_when = "clicked = 1"

[features.item]
price = "numeric"
title = "text"

[split]
by = "time"

[train]
epochs = 1
threads = 1

[evaluate]
seeds = 1
resamples = 50
ranking_users = 5
workers = 1
baselines = ["popularity"]
presets = []
"""


def write(folder: Path, rows: int = 400) -> Path:
    """Write the tables and the schema; the path of the schema."""
    rng = np.random.default_rng(5)
    item = rng.integers(0, 24, rows)
    click = rng.random(rows) < np.where(item % 2 == 0, 0.7, 0.2)
    log = pl.DataFrame(
        {
            "user": [f"u{u}" for u in rng.integers(0, 12, rows)],
            "item": [f"i{i}" for i in item],
            "time": 1_714_000_000 + np.arange(rows) * 1000,
            "surface": np.where(rng.random(rows) < 0.5, "web", "app"),
            "clicked": click.astype(int),
            "rating": rng.integers(1, 6, rows),
        }
    )
    items = pl.DataFrame(
        {
            "item": [f"i{i}" for i in range(24)],
            "kind": ["goods" if i % 3 else "content" for i in range(24)],
            "price": [float(i) for i in range(24)],
            "title": [f"Thing {i}" for i in range(24)],
        }
    )
    log.write_csv(folder / "log.csv")
    items.write_csv(folder / "items.csv")
    (folder / "motet.toml").write_text(CONFIG, encoding="utf-8")
    return folder / "motet.toml"


def go_on(folder: Path, rows: int = 200, *, keep: bool = True) -> None:
    """More rows behind the log's, or instead of them: of half of its users, of new ones, of old items and new ones."""
    rng, log = np.random.default_rng(6), pl.read_csv(folder / "log.csv")
    items = pl.read_csv(folder / "items.csv")
    item = rng.integers(12, 30, rows)
    newer = pl.DataFrame(
        {
            "user": [f"u{u}" for u in rng.integers(6, 18, rows)],
            "item": [f"i{i}" for i in item],
            "time": int(log["time"].max()) + 1000 + np.arange(rows) * 1000,  # type: ignore[arg-type]
            "surface": np.where(rng.random(rows) < 0.3, "web", "app"),
            "clicked": (rng.random(rows) < np.where(item % 2 == 0, 0.7, 0.2)).astype(int),
            "rating": rng.integers(1, 6, rows),
        }
    )
    more = pl.DataFrame(
        {"item": [f"i{i}" for i in range(24, 30)], "kind": ["goods"] * 6, "price": [50.0] * 6, "title": ["New"] * 6}
    )
    (pl.concat([log, newer], how="diagonal") if keep else newer).write_csv(folder / "log.csv")
    pl.concat([items, more]).write_csv(folder / "items.csv")


def change(file: Path, before: str, after: str) -> None:
    """Replace a piece of text that stands there exactly once."""
    text = file.read_text(encoding="utf-8")
    assert text.count(before) == 1, (before, text.count(before))
    file.write_text(text.replace(before, after), encoding="utf-8")


def edit(file: Path, **columns: pl.Expr) -> None:
    """Give columns of a table other values."""
    pl.read_csv(file).with_columns(**columns).write_csv(file)
