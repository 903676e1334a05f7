"""The blend orders items as its formula says, compares kinds, and refuses names it does not know."""

import json
from math import log

import numpy as np
import pytest

from motet.errors import InputError
from motet.schema import Task
from motet.scoring.blend import Blend

TASKS = (
    Task(name="click", label="clicked"),
    Task(name="purchase", label="bought", after="click", kinds=("goods",)),
    Task(name="stars", label="rating", form="regression"),
)
BINARY = TASKS[:2]


def test_default_is_the_mean_of_the_log_probabilities():
    blend = Blend.of(BINARY, ["mobile"])
    assert blend.score([1 / 2, 1 / 8], 0) == pytest.approx((log(1 / 2) + log(1 / 8)) / 2)


def test_equal_log_weights_order_by_the_product():
    rng = np.random.default_rng(0)
    p = rng.uniform(0.01, 1, (50, 2))
    np.testing.assert_array_equal(np.argsort(Blend.of(BINARY, ["mobile"]).score(p, 0)), np.argsort(p.prod(1)))


def test_regressions_enter_linearly_in_the_given_scale():
    blend = Blend.of(TASKS, ["mobile"], {"click": 2}, scales={"stars": (3, 0.5)})
    expected = (2 * log(1 / 2) + log(1 / 4) + (4 - 3) / 0.5) / 4
    assert blend.score([1 / 2, 1 / 4, 4], 0) == pytest.approx(expected)


def test_a_constant_label_keeps_its_unit():
    assert Blend.of(TASKS, ["mobile"], scales={"stars": (3, 0.0)}).tasks[2].scale == 1


def test_utility_can_be_chosen_for_a_binary_task():
    linear = Task(name="click", label="clicked", utility="linear")
    assert Blend.of([linear], ["mobile"]).score([0.3], 0) == pytest.approx(0.3)


def test_a_task_outside_the_kind_is_left_out_and_its_value_not_read():
    blend = Blend.of(BINARY, ["mobile"])
    mask = np.stack([blend.applicable("goods"), blend.applicable("content")])
    assert mask.tolist() == [[True, True], [True, False]]
    assert blend.applicable(None).all()
    scores = blend.score([[1 / 4, 1 / 4], [1 / 4, np.nan]], 0, mask)
    np.testing.assert_allclose(scores, log(1 / 4))  # different kinds compare


def test_an_item_of_which_nothing_is_asked_comes_last():
    blend = Blend.of(BINARY, ["mobile"], {"click": 0})
    assert blend.score([0.9, 0.9], 0, blend.applicable("content")) == -np.inf


def test_weights_per_scenario_and_a_score_per_row_and_scenario():
    blend = Blend.of(BINARY, ["mobile", "voice"], {"voice": {"purchase": 3}})
    p = np.array([[1 / 2, 1 / 4], [1 / 2, 1 / 4]])
    even, heavy = (log(1 / 2) + log(1 / 4)) / 2, (log(1 / 2) + 3 * log(1 / 4)) / 4
    np.testing.assert_allclose(blend.score(p, [0, 1]), [even, heavy])
    np.testing.assert_allclose(blend.score(p[None], 1), [[heavy, heavy]])
    again = blend.reweighted({"click": 0})
    assert again.weights == ((0, 1), (0, 3))
    assert blend.weights == ((1, 1), (1, 3))


def test_a_negative_weight_pushes_down():
    blend = Blend.of(BINARY, ["mobile"], {"purchase": -1})
    low, high = blend.score([[0.5, 0.1], [0.5, 0.9]], 0)
    assert low > high


def test_a_probability_of_zero_scores_low_but_finite():
    assert np.isfinite(Blend.of(BINARY, ["mobile"]).score([0.0, 0.5], 0))


@pytest.mark.parametrize(
    ("weights", "what", "fix"),
    [
        ({"clik": 1.0}, "unknown task 'clik'", "click"),
        ({"moble": {"click": 1.0}}, "unknown scenario 'moble'", "mobile"),
        ({"mobile": {"purchas": 1.0}}, "unknown task 'purchas'", "purchase"),
        ({"click": float("nan")}, "'click' is nan", "finite"),
    ],
)
def test_a_wrong_weight_is_named_with_its_fix(weights, what, fix):
    with pytest.raises(InputError, match=what) as error:
        Blend.of(BINARY, ["mobile"], weights)
    assert fix in error.value.fix


def test_a_scale_of_an_unknown_task_is_refused():
    with pytest.raises(InputError, match="unknown task 'star'"):
        Blend.of(TASKS, ["mobile"], scales={"star": (0, 1)})


def test_json_round_trip_is_exact():
    blend = Blend.of(TASKS, ["mobile", "voice"], {"voice": {"click": 0.3}}, scales={"stars": (3.1, 0.7)})
    assert Blend.from_dict(json.loads(json.dumps(blend.to_dict()))) == blend
