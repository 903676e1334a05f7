"""What a report holds and how long it may take: the settings of evaluation."""

from dataclasses import field
from typing import Literal

from pydantic import field_validator

from motet.baselines import BASELINES
from motet.model.presets import presets
from motet.settings import nearest, settings


@settings
class Evaluate:
    """What a report holds and how long it may take."""

    split: Literal["valid", "test"] = "test"
    seeds: int = 3
    resamples: int = 2000
    controls: bool = True  # train solo and pooled models (cached)
    baselines: tuple[str, ...] = tuple(BASELINES)
    presets: tuple[str, ...] = ("lstm-fusion",)
    ranking_users: int = 200  # per scenario and kind; 0: no ranking
    ranking_pairs: int = 2_000_000  # candidates scored for ranking in all; fewer users when it would be more
    next_item_rows: int = 0  # without tasks: judged rows of each scenario, at most; 0: all
    relevant_task: dict[str, str] = field(default_factory=dict)  # by kind; default: its first binary task
    importance_rows: int = 2500  # judged rows in which groups of inputs are shuffled, at most; 0: no importance
    importance_repeats: int = 1  # times that each group is shuffled
    workers: int = 0  # processes for controls; 0: one per core

    @field_validator("seeds", "resamples", "importance_repeats")
    @classmethod
    def _positive(cls, value: int) -> int:
        if value < 1:
            raise ValueError("should be at least 1")
        return value

    @field_validator("ranking_users", "ranking_pairs", "next_item_rows", "importance_rows", "workers")
    @classmethod
    def _not_negative(cls, value: int) -> int:
        if value < 0:
            raise ValueError("should not be negative")
        return value

    @field_validator("baselines")
    @classmethod
    def _known_baselines(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return _known(names, list(BASELINES), "baseline")

    @field_validator("presets")
    @classmethod
    def _known_presets(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if "solo" in names:
            raise ValueError("solo is no preset: one solo model for every cell is trained with controls = true")
        return _known(names, presets(), "preset")


def _known(names: tuple[str, ...], known: list[str], what: str) -> tuple[str, ...]:
    for name in names:
        if name not in known:
            raise ValueError(f"unknown {what} {name!r}: {nearest(name, known)}")
    return names
