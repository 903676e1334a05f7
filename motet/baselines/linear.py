"""Logistic and ridge regression of many tasks at once, by Newton's method with conjugate gradients.

min over w_t of  Σ_n observed_nt · loss(y_nt, x_n·w_t) + λ/2 Σ_j ≥ 1 w_jt²,  loss = log loss or half the squared error.
The first column of every design is the intercept and is not shrunk. Each task is a column of all arrays: one product
with the design serves every task, which is what makes twenty tasks on exact ids a matter of seconds. Step: Lin,
Weng & Keerthi, "Trust region Newton method for logistic regression", JMLR 2008, with step halving for the trust region.

Shapes: N rows, P dense columns, Q sparse columns, W = P + Q weights, T tasks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motet.baselines.matrix import Floats
from motet.schema import Form

NEWTON_STEPS, CG_STEPS, HALVINGS = 20, 25, 6
TOLERANCE = 1e-4  # nats (or half squared standard deviations) a row that the next step would still gain
SMALLEST_RATE = 1e-4

Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Design:
    """Rows of inputs, the intercept's ones first: dense columns, then the columns of a scipy CSR matrix, if any."""

    dense_NP: NDArray[np.float32]
    sparse_NQ: Any = None

    @classmethod
    def of(cls, dense_NP: Floats, sparse_NQ: Any = None) -> "Design":
        """With the intercept put in front."""
        ones = np.ones((len(dense_NP), 1), np.float32)
        return cls(np.concatenate([ones, dense_NP], axis=1, dtype=np.float32), sparse_NQ)

    @property
    def width(self) -> int:
        return int(self.dense_NP.shape[1]) + (0 if self.sparse_NQ is None else int(self.sparse_NQ.shape[1]))

    def times(self, weights_WT: Floats) -> Floats:
        """X w, [N, T]."""
        P = self.dense_NP.shape[1]
        result_NT: Floats = self.dense_NP @ weights_WT[:P]
        if self.sparse_NQ is not None:
            result_NT += self.sparse_NQ @ weights_WT[P:]
        return result_NT

    def back(self, values_NT: Floats) -> Floats:
        """Xᵀ v, [W, T]."""
        dense_PT: Floats = self.dense_NP.T @ values_NT
        return dense_PT if self.sparse_NQ is None else np.concatenate([dense_PT, self.sparse_NQ.T @ values_NT])

    def squared(self) -> "Design":
        """Every input squared: Xᵀ∘Xᵀ d is the diagonal of XᵀDX."""
        return Design(self.dense_NP**2, None if self.sparse_NQ is None else self.sparse_NQ.power(2))


@dataclass(frozen=True, slots=True)
class LinearModel:
    """score_t = (x·w_t) · scale_t + centre_t: a logit, or a value in the label's unit.

    A task that cannot be fitted (one class, nothing observed) has w = 0: its centre is the logit of its clipped base
    rate, the mean, or 0.
    """

    weights_WT: Floats
    centre_T: Floats
    scale_T: Floats

    def score(self, design: Design) -> Floats:
        """[N, T]."""
        return design.times(self.weights_WT) * self.scale_T + self.centre_T


def fit_path(
    design: Design, labels_NT: Floats, valid: Design, valid_NT: Floats, forms: Sequence[Form], ridges: Sequence[float]
) -> LinearModel:
    """For each task the model of the λ with the least valid loss.

    `ridges` fall: each fit starts from the last one, and a task stops at the first λ that makes it worse. A task with
    no valid label takes the first λ.
    """
    centre_T, scale_T, going_T = centre_and_scale(labels_NT, forms)
    weights_WT = np.zeros((design.width, len(forms)), np.float32)
    best_T, kept = np.full(len(forms), np.inf), LinearModel(weights_WT, centre_T, scale_T)
    target_NT = (labels_NT - np.where(going_T, centre_T, 0)) / scale_T
    for ridge in ridges:
        weights_WT = weights_WT.copy()
        for form in ("binary", "regression"):
            chosen = np.flatnonzero(going_T & np.array([f == form for f in forms]))
            if len(chosen):
                weights_WT[:, chosen] = _minimise(design, target_NT[:, chosen], weights_WT[:, chosen], form, ridge)
        losses_T = losses(LinearModel(weights_WT, centre_T, scale_T).score(valid), valid_NT, forms)
        going_T &= (losses_T < best_T) | (np.isnan(losses_T) & np.isinf(best_T))
        kept = LinearModel(np.where(going_T, weights_WT, kept.weights_WT), centre_T, scale_T)
        best_T = np.where(going_T, losses_T, best_T)
        if not going_T.any():
            break
    return kept


def losses(scores_NT: Floats, labels_NT: Floats, forms: Sequence[Form]) -> NDArray[np.float64]:
    """Mean log loss of each binary task's logits, mean squared error of each regression; nan with no label."""
    observed_NT = np.isfinite(labels_NT)
    y_NT = np.where(observed_NT, labels_NT, 0).astype(np.float64)
    binary_T = np.array([form == "binary" for form in forms])
    log_NT = np.logaddexp(0, np.where(binary_T, scores_NT, 0)) - y_NT * scores_NT
    loss_NT = np.where(binary_T, log_NT, (scores_NT - y_NT) ** 2) * observed_NT
    count_T = observed_NT.sum(0)
    return np.where(count_T > 0, loss_NT.sum(0) / np.maximum(count_T, 1), np.nan)


