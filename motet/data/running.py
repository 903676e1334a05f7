"""Running counts: what was known of a user, an item, a scenario or a pair strictly before each row.

For a key k (say user × scenario), a task t and a row at time τ, over the key's earlier rows:

    impressions = #{time < τ}       observed = #{known_at < τ}       total = Σ label over known_at < τ
    rate        = (total + prior · m) / (observed + prior)

where m is the same rate of the parent key (user × scenario → user), and of train as a whole without a parent. A binary
task's column is logit(rate) - logit(train rate), a regression's (rate - train mean) / train std. Beside them stand
log(1 + impressions) for keys with a user or an item, log(1 + seconds since the last impression) for the user and for
the item, and log(1 + observed) of the first task where that differs from the impressions. Columns are standardised by
train's moments. Rows of equal time do not see each other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from pydantic import field_validator

from motet.data.arrays import Floats, Numbers
from motet.data.known import Groups, Key, Known, KnownTable, Log, Lookup, Parts
from motet.data.numbers import standardise
from motet.schema import Task
from motet.settings import settings

Moments = tuple[tuple[float, ...], tuple[float, ...]]
"""Means and scales of the labels, each [T]."""
_RATE = 1e-6  # rates are kept this far from 0 and 1 before their log-odds are taken


@settings
class Running:
    """Which keys are counted and how strongly their rates are smoothed; no keys: no running counts."""

    keys: tuple[Key, ...] = (("scenario",), ("user",), ("item",), ("user", "scenario"), ("item", "scenario"))
    prior: float = 10.0  # a rate counts as this many labels of its parent's rate

    @field_validator("prior")
    @classmethod
    def _positive(cls, value: float) -> float:
        if value <= 0:
            raise ValueError("prior should be above 0")
        return value

    @field_validator("keys")
    @classmethod
    def _distinct(cls, keys: tuple[Key, ...]) -> tuple[Key, ...]:
        if any(not key or len(set(key)) < len(key) for key in keys) or len(set(keys)) < len(keys):
            raise ValueError("each key should name one or more different parts, and each key should stand there once")
        return keys

    @property
    def ordered(self) -> tuple[Key, ...]:
        """The keys, parents before their children."""
        return tuple(sorted(self.keys, key=len))


@dataclass(frozen=True, slots=True)
class RunningFit:
    """What was fitted on train: rates and the moments of the columns."""

    settings: Running
    binary: tuple[bool, ...]
    names: tuple[str, ...]
    with_observed: bool
    rates: tuple[float, ...]  # [T] train mean of each label
    scales: tuple[float, ...]  # [T] train std of a regression label, 1 for binary
    means: tuple[float, ...]  # [P]
    stds: tuple[float, ...]  # [P]

    def columns(self, known: list[Known], at: Floats | float) -> list[Floats]:
        """The raw columns from what is known of each key, in `names`' order, before standardising."""
        rates: dict[Key, list[Floats]] = {}
        columns: list[Floats] = []
        for key, k in zip(self.settings.ordered, known, strict=True):
            above = parent(key, self.settings.keys)
            means = self.rates if above is None else rates[above]
            tasks = range(len(self.binary))
            rates[key] = [self.rate(k.observed[..., t], k.total[..., t], means[t]) for t in tasks]
            if counted(key):
                columns.append(np.log1p(k.impressions))
            if dated(key):
                columns.append(self.age(k.last, at))
            columns += [self.effect(rates[key][t], t) for t in tasks]
            if self.with_observed:
                columns.append(np.log1p(k.observed[..., 0]))
        return columns

    def rate(self, observed: Floats, total: Floats, mean: Floats | float) -> Floats:
        """What is known, smoothed toward the rate above."""
        return (total + self.settings.prior * mean) / (observed + self.settings.prior)

    def age(self, last: Floats, at: Floats | float) -> Floats:
        """Since the last impression, nan without one."""
        age: Floats = np.log1p(np.maximum(at - last, 0.0))
        return age

    def effect(self, rate: Floats, task: int) -> Floats:
        """How far a rate lies from train's."""
        if self.binary[task]:
            return _logit(rate) - _logit(np.asarray(self.rates[task]))
        return (rate - self.rates[task]) / self.scales[task]

    def standardised(self, columns: list[Floats], shape: tuple[int, ...]) -> Numbers:
        """Columns broadcast to `shape`, standardised and stacked behind it, [*shape, P]; nan becomes 0.

        Most columns of a request depend on its user alone or on the item alone. Those of one shape are stacked among
        zeros, so that a single sum makes the whole.
        """
        places: dict[tuple[int, ...], list[int]] = {}
        for place, column in enumerate(columns):
            places.setdefault(column.shape, []).append(place)
        means, stds, stacked = np.array(self.means), np.array(self.stds), np.zeros(len(columns), dtype=np.float32)
        for at, of_shape in sorted(places.items(), key=lambda pair: np.prod(pair[0])):
            part = np.zeros((*at, len(columns)), dtype=np.float32)
            raw = np.stack([columns[place] for place in of_shape], -1)
            part[..., of_shape] = standardise(raw, means[of_shape], stds[of_shape])
            stacked = stacked + part
        whole = (*shape, len(columns))
        return stacked if stacked.shape == whole else np.broadcast_to(stacked, whole).copy()

    def to_dict(self) -> dict[str, Any]:
        plain = {name: list(getattr(self, name)) for name in ("binary", "names", "rates", "scales", "means", "stds")}
        keys = [list(key) for key in self.settings.keys]
        return {**plain, "with_observed": self.with_observed, "keys": keys, "prior": self.settings.prior}

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> "RunningFit":
        chosen = Running(keys=tuple(tuple(key) for key in plain["keys"]), prior=plain["prior"])
        lists = {name: tuple(plain[name]) for name in ("binary", "names", "rates", "scales", "means", "stds")}
        return cls(chosen, with_observed=plain["with_observed"], **lists)


