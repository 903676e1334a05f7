"""Logged slates in another order: worked by hand, indifferent to what decides ties, weighed by propensities."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from motet.errors import InputError
from motet.evaluate.offpolicy import LoggedSlates, reward
from motet.scoring.blend import Blend
from motet.train.run import load_run


def slates(reward_N: list[float], slate_N: list[int], weight_N: list[float] | None = None) -> LoggedSlates:
    rows = len(reward_N)
    return LoggedSlates(
        slate_N=np.array(slate_N),
        user_N=np.array(slate_N),
        scenario_N=np.zeros(rows, np.int64),
        reward_N=np.array(reward_N),
        weight_N=np.ones(rows) if weight_N is None else np.array(weight_N),
        values_NT=np.full((rows, 1), 0.5),
        applies_NT=np.ones((rows, 1), np.bool_),
        lots_N=np.linspace(0, 1, rows),
    )


def test_the_value_by_hand() -> None:
    logged = slates([1, 0, 0, 2], [0, 0, 1, 1])
    second = 1 / math.log2(3)
    both = 2 + 2 * second
    assert logged.value(np.array([2.0, 1.0, 1.0, 2.0])) == pytest.approx(3 / both)  # what happened stands first
    assert logged.value(np.array([1.0, 2.0, 2.0, 1.0])) == pytest.approx(3 * second / both)


def test_what_was_shown_rarely_counts_for_more() -> None:
    logged = slates([1, 0], [0, 0], [4.0, 1.0])
    second = 1 / math.log2(3)
    assert logged.value(np.array([2.0, 1.0])) == pytest.approx(4 / (4 + second))
    assert logged.value(np.array([1.0, 2.0])) == pytest.approx(4 * second / (4 * second + 1))


def test_an_order_is_no_better_than_itself_and_better_than_its_reverse() -> None:
    rng = np.random.default_rng(0)
    rewards = rng.random(400)
    logged = slates(rewards.tolist(), np.repeat(np.arange(100), 4).tolist())
    assert logged.difference(rewards, rewards) == (0.0, 0.0, 0.0)
    found, low, high = logged.difference(rewards, -rewards)
    assert 0 < low < found < high


def test_slates_are_of_one_request_and_kind_and_their_rewards_add_up(trained: Path) -> None:
    data = load_run(trained).data
    rows, layout = data.rows("valid"), data.layout
    blend = Blend.of(layout.tasks, [scenario.name for scenario in layout.scenarios])
    values: Any = np.full((len(rows), len(layout.tasks)), 0.5)
    logged = LoggedSlates.of(data, rows, values, blend, {"click": 1.0, "purchase": 5.0})
    sizes = np.bincount(logged.slate_N)
    assert sizes.min() >= 2
    assert (np.diff(logged.slate_N) >= 0).all()
    of_slate = [len(np.unique(part, axis=0)) for part in np.split(logged.applies_NT, np.cumsum(sizes)[:-1])]
    assert max(of_slate) == 1  # one kind each
    assert np.ptp(logged.weight_N) > 0  # this log has propensities
    labels = np.nan_to_num(data.labels(rows))
    names = [task.name for task in layout.tasks]
    expected = labels[:, names.index("click")] + 5 * labels[:, names.index("purchase")]
    np.testing.assert_allclose(reward(data, rows, {"click": 1.0, "purchase": 5.0}), expected)


def test_a_reward_of_a_task_that_is_not_there_is_refused(trained: Path) -> None:
    data = load_run(trained).data
    with pytest.raises(InputError, match="unknown task 'buy'"):
        reward(data, data.rows("valid"), {"buy": 1.0})


def test_a_log_without_slates_is_told(good: Path) -> None:
    data = load_run(good / "run").data
    rows = data.rows("valid")
    blend = Blend.of(data.layout.tasks, [scenario.name for scenario in data.layout.scenarios])
    with pytest.raises(InputError, match="no slate of the log has two items"):
        LoggedSlates.of(data, rows, np.zeros((len(rows), 2)), blend, {"click": 1.0})
