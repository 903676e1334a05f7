"""Writing histories: each user's events in time order, and how far into them each impression sees."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from motet.data.arrays import Bools, Floats, Ints, Numbers, ordered_by, save_array
from motet.data.columns import save_columns
from motet.data.history import Events, HistorySettings, groups_of
from motet.data.known import Log
from motet.data.running import Moments
from motet.schema import Task

A = TypeVar("A", np.int32, np.float64)
_ROWS = 1 << 20  # rows whose span is looked up at a time


def write_events(
    log: Log,
    tasks: tuple[Task, ...],
    chosen: HistorySettings,
    made: Path,
    *,
    users: int,
    scenarios: int,
    moments: Moments,
) -> Events:
    """Write the events of a log with parts "user", "item" and "scenario", and each impression's span of them.

    `moments` standardise regression labels. Events go to events/ of the folder `made`, spans to its impressions/.
    """
    found = _Found.of(log, tasks, chosen, moments)
    apart = scenarios if chosen.per_scenario else 0
    groups = users * max(apart, 1)
    row_E = found.row_E
    group_E = groups_of(log.parts["user"], log.parts["scenario"], apart)[row_E]
    offsets = np.concatenate([[0], np.cumsum(np.bincount(group_E, minlength=groups))]).astype(np.int64)
    order_E = ordered_by(group_E, groups)
    del group_E
    row_E, time_E = row_E[order_E], found.time_E[order_E]
    folder = made / "events"
    save_array(folder / "offsets.npy", offsets + 1)
    save_array(folder / "item_E.npy", _padded(log.parts["item"].astype(np.int32, copy=False)[row_E]))
    save_array(folder / "scenario_E.npy", _padded(log.parts["scenario"].astype(np.int32, copy=False)[row_E]))
    save_array(folder / "time_E.npy", _padded(time_E))
    actions = [action_E[order_E] for action_E in found.actions()]
    save_columns(folder / "action_ET.npy", actions, len(order_E), np.float32, blank=1)
    del actions
    events = Events.load(folder, apart)
    start_N = events.offsets[groups_of(log.parts["user"], log.parts["scenario"], apart)]
    save_array(made / "impressions" / "history_start.npy", start_N)
    if chosen.events == "all":
        own_E = found.own_E
        own_E = None if own_E is None else own_E[order_E]
        end_N = _ends(row_E, time_E, offsets, own_E, len(log.time_N))
    else:
        end_N = np.concatenate([*_looked_up(events, log), np.zeros(0, np.int64)])
    save_array(made / "impressions" / "history_end.npy", end_N)
    return events


@dataclass(frozen=True, slots=True)
class _Found:
    """Events in order of time, then row: impressions, and labels that became known later than their impression."""

    log: Log
    tasks: tuple[Task, ...]
    moments: Moments
    rows: NDArray[np.integer] | None  # of the impressions that are events; None: all
    late: "_Late | None"

    @classmethod
    def of(cls, log: Log, tasks: tuple[Task, ...], chosen: HistorySettings, moments: Moments) -> "_Found":
        rows = None
        if chosen.events == "positive":
            at_once = [_happened(log, tasks, t) & (log.known_at_TN[t] == log.time_N) for t in range(len(tasks))]
            rows = np.flatnonzero(np.logical_or.reduce(at_once))
        return cls(log, tasks, moments, rows, _Late.of(log, tasks, log.time_N if rows is None else log.time_N[rows]))

    @property
    def row_E(self) -> NDArray[np.integer]:
        rows = np.arange(len(self.log.time_N), dtype=np.uint32) if self.rows is None else self.rows
        return rows if self.late is None else np.insert(rows, self.late.at, self.late.row)

    @property
    def time_E(self) -> Floats:
        times = self.log.time_N if self.rows is None else self.log.time_N[self.rows]
        return times if self.late is None else np.insert(times, self.late.at, self.late.time)

    @property
    def own_E(self) -> Bools | None:
        """Which are impressions; None: all."""
        if self.late is None:
            return None
        return np.insert(
            np.ones(len(self.log.time_N if self.rows is None else self.rows), np.bool_), self.late.at, False
        )

    def actions(self) -> Iterator[Numbers]:
        """What became known with each event, one array for each task."""
        for t, task in enumerate(self.tasks):
            happened, known = _happened(self.log, self.tasks, t), self.log.known_at_TN[t]
            mean, scale = (
                m[t] if task.form == "regression" else float(c) for m, c in zip(self.moments, (0, 1), strict=True)
            )
            standard = ((self.log.labels_TN[t] - np.float64(mean)) / scale).astype(np.float32)
            at_once = happened if known is self.log.time_N else happened & (known == self.log.time_N)
            action = np.where(at_once, standard, np.float32(0))
            action = action if self.rows is None else action[self.rows]
            if self.late is not None:
                later = np.zeros(len(self.late.row), np.float32)
                rows, events = self.late.by_task[t]
                later[events] = standard[rows]
                action = np.insert(action, self.late.at, later)
            yield action


@dataclass(frozen=True, slots=True)
class _Late:
    """L labels that became known later than their impression, those of one row and time as one event."""

    row: Ints
    time: Floats
    at: Ints  # before which impression each comes
    by_task: tuple[tuple[Ints, Ints], ...]  # rows, and which of these events they are

    @classmethod
    def of(cls, log: Log, tasks: tuple[Task, ...], times: Floats) -> "_Late | None":
        rows = []
        for t, known in enumerate(log.known_at_TN):
            late = np.zeros(0, np.bool_)
            if known is not log.time_N:
                late = _happened(log, tasks, t) & (known > log.time_N) & np.isfinite(known)
            rows.append(np.flatnonzero(late))
        row = np.concatenate(rows)
        if not len(row):
            return None
        time = np.concatenate([known[some] for known, some in zip(log.known_at_TN, rows, strict=True)])
        order = np.lexsort((row, time))
        row, time = row[order], time[order]
        new = np.concatenate([[True], (np.diff(row) != 0) | (np.diff(time) != 0)])
        event = np.empty(len(row), np.int64)
        event[order] = np.cumsum(new) - 1
        of_task = np.split(event, np.cumsum([len(some) for some in rows])[:-1])
        row, time = row[new], time[new]
        return cls(row, time, np.searchsorted(times, time, side="left"), tuple(zip(rows, of_task, strict=True)))


def _happened(log: Log, tasks: tuple[Task, ...], t: int) -> Bools:
    """Where something happened: a binary label of 1, or any observed regression label."""
    labels = log.labels_TN[t]
    return labels == 1 if tasks[t].form == "binary" else ~np.isnan(labels)


def _ends(row_E: NDArray[np.integer], time_E: Floats, offsets: Ints, own_E: Bools | None, rows: int) -> Ints:
    """One behind the last event of each row's group that is earlier than the row, where each row is an event itself."""
    later = np.ones(len(time_E), np.bool_)
    np.not_equal(time_E[1:], time_E[:-1], out=later[1:])
    later[offsets[:-1][offsets[:-1] < len(time_E)]] = True
    first_E = np.maximum.accumulate(np.where(later, np.arange(len(time_E)), 0))
    end_N = np.empty(rows, np.int64)
    if own_E is None:
        end_N[row_E] = first_E + 1
    else:
        end_N[row_E[own_E]] = first_E[own_E] + 1
    return end_N


def _looked_up(events: Events, log: Log) -> Iterator[Ints]:
    for start in range(0, len(log.time_N), _ROWS):
        some = slice(start, start + _ROWS)
        yield events.before(log.parts["user"][some], log.parts["scenario"][some], log.time_N[some])[1]


def _padded(values_E: NDArray[A]) -> NDArray[A]:
    """The values behind one zero."""
    return np.concatenate([np.zeros_like(values_E, shape=1), values_E])
