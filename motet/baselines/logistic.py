"""Pooled logistic regression: one linear model of all scenarios, the scenario being one of its features.

Inputs: every packed id one-hot (user and item ids among them; the rare are unknown, a bag adds up its tags), every
number, the scenario and scenario × kind one-hot, and scenario × each running count and rate. Regression tasks are
ridge regressions of the same inputs. Tuned per task on valid: the ridge. Ids of large fields and the crosses enter at
a fifth of the scale, which shrinks them 25 times as strongly: they are many, and each is seen in few rows.

Shapes: N rows, K one-hot columns, F numbers, P pair numbers, S scenarios.
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import scipy.sparse as sparse  # type: ignore[import-untyped]
from numpy.typing import NDArray

from motet.baselines.linear import Design, LinearModel, fit_path
from motet.baselines.matrix import Flat, Floats, forms, read, score_flat
from motet.batch import PADDING, Batch, CellOutput, Layout, Rows
from motet.settings import settings

TRAIN_ROWS = 300_000
LARGE_FIELD = 255
MANY = 0.2
"""The scale of inputs that are many."""


@settings
class Ridge:
    """How strongly weights are held at zero."""

    ridges: tuple[float, ...] = (
        1000.0,
        300.0,
        100.0,
        30.0,
    )  # strong to weak; the best is chosen per task on valid


@dataclass(frozen=True, slots=True)
class Inputs:
    """How flat rows become a design."""

    layout: Layout
    mean_F: Floats
    std_F: Floats

    @classmethod
    def fit(cls, layout: Layout, train: Flat) -> Self:
        """Moments of the numbers; a constant number becomes 0."""
        std_F = train.numbers_NF.std(0) if len(train.numbers_NF) else np.ones(train.numbers_NF.shape[1])
        mean_F = train.numbers_NF.mean(0) if len(train.numbers_NF) else np.zeros(train.numbers_NF.shape[1])
        return cls(layout, mean_F, np.where(std_F > 1e-6, std_F, np.inf))

    def design(self, flat: Flat) -> Design:
        """Numbers dense; ids, cells and crosses as one sparse matrix."""
        numbers_NF = (flat.numbers_NF - self.mean_F) / self.std_F
        return Design.of(numbers_NF, sparse.hstack([self._one_hot(flat), self._crosses(flat, numbers_NF)], "csr"))

    def _one_hot(self, flat: Flat) -> Any:
        """Ids, then scenario, then scenario × kind, each with its own columns: [N, rows + S + S·kinds]."""
        rows, S, kinds = self.layout.table_rows, len(self.layout.scenarios), len(self.layout.kinds)
        cell_N = rows + S + flat.scenario_N * kinds + flat.kind_N
        column_NK = np.column_stack([flat.ids_NK, rows + flat.scenario_N, cell_N])
        scale_K = [MANY if f.size >= LARGE_FIELD else 1.0 for f in self.layout.fields for _ in range(f.columns)]
        return _rows(column_NK, (column_NK != PADDING) * np.array([*scale_K, 1.0, 1.0]), rows + S + S * kinds)

    def _crosses(self, flat: Flat, numbers_NF: Floats) -> Any:
        """Pair numbers in the columns of their scenario: [N, S·P]."""
        P, S = len(self.layout.pair_numbers), len(self.layout.scenarios)
        values_NP = MANY * numbers_NF[:, numbers_NF.shape[1] - P :]
        return _rows(flat.scenario_N[:, None] * P + np.arange(P), values_NP, S * P)


@dataclass(frozen=True, slots=True)
class Logistic:
    """Fitted on at most 300,000 train rows, a uniform sample where there are more."""

    inputs: Inputs
    model: LinearModel

    name = "logistic"
    label = "Logistic regression, pooled"

    @classmethod
    def fit(cls, data: Rows, *, seed: int = 0, how: Ridge | None = None) -> Self:
        """`seed` draws the sample of train."""
        ridges = (how or Ridge()).ridges
        train, valid = read(data, "train", limit=TRAIN_ROWS, seed=seed), read(data, "valid")
        inputs = Inputs.fit(data.layout, train)
        design, check = inputs.design(train), inputs.design(valid)
        return cls(inputs, fit_path(design, train.labels_NT, check, valid.labels_NT, forms(data.layout), ridges))

    def score(self, batch: Batch) -> CellOutput:
        """Logits and values of every candidate."""
        return score_flat(batch, lambda flat: self.model.score(self.inputs.design(flat)))


def _rows(columns_NK: NDArray[np.integer[Any]], values_NK: Floats, width: int) -> Any:
    """A CSR matrix of K entries in every row, of which zeros are dropped."""
    N, K = columns_NK.shape
    parts = (values_NK.astype(np.float32).ravel(), columns_NK.astype(np.int32).ravel(), np.arange(N + 1) * K)
    matrix = sparse.csr_matrix(parts, shape=(N, width))
    matrix.eliminate_zeros()
    return matrix
