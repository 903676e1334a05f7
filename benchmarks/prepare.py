"""Preparing logs: rows a minute from CSV and Parquet, peak memory, and how much faster than the usual pandas script.

python -m benchmarks.prepare [--json] [--quick] [--rows N] [--memory 3GB]

A seeded log of 20 columns (user, item, time, scenario, four labels, six categorical and five numeric features, tags)
with Zipf popularity is prepared by the command line in a process of its own: cleaned, split, encoded, with running
counts and histories, and written. The pandas script encodes the same columns, makes the same kind of counts per user,
item, scenario and pair, scales, pads the last 20 items of each row's user, and saves; it cleans and splits nothing.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.output import options

SCENARIOS = ("home", "search", "cart", "mail", "voice")
LABELS = ("clicked", "carted", "bought", "rating")
CATEGORIES = ("device", "country", "category", "brand", "campaign", "slot")
NUMBERS = ("price", "age_days", "discount", "session", "speed")
PART_ROWS = 1_000_000
HISTORY = 20  # as `motet prepare` keeps by default
CONFIG = """[tables]
impressions = "log-*.{suffix}"

[columns]
user = "user_id"
item = "item_id"
time = "time"
scenario = "surface"

[[tasks]]
name = "click"
label = "clicked"

[[tasks]]
name = "cart"
label = "carted"

[[tasks]]
name = "purchase"
label = "bought"
after = "click"

[[tasks]]
name = "stars"
label = "rating"
form = "regression"
low = 1
high = 5

