import math
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from motet.data.events import write_events
from motet.data.history import Events, HistorySettings
from motet.data.known import Log
from motet.schema import Task

TASKS = (Task(name="click", label="c"), Task(name="buy", label="b"), Task(name="stars", label="s", form="regression"))

rows_of_events = st.lists(
    st.tuples(
        st.integers(2, 4),
        st.integers(2, 6),
        st.integers(0, 1),
        st.integers(0, 12),
        st.sampled_from([0.0, 1.0, math.nan]),
        st.sampled_from([0.0, 1.0, math.nan]),
        st.integers(0, 5),
        st.sampled_from([3.0, 5.0, math.nan]),
    ),
    min_size=1,
    max_size=30,
)


def log_of(rows) -> Log:
    rows = sorted(rows, key=lambda row: row[3])
    time = np.array([row[3] for row in rows], dtype=np.float64)
    labels = np.array([[row[4], row[5], row[7]] for row in rows], dtype=np.float32)
    known_at = np.stack([time, time + [row[6] for row in rows], time], axis=1)
    parts = {name: np.array([row[i] for row in rows]) for i, name in enumerate(("user", "item", "scenario"))}
    return Log(time, parts, labels.T, known_at.T)


def written(log: Log, **chosen) -> tuple[Events, np.ndarray, np.ndarray]:
    """The events, and the span of them that each row sees."""
    moments = ((0.5, 0.5, 3.0), (1.0, 1.0, 2.0))
    with TemporaryDirectory() as name:
        folder = Path(name)
        events = write_events(log, TASKS, HistorySettings(**chosen), folder, users=5, scenarios=2, moments=moments)
        spans = [np.load(folder / "impressions" / f"history_{side}.npy") for side in ("start", "end")]
        arrays = {
            name: np.array(getattr(events, name)) for name in ("offsets", "item_E", "scenario_E", "action_ET", "time_E")
        }
        return Events(**arrays, scenarios=events.scenarios), *spans


def events_of(log: Log, **chosen) -> Events:
    return written(log, **chosen)[0]


def brute_force(log: Log, row: int, *, everything: bool, per_scenario: bool):
    """(time, item, scenario, action) of every event the row may see."""
    found = []
    for other in range(len(log.time_N)):
        same = log.parts["user"][other] == log.parts["user"][row]
        if per_scenario:
            same &= log.parts["scenario"][other] == log.parts["scenario"][row]
        actions: dict[float, list[float]] = {}
        if everything:
            actions[log.time_N[other]] = [0.0, 0.0, 0.0]
        for t, label in enumerate(np.array(log.labels_TN)[:, other]):
            if not math.isnan(label) and (t == 2 or label == 1):
                action = actions.setdefault(log.known_at_TN[t][other], [0.0, 0.0, 0.0])
                action[t] = 1.0 if t < 2 else (float(label) - 3) / 2
        place = (int(log.parts["item"][other]), int(log.parts["scenario"][other]))
        found += [(time, *place, tuple(a)) for time, a in actions.items() if same and time < log.time_N[row]]
    return sorted(found)


@settings(max_examples=80, deadline=None)
@given(rows_of_events, st.booleans(), st.booleans())
def test_a_row_sees_exactly_the_events_that_were_known_strictly_before_it(rows, everything, per_scenario):
    log = log_of(rows)
    events, start, end = written(log, events="all" if everything else "positive", per_scenario=per_scenario)
    looked_up = events.before(log.parts["user"], log.parts["scenario"], log.time_N)
    np.testing.assert_array_equal(np.array(looked_up), np.array([start, end]))
    for row in range(len(rows)):
        seen = [
            (events.time_E[e], int(events.item_E[e]), int(events.scenario_E[e]), tuple(events.action_ET[e].tolist()))
            for e in range(start[row], end[row])
        ]
        assert sorted(seen) == brute_force(log, row, everything=everything, per_scenario=per_scenario)
        assert all(a[0] <= b[0] for a, b in pairwise(seen))


def test_a_delayed_label_is_a_second_event_when_it_becomes_known():
    events = events_of(log_of([(2, 3, 0, 10, 1.0, 1.0, 5, math.nan)]))
    assert events.time_E.tolist() == [0.0, 10.0, 15.0]
    assert events.action_ET.tolist() == [[0, 0, 0], [1, 0, 0], [0, 1, 0]]


def test_by_default_what_nothing_came_of_is_an_event_without_an_action():
    events = events_of(log_of([(2, 3, 0, 10, 0.0, math.nan, 0, math.nan)]))
    start, end = events.before(np.array([2]), np.array([0]), np.array([99.0]))
    assert (end - start).tolist() == [1]
    assert events.action_ET[start[0]].tolist() == [0.0] * events.action_ET.shape[1]


def test_nothing_positive_gives_no_events():
    events = events_of(log_of([(2, 3, 0, 10, 0.0, math.nan, 0, math.nan)]), events="positive")
    start, end = events.before(np.array([2, 1]), np.array([0, 0]), np.array([99.0, 99.0]))
    assert (end - start).tolist() == [0, 0]
