"""Histories: each user's events stored once, in time order; an impression only holds where its past ends.

An event is an impression with something positive in it: a binary label that is 1 or an observed regression label. A
label that becomes known later is a second event at its `known_at`, whose action holds only what became known then.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import field_validator

from motet.data.arrays import Bools, Floats, Grouped, Ids, Ints, Numbers, bisect_before, load_array, save_array
from motet.data.known import Log
from motet.data.running import Moments
from motet.schema import Task
from motet.settings import settings

A = TypeVar("A", np.int32, np.float32, np.float64)


@settings
class HistorySettings:
    """What counts as an event and how many of the last ones a ranker sees."""

    length: int = 20
    events: Literal["positive", "all"] = "all"  # positive: only impressions that something came of
    per_scenario: bool = False  # a request sees only events of its own scenario

    @field_validator("length")
    @classmethod
    def _positive(cls, value: int) -> int:
        if value < 1:
            raise ValueError("length should be at least 1")
        return value


@dataclass(frozen=True, slots=True)
class Events:
    """Events of all users; group g (a user, or a user in a scenario) owns positions offsets[g] … offsets[g + 1].

    Position 0 holds padding, all zero, and belongs to no group.
    """

    offsets: Ints  # [groups + 1]
    item_E: Ids
    scenario_E: Ids
    action_ET: Numbers
    time_E: Floats  # when the event became known
    scenarios: int  # 0: one group per user; else user · scenarios + scenario

    def before(self, user_N: NDArray[np.integer], scenario_N: NDArray[np.integer], time_N: Floats) -> tuple[Ints, Ints]:
        """(start, end) of the events each row may see: its group's, strictly before its time."""
        group_N = _groups(user_N, scenario_N, self.scenarios)
        start, stop = self.offsets[group_N], self.offsets[group_N + 1]
        return start, bisect_before(self.time_E, start, stop, time_N)

    def save(self, folder: Path) -> None:
        for name in ("offsets", "item_E", "scenario_E", "action_ET", "time_E"):
            save_array(folder / f"{name}.npy", getattr(self, name))

    @classmethod
    def load(cls, folder: Path, scenarios: int) -> "Events":
        return cls(
            offsets=cast(Ints, load_array(folder / "offsets.npy")),
            item_E=cast(Ids, load_array(folder / "item_E.npy")),
            scenario_E=cast(Ids, load_array(folder / "scenario_E.npy")),
            action_ET=cast(Numbers, load_array(folder / "action_ET.npy")),
            time_E=cast(Floats, load_array(folder / "time_E.npy")),
            scenarios=scenarios,
        )


def build_events(
    log: Log,
    tasks: tuple[Task, ...],
    chosen: HistorySettings,
    *,
    users: int,
    scenarios: int,
    moments: Moments,
) -> Events:
    """The events of a log with parts "user", "item" and "scenario"; `moments` standardise regression labels."""
    means, scales = moments
    row_P, task_P, time_P = _parts_of_events(log, tasks, chosen)
    order = np.lexsort((time_P, row_P))
    row_P, task_P, time_P = row_P[order], task_P[order], time_P[order]
    first_P = np.ones(len(row_P), dtype=np.bool_)
    first_P[1:] = (np.diff(row_P) != 0) | (np.diff(time_P) != 0)
    event_P = np.cumsum(first_P) - 1
    row_E, time_E = row_P[first_P], time_P[first_P]
    action_ET = np.zeros((len(row_E), len(tasks)), dtype=np.float32)
    told = task_P >= 0
    regression = np.array([task.form == "regression" for task in tasks])
    standard_NT = (log.labels_NT - np.where(regression, means, 0.0)) / np.where(regression, scales, 1.0)
    action_ET[event_P[told], task_P[told]] = standard_NT[row_P[told], task_P[told]]
    apart = scenarios if chosen.per_scenario else 0
    groups_E = _groups(log.parts["user"][row_E], log.parts["scenario"][row_E], apart)
    grouped = Grouped.of(groups_E, time_E, users * max(apart, 1))
    row_E = row_E[grouped.order_E]
    return Events(
        offsets=grouped.offsets + 1,
        item_E=_padded(log.parts["item"][row_E].astype(np.int32)),
        scenario_E=_padded(log.parts["scenario"][row_E].astype(np.int32)),
        action_ET=_padded(action_ET[grouped.order_E]),
        time_E=_padded(grouped.time_E),
        scenarios=apart,
    )


def positive_labels(labels_NT: Numbers, tasks: tuple[Task, ...]) -> Bools:
    """Where something happened: a binary label of 1, or any observed regression label. [N, T]"""
    binary = np.array([task.form == "binary" for task in tasks])
    happened: Bools = ~np.isnan(labels_NT) & (~binary | (labels_NT == 1))
    return happened


def _groups(user_N: NDArray[np.integer], scenario_N: NDArray[np.integer], scenarios: int) -> Ints:
    """The group whose events each row may see: the user's, or with `scenarios` the user's in that scenario."""
    user = user_N.astype(np.int64)
    return user * scenarios + scenario_N if scenarios else user


def _padded(values_E: NDArray[A]) -> NDArray[A]:
    """The values behind one zero."""
    return np.concatenate([np.zeros_like(values_E, shape=(1, *values_E.shape[1:])), values_E])


def _parts_of_events(log: Log, tasks: tuple[Task, ...], chosen: HistorySettings) -> tuple[Ints, Ints, Floats]:
    """(row, task, known at) of everything positive; with `events = "all"` also (row, -1, time) of every impression."""
    row_P, task_P = np.nonzero(positive_labels(log.labels_NT, tasks))
    time_P = log.known_at_NT[row_P, task_P]
    if chosen.events == "all":
        rows = np.arange(len(log.time_N))
        row_P, task_P = np.concatenate([row_P, rows]), np.concatenate([task_P, np.full(len(rows), -1)])
        time_P = np.concatenate([time_P, log.time_N])
    known = np.isfinite(time_P)
    return row_P[known], task_P[known], time_P[known]
