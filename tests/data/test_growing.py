"""Counts that go on: any log told in two halves is known as the whole log is."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_running import TASKS, events, fitted, log_of

from motet.data.growing import GrowingArray, GrowingCounts
from motet.data.known import Log
from motet.data.running import Running, RunningFit, RunningLog

ROOM = {"user": 8, "item": 8, "scenario": 2}
EVERYBODY = {"user": np.arange(2, 6)[:, None], "item": np.arange(1, 6)[None], "scenario": np.array([[1]])}


def part(log: Log, rows: slice) -> Log:
    return Log(
        log.time_N[rows],
        {name: values[rows] for name, values in log.parts.items()},
        [values[rows] for values in log.labels_TN],
        [values[rows] for values in log.known_at_TN],
    )


@settings(max_examples=80, deadline=None)
@given(events, st.integers(0, 40), st.integers(0, 8), st.integers(1, 7))
def test_told_in_pieces_it_is_what_the_whole_log_knows(rows, cut, later, size):
    log = log_of(rows)
    _, stored = fitted(log, TASKS, log.time_N <= 12, Running())
    fit = RunningFit.from_dict(stored.to_dict())
    cut = min(cut, len(log.time_N) - 1)
    end = float(np.nextafter(log.time_N[cut], np.inf)) if cut else 0.0
    cut = int(np.searchsorted(log.time_N, end))
    counts = GrowingCounts(RunningLog(fit, part(log, slice(cut)), ROOM), end)
    for start in range(cut, len(log.time_N), size):
        told = part(log, slice(start, min(start + size, len(log.time_N))))
        counts.add(told.parts, told.time_N, np.stack(told.labels_TN, 1), np.stack(told.known_at_TN, 1))
    for at in (float(np.nextafter(log.time_N[-1], np.inf)), log.time_N[-1] + 1.0 + later):
        wanted = RunningLog(fit, log).state(at).columns(EVERYBODY)
        np.testing.assert_allclose(counts.state(at).columns(EVERYBODY), wanted, atol=1e-6)


def test_what_has_no_place_counts_nowhere():
    log = log_of([(2, 2, 0, 1, 1.0, math.nan, 0, math.nan)])
    _, fit = fitted(log, TASKS, log.time_N <= 8, Running())
    counts = GrowingCounts(RunningLog(fit, log, ROOM), 2.0)
    before = counts.state(3.0).columns(EVERYBODY)
    nowhere = {"user": np.array([99]), "item": np.array([-1]), "scenario": np.array([7])}
    counts.add(nowhere, np.array([2.5]), np.array([[1.0, math.nan, 5.0]], np.float32), np.full((1, 3), 2.5))
    assert np.array_equal(counts.state(3.0).columns(EVERYBODY), before)


@given(st.lists(st.integers(0, 5), max_size=12))
def test_an_array_that_grows_keeps_its_rows(sizes):
    array, rows = GrowingArray(np.zeros((0, 2))), np.arange(sum(sizes) * 2.0).reshape(-1, 2)
    for stop, size in zip(np.cumsum(sizes), sizes, strict=True):
        array.append(rows[stop - size : stop])
    assert np.array_equal(array.values, rows)
    assert len(array) == len(rows)


def test_labels_wait_until_they_are_known():
    bought_later, not_bought = (2, 2, 0, 1, 1.0, 1.0, 5, math.nan), (3, 3, 0, 1, 1.0, 0.0, 0, math.nan)
    log = log_of([bought_later, not_bought])  # the purchase is known at 6
    _, fit = fitted(log, TASKS, log.time_N <= 8, Running())
    counts = GrowingCounts(RunningLog(fit, log, ROOM), 2.0)
    who = {name: values[:1] for name, values in log.parts.items()}
    bought = fit.names.index("user: buy")
    early, later = (counts.state(at).columns(who)[0, bought] for at in (6.0, 6.5))
    assert later > early
    assert later == pytest.approx(RunningLog(fit, log).state(6.5).columns(who)[0, bought])