[features.context]
{features}
"""


def generate(folder: Path, rows: int) -> None:
    """The log as Parquet and as CSV, a file per million rows, with a motet.toml for either."""
    import polars as pl

    folder.mkdir(parents=True, exist_ok=True)
    forms = dict.fromkeys(CATEGORIES, "categorical") | dict.fromkeys(NUMBERS, "numeric") | {"tags": "tags"}
    features = "\n".join(f'{name} = "{form}"' for name, form in forms.items())
    for suffix in ("parquet", "csv"):
        (folder / f"{suffix}.toml").write_text(CONFIG.format(suffix=suffix, features=features), encoding="utf-8")
    for place, part in enumerate(_parts(rows)):
        part.write_parquet(folder / f"log-{place:03}.parquet")
        part.with_columns(pl.selectors.float().round(3)).write_csv(folder / f"log-{place:03}.csv")


def _parts(rows: int) -> Iterator[Any]:
    import numpy as np
    import polars as pl

    rng = np.random.default_rng(7)
    users, items = max(rows // 20, 10), max(rows // 100, 10)
    taste = rng.normal(0, 1, (users, 1)) + rng.normal(0, 0.5, (users, len(SCENARIOS)))
    appeal, category, brand = rng.normal(0, 1, items), rng.integers(0, 200, items), rng.integers(0, 5000, items)
    price, tags = rng.lognormal(3, 1, items).round(2), np.array([f"t{tag}" for tag in range(300)])
    bags = pl.Series(["|".join(tags[rng.zipf(1.5, size) % 300]) for size in rng.integers(0, 4, items)])

    def named(prefix: str, numbers: Any) -> pl.Series:
        return pl.select(pl.lit(prefix) + pl.Series(numbers).cast(pl.String)).to_series()

    def popular(count: int, size: int) -> Any:
        """Zipf with exponent 1 over `count` names in no order of their number."""
        ranks = np.exp(rng.random(size) * np.log(count)).astype(np.int64) - 1
        return (ranks * 7_919 + 13) % count

    start = 1_700_000_000
    for first in range(0, rows, PART_ROWS):
        size = min(PART_ROWS, rows - first)
        user, item, scenario = popular(users, size), popular(items, size), popular(len(SCENARIOS), size)
        click = rng.random(size) < 1 / (1 + np.exp(2 - taste[user, scenario] - appeal[item]))
        cart = rng.random(size) < np.where(click, 0.3, 0.02)
        bought = click & (rng.random(size) < 0.2)
        seconds = start + (first + np.sort(rng.random(size)) * size) * (60 * 86_400 / rows)
        yield pl.DataFrame(
            {
                "user_id": named("u", user),
                "item_id": named("i", item),
                "time": seconds.astype(np.int64),
                "surface": pl.Series(SCENARIOS).gather(scenario),
                "clicked": click.astype(np.int64),
                "carted": cart.astype(np.int64),
                "bought": bought.astype(np.int64),
                "rating": pl.Series(rng.integers(1, 6, size)).set(pl.Series(~bought), None),
                "device": named("d", popular(12, size)),
                "country": named("c", popular(60, size)),
                "category": named("k", category[item]),
                "brand": named("b", brand[item]),
                "campaign": popular(500, size),
                "slot": rng.integers(1, 11, size),
                "price": price[item],
                "age_days": rng.exponential(30, size),
                "discount": pl.Series(rng.random(size)).set(pl.Series(rng.random(size) < 0.3), None),
                "session": rng.poisson(6, size),
                "speed": rng.normal(20, 5, size),
                "tags": bags.gather(item),
            }
        )  # fmt: skip


def pandas_script(folder: Path, suffix: str) -> dict[str, float]:
    """What one usually writes: label-encode, count and sum before each row by group, scale, save."""
    import numpy as np
    import pandas as pd
    from sklearn.preprocessing import LabelEncoder, StandardScaler

    started = time.monotonic()
    read = pd.read_parquet if suffix == "parquet" else pd.read_csv
    log = pd.concat([read(file) for file in sorted(folder.glob(f"log-*.{suffix}"))], ignore_index=True)
    log = log.sort_values("time", kind="stable", ignore_index=True)
    for column in ("user_id", "item_id", "surface", *CATEGORIES):
        log[column] = LabelEncoder().fit_transform(log[column])
    tags = LabelEncoder()
    tag_lists = log["tags"].fillna("").str.split("|")
    exploded = tag_lists.explode()
    codes = pd.Series(tags.fit_transform(exploded), index=exploded.index)
    place = codes.groupby(level=0).cumcount()
    for number in range(3):
        log[f"tag_{number}"] = codes[place == number].reindex(log.index, fill_value=-1)
    labels = log[list(LABELS)].fillna(0)
    for keys in (["surface"], ["user_id"], ["item_id"], ["user_id", "surface"], ["item_id", "surface"]):
        groups, name = log.groupby(keys, sort=False), "_".join(keys)
        seen = groups.cumcount()
        log[f"{name}_seen"] = np.log1p(seen)
        for label in LABELS:
            before = labels[label].groupby([log[key] for key in keys], sort=False).cumsum() - labels[label]
            log[f"{name}_{label}"] = (before + 1) / (seen + 10)
        if len(keys) == 1 and keys != ["surface"]:
            log[f"{name}_gap"] = np.log1p(groups["time"].diff().fillna(0))
    made = [name for name in log.columns if name.endswith(("_seen", "_gap", *(f"_{label}" for label in LABELS)))]
    scaled = StandardScaler().fit_transform(log[[*NUMBERS, *made]].fillna(0)).astype(np.float32)
    codes_NK = log[["user_id", "item_id", "surface", *CATEGORIES, "tag_0", "tag_1", "tag_2"]].to_numpy(np.int32)
    history_NL, items = np.zeros((len(log), HISTORY), np.int32), log["item_id"].to_numpy()
    for rows in log.groupby("user_id", sort=False).indices.values():
        own = items[rows] + 1
        for place in range(1, len(rows)):
            past = own[max(0, place - HISTORY) : place]
            history_NL[rows[place], -len(past) :] = past
    arrays = {
        "ids": codes_NK,
        "numbers": scaled,
        "labels": log[list(LABELS)].to_numpy(np.float32),
        "history": history_NL,
    }
    for file, array in arrays.items():
        np.save(folder / f"pandas-{file}.npy", array)
    return {"seconds": time.monotonic() - started, "columns": float(scaled.shape[1] + codes_NK.shape[1])}


def measured(*command: str) -> tuple[dict[str, Any], float, int]:
    """What a command prints as JSON, its seconds, and its peak of resident memory in bytes."""
    started = time.monotonic()
    with subprocess.Popen([sys.executable, "-m", *command], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        printed = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed")
    return json.loads(printed or "{}"), time.monotonic() - started, usage.ru_maxrss * 1024


def prepared(folder: Path, suffix: str, memory: str) -> dict[str, Any]:
    """One `motet prepare`: its own seconds (without starting Python), rows a minute and peak memory."""
    command = ("motet", "prepare", str(folder / f"{suffix}.toml"), "--prepared", str(folder / "prepared"))
    found, whole, peak = measured(*command, "--memory", memory, "--force", "--json")
    stages, rows = found["manifest"]["seconds"], sum(found["manifest"]["rows"].values())
    seconds = sum(stages.values())
    return {
        "rows": rows,
        "seconds": round(seconds, 1),
        "seconds_with_start": round(whole, 1),
        "rows_per_minute": round(rows / seconds * 60),
        "peak_rss_mb": round(peak / 1e6),
        "stages": stages,
    }


def run(work: Path, rows: int, pandas_rows: int, memory: str) -> dict[str, Any]:
    """Both formats at full size, and Motet and pandas on the same smaller log where they differ."""
    found: dict[str, Any] = {"benchmark": "prepare", "columns": 20, "memory": memory}
    for name, size in {"log": rows, "same": pandas_rows}.items():
        folder = work / f"{name}-{size}"
        if not (folder / "csv.toml").exists():
            measured("benchmarks.prepare", "--work", str(folder), "--rows", str(size), "--step", "generate")
        if name == "log":
            found |= {suffix: prepared(folder, suffix, memory) for suffix in ("parquet", "csv")}
    for suffix in ("parquet", "csv"):
        ours = found[suffix] if rows == pandas_rows else prepared(folder, suffix, memory)
        theirs, _, peak = measured("benchmarks.prepare", "--work", str(folder), "--step", f"pandas-{suffix}")
        seconds = theirs["seconds"]
        found[f"pandas_{suffix}"] = {
            "rows": pandas_rows,
            "seconds": round(seconds, 1),
            "motet_seconds": ours["seconds"],
            "times_faster": round(seconds / ours["seconds"], 1),
            "peak_rss_mb": round(peak / 1e6),
        }
    return found


def main() -> None:
    parser = options(__doc__, quick="a small log, in less than a minute")
    parser.add_argument("--rows", type=int, help="impressions; default: 20 million, quick: one million")
    parser.add_argument("--memory", default="3GB", help="what `motet prepare` may use")
    parser.add_argument("--work", type=Path, default=Path("benchmarks/.work/prepare"), help="where logs are written")
    parser.add_argument("--step", choices=["generate", "pandas-parquet", "pandas-csv"], help=argparse.SUPPRESS)
    args = parser.parse_args()
    rows = args.rows or (1_000_000 if args.quick else 20_000_000)
    if args.step == "generate":
        generate(args.work, rows)
    elif args.step:
        print(json.dumps(pandas_script(args.work, args.step.removeprefix("pandas-"))))
    else:
        found = run(args.work, rows, min(rows, 1_000_000 if args.quick else 5_000_000), args.memory)
        print(json.dumps(found) if args.json else _told(found))


def _told(found: dict[str, Any]) -> str:
    lines = []
    for suffix in ("parquet", "csv"):
        ours, theirs = found[suffix], found[f"pandas_{suffix}"]
        lines.append(
            f"{suffix}: {ours['rows']:,} rows in {ours['seconds']} s, {ours['rows_per_minute'] / 1e6:.1f} M rows a "
            f"minute, peak {ours['peak_rss_mb']:,} MB; {theirs['times_faster']} times faster than pandas "
            f"({theirs['seconds']} s for {theirs['rows']:,} rows)"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