def label_moments(labels_TN: Sequence[Numbers], tasks: tuple[Task, ...]) -> Moments:
    """([T] mean, [T] scale) of observed labels, 0 and 1 without any; the scale is 1 for binary, else the std."""
    seen = [labels[~np.isnan(labels)].astype(np.float64) for labels in labels_TN]
    means = tuple(float(y.mean()) if len(y) else 0.0 for y in seen)
    pairs = zip(seen, tasks, strict=True)
    scales = tuple(float(y.std()) if t.form == "regression" and len(y) and y.std() > 1e-9 else 1.0 for y, t in pairs)
    return means, scales


def column_names(chosen: Running, tasks: tuple[Task, ...], with_observed: bool) -> tuple[str, ...]:
    """The names of the columns in the order of `RunningFit.columns`."""
    names = []
    for key in chosen.ordered:
        label = " × ".join(key)
        names += [f"{label}: impressions"] if counted(key) else []
        names += [f"{label}: since last"] if dated(key) else []
        names += [f"{label}: {task.name}" for task in tasks]
        names += [f"{label}: {tasks[0].name} observed"] if with_observed else []
    return tuple(names)


def parent(key: Key, keys: tuple[Key, ...]) -> Key | None:
    """The longest other key that `key` begins with."""
    return max((k for k in keys if len(k) < len(key) and key[: len(k)] == k), key=len, default=None)


@dataclass(frozen=True)
class RunningLog:
    """A fit with the log it was made from: it tells what was known of anything at any time."""

    fit: RunningFit
    log: Log
    room: Mapping[str, int] | None = None  # how far parts may go that the log does not reach

    @cached_property
    def groups(self) -> list[Groups]:
        return [Groups.of(self.log.parts, key, self.room) for key in self.fit.settings.ordered]

    def state(self, as_of: float) -> "RunningState":
        """Counts of every key over what was known strictly before `as_of`."""
        return RunningState(self.fit, as_of, self.tables(as_of))

    def tables(self, as_of: float) -> tuple[KnownTable, ...]:
        """The table of each key over what was known strictly before `as_of`."""
        until = int(np.searchsorted(self.log.time_N, as_of, side="left"))
        pairs = zip(self.log.labels_TN, self.log.known_at_TN, strict=True)
        known_TN = [(known_N < as_of) & ~np.isnan(labels_N) for labels_N, known_N in pairs]
        return tuple(groups.table(self.log, until, known_TN) for groups in self.groups)

    def before(self, parts: Parts, time_Q: Floats) -> Numbers:
        """The standardised columns of Q combinations, each strictly before its own time, [Q, P]."""
        known = [groups.before(self.log, parts, time_Q) for groups in self.groups]
        return self.fit.standardised(self.fit.columns(known, time_Q), time_Q.shape)


@dataclass(frozen=True, slots=True)
class RunningState:
    """What was known strictly before `as_of`, ready for lookups."""

    fit: RunningFit
    as_of: float
    tables: Sequence[Lookup]  # one for each key, parents before their children

    def columns(self, parts: Parts) -> Numbers:
        """The standardised columns of any combinations; parts broadcast, so [B, 1] users × [1, C] items → [B, C, P]."""
        shape = np.broadcast_shapes(*(part.shape for part in parts.values()))
        raw = self.fit.columns([table.lookup(parts) for table in self.tables], self.as_of)
        return self.fit.standardised(raw, shape)


def counted(key: Key) -> bool:
    """Whether impressions of the key are a column: a scenario's only tell how old the log is."""
    return "user" in key or "item" in key


def dated(key: Key) -> bool:
    """Whether the time since the last impression of the key is a column."""
    return key in {("user",), ("item",)}


def _logit(rate: Floats) -> Floats:
    kept = np.clip(rate, _RATE, 1 - _RATE)
    logit: Floats = np.log(kept) - np.log1p(-kept)
    return logit
