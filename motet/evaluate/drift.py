"""Drift from train to the judged rows: of what models read, and of how often tasks happen.

Population stability index of a feature over bins b, e and a being the shares of train and of the judged rows:

    PSI = Σ_b (a_b − e_b) ln(a_b / e_b)

Numbers fall into train's deciles, ids into train's commonest, what is unknown, what is missing and the rest. From 0.1
on there is some shift, from 0.25 on a large one (Siddiqi, Credit Risk Scorecards, 2006), if it is also more than equal
distributions show in 19 of 20 samples: then PSI / (1/N + 1/M) is about χ² with bins − 1 degrees of freedom (Yurdakul,
Statistical Properties of Population Stability Index, 2018), N and M being the rows.

N rows, K packed ids, b bins.
"""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import chdtri  # type: ignore[import-untyped]

from motet.batch import PADDING
from motet.data.dataset import Dataset
from motet.data.features import OwnerFeatures
from motet.data.numbers import Buckets
from motet.data.tags import Tags
from motet.data.vocab import FIRST_KEY
from motet.evaluate.shuffled import COUNTS, HISTORY
from motet.evaluate.verdict import FEWEST_USERS, LEVEL, holm
from motet.scoring.cell_rows import cell_rows, enough_labels
from motet.scoring.metrics import Floats, Ints
from motet.scoring.order import positions

SOME, LARGE = 0.1, 0.25
COMMONEST = 20
"""Ids, or different numbers, that have a bin of their own."""
MOST_ROWS = 200_000
"""Of a split, evenly over its time, from which distributions are counted."""
MISSING = ("missing_train", "missing")
Entry = dict[str, Any]
Codes = NDArray[np.integer[Any]]
Shares = list[float | None]
"""Of the train rows, and of the judged."""


def drift(data: Dataset, rows: Ints) -> Entry:
    """The report's `drift`: every feature, count and history, largest shift first; every cell's base rate."""
    train = data.rows("train")
    features = list(_features(data, train, rows))
    return {
        "features": sorted(features, key=lambda entry: -(entry["psi"] or 0.0)),
        "cells": base_rates(data, train, rows),
    }


def psi(train_b: ArrayLike, judged_b: ArrayLike) -> float:
    """The index of two counts of the same bins; an empty bin counts as half a row, NaN if one has no rows."""
    counts = np.stack([np.asarray(train_b, np.float64), np.asarray(judged_b, np.float64)])
    counts = counts[:, counts.any(0)]
    totals = counts.sum(1, keepdims=True)
    if not totals.all():
        return math.nan
    expected, actual = np.where(counts > 0, counts, 0.5) / totals
    return float(((actual - expected) * np.log(actual / expected)).sum())


def by_chance(bins: int, train: int, judged: int) -> float:
    """What PSI stays below in 19 of 20 samples of so many rows when nothing has changed."""
    return float(chdtri(bins - 1, LEVEL)) * (1 / train + 1 / judged) if bins > 1 else 0.0


def flag(index: float, chance: float) -> str | None:
    """The shift in words; None where there is none to speak of."""
    if not index >= max(SOME, chance):
        return None
    return "large shift" if index >= LARGE else "some shift"


def number_bins(train_N: Floats, judged_M: Floats) -> tuple[Ints, Ints]:
    """The bin of each number: train's deciles, or its values where they are few; nan is a bin of its own."""
    known = train_N[~np.isnan(train_N)]
    values = np.unique(known)
    few = len(values) <= COMMONEST
    edges = values if few else np.unique(np.quantile(known, np.arange(1, 10) / 10))
    bins = []
    for numbers in (train_N, judged_M):
        above = np.searchsorted(edges, numbers, side="right")
        place = above + np.searchsorted(edges, numbers, side="left") if few else above  # between two values, or on one
        bins.append(np.where(np.isnan(numbers), 0, 1 + place))
    return bins[0], bins[1]


