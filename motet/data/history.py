"""Histories: each user's events stored once, in time order; an impression only holds where its past ends.

An event is an impression with something positive in it: a binary label that is 1 or an observed regression label. A
label that becomes known later is a second event at its `known_at`, whose action holds only what became known then.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import field_validator

from motet.data.arrays import Floats, Ids, Ints, Numbers, bisect_before, load_array
from motet.settings import settings


@settings
class HistorySettings:
    """What counts as an event and how many of the last ones a ranker sees."""

    length: int = 20
    events: Literal["positive", "all"] = "all"  # positive: only impressions that something came of
    per_scenario: bool = False  # a request sees only events of its own scenario

    @field_validator("length")
    @classmethod
    def _positive(cls, value: int) -> int:
        if value < 1:
            raise ValueError('length should be at least 1; a network that reads none has history = "none" in [model]')
        return value


@dataclass(frozen=True, slots=True)
class Events:
    """Events of all users; group g (a user, or a user in a scenario) owns positions offsets[g] … offsets[g + 1].

    Position 0 holds padding, all zero, and belongs to no group.
    """

    offsets: Ints  # [groups + 1]
    item_E: Ids
    scenario_E: Ids
    action_ET: Numbers
    time_E: Floats  # when the event became known
    scenarios: int  # 0: one group per user; else user · scenarios + scenario

    def before(self, user_N: NDArray[np.integer], scenario_N: NDArray[np.integer], time_N: Floats) -> tuple[Ints, Ints]:
        """(start, end) of the events each row may see: its group's, strictly before its time."""
        group_N = groups_of(user_N, scenario_N, self.scenarios)
        start, stop = self.offsets[group_N], self.offsets[group_N + 1]
        return start, bisect_before(self.time_E, start, stop, time_N)

    @classmethod
    def load(cls, folder: Path, scenarios: int) -> "Events":
        return cls(
            offsets=cast(Ints, load_array(folder / "offsets.npy")),
            item_E=cast(Ids, load_array(folder / "item_E.npy")),
            scenario_E=cast(Ids, load_array(folder / "scenario_E.npy")),
            action_ET=cast(Numbers, load_array(folder / "action_ET.npy")),
            time_E=cast(Floats, load_array(folder / "time_E.npy")),
            scenarios=scenarios,
        )


def groups_of(user_N: NDArray[np.integer], scenario_N: NDArray[np.integer], scenarios: int) -> Ints:
    """The group whose events each row may see: the user's, or with `scenarios` the user's in that scenario."""
    user = user_N.astype(np.int64)
    return user * scenarios + scenario_N if scenarios else user
