"""A small log with everything in it: two scenarios, two kinds, a delayed task, a regression, tags, texts, vectors."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from motet.data.history import HistorySettings
from motet.data.prepare import PrepareSettings, prepare
from motet.data.running import Running
from motet.schema import Schema
from motet.settings import parse

START = 1_700_000_000.0
KEYS = (("scenario",), ("user",), ("item",), ("user", "scenario"), ("user", "age"), ("item", "kind", "weather"))


def schema(**changes: Any) -> Schema:
    return parse(Schema, _SCHEMA | changes)


def write(folder: Path, rows: int = 600, seed: int = 0) -> dict[str, pl.DataFrame]:
    """The three tables as Parquet files; they come back as frames."""
    rng = np.random.default_rng(seed)
    users, items = 30, 20
    user, item = rng.integers(0, users, rows), rng.integers(0, items, rows)
    click = rng.random(rows) < 0.2 + 0.6 * (item % 3 == 0)
    impressions = pl.DataFrame(
        {
            "user_id": [f"u{u}" for u in user],
            "item_id": [f"i{i}" for i in item],
            "surface": np.where(rng.random(rows) < 0.3, "voice", "mobile"),
            "at": START + np.sort(rng.integers(0, 14 * 86_400, rows)).astype(float),
            "clicked": click.astype(int),
            "bought": (click & (rng.random(rows) < 0.4)).astype(int),
            "rating": np.where(click, rng.integers(1, 6, rows), 0).astype(float),
            "weather": rng.choice(["sun", "rain"], rows),
            "queue": rng.exponential(3.0, rows),
            "rank": rng.integers(1, 9, rows),
            "request": [f"r{r // 3}" for r in range(rows)],
            "p": rng.random(rows),
            "best": rng.random(rows),
        }
    ).with_columns(queue=pl.when(pl.int_range(rows) % 11 == 0).then(None).otherwise("queue"))
    frames = {
        "impressions": impressions,
        "users": pl.DataFrame({"user_id": [f"u{u}" for u in range(users)], "age": np.arange(users) % 7}),
        "items": pl.DataFrame(
            {
                "item_id": [f"i{i}" for i in range(items + 2)],
                "kind": ["goods" if i % 4 else "content" for i in range(items + 2)],
                "price": [None if i == 3 else float(i) ** 2 for i in range(items + 2)],
                "tags": ["|".join(f"t{t}" for t in range(i % 4)) or None for i in range(items + 2)],
                "title": [f"Title {i}" for i in range(items + 2)],
                "photo": [[float(i), 1.0] for i in range(items + 2)],
            }
        ),
    }
    for name, frame in frames.items():
        frame.write_parquet(folder / f"{name}.parquet")
    return frames


def prepared(folder: Path) -> Path:
    """The tables, and the prepared folder `p` beside them with counts of all sorts of keys."""
    write(folder)
    settings = PrepareSettings(history=HistorySettings(length=6, events="positive"), running=Running(keys=KEYS))
    prepare(schema(), settings, folder, folder / "p")
    return folder


_SCHEMA: dict[str, Any] = {
    "tables": {"impressions": "impressions.parquet", "users": "users.parquet", "items": "items.parquet"},
    "columns": {
        "user": "user_id",
        "item": "item_id",
        "time": "at",
        "scenario": "surface",
        "kind": "kind",
        "request": "request",
        "position": "rank",
        "propensity": "p",
    },
    "scenarios": [{"name": "mobile"}, {"name": "voice"}],
    "tasks": [
        {"name": "click", "label": "clicked"},
        {"name": "buy", "label": "bought", "after": "click", "delay": "1d", "kinds": ["goods"]},
        {"name": "stars", "label": "rating", "form": "regression", "observed_when": "clicked = 1"},
    ],
    "features": {
        "user": {"age": "categorical"},
        "item": {"price": "numeric", "tags": "tags", "title": "text", "photo": "vector"},
        "context": {"weather": "categorical", "queue": "numeric", "rank": "categorical"},
    },
    "references": [{"name": "oracle", "columns": {"click": "best"}, "ceiling": True}],
}
