"""A history that comes with a request, such as of a user whom the log does not know."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from motet.batch import Layout
from motet.data.arrays import Floats, Ints, Numbers
from motet.errors import InputError
from motet.settings import nearest

STEP = 60.0
"""Seconds (or order steps, times 60) between events whose time is not told."""
_WORDS = ("item", "scenario", "time")


@dataclass(frozen=True, slots=True)
class InlineHistory:
    """L events, oldest first; `time_L` is nan where it was not told."""

    item: Ints  # [L] rows of the items table
    keys: tuple[str, ...]  # of the items
    scenario: Ints  # [L] index into layout.scenarios, -1 for the request's own
    action_LT: Numbers
    time_L: Floats

    def ages(self, at: float, *, step: float) -> Floats:
        """Seconds (or steps) before `at`; the k-th event from the end is k steps old if it has no time."""
        untold = step * np.arange(len(self.item), 0, -1, dtype=np.float64)
        return np.maximum(np.where(np.isnan(self.time_L), untold, at - self.time_L), 0.0)


def inline_history(
    events: Sequence[Mapping[str, Any]], layout: Layout, means: Sequence[float], item_row: Callable[[str], int]
) -> InlineHistory:
    """Events such as {"item": "g1", "scenario": "mobile", "click": 1, "stars": 4.0, "time": 1.7e9}.

    An unknown item stands as row 1; an event that names no task counts as one where nothing more is known than that
    it happened. The last `layout.history_length` events are kept.
    """
    kept = list(events)[-layout.history_length :]
    scenarios = [scenario.name for scenario in layout.scenarios]
    action_LT = np.zeros((len(kept), len(layout.tasks)), np.float32)
    for place, event in enumerate(kept):
        _check(event, place, layout)
        for t, task in enumerate(layout.tasks):
            value = event.get(task.name)
            if value is not None:
                standard = (float(value) - means[t]) / layout.label_scales[t]
                action_LT[place, t] = standard if task.form == "regression" else float(value)
    named, keys = [event.get("scenario") for event in kept], tuple(str(event["item"]) for event in kept)
    return InlineHistory(
        item=np.array([item_row(key) for key in keys], np.int64),
        keys=keys,
        scenario=np.array([-1 if name is None else scenarios.index(name) for name in named], np.int64),
        action_LT=action_LT,
        time_L=np.array([event.get("time", np.nan) for event in kept], np.float64),
    )


def _check(event: Mapping[str, Any], place: int, layout: Layout) -> None:
    where, tasks = f"event {place + 1} of the history", [task.name for task in layout.tasks]
    if "item" not in event:
        raise InputError("an event has no item", where=where, fix='{"item": "…", "click": 1}')
    for key, value in event.items():
        if key not in _WORDS and key not in tasks:
            raise InputError(f"unknown key {key!r}", where=where, fix=nearest(key, [*_WORDS, *tasks]))
        if key in tasks and not isinstance(value, int | float | None):
            raise InputError(f"{key!r} should be a number, not {value!r}", where=where, fix=f'"{key}": 1')
    if not isinstance(event.get("time"), int | float | None):
        raise InputError(f"the time should be a number, not {event['time']!r}", where=where, fix='"time": 1714566600')
    scenarios = [scenario.name for scenario in layout.scenarios]
    if event.get("scenario") is not None and event["scenario"] not in scenarios:
        message = f"unknown scenario {event['scenario']!r}"
        raise InputError(message, where=where, fix=nearest(str(event["scenario"]), scenarios))
