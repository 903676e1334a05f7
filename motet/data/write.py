"""The files of a prepared folder but its manifest."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from motet.data.arrays import Ids, Numbers, save_array
from motet.data.coded import Coded
from motet.data.columns import save_columns
from motet.data.entities import vector_array
from motet.data.features import Packed
from motet.data.logged import Logged
from motet.data.numbers import values_of
from motet.data.pack import PackedColumns, Past, Tables
from motet.data.store import Table
from motet.data.transforms import save_features
from motet.data.vocab import FIRST_KEY, key_strings
from motet.schema import Schema
from motet.settings import write_json


def write_arrays(
    folder: Path, logged: Logged, packed: Tables, past: Past, schema: Schema, edges: pl.DataFrame | None
) -> None:
    """Everything that `Dataset.open` reads, besides `manifest.json`; what is largest beside the rest."""
    with ThreadPoolExecutor(1) as beside:
        pairs = folder / "impressions" / "pair_numbers.npy"
        largest = beside.submit(save_columns, pairs, past.pair_numbers, len(logged.time_N), np.float32)
        _write_others(folder, logged, packed, past, schema, edges)
        largest.result()


def _write_others(
    folder: Path, logged: Logged, packed: Tables, past: Past, schema: Schema, edges: pl.DataFrame | None
) -> None:
    means, scales = past.moments
    plain = {
        "features": save_features(packed.features, folder),
        "running": past.running.to_dict(),
        "history": {"scenarios": past.events.scenarios},
        "labels": {"means": list(means), "scales": list(scales)},
    }
    write_json(folder / "transforms.json", plain)
    save_array(folder / "counts_V.npy", packed.counts_V)
    _write_entities(folder, "user", logged.users, packed.users, schema)
    _write_entities(folder, "item", logged.items, packed.items, schema)
    save_array(folder / "items" / "kind.npy", logged.kinds.kind_I)
    rows = len(logged.time_N)
    save_columns(folder / "log" / "labels.npy", logged.labels_TN, rows, np.float32)
    save_columns(folder / "log" / "known_at.npy", logged.known_at_TN, rows, np.float64)
    _write_impressions(folder / "impressions", logged, packed.context, schema)
    if edges is not None:
        edges.write_parquet(folder / "edges.parquet")


def _write_entities(
    folder: Path, owner: Literal["user", "item"], frame: pl.DataFrame, packed: Packed, schema: Schema
) -> None:
    """Ids and numbers, each vector column as an array, and the keys with the text columns as Parquet (rows 2 …)."""
    at, features = folder / f"{owner}s", schema.features.of(owner)
    save_array(at / "ids.npy", packed.ids_RK)
    save_array(at / "numbers.npy", packed.numbers_RN)
    key = schema.columns.user if owner == "user" else schema.columns.item
    texts = [name for name, feature in features.items() if feature.form == "text" and name != key]
    frame.select(pl.col(key).alias("key"), *(pl.col(name).alias(f"text.{name}") for name in texts)).write_parquet(
        folder / f"{owner}s.parquet"
    )
    for name, feature in features.items():
        if feature.form == "vector":
            vectors = vector_array(frame[name])
            blank = np.zeros((FIRST_KEY, vectors.shape[1]), np.float32)
            save_array(at / f"vector.{name}.npy", np.concatenate([blank, vectors]))


def _write_impressions(at: Path, logged: Logged, context: PackedColumns, schema: Schema) -> None:
    rows, frame = len(logged.time_N), logged.frame
    save_columns(at / "labels.npy", logged.targets_TN, rows, np.float32)
    save_columns(at / "context_ids.npy", context.ids, rows, np.int32)
    save_columns(at / "context_numbers.npy", context.numbers, rows, np.float32)
    arrays: dict[str, NDArray[np.generic]] = {
        "user": logged.user_N,
        "item": logged.item_N,
        "scenario": logged.scenario_N,
        "split": logged.split_N,
        "time": logged.time_N,
        "row": np.arange(rows) if frame.taken is None else frame.taken.astype(np.int64),
    }
    columns = schema.columns
    if columns.request is not None:
        arrays["request"] = _codes(frame.coded(columns.request))
    for name in ("position", "propensity"):
        if (column := getattr(columns, name)) is not None:
            arrays[name] = values_of(frame, column).astype(np.float32)
    if schema.references:
        arrays["references"] = _references(frame, schema)
    for name, array in arrays.items():
        save_array(at / f"{name}.npy", array)
    texts = [name for name, f in schema.features.of("context").items() if f.form in {"text", "vector"}]
    if texts:
        frame.select(texts).write_parquet(at / "texts.parquet")


def _codes(keys: Coded) -> Ids:
    """Equal numbers for equal keys, from 0; -1 where there is none."""
    text = key_strings(keys.values)
    missing = (text == "").to_numpy() | (keys.counts() == 0)
    numbers = text.set(pl.Series(missing), None).rank("dense").cast(pl.Int32) - 1
    found: Ids = numbers.fill_null(-1).to_numpy().astype(np.int32)[keys.codes]
    return found


def _references(frame: Table, schema: Schema) -> Numbers:
    """Predictions of other models, nan where they say nothing. [N, R, T]"""
    found = np.full((frame.height, len(schema.references), len(schema.tasks)), np.nan, dtype=np.float32)
    for place, reference in enumerate(schema.references):
        for t, task in enumerate(schema.tasks):
            if task.name in reference.columns:
                found[:, place, t] = values_of(frame, reference.columns[task.name])
    return found
