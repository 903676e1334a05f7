"""From raw logs to the prepared folder: read, clean, label, split, pack, look back, write; skipped when it is fresh.

The folder holds `manifest.json`, `transforms.json` and vocab/, the packed tables users/, items/ and impressions/, the
histories events/ and what running counts are made from, log/. Arrays are .npy files, one row per row of their table.
"""

import json
import shutil
from dataclasses import asdict, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import polars as pl

from motet.batch import SPLITS, Layout
from motet.data.clean import Clean, clean
from motet.data.extend import Earlier
from motet.data.history import HistorySettings
from motet.data.layout import layout_to_dict
from motet.data.logged import Logged, log_impressions
from motet.data.manifest import (
    FORMAT,
    CellCount,
    Manifest,
    Source,
    cell_warnings,
    changed_files,
    count_cells,
    difference,
    identity,
    read_manifest,
    same_identity,
    with_times,
)
from motet.data.memory import Memory
from motet.data.pack import keys_of, layout_of, look_back, pack_tables
from motet.data.removals import Removal
from motet.data.running import Running
from motet.data.split import Split
from motet.data.stages import Building, Progress, Stages, building, recover
from motet.data.store import Table
from motet.data.tables import Tables, read_tables
from motet.data.write import write_arrays
from motet.errors import InputError
from motet.schema import Schema
from motet.settings import fingerprint, write_json
from motet.settings import settings as checked

STAGES = ("read", "clean", "labels", "split", "features", "running", "history", "write")
_SIDES = ("users", "items", "edges")


@checked
class PrepareSettings:
    """The settings of every stage before training."""

    clean: Clean = field(default_factory=Clean)
    split: Split = field(default_factory=Split)
    running: Running = field(default_factory=Running)
    history: HistorySettings = field(default_factory=HistorySettings)


def prepare(
    schema: Schema,
    settings: PrepareSettings,
    base: Path,
    folder: Path,
    *,
    progress: Progress | None = None,
    force: bool = False,
    memory: str | None = None,
    extends: Path | None = None,
) -> Manifest:
    """Write the prepared folder of the tables that lie relative to `base`, and give back its manifest.

    A folder made from the same schema, settings and files is left as it is (`progress("fresh", 1.0)` says so). One made
    from others is an `InputError` that names the difference, unless `force`. A killed run goes on after its last
    finished stage; until the end the folder is what it was before. `memory` ("2GB") bounds what is in memory at once;
    the folder is the same whatever it is. One that `extends` an earlier folder keeps its transforms and keys.
    """
    recover(folder)
    bound = Memory.of(memory)
    earlier = None if extends is None else _earlier(extends, folder, schema, settings)
    made_from = identity(schema, settings, None if earlier is None else earlier.manifest["fingerprint"])
    if folder.exists() and (fresh := _fresh(schema, made_from, base, folder, force=force)) is not None:
        if progress is not None:
            progress("fresh", 1.0)
        return fresh
    stages = Stages(STAGES, progress)
    with building(folder) as at:
        tables, sources, removals = _cleaned(schema, settings, base, at, bound, stages)
        logged = log_impressions(tables, schema, settings.clean, settings.split, stages)
        logged = logged if earlier is None else earlier.arranged(logged)
        threads = bound.threads(len(logged.time_N), len(schema.tasks), logged.late_tasks)
        stages.begin("features")
        work = at.kept / "columns"
        packed = pack_tables(logged, schema, settings.clean.winsorise, work, earlier)
        past = look_back(
            logged, packed, schema, settings.running, settings.history, stages,
            made=at.made, folder=work, threads=threads, earlier=earlier,
        )  # fmt: skip
        stages.begin("write")
        layout = layout_of(logged, packed, past, schema, settings.history.length)
        manifest = _manifest(schema, made_from, logged, layout, sources, removals)
        write_arrays(at.made, logged, packed, past, schema, tables.edges)
        if (at.kept / "removed").exists():
            shutil.move(at.kept / "removed", at.made / "removed")
        stages.end()
        manifest["seconds"] = stages.seconds
        write_json(at.made / "manifest.json", manifest)
    if progress is not None:
        progress("done", 1.0)
    return manifest


def check_tables(
    schema: Schema, settings: PrepareSettings, base: Path, *, progress: Progress | None = None
) -> dict[str, Any]:
    """Everything that `prepare` would refuse is an `InputError`; nothing is kept. Counts and warnings come back."""
    stages = Stages(STAGES, progress)
    with TemporaryDirectory(prefix="motet-") as name:
        work = Path(name)
        stages.begin("read")
        tables = read_tables(schema, base, work / "log")
        stages.begin("clean")
        tables, removals = clean(tables, schema, settings.clean, None)
        logged = log_impressions(tables, schema, settings.clean, settings.split, stages)
        stages.begin("features")
        keys_of(logged, pack_tables(logged, schema, settings.clean.winsorise, work / "columns"), settings.running)
        stages.end()
    cells = _cells(logged, schema)
    return {
        "rows": _split_rows(logged),
        "users": logged.users.height,
        "items": logged.items.height,
        "scenarios": [scenario.name for scenario in logged.scenarios],
        "kinds": list(logged.kinds.names),
        "removed": [asdict(removal) for removal in removals],
        "cells": cells,
        "warnings": [*logged.warnings, *cell_warnings(cells)],
    }


