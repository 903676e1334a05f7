"""What a report holds and how long it may take: the settings of evaluation."""

from dataclasses import field
from typing import Literal

from motet.baselines import BASELINES
from motet.settings import settings


@settings
class Evaluate:
    """What a report holds and how long it may take."""

    split: Literal["valid", "test"] = "test"
    seeds: int = 3
    resamples: int = 2000
    controls: bool = True  # train solo and pooled models (cached)
    baselines: tuple[str, ...] = tuple(BASELINES)
    presets: tuple[str, ...] = ("lstm-fusion",)
    ranking_users: int = 200  # per scenario and kind
    ranking_pairs: int = 2_000_000  # candidates scored for ranking in all; fewer users when it would be more
    relevant_task: dict[str, str] = field(default_factory=dict)  # by kind; default: its first binary task
    workers: int = 0  # processes for controls; 0: one per core
