"""Gradient-boosted trees, one model per task, pooled over scenarios: the strongest simple model of tabular logs.

Inputs: scenario, kind and every categorical field of at most 254 ids as categories, and every number, running counts
and rates among them. Larger fields (user and item ids with them) and bags are left out: their running rates say what a
tree could learn of them. Regression tasks minimise squared error. Tuned per task on valid: the size of a tree, and
the number of trees by early stopping. LightGBM (Ke et al., NeurIPS 2017) where installed, else scikit-learn's
histogram boosting.

Shapes: N rows, X inputs, T tasks.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import islice
from typing import NamedTuple, Self

import numpy as np
from torch import get_num_threads

from motet.baselines.linear import Bools, centre_and_scale, losses
from motet.baselines.matrix import Flat, Floats, forms, read, score_flat
from motet.batch import Batch, CellOutput, Layout, Rows
from motet.schema import Form
from motet.settings import settings

TRAIN_ROWS = 1_000_000
LARGEST_FIELD = 254
ROWS_PER_THREAD = 200_000  # on fewer rows threads wait for each other longer than they work
PATIENCE, UNJUDGED_ROUNDS, GROWTH = 10, 60, 40
CATEGORY_RIDGE = 50.0

Scorer = Callable[[Floats], Floats]
"""Inputs [N, X] to [N] logits, or values."""


@settings
class Boost:
    """How trees are grown."""

    leaves: tuple[int, ...] = (7, 31)  # sizes of a tree; the best of them is chosen per task on valid
    learning_rate: float = 0.1
    rounds: int = 200  # trees at most; valid stops them earlier
    leaf_rows: int = 40  # fewest train rows of a leaf
    leaf_ridge: float = 20.0
    share_of_inputs: float = 0.5  # drawn for each tree


class Labelled(NamedTuple):
    """The rows where one task is observed."""

    inputs_NX: Floats
    labels_N: Floats


@dataclass(frozen=True, slots=True)
class Inputs:
    """Which columns a tree sees: categories first, then numbers."""

    columns: tuple[int, ...]  # of `Flat.ids_NK`
    offsets: tuple[int, ...]

    @classmethod
    def of(cls, layout: Layout) -> Self:
        """The fields that are small enough."""
        starts = np.cumsum([0, *(field.columns for field in layout.fields)])
        kept = [
            (int(start), field.offset)
            for start, field in zip(starts[:-1], layout.fields, strict=True)
            if field.size <= LARGEST_FIELD and not field.is_bag
        ]
        return cls(tuple(column for column, _ in kept), tuple(offset for _, offset in kept))

    @property
    def categories(self) -> list[int]:
        """The categorical columns of a matrix."""
        return list(range(2 + len(self.columns)))

    def matrix(self, flat: Flat) -> Floats:
        """[N, X] float32."""
        ids_NK = np.maximum(flat.ids_NK[:, list(self.columns)] - np.array(self.offsets, np.int32), 0)
        parts = (flat.scenario_N[:, None], flat.kind_N[:, None], ids_NK, flat.numbers_NF)
        return np.concatenate(parts, axis=1, dtype=np.float32, casting="unsafe")


@dataclass(frozen=True, slots=True)
class Boosting:
    """Fitted on at most 1,000,000 train rows, a uniform sample where there are more."""

    inputs: Inputs
    centre_T: Floats  # the answer where a task does not apply or cannot be fitted
    scorers: tuple[Scorer | None, ...]  # one per task
    applies_TK: Bools  # to which kinds of items a task applies

    name = "boosting"
    label = "Gradient boosting"

    @classmethod
    def fit(cls, data: Rows, *, seed: int = 0, how: Boost | None = None) -> Self:
        """`seed` draws the sample of train and the inputs that a tree may use."""
        layout, inputs = data.layout, Inputs.of(data.layout)
        train, valid = read(data, "train", limit=TRAIN_ROWS, seed=seed), read(data, "valid")
        train_NX, valid_NX = inputs.matrix(train), inputs.matrix(valid)
        centre_T, _, fitted_T = centre_and_scale(train.labels_NT, forms(layout))
        boost = _lightgbm if find_spec("lightgbm") else _scikit_learn
        scorers: list[Scorer | None] = []
        for t, task in enumerate(layout.tasks):
            rows, check = _labelled(train_NX, train.labels_NT[:, t]), _labelled(valid_NX, valid.labels_NT[:, t])
            tried = boost(rows, check, task.form, inputs.categories, seed, how or Boost()) if fitted_T[t] else []
            judged = [
                _loss(scorer(check.inputs_NX), check, task.form) if len(check.labels_N) else 0.0 for scorer in tried
            ]
            scorers.append(tried[int(np.argmin(judged))] if tried else None)
        applies = [[not task.kinds or kind in task.kinds for kind in layout.kinds] for task in layout.tasks]
        return cls(inputs, centre_T, tuple(scorers), np.array(applies))

    def score(self, batch: Batch) -> CellOutput:
        """Logits and values of every candidate."""
        return score_flat(batch, self._scores)

    def _scores(self, flat: Flat) -> Floats:
        inputs_NX = self.inputs.matrix(flat)
        scores_NT = np.tile(self.centre_T, (len(inputs_NX), 1))
        for t, scorer in enumerate(self.scorers):
            asked_N = self.applies_TK[t][flat.kind_N]
            if scorer is not None and asked_N.any():
                scores_NT[asked_N, t] = scorer(inputs_NX if asked_N.all() else inputs_NX[asked_N])
        return scores_NT


def _labelled(inputs_NX: Floats, labels_N: Floats) -> Labelled:
    seen = np.isfinite(labels_N)
    return Labelled(inputs_NX[seen], labels_N[seen])


def _lightgbm(
    train: Labelled, valid: Labelled, form: Form, categories: list[int], seed: int, how: Boost
) -> list[Scorer]:
    """One booster per tree size, on data binned once."""
    import lightgbm

    options = {
        "objective": "binary" if form == "binary" else "regression",
        "learning_rate": how.learning_rate,
        "min_data_in_leaf": how.leaf_rows,
        "lambda_l2": how.leaf_ridge,
        "cat_l2": CATEGORY_RIDGE,
        "cat_smooth": CATEGORY_RIDGE,
        "feature_fraction": how.share_of_inputs,
        "seed": seed,
        "feature_pre_filter": False,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": get_num_threads() if len(train.labels_N) >= ROWS_PER_THREAD else 1,
        "verbosity": -1,
    }
    rows = lightgbm.Dataset(train.inputs_NX, train.labels_N, categorical_feature=categories, params=options)
    judged = len(valid.labels_N) > 0
    checks = [rows.create_valid(valid.inputs_NX, valid.labels_N)] if judged else []
    stop = [lightgbm.early_stopping(PATIENCE, verbose=False)] if judged else []
    rounds = how.rounds if judged else UNJUDGED_ROUNDS

    def boost(leaves: int) -> Scorer:
        booster = lightgbm.train({**options, "num_leaves": leaves}, rows, rounds, valid_sets=checks, callbacks=[*stop])
        return lambda inputs_NX: np.asarray(booster.predict(inputs_NX, raw_score=True, num_threads=get_num_threads()))

    return [boost(leaves) for leaves in how.leaves]


def _scikit_learn(
    train: Labelled, valid: Labelled, form: Form, categories: list[int], seed: int, how: Boost
) -> list[Scorer]:
    """One model per tree size. Its own early stopping would draw rows of train: it grows until valid stops falling."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    kind = HistGradientBoostingClassifier if form == "binary" else HistGradientBoostingRegressor
    raw = "staged_decision_function" if form == "binary" else "staged_predict"
    options = {
        "learning_rate": how.learning_rate,
        "min_samples_leaf": how.leaf_rows,
        "l2_regularization": how.leaf_ridge,
        "max_features": how.share_of_inputs,
        "categorical_features": categories,
        "early_stopping": False,
        "warm_start": True,
        "random_state": seed,
    }

    def boost(leaves: int) -> Scorer:
        model, judged = kind(max_leaf_nodes=leaves, **options), len(valid.labels_N) > 0
        best = UNJUDGED_ROUNDS
        for rounds in range(GROWTH, how.rounds + 1, GROWTH) if judged else [UNJUDGED_ROUNDS]:
            model.set_params(max_iter=rounds).fit(*train)
            if judged:
                staged = getattr(model, raw)(valid.inputs_NX)
                best = 1 + int(np.argmin([_loss(scores_N.reshape(-1), valid, form) for scores_N in staged]))
            if best <= rounds - PATIENCE:
                break
        return lambda inputs_NX: next(islice(getattr(model, raw)(inputs_NX), best - 1, None)).reshape(-1)

    return [boost(leaves) for leaves in how.leaves]


def _loss(scores_N: Floats, rows: Labelled, form: Form) -> float:
    return float(losses(scores_N[:, None], rows.labels_N[:, None], [form])[0])
