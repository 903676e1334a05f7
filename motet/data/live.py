"""What is known of users now: the log, and the events that have been told since.

An event is an impression with what came of it. After any events, a user's history, what the user has been shown, the
catalogues and the running counts are what they would be if the log had held them from the start. Users whom the log
does not know have a past from their first event on; items that it does not know are unknown in histories.

Shapes: N events told at once, E all of them with labels that became known later, L history length, T tasks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motet.batch import UNKNOWN
from motet.data.arrays import Bools, Floats, Ints, Numbers
from motet.data.dataset import Dataset
from motet.data.growing import GrowingArray, GrowingCounts
from motet.data.inline import InlineHistory
from motet.data.parts import ROLES, key_parts
from motet.data.running import RunningLog, RunningState

NEW_USERS = 1 << 20
"""Users beyond the log's of whom running counts are kept; of more of them the history alone."""


@dataclass(frozen=True, slots=True)
class Told:
    """N events as they were told."""

    users: Sequence[str]
    items: Sequence[str]
    scenario_N: Ints
    time_N: Floats
    labels_NT: Numbers  # nan where nothing is told


@dataclass(frozen=True, slots=True)
class Past:
    """What is known of one user at a time."""

    row: int  # of the users table, 1 unknown
    seen: Ints  # rows of the items table, ascending
    at: float | None = None  # None: the end of the data
    history: InlineHistory | None = None  # None: as the log holds it
    state: RunningState | None = None  # None: as of the log
    counted: int = UNKNOWN  # who the user is in `state`

    @property
    def known(self) -> bool:
        """Whether anything is known of this user."""
        return self.row != UNKNOWN or self.counted != UNKNOWN or self.history is not None

    def as_told(self, history: InlineHistory) -> "Past":
        """With that history instead of the user's own."""
        return replace(self, history=history, seen=np.unique(history.item))

    def request(self) -> dict[str, Any]:
        """As `Dataset.request` is told of it."""
        if self.state is None:
            return {"history": self.history}
        return {"history": self.history, "state": self.state, "counted": np.array([self.counted])}


