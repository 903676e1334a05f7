"""The shared solver, against scikit-learn and by its edges."""

import numpy as np
import pytest
import scipy.sparse as sparse
from numpy.testing import assert_allclose
from sklearn.linear_model import LogisticRegression, Ridge

from motet.baselines.linear import Design, best_setting, fit_path, logit, losses, sigmoid

ROWS = 600


def problem(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # type: ignore[type-arg]
    """Inputs, binary labels, values."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(ROWS, 5))
    score = x @ np.array([1.0, -2.0, 0.5, 0.0, 0.3]) - 0.7
    return x, (rng.random(ROWS) < sigmoid(score)).astype(float), 3 + 2 * score + rng.normal(size=ROWS)


@pytest.mark.parametrize("ridge", [0.5, 20.0])
@pytest.mark.parametrize("sparsely", [False, True])
def test_logistic_regression_is_that_of_scikit_learn(ridge: float, sparsely: bool) -> None:
    x, y, _ = problem()
    design = Design.of(x[:, :2], sparse.csr_matrix(x[:, 2:].astype(np.float32))) if sparsely else Design.of(x)
    model = fit_path(design, y[:, None], design, y[:, None], ["binary"], [ridge])
    reference = LogisticRegression(C=1 / ridge, tol=1e-8).fit(x, y)
    assert_allclose(model.score(design)[:, 0], reference.decision_function(x), atol=5e-3)


def test_ridge_regression_is_that_of_scikit_learn_on_standardised_labels() -> None:
    x, _, value = problem()
    design = Design.of(x)
    model = fit_path(design, value[:, None], design, value[:, None], ["regression"], [10.0])
    assert_allclose(model.score(design)[:, 0], Ridge(alpha=10.0).fit(x, value).predict(x), atol=2e-2)


def test_tasks_side_by_side_are_fitted_as_if_alone() -> None:
    x, y, value = problem()
    design, labels = Design.of(x), np.stack([y, value, 1 - y], axis=1)
    forms = ["binary", "regression", "binary"]
    together = fit_path(design, labels, design, labels, forms, [3.0]).score(design)  # type: ignore[arg-type]
    for t, form in enumerate(forms):
        alone = fit_path(design, labels[:, [t]], design, labels[:, [t]], [form], [3.0])  # type: ignore[list-item]
        assert_allclose(together[:, [t]], alone.score(design), atol=2e-3)


def test_unobserved_labels_are_as_if_their_rows_were_not_there() -> None:
    x, y, _ = problem()
    seen = np.arange(ROWS) % 3 > 0
    half, whole = Design.of(x[seen]), Design.of(x)
    masked = fit_path(whole, np.where(seen, y, np.nan)[:, None], whole, y[:, None], ["binary"], [3.0])
    cut = fit_path(half, y[seen, None], half, y[seen, None], ["binary"], [3.0])
    assert_allclose(masked.weights_WT, cut.weights_WT, atol=2e-3)


@pytest.mark.parametrize(
    ("form", "labels", "expected"),
    [
        ("binary", np.ones(ROWS), np.log(0.9999 / 0.0001)),
        ("binary", np.zeros(ROWS), -np.log(0.9999 / 0.0001)),
        ("binary", np.full(ROWS, np.nan), 0.0),
        ("regression", np.full(ROWS, 4.0), 4.0),
        ("regression", np.full(ROWS, np.nan), 0.0),
    ],
)
def test_a_task_that_cannot_be_fitted_is_a_constant(form: str, labels: np.ndarray, expected: float) -> None:  # type: ignore[type-arg]
    design = Design.of(problem()[0])
    model = fit_path(design, labels[:, None], design, labels[:, None], [form], [3.0])  # type: ignore[list-item]
    assert_allclose(model.score(design), expected, rtol=1e-4)


def test_separable_data_and_huge_inputs_stay_finite() -> None:
    x = np.linspace(-1, 1, 50)[:, None] * 1e3
    y = (x > 0).astype(float)
    model = fit_path(Design.of(x), y, Design.of(x), y, ["binary"], [100.0, 1e-3])
    assert np.isfinite(model.score(Design.of(x))).all()
    assert losses(model.score(Design.of(x)), y, ["binary"])[0] < 0.1


def test_each_task_takes_the_ridge_that_valid_likes() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 30))
    signal, noise = (x[:, 0] > 0).astype(float), (rng.random(60) < 0.5).astype(float)
    later = rng.normal(size=(2000, 30))
    valid = np.stack([(later[:, 0] > 0), rng.random(2000) < 0.5], axis=1).astype(float)
    model = fit_path(Design.of(x), np.stack([signal, noise], 1), Design.of(later), valid, ["binary"] * 2, [1e4, 1.0])
    assert np.abs(model.weights_WT[1, 0]) > 0.5
    assert np.abs(model.weights_WT[1:, 1]).max() < 0.01


def test_without_valid_labels_the_first_ridge_is_taken() -> None:
    x, y, _ = problem()
    design, nothing = Design.of(x), np.full((ROWS, 1), np.nan)
    unjudged = fit_path(design, y[:, None], design, nothing, ["binary"], [50.0, 1.0])
    first = fit_path(design, y[:, None], design, nothing, ["binary"], [50.0])
    assert_allclose(unjudged.weights_WT, first.weights_WT)


def test_losses_are_log_loss_and_squared_error_over_observed_labels() -> None:
    scores = np.array([[0.0, 1.0], [np.log(3.0), 5.0], [2.0, 9.0]])
    labels = np.array([[1.0, 3.0], [0.0, 4.0], [np.nan, np.nan]])
    assert_allclose(losses(scores, labels, ["binary", "regression"]), [(np.log(2) + np.log(4)) / 2, (4 + 1) / 2])
    assert np.isnan(losses(scores, np.full((3, 2), np.nan), ["binary", "regression"])).all()


def test_the_best_setting_is_chosen_for_each_task_and_the_first_without_evidence() -> None:
    assert best_setting([np.array([0.5, 0.1, np.nan]), np.array([0.4, 0.2, np.nan])]).tolist() == [1, 0, 0]


def test_logits_are_clipped_and_sigmoids_do_not_overflow() -> None:
    assert_allclose(logit(np.array([0.0, 0.5, 1.0])), [np.log(1e-4 / 0.9999), 0, np.log(0.9999 / 1e-4)])
    assert_allclose(sigmoid(np.array([-1e4, 0.0, 1e4])), [0, 0.5, 1])
