"""Tables like those that people have, and what to ask of an inference."""

import tomllib
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from motet.data.infer import Finding, Inference
from motet.data.prepare import PrepareSettings, check_tables
from motet.data.split import Split
from motet.schema import Schema, Task
from motet.settings import parse

START = 1_700_000_000
ROWS = 3000
Columns = Mapping[str, Any]


def schema_of(inference: Inference) -> Schema:
    data = tomllib.loads(inference.toml)
    parse(Split, data.pop("split"))
    return parse(Schema, data)


def split_of(inference: Inference) -> str:
    return parse(Split, tomllib.loads(inference.toml)["split"]).by


def finding(inference: Inference, column: str) -> Finding:
    return next(found for found in inference.findings if found.column == column)


def task_of(inference: Inference, name: str) -> Task:
    return schema_of(inference).task(name)


def assert_runs(inference: Inference, folder: Path) -> None:
    """`motet prepare` would take the file as it is: tables, labels, splits and features, and no outcome among these."""
    split = parse(Split, tomllib.loads(inference.toml)["split"])
    schema = schema_of(inference)
    told = check_tables(schema, PrepareSettings(split=split), folder)
    assert min(told["rows"].values()) > 0
    assert {cell["task"] for cell in told["cells"]} == {task.name for task in schema.tasks}


def written(folder: Path, name: str, columns: Columns | pl.DataFrame) -> Path:
    frame = columns if isinstance(columns, pl.DataFrame) else pl.DataFrame(columns)
    path = folder / name
    match path.suffix:
        case ".csv":
            frame.write_csv(path)
        case ".tsv":
            frame.write_csv(path, separator="\t")
        case ".jsonl":
            frame.write_ndjson(path)
        case _:
            frame.write_parquet(path)
    return path


def log(rows: int = ROWS, users: int = 60, items: int = 200, seed: int = 0) -> dict[str, Any]:
    """A plain log: user, item, time in seconds and clicks that depend on the item."""
    rng = np.random.default_rng(seed)
    item = rng.integers(0, items, rows)
    return {
        "user_id": rng.integers(0, users, rows),
        "item_id": item,
        "timestamp": START + np.sort(rng.integers(0, 30 * 86_400, rows)),
        "click": (rng.random(rows) < 0.2 + 0.3 * (item % 2)).astype(int),
    }


def kuairand(folder: Path) -> list[Path]:
    rng = np.random.default_rng(1)
    plain = log(seed=1)
    watched = np.where(plain["click"] == 1, rng.integers(5_000, 60_000, ROWS), rng.integers(0, 6_000, ROWS))
    impressions = {
        "user_id": plain["user_id"],
        "video_id": plain["item_id"],
        "date": 20_220_400 + rng.integers(1, 15, ROWS),
        "hourmin": 100 * rng.integers(0, 24, ROWS),
        "time_ms": plain["timestamp"] * 1000,
        "is_click": plain["click"],
        "is_like": (rng.random(ROWS) < 0.1).astype(int),
        "long_view": (watched > 20_000).astype(int),
        "play_time_ms": watched,
        "duration_ms": 1000 * (plain["item_id"] % 50 + 7),
        "comment_stay_time": rng.integers(0, 900, ROWS),
        "tab": rng.choice([0, 1, 4], ROWS, p=[0.2, 0.7, 0.1]),
    }
    users = {
        "user_id": np.arange(60),
        "user_active_degree": rng.choice(["full_active", "high_active", "middle_active"], 60),
        "is_lowactive_period": np.zeros(60, dtype=int),
        "follow_user_num": rng.integers(0, 5000, 60),
        "register_days": rng.integers(10, 3000, 60),
        "onehot_feat3": rng.integers(0, 40, 60),
    }
    return [written(folder, "log.tsv", impressions), written(folder, "users.csv", users)]


def shop(folder: Path) -> list[Path]:
    rng = np.random.default_rng(3)
    kinds = np.array(["goods", "content"])[np.arange(200) % 2]
    item = rng.integers(0, 200, ROWS)
    clicked = rng.random(ROWS) < 0.4
    bought = clicked & (rng.random(ROWS) < 0.4) & (kinds[item] == "goods")
    liked = (rng.random(ROWS) < 0.3) & (kinds[item] == "content")
    shown = [datetime(2024, 3, 1) + timedelta(seconds=int(s)) for s in np.sort(rng.integers(0, 4_000_000, ROWS))]
    later = rng.integers(3600, 45 * 3600, ROWS)
    request = np.arange(ROWS) // 5
    impressions = {
        "request_id": [f"r{n}" for n in request],
        "member": [f"m{n % 40}" for n in request],
        "sku": [f"p{n}" for n in item],
        "shown_at": shown,
        "surface": rng.choice(["desktop", "mobile", "voice"], ROWS // 5, p=[0.3, 0.5, 0.2])[request],
        "pos": np.arange(ROWS) % 5,
        "propensity": rng.uniform(0.01, 0.9, ROWS),
        "clicked": clicked,
        "purchased": bought.astype(int),
        "purchased_at": [
            s + timedelta(seconds=int(d)) if b else None for s, d, b in zip(shown, later, bought, strict=True)
        ],
        "liked": liked.astype(int),
        "is_weekend": (rng.random(ROWS // 5) < 0.3)[request],
        "dwell": np.where(clicked, rng.exponential(30, ROWS), 0.0),
    }
    items = {
        "sku": [f"p{n}" for n in range(200)],
        "kind": kinds,
        "price": rng.lognormal(3, 1, 200),
        "title": [f"{rng.choice(['red', 'blue'])} {rng.choice(['shoe', 'lamp'])} number {n}" for n in range(200)],
        "tags": [rng.choice(["new", "sale", "eco", "kids"], 2, replace=False).tolist() for _ in range(200)],
        "photo": rng.normal(size=(200, 8)).tolist(),
        "brand": rng.choice(["acme", "bolt", "core"], 200),
        "url": [f"https://shop.example/p/{n}" for n in range(200)],
        "listed": [datetime(2023, 1, 1) + timedelta(days=n) for n in range(200)],
        "notes": pl.Series([None] * 200, dtype=pl.String),
    }
    return [written(folder, "items.parquet", items), written(folder, "log.parquet", impressions)]


SHARED = Path(__file__).resolve().parents[2] / "../shared/data"


def shared(*names: str) -> list[Path]:
    files = [SHARED / name for name in names]
    if not all(file.exists() for file in files):
        pytest.skip("the real data is not beside the repository")
    return files