class Live:
    """A data set that events are told to."""

    def __init__(self, data: Dataset) -> None:
        self.data, layout = data, data.layout
        running = data.running
        self._counts = GrowingCounts(RunningLog(running.fit, running.log, _room(data)), data.end)
        self._clock, self._new_users = data.end, dict[str, int]()
        self._delay_T = np.array([task.delay_seconds for task in layout.tasks])
        self._binary_T = np.array([task.form == "binary" for task in layout.tasks])
        self._means_T = np.where(self._binary_T, 0.0, data.label_means)
        self._scales_T = np.where(self._binary_T, 1.0, layout.label_scales)
        self._events_are_all = data.manifest["settings"]["history"]["events"] == "all"
        self._item_E, self._scenario_E = (GrowingArray(np.zeros(0, np.int64)) for _ in range(2))
        self._time_E = GrowingArray(np.zeros(0))
        self._action_ET = GrowingArray(np.zeros((0, len(layout.tasks)), np.float32))
        self._of_user, self._shown_to = dict[int, list[int]](), dict[int, set[int]]()
        self._unknown_items = dict[int, str]()  # keys of events' items that the items table does not know
        self._catalogues = dict[int, Ints]()

    @property
    def clock(self) -> float:
        """Just after all that is known: the end of the data, or the last event."""
        return self._clock

    def tell(self, told: Told) -> None:
        """Events happen: all that is known counts them."""
        if not len(told.time_N):
            return
        data = self.data
        user_N = np.array([self._user(key) for key in told.users], np.int64)
        item_N = np.array([data.item_row(key) for key in told.items], np.int64)
        known_N = item_N != UNKNOWN
        labels_NT = np.where(self._applies(item_N, told.scenario_N), told.labels_NT, np.float32(np.nan))
        known_at_NT = told.time_N[:, None] + self._delay_T
        self._counts.add(self._parts(user_N, item_N, told.scenario_N), told.time_N, labels_NT, known_at_NT)
        self._remember(user_N, item_N, told, labels_NT, known_at_NT)
        for user, item in zip(user_N[known_N].tolist(), item_N[known_N].tolist(), strict=True):
            self._shown_to.setdefault(user, set()).add(item)
        for s in np.unique(told.scenario_N[known_N]).tolist():
            here = item_N[known_N & (told.scenario_N == s)]
            self._catalogues[s] = np.union1d(self.catalogue(s), here)
        self._clock = max(self._clock, float(np.nextafter(told.time_N.max(), np.inf)))

    def past(self, key: str | None, scenario: int, time: float | None = None) -> Past:
        """What is known of a user at a time; one before the clock counts as the clock."""
        at = self._clock if time is None else max(time, self._clock)
        row, counted = self._who(key)
        history = self._history(row, counted, scenario, at)
        return Past(row, self._seen(row, counted), at, history, self._counts.state(at), counted)

    def seen(self, key: str | None) -> Ints:
        """Items that a user has been shown, ascending."""
        return self._seen(*self._who(key))

    def catalogue(self, scenario: int, kind: int | None = None) -> Ints:
        """Items that have been shown in the scenario, ascending; of one kind if given."""
        if scenario not in self._catalogues:
            self._catalogues[scenario] = self.data.catalogue(scenario)
        items = self._catalogues[scenario]
        return items if kind is None else items[self.data.items.kind_I.numpy()[items] == kind]

    def _who(self, key: str | None) -> tuple[int, int]:
        """A user's row, and who the user is in running counts; 1 where unknown."""
        row = UNKNOWN if key is None else self.data.user_row(key)
        return row, row if row != UNKNOWN or key is None else self._new_users.get(key, UNKNOWN)

    def _seen(self, row: int, counted: int) -> Ints:
        seen, shown = self.data.seen(row), self._shown_to.get(counted, set())
        return np.union1d(seen, np.fromiter(shown, np.int64, len(shown))) if shown else seen

    def _user(self, key: str) -> int:
        """Who a user is in running counts; one whom the log does not know comes behind its users."""
        row = self.data.user_row(key)
        if row != UNKNOWN:
            return row
        return self._new_users.setdefault(key, len(self.data.user_ids_UK) + len(self._new_users))

    def _applies(self, item_N: Ints, scenario_N: Ints) -> Bools:
        """Where a task can happen; of an unknown item nobody knows the kind."""
        layout, kind_N = self.data.layout, self.data.items.kind_I.numpy()[item_N]
        applies_NT = np.ones((len(item_N), len(layout.tasks)), np.bool_)
        for t, task in enumerate(layout.tasks):
            if task.kinds:
                kinds = [k for k, kind in enumerate(layout.kinds) if kind in task.kinds]
                applies_NT[:, t] &= np.isin(kind_N, kinds) | (item_N == UNKNOWN)
            if task.scenarios:
                names = [s for s, scenario in enumerate(layout.scenarios) if scenario.name in task.scenarios]
                applies_NT[:, t] &= np.isin(scenario_N, names)
        return applies_NT

    def _parts(self, user_N: Ints, item_N: Ints, scenario_N: Ints) -> Mapping[str, NDArray[np.integer]]:
        """The parts of running counts; an unknown item has none, for it is not one item, and context is not told."""
        data, known_N = self.data, item_N != UNKNOWN
        row_N = np.where(user_N < len(data.user_ids_UK), user_N, UNKNOWN)
        kind_N = data.items.kind_I.numpy()[item_N]
        item_ids_NK = data.items.ids_IK.numpy()[item_N]
        return key_parts(
            self._counts.fit.settings.keys, data.layout.fields,
            {"user": user_N, "item": np.where(known_N, item_N, -1), "scenario": scenario_N,
             "kind": np.where(known_N, kind_N, -1)},
            {"user": data.user_ids_UK.numpy()[row_N], "item": np.where(known_N[:, None], item_ids_NK, -1),
             "context": data.untold_context.ids_RK[scenario_N]},
        )  # fmt: skip

    def _remember(self, user_N: Ints, item_N: Ints, told: Told, labels_NT: Numbers, known_at_NT: Floats) -> None:
        """Histories: the impression, and what becomes known of it later as another event."""
        happened_NT = np.where(self._binary_T, labels_NT == 1, ~np.isnan(labels_NT))
        standard_NT = ((labels_NT - self._means_T) / self._scales_T).astype(np.float32)
        at_once_T = self._delay_T == 0
        first_N = np.ones(len(item_N), np.bool_) if self._events_are_all else (happened_NT & at_once_T).any(1)
        action_NT = np.where(happened_NT & at_once_T, standard_NT, np.float32(0))
        rows, times, actions = [np.flatnonzero(first_N)], [told.time_N[first_N]], [action_NT[first_N]]
        for delay in np.unique(self._delay_T[~at_once_T]):
            of_delay_NT = happened_NT & (self._delay_T == delay)
            later = np.flatnonzero(of_delay_NT.any(1))
            rows.append(later)
            times.append(told.time_N[later] + delay)
            actions.append(np.where(of_delay_NT, standard_NT, np.float32(0))[later])
        row_E, before = np.concatenate(rows), len(self._time_E)
        self._item_E.append(item_N[row_E])
        self._scenario_E.append(told.scenario_N[row_E])
        self._time_E.append(np.concatenate(times))
        self._action_ET.append(np.concatenate(actions))
        for place, row in enumerate(row_E.tolist(), before):
            self._of_user.setdefault(int(user_N[row]), []).append(place)
            if item_N[row] == UNKNOWN:
                self._unknown_items[place] = told.items[row]
        for user in user_N.tolist():
            self._of_user.setdefault(user, [])

    def _history(self, row: int, counted: int, scenario: int, at: float) -> InlineHistory | None:
        """The last events of the log and since, by time; None where nothing has happened since."""
        told = self._of_user.get(counted)
        if told is None:
            return None
        events, length = self.data.events, self.data.layout.history_length
        place_E = np.array(told, np.int64)
        scenario_E = self._scenario_E.values[place_E]
        here_E = ((scenario_E == scenario) | (events.scenarios == 0)) & (self._time_E.values[place_E] < at)
        place_E = place_E[here_E]
        (start,), (end,) = events.before(np.array([row]), np.array([scenario]), np.array([at]))
        stored = slice(max(int(start), int(end) - length), int(end))
        time = np.concatenate([events.time_E[stored], self._time_E.values[place_E]])
        last = np.argsort(time, kind="stable")[-length:]
        keys = [""] * (stored.stop - stored.start) + [self._unknown_items.get(place, "") for place in place_E.tolist()]
        return InlineHistory(
            item=np.concatenate([events.item_E[stored].astype(np.int64), self._item_E.values[place_E]])[last],
            keys=tuple(keys[place] for place in last.tolist()),
            scenario=np.concatenate([events.scenario_E[stored].astype(np.int64), scenario_E[here_E]])[last],
            action_LT=np.concatenate([events.action_ET[stored], self._action_ET.values[place_E]])[last],
            time_L=time[last],
        )


def _room(data: Dataset) -> dict[str, int]:
    """How far the parts of running counts may go that the log does not reach."""
    layout = data.layout
    fields = {field.name: field.offset + field.size for field in layout.fields if field.name not in ROLES}
    return {
        **fields,
        "user": len(data.user_ids_UK) + NEW_USERS,
        "item": len(data.items.ids_IK),
        "scenario": len(layout.scenarios),
        "kind": len(layout.kinds),
    }