def id_bins(train_N: Codes, judged_M: Codes) -> tuple[Ints, Ints]:
    """The bin of each code: padding (0), unknown (1), train's commonest, and one for the rest."""
    size = int(max(train_N.max(initial=0), judged_M.max(initial=0))) + 1
    counts = np.bincount(train_N, minlength=size)
    counts[:FIRST_KEY] = 0
    own = np.argsort(-counts, kind="stable")[:COMMONEST]
    own = own[counts[own] > 0]
    bin_of = np.full(size, FIRST_KEY + len(own))
    bin_of[own] = FIRST_KEY + np.arange(len(own))
    bin_of[:FIRST_KEY] = np.arange(len(bin_of[:FIRST_KEY]))
    return bin_of[train_N], bin_of[judged_M]


def base_rates(data: Dataset, train: Ints, rows: Ints) -> list[Entry]:
    """How far every cell's rate, or mean, lies from train's; users are drawn, not rows; p by Holm over the cells.

    A cell with too few labels or users, in train or in the judged rows, is not tested.
    """
    layout = data.layout
    scenarios = [scenario.name for scenario in layout.scenarios]
    found, errors = [], []
    parts = []
    for chosen in (train, rows):
        labels_NT, user_N = data.labels(chosen), data.users(chosen)
        of_cells = cell_rows(scenarios, layout.tasks, data.scenarios(chosen), labels_NT)
        parts.append([(s, t, labels_NT[at, t].astype(np.float64), user_N[at]) for s, t, at in of_cells])
    for (s, t, before, users), (_, _, after, judged) in zip(*parts, strict=True):
        binary = layout.tasks[t].form == "binary"
        sides = [(before, users), (after, judged)]
        tested = all(_large(label_n, user_n, binary) for label_n, user_n in sides)
        means = [float(label_n.mean()) if len(label_n) else math.nan for label_n, _ in sides]
        entry = {"scenario": scenarios[s], "task": layout.tasks[t].name, "train": means[0], "judged": means[1]}
        found.append({key: None if value != value else value for key, value in entry.items()})
        errors.append(math.hypot(*(_error(*side) for side in sides)) if tested else math.nan)
    change = np.array([_or_nan(entry["judged"]) - _or_nan(entry["train"]) for entry in found])
    error = np.array(errors)
    p = np.full(len(found), np.nan)
    ready = error > 0
    p[ready] = holm(np.array([math.erfc(z / math.sqrt(2)) for z in np.abs(change[ready]) / error[ready]]))
    return [
        entry | {"p_holm": None if p_ != p_ else float(p_), "flag": "moved" if p_ <= LEVEL else None}
        for entry, p_ in zip(found, p, strict=True)
    ]


def _large(label_n: Floats, user_n: Ints, binary: bool) -> bool:
    positives = int((label_n > 0).sum()) if binary else None
    return enough_labels(len(label_n), positives) and len(np.unique(user_n)) >= FEWEST_USERS


def _error(label_n: Floats, user_n: Ints) -> float:
    """The standard error of the mean when whole users are drawn: √Σ_u (Σ_i∈u (y_i − ȳ))² / n."""
    of_user = np.bincount(positions(user_n)[0], label_n - label_n.mean())
    return float(np.sqrt((of_user**2).sum())) / len(label_n)


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value


