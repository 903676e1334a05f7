"""Fitting and packing: what is logged becomes ids, numbers, running counts and histories, all fitted on train."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from motet.batch import Layout
from motet.data.arrays import Bools, Floats, Numbers
from motet.data.columns import Columns
from motet.data.counting import count_rows
from motet.data.events import write_events
from motet.data.extend import Earlier
from motet.data.features import FeatureSet, OwnerFeatures, Packed, fit_features
from motet.data.history import Events, HistorySettings
from motet.data.known import Log
from motet.data.logged import Logged
from motet.data.parts import packed_place, useful_keys
from motet.data.rows import FitRows, Frame
from motet.data.running import Moments, Running, RunningFit, label_moments
from motet.data.stages import Stages
from motet.data.vocab import FIRST_KEY
from motet.schema import Schema


@dataclass(frozen=True, slots=True, eq=False)
class PackedColumns:
    """Ids and numbers of N impressions, column by column on the disk."""

    ids: Columns[np.int32]
    numbers: Columns[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Tables:
    """The fitted features and the three packed tables."""

    features: FeatureSet
    users: Packed
    items: Packed
    context: PackedColumns
    counts_V: Numbers  # train impressions that have looked up each embedding row


@dataclass(frozen=True, slots=True, eq=False)
class Past:
    """What each impression knows of what came before it."""

    running: RunningFit
    pair_numbers: Columns[np.float32]
    events: Events
    moments: Moments  # of train's labels


def pack_tables(
    logged: Logged, schema: Schema, winsorise: float, folder: Path, earlier: Earlier | None = None
) -> Tables:  # fmt: skip
    """Features fitted on train, and applied to every user, item and impression; columns of impressions in `folder`.

    With an `earlier` folder its features, and new keys behind theirs.
    """
    train = logged.train_N
    features = fit_features(
        schema,
        FitRows(logged.users, _uses(logged.user_N[train], logged.users.height)[FIRST_KEY:]),
        FitRows(logged.items, _uses(logged.item_N[train], logged.items.height)[FIRST_KEY:]),
        FitRows(logged.frame, train),
        scenarios=len(logged.scenarios),
        kinds=len(logged.kinds.names),
        winsorise=winsorise,
    )
    features = features if earlier is None else earlier.extended(features)
    users, items = features.user.table(logged.users), features.item.table(logged.items)
    context = _impressions(features.context, logged.frame, folder)
    counts_V = _counts(logged, train, users, items, context, features.table_rows)
    if earlier is not None:
        later_V = _counts(logged, earlier.later(logged), users, items, context, features.table_rows)
        counts_V = earlier.counts(features, counts_V, later_V)
    return Tables(features, users, items, context, counts_V.astype(np.float32))


def _impressions(features: OwnerFeatures, frame: Frame, folder: Path) -> PackedColumns:
    """The packed columns of the impressions."""
    widths = sum(field.columns for field in features.fields), len(features.number_names)
    ids = Columns.of(folder / "ids", frame.height, widths[0], np.int32)
    numbers = Columns.of(folder / "numbers", frame.height, widths[1], np.float32)
    place = 0
    for some in features.id_columns(frame):
        for column in some.T:
            ids.put(place, column)
            place += 1
    place = 0
    for more in features.number_columns(frame):
        for number in more.T:
            numbers.put(place, number)
            place += 1
    return PackedColumns(ids, numbers)


def _counts(
    logged: Logged, rows_N: Bools, users: Packed, items: Packed, context: PackedColumns, table_rows: int
) -> Floats:
    """How often those impressions look up each embedding row."""
    counts_V = np.zeros(table_rows)
    for place in range(len(context.ids)):
        counts_V += np.bincount(context.ids[place][rows_N], minlength=table_rows)
    for packed, rows in ((users, logged.user_N), (items, logged.item_N)):
        uses = np.bincount(rows[rows_N], minlength=len(packed.ids_RK)).astype(np.float64)
        for column in packed.ids_RK.T:
            counts_V += np.bincount(column, weights=uses, minlength=table_rows)
    counts_V[0] = 0
    return counts_V


def look_back(
    logged: Logged,
    tables: Tables,
    schema: Schema,
    counting: Running,
    history: HistorySettings,
    stages: Stages,
    *,
    made: Path,
    folder: Path,
    threads: int,
    earlier: Earlier | None = None,
) -> Past:
    """Running counts and histories of every impression, strictly before it.

    Histories are written to the folder `made`, columns of running counts to `folder`. What the `earlier` folder fitted
    stays.
    """
    if earlier is None:
        moments = label_moments([targets_N[logged.train_N] for targets_N in logged.targets_TN], schema.tasks)
    else:
        moments = earlier.moments
    stages.begin("running")
    counting = keys_of(logged, tables, counting)
    log = Log(logged.time_N, _parts(logged, tables, counting), logged.labels_TN, logged.known_at_TN)
    fitted = None if earlier is None else earlier.running
    pairs, fit = count_rows(log, schema.tasks, logged.train_N, moments, counting, folder, threads, fitted=fitted)
    stages.begin("history")
    users, scenarios = FIRST_KEY + logged.users.height, len(logged.scenarios)
    events = write_events(log, schema.tasks, history, made, users=users, scenarios=scenarios, moments=moments)
    return Past(fit, pairs, events, moments)


def keys_of(logged: Logged, tables: Tables, counting: Running) -> Running:
    """The keys of running counts that tell something; a part that is none is an `InputError`."""
    scenarios, kinds = len(logged.scenarios), len(logged.kinds.names)
    return useful_keys(counting, tables.features.fields, scenarios=scenarios, kinds=kinds)


def _parts(logged: Logged, tables: Tables, counting: Running) -> dict[str, NDArray[np.integer]]:
    """The parts that the keys are made of, and those that histories need."""
    parts: dict[str, NDArray[np.integer]] = {
        "user": logged.user_N,
        "item": logged.item_N,
        "scenario": logged.scenario_N,
    }
    for name in sorted({part for key in counting.keys for part in key} - set(parts)):
        if name == "kind":
            parts[name] = logged.kinds.kind_I[logged.item_N]
            continue
        owner, place = packed_place(name, tables.features.fields)
        match owner:
            case "user":
                parts[name] = tables.users.ids_RK[:, place][logged.user_N]
            case "item":
                parts[name] = tables.items.ids_RK[:, place][logged.item_N]
            case "context":
                parts[name] = np.array(tables.context.ids[place])
    return parts


def layout_of(logged: Logged, tables: Tables, past: Past, schema: Schema, history_length: int) -> Layout:
    """What the packed columns mean."""
    features = tables.features
    return Layout(
        scenarios=logged.scenarios,
        tasks=schema.tasks,
        kinds=logged.kinds.names,
        fields=features.fields,
        user_numbers=features.user.number_names,
        item_numbers=features.item.number_names,
        context_numbers=features.context.number_names,
        pair_numbers=past.running.names,
        table_rows=features.table_rows,
        base_rates=_base_rates(logged),
        label_scales=past.moments[1],
        history_length=history_length,
    )


def _uses(rows: np.ndarray[tuple[int], np.dtype[np.int32]], known: int) -> Floats:
    """How many train impressions each row of a packed table has."""
    return np.bincount(rows, minlength=FIRST_KEY + known).astype(np.float64)


def _base_rates(logged: Logged) -> tuple[tuple[float, ...], ...]:
    """Train's mean label of each scenario and task, nan without one."""
    train, count = logged.train_N, len(logged.scenarios)
    scenario = logged.scenario_N[train]
    order = np.argsort(scenario.astype(np.uint8), kind="stable")
    ends = np.cumsum(np.bincount(scenario, minlength=count))[:-1]
    of_task = [[_mean(some) for some in np.split(t[train][order], ends)] for t in logged.targets_TN]
    return tuple(zip(*of_task, strict=True))


def _mean(labels: Numbers) -> float:
    seen = labels[~np.isnan(labels)]
    return float(seen.mean(dtype=np.float64)) if len(seen) else float("nan")