def _earlier(extends: Path, folder: Path, schema: Schema, settings: PrepareSettings) -> Earlier:
    if extends.resolve() == folder.resolve():
        message = "this folder is the earlier one, which it would replace"
        raise InputError(message, where=str(folder), fix="name a new folder with --prepared")
    earlier = Earlier.open(extends)
    earlier.check(schema, settings)
    return earlier


def _fresh(schema: Schema, made_from: dict[str, Any], base: Path, folder: Path, *, force: bool) -> Manifest | None:
    """The manifest if nothing has changed, None if the folder may be replaced, else an `InputError`."""
    if not (folder / "manifest.json").exists():
        if any(folder.iterdir()):
            fix = "choose another folder; only one that `motet prepare` wrote is ever replaced"
            raise InputError("this folder holds something else", where=str(folder), fix=fix)
        return None
    try:
        manifest = read_manifest(folder)
    except InputError:
        if force:
            return None
        raise
    keys = ("motet", "schema", "settings", "extends")
    before = {key: value for key, value in manifest.items() if key in keys and value is not None}
    changed = difference(before, json.loads(json.dumps(made_from)))
    changed = changed or changed_files(schema, manifest["files"], base)
    if not changed:
        return manifest
    if not force:
        fix = "add --force to replace it, or name another folder with --prepared"
        raise InputError(f"the folder was prepared from something else: {changed}", where=str(folder), fix=fix)
    return None


def _cleaned(
    schema: Schema, settings: PrepareSettings, base: Path, at: Building, memory: Memory, stages: Stages
) -> tuple[Tables, list[Source], list[Removal]]:
    """The cleaned tables: those that a killed run kept if they still hold, else read and cleaned and kept."""
    stages.begin("read")
    marker, key = at.kept / "cleaned.json", same_identity(schema, settings)
    if marker.exists():
        kept = json.loads(marker.read_text(encoding="utf-8"))
        if kept["key"] == key and not changed_files(schema, kept["files"], base):
            return _load_tables(at.kept), kept["files"], [Removal(**removal) for removal in kept["removed"]]
    shutil.rmtree(at.kept)
    tables = read_tables(schema, base, at.kept / "log", batch_rows=memory.batch_rows)
    sources = with_times(schema, tables.files, base)
    stages.begin("clean")
    tables, removals = clean(tables, schema, settings.clean, at.kept / "removed")
    _save_tables(tables, at.kept)
    write_json(marker, {"key": key, "files": sources, "removed": [asdict(removal) for removal in removals]})
    return tables, sources, list(removals)


def _save_tables(tables: Tables, folder: Path) -> None:
    tables.impressions.save()
    for name in _SIDES:
        if (frame := getattr(tables, name)) is not None:
            frame.write_parquet(folder / f"{name}.parquet", compression="lz4")


def _load_tables(folder: Path) -> Tables:
    paths = {name: folder / f"{name}.parquet" for name in _SIDES}
    found = {name: pl.read_parquet(path) if path.exists() else None for name, path in paths.items()}
    return Tables(impressions=Table.load(folder / "log"), **found, files=())


def _manifest(
    schema: Schema,
    made_from: dict[str, Any],
    logged: Logged,
    layout: Layout,
    sources: list[Source],
    removals: list[Removal],
) -> Manifest:
    cells = _cells(logged, schema)
    return Manifest(
        format=FORMAT,
        motet=made_from["motet"],
        fingerprint=fingerprint([made_from, [source["sha256"] for source in sources]]),
        schema=made_from["schema"],
        settings=made_from["settings"],
        extends=made_from.get("extends"),
        files=sources,
        rows=_split_rows(logged),
        users=logged.users.height,
        items=logged.items.height,
        removed=[asdict(removal) for removal in removals],
        cells=cells,
        layout=layout_to_dict(layout),
        seconds={},
        warnings=[*logged.warnings, *cell_warnings(cells)],
    )


def _cells(logged: Logged, schema: Schema) -> list[CellCount]:
    return count_cells(logged.targets_TN, logged.scenario_N, logged.split_N, logged.scenarios, schema.tasks)


def _split_rows(logged: Logged) -> dict[str, int]:
    counts = np.bincount(logged.split_N, minlength=len(SPLITS))
    return {split: int(count) for split, count in zip(SPLITS, counts, strict=True)}
