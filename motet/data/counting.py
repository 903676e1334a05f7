"""Running counts of every row of a log, column by column: what `running` defines, fitted on train and stored."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from motet.data.arrays import Bools, Floats, Ints, dense_codes
from motet.data.before import Chunk, Told, chunks_of, impressions_before
from motet.data.columns import Columns
from motet.data.known import Key, Log, Parts
from motet.data.numbers import mean_and_std, standardise
from motet.data.running import Moments, Running, RunningFit, column_names, counted, dated, parent
from motet.schema import Task

_BLOCK = 1 << 16
_DIRECT = 4  # a state is kept for every possible combination while they are at most this many times the rows


def count_rows(
    log: Log,
    tasks: tuple[Task, ...],
    train_N: Bools,
    moments: Moments,
    chosen: Running,
    folder: Path,
    threads: int = 1,
    *,
    fitted: RunningFit | None = None,
) -> tuple[Columns[np.float32], RunningFit]:
    """The columns of every row of the log, and what was fitted; `moments` are those of train's labels.

    Their files lie in `folder`. Each thread works on one task of a key. What was `fitted` earlier stays.
    """
    with_observed = bool((np.isnan(log.labels_TN[0]) | (log.known_at_TN[0] != log.time_N)).any())
    with_observed = with_observed if fitted is None else fitted.with_observed
    names = column_names(chosen, tasks, with_observed)
    binary = tuple(task.form == "binary" for task in tasks)
    fit = RunningFit(chosen, binary, names, with_observed, *moments, (), ())
    columns = Columns.of(folder / "pairs", len(log.time_N), len(names), np.float32)
    spread: dict[int, tuple[float, float]] = {}
    rates: dict[Key, Columns[np.float64]] = {}
    parents = {parent(key, chosen.keys) for key in chosen.keys}
    for key in chosen.ordered:
        if key in parents:
            rates[key] = Columns.of(folder / f"rates.{len(rates)}", len(log.time_N), len(tasks), np.float64)
        counting = _Key.of(log, fit, key, len(spread), rates)
        with ThreadPoolExecutor(threads) as pool:
            for found in pool.map(
                lambda task: list(_stored(counting.columns(task), columns, train_N, fitted)),  # noqa: B023
                counting.tasks,
            ):
                spread.update(found)
    means, stds = (tuple(spread[place][at] for place in range(len(names))) for at in (0, 1))
    return columns, replace(fit, means=means, stds=stds)


def _stored(
    made: Iterator[tuple[int, Floats]], columns: Columns[np.float32], train_N: Bools, fitted: RunningFit | None
) -> Iterator[tuple[int, tuple[float, float]]]:
    """Each column standardised by train's moments, or those that were fitted, and stored; the moments come back."""
    for place, column in made:
        known = fitted and (fitted.means[place], fitted.stds[place])
        mean, std = known or mean_and_std(column, train_N)
        for start in range(0, len(column), _BLOCK):
            columns.put(place, standardise(column[start : start + _BLOCK], mean, std), start)
        yield place, (mean, std)


@dataclass(frozen=True, slots=True)
class _Key:
    """One key, its rows brought together."""

    log: Log
    fit: RunningFit
    key: Key
    first: int  # its first column
    group_N: Ints
    groups: int
    chunks: list[Chunk]
    rates: Columns[np.float64] | None  # where its rates are kept for its children
    above: Columns[np.float64] | None  # its parent's

    @classmethod
    def of(cls, log: Log, fit: RunningFit, key: Key, first: int, rates: dict[Key, Columns[np.float64]]) -> "_Key":
        group_N, groups = _groups(log.parts, key, len(log.time_N))
        mother = parent(key, fit.settings.keys)
        above = None if mother is None else rates[mother]
        return cls(log, fit, key, first, group_N, groups, list(chunks_of(group_N, log.time_N)), rates.get(key), above)

    @property
    def tasks(self) -> list[int | None]:
        """What can be worked on side by side; None stands for what needs no label."""
        none: list[int | None] = [None] if counted(self.key) else []
        return [*none, *range(len(self.fit.binary))]

    def columns(self, task: int | None) -> Iterator[tuple[int, Floats]]:
        """(place, raw column) of each of a task's columns."""
        return self._shown() if task is None else self._told(task)

    def _shown(self) -> Iterator[tuple[int, Floats]]:
        count_G, last_G = np.zeros(self.groups), np.full(self.groups, np.nan)
        seen_N, age_N = np.empty(len(self.group_N)), np.empty(len(self.group_N) if dated(self.key) else 0)
        for chunk in self.chunks:
            seen, last = impressions_before(chunk, self.log.time_N, count_G, last_G)
            np.log1p(seen, out=seen_N[chunk.slice])
            if dated(self.key):
                age_N[chunk.slice] = self.fit.age(last, self.log.time_N[chunk.slice])
        yield self.first, seen_N
        if dated(self.key):
            yield self.first + 1, age_N

    def _told(self, task: int) -> Iterator[tuple[int, Floats]]:
        log, fit = self.log, self.fit
        told = Told.of(log.labels_TN[task], log.known_at_TN[task], log.time_N, self.groups)
        above: NDArray[np.float64] | None = None if self.above is None else self.above[task]
        with_observed = fit.with_observed and task == 0
        effect_N = np.empty(len(self.group_N))
        observed_N = np.empty(len(self.group_N) if with_observed else 0)
        for chunk in self.chunks:
            observed, total = told.before(chunk, self.group_N)
            rate = fit.rate(observed, total, fit.rates[task] if above is None else above[chunk.slice])
            if self.rates is not None:
                self.rates.put(task, rate, chunk.start)
            effect_N[chunk.slice] = fit.effect(rate, task)
            if with_observed:
                np.log1p(observed, out=observed_N[chunk.slice])
        shown = int(counted(self.key)) + int(dated(self.key))
        yield self.first + shown + task, effect_N
        if with_observed:
            yield self.first + shown + len(fit.binary), observed_N


def _groups(parts: Parts, key: Key, rows: int) -> tuple[Ints, int]:
    """Each row's combination as a number below the one given back."""
    sizes = [int(parts[part].max(initial=0)) + 1 for part in key]
    codes = dense_codes([parts[part] for part in key], sizes)
    groups = int(np.prod([float(size) for size in sizes]))
    if groups <= _DIRECT * rows + 1000:
        return codes, groups
    found, codes = np.unique(codes, return_inverse=True)
    return codes, len(found)
