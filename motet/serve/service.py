"""The service without HTTP: a bundle, the events told since, and one request or event at a time.

Requests are ranked by `pipeline.recommend`, the very function behind `motet recommend`, one after the other: torch
computes on one thread. A request that would wait longer than `patience` for the ranker is answered with popular items.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from motet.batch import UNKNOWN
from motet.data.arrays import Ints
from motet.data.clock import ORDER_BELOW, moment
from motet.data.live import Live, Told
from motet.errors import InputError
from motet.serve import messages as m
from motet.serve import pipeline
from motet.serve.bundle import Bundle
from motet.serve.state import Event, EventStore
from motet.settings import nearest

AHEAD = 3600.0
"""Seconds that a time may lie ahead of this machine's clock: a wrong clock elsewhere should not move everybody's."""
_LAST_PLACE = 1e11
_WARM = 200  # candidates that are ranked before the service is ready


class Service:
    """What the routes call."""

    def __init__(self, bundle: Bundle, events: Path, *, patience: float = 0.5) -> None:
        """Events are kept in the file `events`, and read back from it."""
        self.bundle, self.patience = bundle, patience
        self.run, self.data, self.layout = bundle.run, bundle.run.data, bundle.run.data.layout
        self.store, self.live = EventStore(events, bundle.fingerprint), Live(self.data)
        self._writing, self._ranking = Lock(), Lock()
        self._scenarios = [scenario.name for scenario in self.layout.scenarios]
        self._tasks = {task.name: task for task in self.layout.tasks}
        self._clocked = self.data.features.context.clock
        for batch in self.store.read(self.data.end):
            self.live.tell(self._told([event for event in batch if event.scenario in self._scenarios]))

    def warm(self) -> None:
        """Rank a little of everything once, so that the first request finds all in memory."""
        groups = self.data.events.offsets
        row = int(np.diff(groups).argmax()) // max(self.data.events.scenarios, 1)  # who has the longest history
        (user,) = self.data.user_keys(np.array([row])) if row > UNKNOWN else (None,)
        for s, name in enumerate(self._scenarios):
            items = self.live.catalogue(s)[:_WARM]
            if len(items):
                self.recommend(m.Recommend(user_id=user, scenario=name, candidates=self.data.item_keys(items)))

    def recommend(self, asked: m.Recommend) -> m.Slates:
        """One slate for each kind."""
        s = pipeline.scenario_index(self.layout, self._scenario(asked.scenario, "scenario"))
        blend, history = self.bundle.blend.reweighted(asked.weights), self._history(asked.history)
        at = None if asked.time is None else self._time(asked.time, "time")
        with self._ranker() as free:
            if not free:
                return self._answer(asked, s, self._popular(asked, s))
            slates = pipeline.recommend(
                self.run, blend, user=asked.user_id, scenario=self._scenarios[s], kinds=asked.kinds, n=asked.n,
                history=history, seen=asked.seen, exclude=asked.exclude, candidates=asked.candidates, at=at,
                context={name: _text(value) for name, value in asked.context.items()}, live=self.live,
            )  # fmt: skip
        return self._answer(asked, s, [_slate(slate) for slate in slates])

    def add(self, told: m.NewEvents) -> m.Accepted:
        """Keep new events, then count them: the next request knows of them."""
        events = [self._event(event, f"events.{place}") for place, event in enumerate(told.events)]
        with self._writing:
            new = self.store.add(self._in_order(events))
            with self._ranking:
                self.live.tell(self._told(new))
        unknown = sum(self.data.item_row(event.item_id) == UNKNOWN for event in new)
        return m.Accepted(accepted=len(new), duplicates=len(events) - len(new), unknown_items=unknown)

    def status(self) -> m.Status:
        with self._writing:
            count = self.store.count()
        return m.Status(status="ready", bundle=self.bundle.fingerprint, events=count, clock=self.live.clock)

    @contextmanager
    def _ranker(self) -> Iterator[bool]:
        """Whether the ranker is ours within the patience."""
        free = self._ranking.acquire(timeout=self.patience)
        try:
            yield free
        finally:
            if free:
                self._ranking.release()

    def _answer(self, asked: m.Recommend, s: int, slates: list[m.Slate]) -> m.Slates:
        return m.Slates(
            user_id=asked.user_id, scenario=self._scenarios[s], bundle=self.bundle.fingerprint, slates=slates
        )

    def _popular(self, asked: m.Recommend, s: int) -> list[m.Slate]:
        """The fallback: popular items that the user has not been shown."""
        data, n, among = self.data, asked.n or self.layout.scenarios[s].slate_size, None
        left_out: Ints = np.array(
            [pipeline.known_item(data, item, where="exclude") for item in asked.exclude], np.int64
        )
        if asked.candidates is not None:
            among = pipeline.candidate_rows(data, asked.candidates)
        elif asked.history is not None and not asked.seen:
            left_out = np.union1d(left_out, [data.item_row(event.item_id) for event in asked.history])
        elif not asked.seen:
            left_out = np.union1d(left_out, self.live.seen(asked.user_id))
        kinds = pipeline.chosen_kinds(self.layout, self.bundle.blend, s, asked.kinds, pipeline.kinds_of(data, among))
        slates = []
        for k in kinds:
            of_kind = None if among is None else among[data.items.kind_I.numpy()[among] == k]
            items = self.bundle.popular.first(s, k, n, left_out, of_kind)
            places = [
                m.Place(item_id=key, score=None, predictions={}, text=text)
                for key, text in zip(data.item_keys(items), data.item_texts(items), strict=True)
            ]
            slates.append(m.Slate(kind=self.layout.kinds[k], answer="fallback", items=places))
        return slates

    def _history(self, events: Sequence[m.PastEvent] | None) -> list[dict[str, Any]] | None:
        """As `pipeline.recommend` reads it; an item of which nothing can be known is an `InputError`."""
        if events is None:
            return None
        found = []
        for place, event in enumerate(events):
            where = f"history.{place}"
            self._check_labels(event.labels, where)
            told: dict[str, Any] = {"item": self._item(event.item_id, f"{where}.item_id"), **event.labels}
            if event.scenario is not None:
                told["scenario"] = self._scenario(event.scenario, f"{where}.scenario")
            if event.time is not None:
                told["time"] = self._time(event.time, f"{where}.time")
            found.append(told)
        return found

    def _item(self, key: str, where: str) -> str:
        """A known item, or one whose id has a row of its own or a bucket."""
        fields = self.layout.of("item")
        if self.data.item_row(key) == UNKNOWN and self.data.features.item.ids_of([key])[0] == fields[0].offset:
            pipeline.known_item(self.data, key, where=where)
        return key

    def _event(self, event: m.NewEvent, where: str) -> Event:
        self._check_labels(event.labels, where)
        scenario = self._scenario(event.scenario, f"{where}.scenario")
        at = np.nan
        if event.time is not None:
            at = self._time(event.time, f"{where}.time")
        elif self.data.schema.columns.time is not None:
            fix = "tell when it happened, in seconds since 1970 or as 2026-01-01T12:00:00Z"
            raise InputError("the event has no time", where=where, fix=fix)
        return Event(event.event_id, event.user_id, event.item_id, scenario, at, event.labels)

    def _in_order(self, events: list[Event]) -> list[Event]:
        """With places behind all that is known where the log has no times."""
        if self.data.schema.columns.time is not None:
            return events
        first = np.ceil(self.live.clock)
        return [
            Event(event.event_id, event.user_id, event.item_id, event.scenario, float(first + place), event.labels)
            for place, event in enumerate(events)
        ]

    def _scenario(self, name: str | None, where: str) -> str:
        if name is None and len(self._scenarios) == 1:
            return self._scenarios[0]
        if name is None:
            raise InputError("the scenario is not told", where=where, fix=f"one of: {', '.join(self._scenarios)}")
        if name not in self._scenarios:
            raise InputError(f"unknown scenario {name!r}", where=where, fix=nearest(name, self._scenarios))
        return name

    def _check_labels(self, labels: dict[str, float], where: str) -> None:
        for name, value in labels.items():
            place = f"{where}.labels.{name}"
            if name not in self._tasks:
                raise InputError(f"unknown task {name!r}", where=place, fix=nearest(name, list(self._tasks)))
            low, high = self._tasks[name].range
            if not low <= value <= high or (self._tasks[name].form == "binary" and value not in (0, 1)):
                fix = "0 or 1" if self._tasks[name].form == "binary" else f"from {low:g} to {high:g}"
                raise InputError(f"{value:g} is no label of {name!r}", where=place, fix=fix)

    def _time(self, given: float | str, where: str) -> float:
        at = (
            float(given)
            if isinstance(given, float | int) and ORDER_BELOW <= given < 1e11
            else moment(given, where=where)
        )
        if not self._clocked:
            if not 0 <= at < _LAST_PLACE:
                raise InputError(f"{given!r} is no place in an order", where=where, fix="count on from the log's last")
            return at
        if at < ORDER_BELOW:
            fix = "give seconds since 1970, or ISO text"
            raise InputError(f"{given!r} is a small number, where the log has times", where=where, fix=fix)
        if at > max(time.time(), self.data.end) + AHEAD:
            raise InputError(f"{given!r} lies in the future", where=where, fix="check the clock of whoever sent it")
        return at

    def _told(self, events: Sequence[Event]) -> Told:
        labels_NT = np.full((len(events), len(self._tasks)), np.nan, np.float32)
        places = {name: t for t, name in enumerate(self._tasks)}
        for row, event in enumerate(events):
            for name, value in event.labels.items():
                if name in places:
                    labels_NT[row, places[name]] = value
        return Told(
            users=[event.user_id for event in events],
            items=[event.item_id for event in events],
            scenario_N=np.array([self._scenarios.index(event.scenario) for event in events], np.int64),
            time_N=np.array([event.time for event in events], np.float64),
            labels_NT=labels_NT,
        )


def _slate(slate: pipeline.Slate) -> m.Slate:
    places = [
        m.Place(item_id=place.item, score=place.score, predictions=place.predictions, text=place.text)
        for place in slate.items
    ]
    return m.Slate(kind=slate.kind, answer="personal" if slate.known_user else "unknown_user", items=places)


def _text(value: str | int | float | bool) -> str:
    """As a person would write it."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