def best_setting(losses_MT: Sequence[Floats]) -> NDArray[np.int64]:
    """The setting of least valid loss for each task; the first for a task with no valid label."""
    table_MT = np.stack(losses_MT)
    return np.asarray(np.where(np.isnan(table_MT), 0, table_MT).argmin(0))


def logit(rate: Floats) -> Floats:
    """log(p / (1 - p)) of a rate clipped to [1e-4, 1 - 1e-4]."""
    clipped = np.clip(rate, SMALLEST_RATE, 1 - SMALLEST_RATE)
    return np.asarray(np.log(clipped) - np.log1p(-clipped))


def sigmoid(logits: Floats) -> Floats:
    """1 / (1 + e^-z) without overflow."""
    return np.asarray(np.exp(-np.logaddexp(0, -logits)))


def centre_and_scale(labels_NT: Floats, forms: Sequence[Form]) -> tuple[Floats, Floats, Bools]:
    """What `LinearModel` adds and multiplies, and whether a task can be fitted at all: its labels differ."""
    observed_NT = np.isfinite(labels_NT)
    y_NT = np.where(observed_NT, labels_NT, 0).astype(np.float64)
    count_T = np.maximum(observed_NT.sum(0), 1)
    mean_T = y_NT.sum(0) / count_T
    spread_T = np.sqrt((((y_NT - mean_T) * observed_NT) ** 2).sum(0) / count_T)
    binary_T = np.array([form == "binary" for form in forms])
    fitted_T = spread_T > 1e-9
    constant_T = np.where(observed_NT.any(0), np.where(binary_T, logit(mean_T), mean_T), 0)
    centre_T = np.where(binary_T & fitted_T, 0, constant_T)
    return centre_T, np.where(binary_T | ~fitted_T, 1, spread_T), fitted_T


def _minimise(design: Design, labels_NT: Floats, start_WT: Floats, form: str, ridge: float) -> Floats:
    """The weights of each task's minimum; tasks leave as they converge."""
    observed_NT = np.isfinite(labels_NT)
    target_NT = np.where(observed_NT, labels_NT, 0).astype(np.float32)
    ridge_W1 = np.full((design.width, 1), ridge, np.float32)
    ridge_W1[0] = 1e-4
    squared, result_WT, active = design.squared(), start_WT.astype(np.float32), np.arange(labels_NT.shape[1])
    for _ in range(NEWTON_STEPS):
        weights, y, seen = result_WT[:, active], target_NT[:, active], observed_NT[:, active]
        scores = design.times(weights)
        mean = sigmoid(scores) if form == "binary" else scores
        curvature = ((mean * (1 - mean) if form == "binary" else 1) * seen).astype(np.float32)
        gradient = design.back(((mean - y) * seen).astype(np.float32)) + ridge_W1 * weights
        step = _solve(design, curvature, ridge_W1, squared.back(curvature) + ridge_W1, gradient)
        going = -(gradient * step).sum(0) > TOLERANCE * seen.sum(0)
        result_WT[:, active] = weights + step * _lengths(design, weights, step, scores, y, seen, form, ridge_W1)
        active = active[going]
        if not len(active):
            break
    return result_WT


def _solve(design: Design, curvature_NT: Floats, ridge_W1: Floats, diagonal_WT: Floats, gradient_WT: Floats) -> Floats:
    """−(XᵀDX + Λ)⁻¹ g of every task, by conjugate gradients preconditioned with the diagonal."""
    step = np.zeros_like(gradient_WT)
    residual = -gradient_WT
    scaled = residual / diagonal_WT
    direction, power = scaled, (residual * scaled).sum(0)
    enough = 1e-2 * power
    for _ in range(CG_STEPS):
        bent = design.back(curvature_NT * design.times(direction)) + ridge_W1 * direction
        length = power / np.maximum((direction * bent).sum(0), np.finfo(np.float32).tiny)
        step, residual = step + length * direction, residual - length * bent
        scaled = residual / diagonal_WT
        before, power = power, (residual * scaled).sum(0)
        if np.all(power <= enough):
            break
        direction = scaled + power / np.maximum(before, np.finfo(np.float32).tiny) * direction
    return step


def _lengths(
    design: Design, weights: Floats, step: Floats, scores: Floats, y: Floats, seen: Bools, form: str, ridge_W1: Floats
) -> Floats:
    """For each task the longest of 1, 1/2, 1/4 … by which its objective does not rise; 0 if it always does."""
    along = design.times(step)

    def objective(length: Floats) -> NDArray[np.float64]:
        score, weight = scores + length * along, weights + length * step
        loss = np.logaddexp(0, score) - y * score if form == "binary" else (score - y) ** 2 / 2
        return np.asarray((loss * seen).sum(0, dtype=np.float64) + (ridge_W1 * weight**2 / 2).sum(0, dtype=np.float64))

    length = np.ones(step.shape[1], np.float32)
    start = objective(np.zeros_like(length))
    for _ in range(HALVINGS):
        worse = objective(length) > start
        if not worse.any():
            return length
        length = np.where(worse, length / 2, length).astype(np.float32)
    return np.where(objective(length) > start, 0, length).astype(np.float32)
