"""What a search over settings may try and how long: `[tune]` of motet.toml."""

from dataclasses import field
from typing import Any, cast

from pydantic import field_validator, model_validator

from motet.schema import seconds
from motet.settings import nearest, settings

TUNABLE = ("model", "train", "history", "running", "baselines")
"""The sections that may be searched; the others say what is judged, or how."""


@settings
class Range:
    """Numbers from `low` to `high`, both included; only whole ones if both are."""

    low: float | int
    high: float | int
    log: bool = False  # by ratio instead of by difference: for rates

    @model_validator(mode="after")
    def _ordered(self) -> "Range":
        if not self.low < self.high:
            raise ValueError(f"low {self.low} should be below high {self.high}")
        if self.log and self.low <= 0:
            raise ValueError("a range by ratio should begin above 0")
        return self

    @property
    def whole(self) -> bool:
        return isinstance(self.low, int) and isinstance(self.high, int)


Space = dict[str, Range | tuple[Any, ...]]
"""`section.key` to a range or to choices."""


@settings
class Tune:
    """A search over settings, judged on valid cells alone."""

    trials: int = 20  # in all, those that were stopped early included
    timeout: str = ""  # as in "30m": no trial begins later; empty: no limit
    workers: int = 0  # trainings at a time, one thread each; 0: one per core
    startup: int = 8  # trials drawn at random before the sampler learns from them
    finalists: int = 3  # the best trials that are trained with all seeds, beside the settings as they are
    seeds: int = 3
    space: Space = field(default_factory=dict)  # "section.key" to choices, or to {low, high, log}; empty: a default

    @field_validator("trials", "finalists", "seeds", "startup")
    @classmethod
    def _positive(cls, value: int) -> int:
        if value < 1:
            raise ValueError("should be at least 1")
        return value

    @field_validator("timeout")
    @classmethod
    def _duration(cls, value: str) -> str:
        if value:
            seconds(value)
        return value

    @field_validator("space", mode="before")
    @classmethod
    def _flat(cls, value: Any) -> Any:
        """`train.lr = […]` and `"train.lr" = […]` are the same."""
        return dict(_dotted(value)) if isinstance(value, dict) else value

    @field_validator("space")
    @classmethod
    def _tunable(cls, space: Space) -> Space:
        for key, dimension in space.items():
            section = key.split(".")[0]
            if section not in TUNABLE or "." not in key:
                known = nearest(section, list(TUNABLE)) if section not in TUNABLE else "name one of its keys"
                raise ValueError(f"{key!r} cannot be searched: {known}")
            if isinstance(dimension, tuple) and len(dimension) < 2:
                raise ValueError(f"{key!r} has nothing to choose from: give two choices or more")
        return space


def _dotted(space: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for key, value in space.items():
        if isinstance(value, dict) and "low" not in value and "high" not in value:
            found += _dotted(cast(dict[str, Any], value), f"{prefix}{key}.")
        else:
            found.append((prefix + key, value))
    return found
