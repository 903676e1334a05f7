"""The files of a prepared folder but its manifest."""

from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from motet.data.arrays import Numbers, save_array
from motet.data.entities import vector_array
from motet.data.features import Packed
from motet.data.logged import Logged
from motet.data.numbers import values_of
from motet.data.pack import Past, Tables
from motet.data.transforms import save_features
from motet.data.vocab import FIRST_KEY, key_strings
from motet.schema import Schema
from motet.settings import write_json


def write_arrays(
    folder: Path, logged: Logged, packed: Tables, past: Past, schema: Schema, edges: pl.DataFrame | None
) -> None:
    """Everything that `Dataset.open` reads, besides `manifest.json`."""
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
    past.events.save(folder / "events")
    save_array(folder / "log" / "labels.npy", logged.labels_NT)
    save_array(folder / "log" / "known_at.npy", logged.known_at_NT)
    _write_impressions(folder / "impressions", logged, packed.context, past, schema)
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


def _write_impressions(at: Path, logged: Logged, context: Packed, past: Past, schema: Schema) -> None:
    start, end = past.events.before(logged.user_N, logged.scenario_N, logged.time_N)
    arrays: dict[str, NDArray[np.generic]] = {
        "user": logged.user_N,
        "item": logged.item_N,
        "scenario": logged.scenario_N,
        "split": logged.split_N,
        "time": logged.time_N,
        "row": logged.row_N,
        "labels": logged.targets_NT,
        "context_ids": context.ids_RK,
        "context_numbers": context.numbers_RN,
        "pair_numbers": past.pair_numbers_NP,
        "history_start": start,
        "history_end": end,
    }
    columns = schema.columns
    if columns.request is not None:
        arrays["request"] = _codes(logged.frame[columns.request])
    for name in ("position", "propensity"):
        if (column := getattr(columns, name)) is not None:
            arrays[name] = values_of(logged.frame, column).astype(np.float32)
    if schema.references:
        arrays["references"] = _references(logged.frame, schema)
    for name, array in arrays.items():
        save_array(at / f"{name}.npy", array)
    texts = [name for name, f in schema.features.of("context").items() if f.form in {"text", "vector"}]
    if texts:
        logged.frame.select(texts).write_parquet(at / "texts.parquet")


def _codes(keys: pl.Series) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
    """Equal numbers for equal keys, from 0; -1 where there is none."""
    text = key_strings(keys)
    codes = text.set(text == "", None).rank("dense").cast(pl.Int32) - 1
    return codes.fill_null(-1).to_numpy().astype(np.int32)


def _references(frame: pl.DataFrame, schema: Schema) -> Numbers:
    """Predictions of other models, nan where they say nothing. [N, R, T]"""
    found = np.full((frame.height, len(schema.references), len(schema.tasks)), np.nan, dtype=np.float32)
    for place, reference in enumerate(schema.references):
        for t, task in enumerate(schema.tasks):
            if task.name in reference.columns:
                found[:, place, t] = values_of(frame, reference.columns[task.name])
    return found
