import math
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from motet.data import before
from motet.data.counting import count_rows
from motet.data.known import Log
from motet.data.running import Running, RunningFit, RunningLog, label_moments, parent
from motet.errors import InputError
from motet.schema import Task
from motet.settings import parse

TASKS = (Task(name="click", label="c"), Task(name="buy", label="b"), Task(name="stars", label="s", form="regression"))

events = st.lists(
    st.tuples(
        st.integers(2, 4),  # user
        st.integers(2, 4),  # item
        st.integers(0, 1),  # scenario
        st.integers(0, 12),  # time
        st.sampled_from([0.0, 1.0, math.nan]),
        st.sampled_from([0.0, 1.0, math.nan]),
        st.integers(0, 5),  # delay of buy
        st.sampled_from([1.0, 2.5, 5.0, math.nan]),
    ),
    min_size=1,
    max_size=40,
)


def log_of(rows) -> Log:
    rows = sorted(rows, key=lambda row: row[3])
    time = np.array([row[3] for row in rows], dtype=np.float64)
    labels = np.array([[row[4], row[5], row[7]] for row in rows], dtype=np.float32)
    known_at = np.stack([time, time + [row[6] for row in rows], time], axis=1)
    parts = {name: np.array([row[i] for row in rows]) for i, name in enumerate(("user", "item", "scenario"))}
    return Log(time, parts, labels.T, known_at.T)


def fitted(log, tasks, train_N, chosen):
    """The stored columns, [N, P], and their fit."""
    moments = label_moments([labels_N[train_N] for labels_N in log.labels_TN], tasks)
    with TemporaryDirectory() as folder:
        columns, fit = count_rows(log, tasks, train_N, moments, chosen, Path(folder), threads=2)
        return np.array([np.array(column) for column in columns]).reshape(len(columns), len(log.time_N)).T, fit


def brute_force(log: Log, fit: RunningFit, row: int) -> list[float]:
    """The formula of the module's docstring, one row at a time."""
    at, rates, columns = log.time_N[row], {}, []
    for key in fit.settings.ordered:
        same = np.all([log.parts[p] == log.parts[p][row] for p in key], axis=0)
        before = same & (log.time_N < at)
        rates[key] = []
        if "user" in key or "item" in key:
            columns.append(math.log1p(before.sum()))
        if key in {("user",), ("item",)}:
            columns.append(math.log1p(at - log.time_N[before].max()) if before.any() else math.nan)
        for t, binary in enumerate(fit.binary):
            told = same & (log.known_at_TN[t] < at) & ~np.isnan(log.labels_TN[t])
            above = parent(key, fit.settings.keys)
            mean = fit.rates[t] if above is None else rates[above][t]
            prior = fit.settings.prior
            rate = (log.labels_TN[t][told].sum() + prior * mean) / (told.sum() + prior)
            rates[key].append(rate)
            odds = [
                math.log(min(max(r, 1e-6), 1 - 1e-6) / (1 - min(max(r, 1e-6), 1 - 1e-6))) for r in (rate, fit.rates[t])
            ]
            columns.append(odds[0] - odds[1] if binary else (rate - fit.rates[t]) / fit.scales[t])
            if t == 0:
                first = told.sum()
        columns += [math.log1p(first)] if fit.with_observed else []
    z = (np.array(columns) - fit.means) / fit.stds
    return np.nan_to_num(np.clip(z, -8, 8), nan=0.0).tolist()


@settings(max_examples=60, deadline=None)
@given(events, st.integers(0, 10**6))
def test_counts_are_what_was_known_strictly_before_the_row(rows, pick):
    log = log_of(rows)
    train = log.time_N <= 8
    stored, fit = fitted(log, TASKS, train, Running(prior=3))
    row = pick % len(rows)
    assert stored[row] == pytest.approx(brute_force(log, fit, row), abs=2e-4)
    assert len(fit.names) == stored.shape[1]


@settings(max_examples=60, deadline=None)
@given(events, st.integers(0, 10**6))
def test_the_state_as_of_a_row_replays_its_stored_numbers(rows, pick):
    log = log_of(rows)
    stored, fit = fitted(log, TASKS, log.time_N <= 8, Running())
    row = pick % len(rows)
    state = RunningLog(RunningFit.from_dict(fit.to_dict()), log).state(log.time_N[row])
    replayed = state.columns({part: values[row : row + 1] for part, values in log.parts.items()})
    np.testing.assert_allclose(replayed[0], stored[row], atol=1e-5)


@settings(max_examples=60, deadline=None)
@given(events)
def test_rows_that_ask_what_was_known_before_them_get_the_stored_numbers_bit_for_bit(rows):
    log = log_of(rows)
    stored, fit = fitted(log, TASKS, log.time_N <= 8, Running())
    found = RunningLog(RunningFit.from_dict(fit.to_dict()), log).before(log.parts, log.time_N)
    assert np.array_equal(found, stored)


