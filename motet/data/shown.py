"""What has been shown, where, when first, and to whom: catalogues, and what a user has seen before a time.

Shapes: N impressions, B requests, C items, E (request, item) pairs.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from motet.data.arrays import Floats, Grouped, Ints


class Shown:
    """Impressions in time order, by scenario and by user."""

    def __init__(
        self, user_N: NDArray[np.integer], item_N: NDArray[np.integer], scenario_N: NDArray[np.integer], time_N: Floats
    ) -> None:
        self._item_N, self._scenario_N, self._time_N = item_N, scenario_N, time_N
        self._users = int(user_N.max(initial=0)) + 1
        self._by_user = Grouped.of(user_N, time_N, self._users)
        self.in_scenario = lru_cache(maxsize=256)(self._in_scenario)

    def _in_scenario(self, scenario: int) -> tuple[Ints, Floats]:
        """Items shown in a scenario, ascending, and when first."""
        rows = np.flatnonzero(self._scenario_N == scenario)
        items, first = np.unique(self._item_N[rows].astype(np.int64), return_index=True)
        return items, self._time_N[rows[first]]

    def first(self, scenario: int, items: Ints) -> Floats:
        """When each item was first shown in a scenario, inf if never. [C]"""
        known, first = self.in_scenario(scenario)
        place = np.searchsorted(known, items).clip(max=max(len(known) - 1, 0))
        return np.where(known[place] == items, first[place], np.inf) if len(known) else np.full(len(items), np.inf)

    def to(self, user_B: Ints, time_B: Floats, scenario: int | None = None) -> tuple[Ints, Ints]:
        """(request, item) of what each user had been shown strictly before its time, by request.

        In one scenario if it is given. A user who has never been shown anything has no pair.
        """
        known_B = user_B < self._users
        start_B, stop_B = self._by_user.before(np.where(known_B, user_B, 0), time_B)
        count_B = np.where(known_B, stop_B - start_B, 0)
        request_E = np.repeat(np.arange(len(user_B)), count_B)
        place_E = np.arange(len(request_E)) + np.repeat(start_B - np.cumsum(count_B) + count_B, count_B)
        row_E = self._by_user.order_E[place_E]
        if scenario is not None:
            here_E = self._scenario_N[row_E] == scenario
            request_E, row_E = request_E[here_E], row_E[here_E]
        return request_E, self._item_N[row_E].astype(np.int64)
