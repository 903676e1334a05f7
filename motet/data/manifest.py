"""What a prepared folder was made from and holds, and whether it still is what the schema, settings and files say."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypedDict, cast

import numpy as np
from numpy.typing import NDArray

from motet.batch import SPLITS
from motet.data.arrays import Numbers
from motet.data.files import SourceFile, resolve, source_file
from motet.errors import InputError
from motet.schema import NEXT, Scenario, Schema, Task
from motet.settings import fingerprint, plain
from motet.version import VERSION

Codes = NDArray[np.integer]
FORMAT = "motet-prepared/1"


class Source(TypedDict):
    """A file that was read; `path` is relative to the folder of the `motet.toml`, or of the named reader."""

    path: str
    bytes: int
    sha256: str
    mtime_ns: int | None  # null: it lies elsewhere, as in an installed package, and counts as unchanged


class CellCount(TypedDict):
    """Labels of one cell in one split; `positives` is null for a regression."""

    scenario: str
    task: str
    split: str
    observed: int
    positives: int | None


class Manifest(TypedDict):
    """`manifest.json` of a prepared folder."""

    format: str
    motet: str
    fingerprint: str  # of schema, settings and the files' content
    schema: dict[str, Any]
    settings: dict[str, Any]
    extends: str | None  # the fingerprint of the earlier folder that it carries on
    files: list[Source]
    rows: dict[str, int]  # impressions by split
    users: int
    items: int
    removed: list[dict[str, Any]]  # what each cleaning rule found
    cells: list[CellCount]
    layout: dict[str, Any]
    seconds: dict[str, float]  # by stage
    warnings: list[str]


def read_manifest(folder: Path) -> Manifest:
    """The manifest; an `InputError` if the folder is none that this version can read."""
    path = folder / "manifest.json"
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        fix = "run `motet prepare`" if not folder.exists() else "name the folder that `motet prepare` wrote"
        raise InputError("this is no prepared folder", where=str(folder), fix=fix) from None
    except ValueError as error:
        raise InputError(f"not readable: {error}", where=str(path), fix="prepare with --force") from None
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        found = manifest.get("format") if isinstance(manifest, dict) else None
        raise InputError(f"the format is {found!r}, not {FORMAT!r}", where=str(path), fix="prepare with --force")
    return cast(Manifest, manifest)


def identity(schema: Schema, settings: object, extends: str | None = None) -> dict[str, Any]:
    """What a prepared folder depends on besides the files, as plain values."""
    carried = {} if extends is None else {"extends": extends}
    return {"motet": VERSION, "schema": plain(schema), "settings": plain(settings)} | carried


def same_identity(schema: Schema, settings: object) -> str:
    return fingerprint(identity(schema, settings))


def difference(before: dict[str, Any], now: dict[str, Any]) -> str:
    """The first keys whose values differ, at most three, as `key: before → now`."""
    old, new = _flat(before), _flat(now)
    keys = [key for key in sorted(old.keys() | new.keys()) if old.get(key) != new.get(key)]
    shown = [f"{key}: {old.get(key, 'nothing')!r} → {new.get(key, 'nothing')!r}" for key in keys[:3]]
    return "; ".join(shown) + (f"; and {len(keys) - 3} more" if len(keys) > 3 else "")


def with_times(schema: Schema, files: Iterable[SourceFile], base: Path) -> list[Source]:
    """The files with the time of their last change, by which an unchanged one is known without reading it."""
    paths = [(file, _root(schema, base) / file.path) for file in files]
    times = [path.stat().st_mtime_ns if path.is_file() else None for _, path in paths]
    return [cast(Source, {**asdict(file), "mtime_ns": time}) for (file, _), time in zip(paths, times, strict=True)]


def changed_files(schema: Schema, sources: list[Source], base: Path) -> str:
    """What differs between the files that were read and those that are there now; "" if nothing."""
    root = _root(schema, base)
    for source in sources:
        if source["mtime_ns"] is None:
            continue
        path = root / source["path"]
        if not path.is_file():
            return f"{source['path']} is gone"
        stat = path.stat()
        if stat.st_size != source["bytes"]:
            return f"{source['path']} has {stat.st_size} bytes instead of {source['bytes']}"
        if stat.st_mtime_ns != source["mtime_ns"] and source_file(path, root).sha256 != source["sha256"]:
            return f"{source['path']} has other content"
    known = {(root / source["path"]).resolve() for source in sources}
    added = [path for path in _named_files(schema, base) if path.resolve() not in known]
    return f"{added[0]} is new" if added else ""


def count_cells(
    labels_TN: Sequence[Numbers],
    scenario_N: Codes,
    split_N: Codes,
    scenarios: tuple[Scenario, ...],
    tasks: tuple[Task, ...],
) -> list[CellCount]:
    """Observed and positive labels of every cell and split."""
    group = split_N.astype(np.int16) * np.int16(len(scenarios)) + scenario_N.astype(np.int16)
    size = len(SPLITS) * len(scenarios)
    observed = [np.bincount(group[~np.isnan(y)], minlength=size) for y in labels_TN]
    positives = [np.bincount(group[y > 0], minlength=size) for y in labels_TN]
    return [
        {
            "scenario": scenario.name,
            "task": task.name,
            "split": split,
            "observed": int(observed[t][place * len(scenarios) + s]),
            "positives": int(positives[t][place * len(scenarios) + s]) if task.form == "binary" else None,
        }
        for s, scenario in enumerate(scenarios)
        for t, task in enumerate(tasks)
        for place, split in enumerate(SPLITS)
    ]


def cell_warnings(cells: list[CellCount]) -> list[str]:
    """Cells of one class: they can be neither learnt nor judged there. `next` is positive by nature."""
    found = []
    for cell in (cell for cell in cells if cell["task"] != NEXT):
        positives, observed = cell["positives"], cell["observed"]
        if observed and positives in {0, observed}:
            only = "negatives" if positives == 0 else "positives"
            name = f"{cell['scenario']} × {cell['task']}"
            found.append(f"cell {name} has only {only} in {cell['split']} ({observed} rows)")
    return found


def _root(schema: Schema, base: Path) -> Path:
    """What the paths of source files are relative to: a named reader's are to the folder it reads."""
    return base / str(schema.tables.impressions) if schema.tables.reader is not None else base


def _named_files(schema: Schema, base: Path) -> list[Path]:
    """The files that the schema names now; a named reader finds its own."""
    if schema.tables.reader is not None:
        return []
    tables = (schema.tables.impressions, schema.tables.users, schema.tables.items, schema.tables.edges)
    return [path for paths in tables if paths is not None for path in resolve(paths, base)]


def _flat(value: Any, key: str = "") -> dict[str, Any]:
    """Nested dicts and lists as one level, keys joined with dots."""
    if isinstance(value, dict):
        parts = [_flat(item, f"{key}.{name}" if key else str(name)) for name, item in value.items()]
    elif isinstance(value, list):
        parts = [_flat(item, f"{key}.{place + 1}") for place, item in enumerate(value)]
    else:
        return {key: value}
    return {name: item for part in parts for name, item in part.items()}