def _features(data: Dataset, train: Ints, rows: Ints) -> Iterator[Entry]:
    some = [chosen[:: max(1, -(-len(chosen) // MOST_ROWS))] for chosen in (train, rows)]
    users, items = [data.users(chosen) for chosen in some], [data.item_rows(chosen) for chosen in some]
    im, whole = data.impressions, data.manifest["extends"] is None
    tables = (
        (data.features.user, data.user_ids_UK, data.user_numbers_UN, users, data.users),
        (data.features.item, data.items.ids_IK, data.items.numbers_IN, items, data.item_rows),
    )
    for features, ids_RK, numbers_RN, at, of in tables:
        key, *others = _table(features, ids_RK.numpy(), numbers_RN.numpy(), at, whole)
        yield key | {"new": _new(of(train), of(rows))}
        yield from others
    yield from _table(data.features.context, im.context_ids.numpy(), im.context_numbers.numpy(), some, whole)
    if data.features.context.clock:
        hours = [data.times(chosen) // 3600 for chosen in some]
        yield _number("hour (UTC)", "context", *(of % 24 for of in hours))
        yield _number("weekday (UTC)", "context", *(of // 24 % 7 for of in hours))
    pairs = im.pair_numbers.numpy()
    for place, name in enumerate(data.layout.pair_numbers):
        yield _number(name, COUNTS, *(pairs[chosen, place] for chosen in some)) | dict.fromkeys(MISSING)
    events = [(im.history_end.numpy()[chosen] - im.history_start.numpy()[chosen]) for chosen in some]
    longest = data.layout.history_length
    lengths = [np.minimum(of, longest).astype(np.float32) for of in events]
    yield _number("events in the history", HISTORY, *lengths) | dict.fromkeys(MISSING)


def _new(train_N: Ints, judged_M: Ints) -> float | None:
    """The share of judged rows whose user, or item, has no row in train."""
    seen = np.bincount(train_N, minlength=int(judged_M.max(initial=0)) + 1) > 0
    return float((~seen[judged_M]).mean()) if len(judged_M) else None


def _table(
    features: OwnerFeatures, ids_RK: Codes, numbers_RN: NDArray[np.float32], at: list[Ints], whole: bool
) -> Iterator[Entry]:
    """The features of one table, whose rows `at` stand behind the train and the judged rows, but for the clock's.

    A number without an indicator was never missing in the data that the transforms were fitted beside: the `whole`.
    """
    first = 0
    for transform, field in zip(features.ids, features.fields, strict=True):
        columns = slice(first, first + field.columns)
        first += field.columns
        codes = []
        for rows in at:
            packed = ids_RK[rows, columns]
            used = packed != PADDING
            used[:, 0] = True  # a bag without tags is one padding
            codes.append(np.where(packed == PADDING, PADDING, packed - field.offset + 1)[used])
        missing: int | None = PADDING if isinstance(transform, Tags) else None
        if not isinstance(transform, Buckets | Tags):
            blank = np.flatnonzero((transform.vocab.keys == "").to_numpy())
            missing = FIRST_KEY + int(blank[0]) if len(blank) else None
        unknown: Shares = _shares([of == FIRST_KEY - 1 for of in codes])
        absent: Shares = [None, None] if missing is None else _shares([of == missing for of in codes])
        if isinstance(transform, Buckets):
            absent, unknown = unknown, [None, None]  # a bucket has no other unknown
        yield _entry(field.name, features.owner, *id_bins(*codes), absent=absent, unknown=unknown)
    names = features.number_names
    for number in features.numbers:
        values = [numbers_RN[rows, names.index(number.column)].astype(np.float64) for rows in at]
        if number.missing:
            gaps = [numbers_RN[rows, names.index(number.names[1])] > 0 for rows in at]
            values = [np.where(gap, math.nan, of) for gap, of in zip(gaps, values, strict=True)]
        told = number.missing or whole
        yield _number(number.column, features.owner, *values) | ({} if told else dict.fromkeys(MISSING))


def _number(name: str, of: str, train_N: NDArray[np.floating], judged_M: NDArray[np.floating]) -> Entry:
    absent = _shares([np.isnan(values) for values in (train_N, judged_M)])
    train, judged = train_N.astype(np.float64), judged_M.astype(np.float64)
    return _entry(name, of, *number_bins(train, judged), absent=absent, unknown=[None, None])


def _entry(name: str, of: str, train_N: Ints, judged_M: Ints, *, absent: Shares, unknown: Shares) -> Entry:
    bins = int(max(train_N.max(initial=0), judged_M.max(initial=0))) + 1
    train_b, judged_b = (np.bincount(codes, minlength=bins) for codes in (train_N, judged_M))
    index = psi(train_b, judged_b)
    used = int((train_b + judged_b > 0).sum())
    known = len(train_N) > 0 and len(judged_M) > 0
    chance = by_chance(used, len(train_N), len(judged_M)) if known else math.nan
    return {
        "feature": name,
        "of": of,
        "psi": index if known else None,
        "by_chance": chance if known else None,
        "missing_train": absent[0],
        "missing": absent[1],
        "unknown_train": unknown[0],
        "unknown": unknown[1],
        "new": None,
        "flag": flag(index, chance) if known else None,
    }


def _shares(masks: list[NDArray[np.bool_]]) -> Shares:
    return [float(mask.mean()) if len(mask) else None for mask in masks]
