"""What is searched: the dimensions of a space as Optuna knows them, and the space of whoever names none.

A choice that is a list, as `expert_widths`, is known to Optuna by its JSON text.
"""

import json
from collections.abc import Mapping
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from motet.experiment import Experiment
from motet.settings import plain
from motet.train.search import Range, Space

Params = dict[str, Any]
"""What Optuna calls the values of a trial: by `section.key`, lists as text."""

BOOSTING: Space = {
    "baselines.boosting.learning_rate": Range(low=0.02, high=0.3, log=True),
    "baselines.boosting.leaves": ([7, 31], [15, 63], [4, 15], [31, 127]),
    "baselines.boosting.leaf_rows": Range(low=10, high=400, log=True),
    "baselines.boosting.leaf_ridge": Range(low=0.1, high=100.0, log=True),
    "baselines.boosting.share_of_inputs": Range(low=0.2, high=1.0),
}
LOGISTIC: Space = {
    "baselines.logistic.ridges": ([1.0, 10.0, 100.0], [0.1, 1.0, 10.0], [10.0, 100.0, 1000.0]),
}


def default_space(current: Mapping[str, Any], tasks: tuple[str, ...]) -> Space:
    """Learning rates, batch, widths, dropout, experts, history, loss weights; the settings as they are among them."""
    space: Space = {
        "train.lr": Range(low=0.001, high=0.016, log=True),
        "train.table_lr": Range(low=0.02, high=0.4, log=True),
        "train.weight_decay": Range(low=0.01, high=1.0, log=True),
        "train.batch_size": (256, 512, 1024),
        "model.dim": (8, 16, 32),
        "model.dropout": Range(low=0.0, high=0.5),
        "model.evidence": Range(low=10.0, high=1000.0, log=True),
        "model.expert_count": (2, 4, 8),
        "model.expert_widths": ([32, 16], [64, 32], [128, 64]),
        "history.length": (10, 20, 50),
    }
    if len(tasks) > 1:
        space |= {f"train.task_weights.{task}": Range(low=0.3, high=3.0, log=True) for task in tasks}
    return {key: _with(dimension, current.get(key)) for key, dimension in space.items()}


def _with(dimension: Range | tuple[Any, ...], value: Any) -> Range | tuple[Any, ...]:
    """The dimension widened to hold a value."""
    if isinstance(dimension, Range):
        if value is None or (value <= 0 and dimension.log):
            return dimension
        low, high = min(dimension.low, value), max(dimension.high, value)
        return Range(low=low, high=high, log=dimension.log)
    return dimension if value is None or value in dimension else (*dimension, value)


def current_values(experiment: Experiment, model: object, tasks: tuple[str, ...]) -> dict[str, Any]:
    """`section.key` to its value as the settings are, defaults included."""
    found: dict[str, Any] = {}

    def walk(prefix: str, value: Any) -> None:
        if isinstance(value, dict):
            for key, item in value.items():
                walk(f"{prefix}.{key}", item)
        found[prefix] = value

    for section in ("train", "history", "running", "baselines"):
        walk(section, plain(getattr(experiment, section)))
    walk("model", plain(model))
    return {f"train.task_weights.{task}": 1.0 for task in tasks} | found


def distributions(space: Space) -> dict[str, BaseDistribution]:
    """The space in Optuna's terms."""
    found: dict[str, BaseDistribution] = {}
    for key, dimension in space.items():
        if isinstance(dimension, Range):
            kind = IntDistribution if dimension.whole else FloatDistribution
            found[key] = kind(dimension.low, dimension.high, log=dimension.log)  # type: ignore[arg-type]
        else:
            found[key] = CategoricalDistribution([text_of(choice) for choice in dimension])
    return found


def text_of(value: Any) -> Any:
    """A value as Optuna can hold it."""
    return json.dumps(plain(value)) if isinstance(value, list | tuple | dict) else value


def changes_of(space: Space, params: Params) -> dict[str, Any]:
    """Settings of a trial's values."""
    texts = {key: {text_of(c): c for c in choices} for key, choices in space.items() if isinstance(choices, tuple)}
    return {key: plain(texts[key][value]) if key in texts else value for key, value in params.items()}


def params_of(space: Space, current: Mapping[str, Any]) -> Params | None:
    """The settings as they are as a trial; None where the space does not hold them."""
    params: Params = {}
    for key, dimension in space.items():
        value = current.get(key)
        if isinstance(dimension, Range):
            if not isinstance(value, int | float) or not dimension.low <= value <= dimension.high:
                return None
            params[key] = value
        else:
            if text_of(value) not in [text_of(choice) for choice in dimension]:
                return None
            params[key] = text_of(value)
    return params
