"""Fitting and packing: what is logged becomes ids, numbers, running counts and histories, all fitted on train."""

from dataclasses import dataclass

import numpy as np

from motet.batch import Layout
from motet.data.arrays import Floats, Numbers
from motet.data.features import FeatureSet, FitRows, Packed, fit_features
from motet.data.history import Events, HistorySettings, build_events
from motet.data.known import Log
from motet.data.logged import Logged
from motet.data.parts import key_parts, useful_keys
from motet.data.running import Moments, Running, RunningFit, fit_transform, label_moments
from motet.data.stages import Stages
from motet.data.vocab import FIRST_KEY
from motet.schema import Schema


@dataclass(frozen=True, slots=True, eq=False)
class Tables:
    """The fitted features and the three packed tables."""

    features: FeatureSet
    users: Packed
    items: Packed
    context: Packed
    counts_V: Numbers  # train impressions that look up each embedding row


@dataclass(frozen=True, slots=True, eq=False)
class Past:
    """What each impression knows of what came before it."""

    running: RunningFit
    pair_numbers_NP: Numbers
    events: Events
    moments: Moments  # of train's labels


def pack_tables(logged: Logged, schema: Schema, winsorise: float) -> Tables:
    """Features fitted on train, and applied to every user, item and impression."""
    train = logged.train_N
    user_U = _uses(logged.user_N[train], logged.users.height)
    item_I = _uses(logged.item_N[train], logged.items.height)
    features = fit_features(
        schema,
        FitRows(logged.users, user_U[FIRST_KEY:]),
        FitRows(logged.items, item_I[FIRST_KEY:]),
        FitRows(logged.frame, train.astype(np.float64)),
        scenarios=len(logged.scenarios),
        kinds=len(logged.kinds.names),
        winsorise=winsorise,
    )
    users, items = features.user.table(logged.users), features.item.table(logged.items)
    context = features.context.apply(logged.frame)
    uses = ((users, user_U), (items, item_I), (context, train.astype(np.float64)))
    counts_V = sum(_lookups(packed, weight, features.table_rows) for packed, weight in uses)
    return Tables(features, users, items, context, np.asarray(counts_V, dtype=np.float32))


def look_back(
    logged: Logged, tables: Tables, schema: Schema, counting: Running, history: HistorySettings, stages: Stages
) -> Past:
    """Running counts and histories of every impression, strictly before it."""
    moments = label_moments(logged.targets_NT[logged.train_N], schema.tasks)
    stages.begin("running")
    scenarios, kinds = len(logged.scenarios), len(logged.kinds.names)
    counting = useful_keys(counting, tables.features.fields, scenarios=scenarios, kinds=kinds)
    roles = {
        "user": logged.user_N,
        "item": logged.item_N,
        "scenario": logged.scenario_N,
        "kind": logged.kinds.kind_I[logged.item_N],
    }
    ids = {
        "user": tables.users.ids_RK[logged.user_N],
        "item": tables.items.ids_RK[logged.item_N],
        "context": tables.context.ids_RK,
    }
    parts = key_parts(counting.keys, tables.features.fields, roles, ids)
    log = Log(logged.time_N, parts, logged.labels_NT, logged.known_at_NT)
    pair_numbers_NP, fit = fit_transform(log, schema.tasks, logged.train_N, moments, counting)
    stages.begin("history")
    users = FIRST_KEY + logged.users.height
    events = build_events(log, schema.tasks, history, users=users, scenarios=scenarios, moments=moments)
    return Past(fit, pair_numbers_NP, events, moments)


def layout_of(logged: Logged, tables: Tables, past: Past, schema: Schema, history_length: int) -> Layout:
    """What the packed columns mean."""
    features = tables.features
    targets, scenario = logged.targets_NT[logged.train_N], logged.scenario_N[logged.train_N]
    rates = tuple(tuple(_mean(column) for column in targets[scenario == s].T) for s in range(len(logged.scenarios)))
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
        base_rates=rates,
        label_scales=past.moments[1],
        history_length=history_length,
    )


def _uses(rows: np.ndarray[tuple[int], np.dtype[np.int32]], known: int) -> Floats:
    """How many train impressions each row of a packed table has."""
    return np.bincount(rows, minlength=FIRST_KEY + known).astype(np.float64)


def _lookups(packed: Packed, weight_R: Floats, rows: int) -> Floats:
    """How often each embedding row is looked up; padding never."""
    counts = np.zeros(rows)
    for column in packed.ids_RK.T:
        counts += np.bincount(column, weights=weight_R, minlength=rows)
    counts[0] = 0
    return counts


def _mean(labels: Numbers) -> float:
    seen = labels[~np.isnan(labels)]
    return float(seen.mean(dtype=np.float64)) if len(seen) else float("nan")
