"""Running counts that go on after the log: impressions are added as they are told, labels as they become known.

What is known after any number of impressions is what it would be if the log had held them from the start.

Shapes: N impressions told at once, R rows of a table, G of them combinations that the log has, M others, P labels that
wait, K keys, T tasks.
"""

from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from motet.data.arrays import Floats, Ints, Numbers
from motet.data.known import Known, KnownTable, Parts
from motet.data.running import RunningLog, RunningState

A = TypeVar("A", bound=np.generic)


class GrowingArray(Generic[A]):
    """Rows of numbers with room behind them, which is doubled when it is used up."""

    def __init__(self, values: NDArray[A]) -> None:
        self._room, self._used = values, len(values)

    def __len__(self) -> int:
        return self._used

    @property
    def values(self) -> NDArray[A]:
        """The rows so far, to be read and changed in place."""
        return self._room[: self._used]

    def append(self, rows: NDArray[A]) -> None:
        needed = self._used + len(rows)
        if needed > len(self._room):
            room = np.empty((max(needed, 2 * self._used), *self._room.shape[1:]), self._room.dtype)
            room[: self._used] = self.values
            self._room = room
        self._room[self._used : needed] = rows
        self._used = needed


class GrowingTable:
    """What is known of each combination of one key's parts; new combinations get rows behind the log's."""

    def __init__(self, table: KnownTable) -> None:
        self.groups = replace(table.groups, group_N=np.zeros(0, np.int64))  # the log's rows are not needed any more
        known = table.known
        self._columns = [GrowingArray(array) for array in (known.impressions, known.last, known.observed, known.total)]
        self._code_M, self._row_M = np.zeros(0, np.int64), np.zeros(0, np.int64)

    @property
    def none(self) -> int:
        """The row of combinations that never occurred."""
        return len(self.groups.codes_G)

    def lookup(self, parts: Parts) -> Known:
        """What is known of combinations; parts broadcast."""
        row = self._rows(self.groups.codes(parts))
        impressions, last, observed, total = (column.values[row] for column in self._columns)
        return Known(impressions, last, observed, total)

    def rows_of(self, parts: Parts) -> Ints:
        """The row of each combination, made where there is none; `none` for one that can have none. [N]"""
        code_N = self.groups.codes(parts)
        row_N = self._rows(code_N)
        new = np.unique(code_N[(row_N == self.none) & (code_N >= 0)])
        if not len(new):
            return row_N
        impressions, last, observed, total = self._columns
        place, tasks = np.searchsorted(self._code_M, new), observed.values.shape[1]
        self._row_M = np.insert(self._row_M, place, len(impressions) + np.arange(len(new)))
        self._code_M = np.insert(self._code_M, place, new)
        impressions.append(np.zeros(len(new)))
        last.append(np.full(len(new), np.nan))
        for column in (observed, total):
            column.append(np.zeros((len(new), tasks)))
        return self._rows(code_N)

    def show(self, row_N: Ints, time_N: Floats) -> None:
        """Impressions of those rows."""
        real_N = row_N != self.none
        impressions, last = self._columns[0].values, self._columns[1].values
        np.add.at(impressions, row_N[real_N], 1)
        np.fmax.at(last, row_N[real_N], time_N[real_N])

    def tell(self, row_P: Ints, task_P: Ints, label_P: Floats) -> None:
        """Labels of those rows that have become known."""
        real_P = row_P != self.none
        place = row_P[real_P], task_P[real_P]
        np.add.at(self._columns[2].values, place, 1)
        np.add.at(self._columns[3].values, place, label_P[real_P])

    def _rows(self, code: Ints) -> Ints:
        row = self.groups.places(code)
        if len(self._code_M):
            place = np.minimum(np.searchsorted(self._code_M, code), len(self._code_M) - 1)
            row = np.where(self._code_M[place] == code, self._row_M[place], row)
        return row


@dataclass(frozen=True, slots=True)
class _Waiting:
    """Labels that are not known yet, those that become known first at the front."""

    known_P: Floats
    task_P: Ints
    label_P: Floats
    row_PK: Ints  # in the table of each key

    def and_others(self, others: "_Waiting") -> "_Waiting":
        place = np.searchsorted(self.known_P, others.known_P, side="right")
        pairs = ((getattr(self, name), getattr(others, name)) for name in ("known_P", "task_P", "label_P", "row_PK"))
        return _Waiting(*(np.insert(mine, place, theirs, axis=0) for mine, theirs in pairs))

    def some(self, chosen: slice | Ints) -> "_Waiting":
        return _Waiting(self.known_P[chosen], self.task_P[chosen], self.label_P[chosen], self.row_PK[chosen])

    def in_time(self) -> "_Waiting":
        return self.some(np.argsort(self.known_P, kind="stable"))


class GrowingCounts:
    """The tables of all keys, from the end of a log on."""

    def __init__(self, running: RunningLog, end: float) -> None:
        self.fit = running.fit
        self.tables = tuple(GrowingTable(groups) for groups in running.tables(end))
        self._waiting = _of_the_log(running, end)

    def add(self, parts: Parts, time_N: Floats, labels_NT: Numbers, known_at_NT: Floats) -> None:
        """Impressions with what will have come of them, nan where nothing is told."""
        row_NK = np.stack([table.rows_of(parts) for table in self.tables], 1) if self.tables else _no_rows(len(time_N))
        for k, table in enumerate(self.tables):
            table.show(row_NK[:, k], time_N)
        n_P, task_P = np.nonzero(~np.isnan(labels_NT))
        told = _Waiting(known_at_NT[n_P, task_P], task_P, labels_NT[n_P, task_P].astype(np.float64), row_NK[n_P])
        at_once = told.known_P <= time_N[n_P]
        self._know(told.some(np.flatnonzero(at_once)))
        self._waiting = self._waiting.and_others(told.some(np.flatnonzero(~at_once)).in_time())

    def state(self, at: float) -> RunningState:
        """What is known at a time that lies behind all impressions; labels known before it do not wait any longer."""
        known = int(np.searchsorted(self._waiting.known_P, at, side="left"))
        if known:
            self._know(self._waiting.some(slice(0, known)))
            self._waiting = self._waiting.some(slice(known, None))
        return RunningState(self.fit, at, self.tables)

    def _know(self, told: _Waiting) -> None:
        for k, table in enumerate(self.tables):
            table.tell(told.row_PK[:, k], told.task_P, told.label_P)


def _of_the_log(running: RunningLog, end: float) -> _Waiting:
    """Labels of the log that become known only after its end."""
    found = []
    for t, (labels_N, known_N) in enumerate(zip(running.log.labels_TN, running.log.known_at_TN, strict=True)):
        row = np.flatnonzero(~np.isnan(labels_N) & (known_N >= end) & np.isfinite(known_N))
        rows_K = [groups.group_N[row] for groups in running.groups]
        row_PK = np.stack(rows_K, 1) if rows_K else _no_rows(len(row))
        found.append(_Waiting(known_N[row], np.full(len(row), t), labels_N[row].astype(np.float64), row_PK))
    names = ("known_P", "task_P", "label_P", "row_PK")
    return _Waiting(*(np.concatenate([getattr(one, name) for one in found]) for name in names)).in_time()


def _no_rows(count: int) -> Ints:
    return np.zeros((count, 0), np.int64)
