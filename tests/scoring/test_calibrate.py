"""Calibration undoes what distorted the logits, borrows from the task where a cell is small, keeps the order."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from motet.errors import InputError
from motet.scoring import calibrate
from motet.scoring.calibrate import Calibration
from motet.scoring.metrics import ece


def distorted(rng, rows, slope, intercept):
    """Logits z and labels of probability σ(slope·z + intercept)."""
    z = rng.normal(size=rows) * 2
    return z, (rng.random(rows) < 1 / (1 + np.exp(-(slope * z + intercept)))).astype(float)


def one_task(z, y, scenario=None, scenarios=1, form="binary"):
    scenario = np.zeros(len(z), np.int64) if scenario is None else scenario
    return calibrate.fit(z[:, None], y[:, None], scenario, scenarios=scenarios, forms=[form])


def test_platt_is_the_optimum_of_the_cross_entropy_with_platts_targets():
    z, y = distorted(np.random.default_rng(0), 400, 0.5, -1)
    positives = y.sum()
    target = np.where(y > 0, (positives + 1) / (positives + 2), 1 / (len(y) - positives + 2))
    best = minimize(lambda ab: np.sum(np.logaddexp(0, ab[0] * z + ab[1]) - target * (ab[0] * z + ab[1])), [1.0, 0.0])
    fitted = one_task(z, y)
    np.testing.assert_allclose([fitted.slopes_ST[0, 0], fitted.intercepts_ST[0, 0]], best.x, atol=1e-4)


def test_each_large_cell_gets_its_own_line_and_its_probabilities_become_true():
    rng = np.random.default_rng(1)
    (z0, y0), (z1, y1) = distorted(rng, 40_000, 0.4, -1), distorted(rng, 40_000, 1.5, 0.5)
    z, y, scenario = np.r_[z0, z1], np.r_[y0, y1], np.repeat([0, 1], 40_000)
    fitted = one_task(z, y, scenario, scenarios=2)
    np.testing.assert_allclose(fitted.slopes_ST[:, 0], [0.4, 1.5], rtol=0.06)
    np.testing.assert_allclose(fitted.intercepts_ST[:, 0], [-1, 0.5], atol=0.06)
    before = Calibration.identity(2, ["binary"]).apply(z[:, None], scenario)[:, 0]
    assert ece(y, fitted.apply(z[:, None], scenario)[:, 0]) < 0.01 < ece(y, before)


def test_a_small_cell_stays_near_the_global_line_and_an_empty_or_one_class_cell_takes_it():
    rng = np.random.default_rng(2)
    (z0, y0), (z1, y1) = distorted(rng, 5000, 0.5, -1), distorted(rng, 30, 0.5, 3)
    z, y = np.r_[z0, z1, [0.3, 0.9]], np.r_[y0, y1, [1, 1]]
    scenario = np.repeat([0, 1, 2], [5000, 30, 2])
    fitted, whole = one_task(z, y, scenario, scenarios=4), one_task(z, y)
    evidence = min(y1.sum(), 30 - y1.sum())
    alone = one_task(z1, y1)
    weight = evidence / (evidence + calibrate.EVIDENCE)
    assert 0 < weight < 0.1
    np.testing.assert_allclose(
        fitted.intercepts_ST[1], weight * alone.intercepts_ST[0] + (1 - weight) * whole.intercepts_ST[0], atol=1e-6
    )
    np.testing.assert_allclose(fitted.slopes_ST[2:, 0], whole.slopes_ST[0, 0])
    np.testing.assert_allclose(fitted.intercepts_ST[2:, 0], whole.intercepts_ST[0, 0])


@pytest.mark.parametrize("labels", [[1.0, 1.0, 1.0], [0.0, 0.0, 0.0], [np.nan] * 3])
def test_a_task_of_one_class_keeps_the_identity(labels):
    fitted = one_task(np.array([0.1, 2.0, -1.0]), np.array(labels))
    assert (fitted.slopes_ST[0, 0], fitted.intercepts_ST[0, 0]) == (1, 0)


def test_unobserved_labels_and_missing_predictions_are_not_read():
    rng = np.random.default_rng(3)
    z, y = distorted(rng, 300, 0.7, 0)
    with_gaps = one_task(np.r_[z, 5.0, np.nan], np.r_[y, np.nan, 1.0])
    assert with_gaps.to_dict() == one_task(z, y).to_dict()


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e2])
def test_logits_of_any_scale_and_separable_classes_give_a_finite_line(scale):
    z = np.array([-2.0, -1, 1, 2]) * scale
    fitted = one_task(z, np.array([0.0, 0, 1, 1]))
    # Platt's targets 3/4 and 1/4 cannot be overshot by much
    probabilities = fitted.apply(z[:, None], 0)[:, 0]
    assert np.all(np.diff(probabilities) > 0)
    assert 0.05 < probabilities[0] < 0.3
    assert 0.7 < probabilities[-1] < 0.95


@pytest.mark.parametrize("form", ["binary", "regression"])
def test_logits_that_point_the_wrong_way_are_flattened_not_turned(form):
    z = np.linspace(-3, 3, 2000)
    y = (z < 0).astype(float)
    fitted = one_task(z, y, form=form)
    assert fitted.slopes_ST[0, 0] == calibrate.SMALLEST_SLOPE
    assert fitted.apply(z[:, None], 0).mean() == pytest.approx(0.5, abs=1e-3)


def test_constant_logits_are_moved_to_the_rate():
    y = (np.arange(1000) < 100).astype(float)
    fitted = one_task(np.full(1000, 1.7), y)
    assert fitted.apply([[1.7]], 0)[0, 0] == pytest.approx(0.1, abs=2e-3)


def test_regression_is_the_least_squares_line():
    z = np.array([0.0, 1, 2, 3])
    fitted = one_task(z, 3 * z - 1, form="regression")
    np.testing.assert_allclose(fitted.apply(z[:, None], 0)[:, 0], 3 * z - 1)
    constant = one_task(np.full(3, 4.0), np.array([1.0, 2, 6]), form="regression")
    assert (constant.slopes_ST[0, 0], constant.apply([[4.0]], 0)[0, 0]) == (1, 3)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(-1e3, 1e3), st.booleans(), st.integers(0, 2)), min_size=1, max_size=60))
def test_any_input_gives_finite_monotone_lines(rows):
    z, y, scenario = (
        np.array(column, dtype) for column, dtype in zip(zip(*rows, strict=True), (float, float, int), strict=True)
    )
    fitted = one_task(z, y, scenario, scenarios=3)
    assert np.isfinite(fitted.intercepts_ST).all()
    assert (fitted.slopes_ST >= calibrate.SMALLEST_SLOPE * (1 - 1e-12)).all()


def test_json_round_trip_is_exact_and_a_torn_one_is_refused():
    rng = np.random.default_rng(4)
    z, y = distorted(rng, 100, 1, 0)
    fitted = one_task(z, y, np.arange(100) % 3, scenarios=3)
    data = json.loads(json.dumps(fitted.to_dict()))
    again = Calibration.from_dict(data)
    np.testing.assert_array_equal(again.apply(z[:, None], 1), fitted.apply(z[:, None], 1))
    with pytest.raises(InputError, match="unequal"):
        Calibration.from_dict({**data, "slopes": data["slopes"][:-1]})


def test_apply_takes_one_scenario_or_one_per_row():
    cells = Calibration(slopes_ST=np.array([[1.0], [2]]), intercepts_ST=np.array([[0.0], [1]]), forms=("regression",))
    np.testing.assert_array_equal(cells.apply([[3.0], [3]], [0, 1]), [[3], [7]])
    np.testing.assert_array_equal(cells.apply([[[3.0], [4]]], 1), [[[7], [9]]])


def test_cross_fit_never_shows_a_user_its_own_labels():
    rng = np.random.default_rng(5)
    z, y = distorted(rng, 600, 0.5, 0)
    user = np.repeat(np.arange(60), 10)
    arguments = {"scenarios": 1, "forms": ["binary"], "folds": 3}

    def values(labels):
        scenario = np.zeros(600, int)
        fitted = calibrate.cross_fit(z[:, None], labels[:, None], scenario, user, **arguments)
        return fitted.apply(z[:, None], scenario, user)[:, 0]

    changed = np.where(user == 7, 1 - y, y)
    before, after = values(y), values(changed)
    np.testing.assert_array_equal(before[user == 7], after[user == 7])
    assert (before != after).mean() > 0.5


def test_a_users_slate_is_calibrated_as_the_users_rows_are():
    rng = np.random.default_rng(6)
    z, y = distorted(rng, 400, 0.5, 0)
    user, scenario = np.repeat(np.arange(3, 43), 10), np.tile([0, 1], 200)
    fitted = calibrate.cross_fit(z[:, None], y[:, None], scenario, user, scenarios=2, forms=["binary"])
    rows = np.array([12, 250])
    slates_BCT = np.stack([np.full((4, 1), z[row]) for row in rows])
    found = fitted.apply(slates_BCT, scenario[rows][:, None], user[rows])
    np.testing.assert_array_equal(found[:, 0], fitted.apply(z[:, None], scenario, user)[rows])


def test_calibration_curve_by_hand():
    curve = calibrate.calibration_curve([0, 1, 1, 1], [0.1, 0.2, 0.6, 0.8], bins=2)
    assert curve.rows == (2, 2)
    assert curve.predicted == pytest.approx((3 / 20, 7 / 10))
    assert curve.observed == (1 / 2, 1)
    assert calibrate.calibration_curve([0, 1, 1], [0.4] * 3).rows == (3,)


def test_what_is_not_predicted_stays_nan_without_a_warning() -> None:
    calibration = Calibration.identity(1, ["binary"])
    assert np.isnan(calibration.apply(np.array([[np.nan]]), np.array([0]))).all()