@settings(max_examples=30, deadline=None)
@given(events, st.integers(0, 12))
def test_the_future_changes_nothing(rows, cut):
    rows = sorted(rows, key=lambda row: row[3])
    changed = [row if row[3] < cut else (*row[:4], 1.0 - row[4], 1.0, row[6], 4.0) for row in rows]
    early = np.array([row[3] <= cut for row in rows])
    train = np.array([row[3] < cut for row in rows])
    if not train.any():
        return
    first, second = log_of(rows), log_of(changed)
    stored, fit = fitted(first, TASKS, train, Running())
    for row in np.flatnonzero(early):
        state = RunningLog(fit, second).state(second.time_N[row])
        again = state.columns({part: values[row : row + 1] for part, values in second.parts.items()})
        np.testing.assert_allclose(again[0], stored[row], atol=1e-5)


@given(events, st.integers(1, 12))
def test_the_size_of_the_chunks_changes_no_bit(rows, size):
    log = log_of([(*row[:7], row[7] / 3) for row in rows])
    stored, fit = fitted(log, TASKS, log.time_N <= 8, Running())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(before, "CHUNK", size)
        chunked, same = fitted(log, TASKS, log.time_N <= 8, Running())
    np.testing.assert_array_equal(stored, chunked)
    assert fit == same


def test_rows_of_equal_time_do_not_see_each_other():
    log = log_of([(2, 2, 0, 1, 1.0, 1.0, 0, 5.0)] * 3 + [(2, 2, 0, 2, 1.0, 1.0, 0, 5.0)])
    stored, fit = fitted(log, TASKS, np.ones(4, bool), Running(keys=(("user",),)))
    assert fit.names[0] == "user: impressions"
    assert stored[0, 0] == stored[1, 0] == stored[2, 0] < stored[3, 0]


def test_a_pair_never_seen_has_its_parents_rate_and_an_unknown_user_the_base_rate():
    rows = [(2, 2 + t % 3, 0, t, float(t % 4 != 0), 0.0, 0, math.nan) for t in range(40)]
    rows += [(3, 2, 1, t, 0.0, 0.0, 0, math.nan) for t in range(40)]
    log = log_of(rows)
    _, fit = fitted(log, TASKS, np.ones(80, bool), Running(keys=(("user",), ("user", "scenario"))))
    state = RunningLog(fit, log).state(100.0)
    raw = [t.lookup({"user": np.array([2, 1]), "scenario": np.array([1, 0])}) for t in state.tables]
    columns = dict(zip(fit.names, fit.columns(raw, 100.0), strict=True))
    assert columns["user × scenario: click"][0] == pytest.approx(columns["user: click"][0])
    assert columns["user: click"][0] > 0.3
    assert columns["user: click"][1] == columns["user × scenario: click"][1] == 0


def test_parts_broadcast_to_requests_by_candidates():
    log = log_of([(2 + t % 3, 2 + t % 2, t % 2, t, 1.0, 0.0, 1, 2.5) for t in range(12)])
    _, fit = fitted(log, TASKS, np.ones(12, bool), Running())
    state = RunningLog(fit, log).state(12.0)
    users, items, scenarios = np.array([[2], [4]]), np.array([[2, 3, 1]]), np.array([[0], [1]])
    grid = state.columns({"user": users, "item": items, "scenario": scenarios})
    one = state.columns({"user": np.array([4]), "item": np.array([3]), "scenario": np.array([1])})
    assert grid.shape == (2, 3, len(fit.names))
    np.testing.assert_array_equal(grid[1, 1], one[0])


def test_no_keys_give_no_columns():
    log = log_of([(2, 2, 0, 1, 1.0, 1.0, 0, 5.0)])
    stored, fit = fitted(log, TASKS, np.ones(1, bool), Running(keys=()))
    assert stored.shape == (1, 0)
    assert RunningLog(fit, log).state(2.0).columns({"user": np.array([2])}).shape == (1, 0)


def test_a_one_class_task_gives_finite_columns():
    log = log_of([(2, 2, 0, t, 1.0, 1.0, 0, 5.0) for t in range(5)])
    stored, _ = fitted(log, TASKS, np.ones(5, bool), Running())
    assert np.isfinite(stored).all()


@pytest.mark.parametrize("wrong", [{"prior": 0}, {"keys": [["user"], ["user"]]}, {"keys": [[]]}])
def test_settings_that_make_no_sense_are_refused(wrong):
    with pytest.raises(InputError):
        parse(Running, wrong)
