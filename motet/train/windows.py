"""What the next-item model learns from: histories cut into windows, and the train rows that are their targets.

A row on which something happened is a target of the last event known before it. A user's events are encoded once for
all of their targets; a long past is cut into windows of L events that overlap by half, so that a target beyond the
first window has at least L/2 events before it. A target without a past teaches nothing here.

Shapes: W windows, B windows of a batch, L history length, Q targets.
"""

from dataclasses import dataclass
from typing import Self, cast

import numpy as np
import torch
from torch import Tensor

from motet.batch import History
from motet.data.arrays import Bools, Ints
from motet.data.dataset import Dataset
from motet.data.windows import gather_history

LOOSENESS = 2.0
"""Windows whose lengths differ by no more may share a batch, or batches would be the same in every epoch."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """One batch: histories, and the target that comes after a place in them."""

    history: History
    place_Q: Tensor  # int64 into the flattened B · L places
    item_Q: Tensor  # int64 rows of the items table
    scenario_Q: Tensor  # int64


@dataclass(frozen=True, eq=False)
class Windows:
    """Targets in the order of their windows."""

    data: Dataset
    start_W: Ints  # first stored event
    stop_W: Ints  # one behind the last one that a target needs
    target_W: Ints  # first target; [W + 1]
    query_Q: Ints  # the stored event that a target comes after
    item_Q: Ints
    scenario_Q: Ints

    @classmethod
    def of(cls, data: Dataset) -> Self:
        """Those of train."""
        rows, length = data.rows("train"), data.layout.history_length
        start_N, end_N = (x.numpy()[rows] for x in (data.impressions.history_start, data.impressions.history_end))
        told_N = (end_N > start_N) & happened(data, rows)
        rows, start_N, end_N = rows[told_N], start_N[told_N], end_N[told_N]
        place_N, half = end_N - 1 - start_N, max(1, length // 2)
        first_N = start_N + np.where(place_N < length, 0, 1 + (place_N - length) // half) * half
        order_Q = np.lexsort((end_N, first_N, start_N))
        rows, first_Q, end_Q = rows[order_Q], first_N[order_Q], end_N[order_Q]
        begins_Q = np.ones(len(rows), np.bool_)
        begins_Q[1:] = (first_Q[1:] != first_Q[:-1]) | (start_N[order_Q][1:] != start_N[order_Q][:-1])
        target_W = np.flatnonzero(begins_Q)
        stop_W = end_Q[np.append(target_W[1:], len(rows))[: len(target_W)] - 1]
        return cls(
            data=data,
            start_W=first_Q[target_W],
            stop_W=stop_W,
            target_W=np.append(target_W, len(rows)),
            query_Q=end_Q - 1,
            item_Q=data.item_rows(rows),
            scenario_Q=data.scenarios(rows),
        )

    def __len__(self) -> int:
        return len(self.start_W)

    def batches(self, size: int, seed: int, epoch: int) -> list[Ints]:
        """All windows in batches of about equal length and mostly one scenario; their order follows from the seed."""
        rng = np.random.default_rng([seed, epoch])
        loose_W = self.stop_W - self.start_W + rng.uniform(0, LOOSENESS, len(self))
        scenario_W = self.scenario_Q[self.target_W[1:] - 1]
        order_W = np.lexsort((loose_W, scenario_W))
        batches = [order_W[at : at + size] for at in range(0, len(self), size)]
        return [batches[place] for place in rng.permutation(len(batches))]

    def lesson(self, some: Ints) -> Lesson:
        """Those windows as a batch."""
        start_B, stop_B = torch.from_numpy(self.start_W[some]), torch.from_numpy(self.stop_W[some])
        stored = self.data.stored_events
        last_B = stored.time_E.index_select(0, stop_B - 1)
        history = gather_history(stored, self.data.items, start_B, stop_B, last_B, self.data.layout.history_length)
        count_B = self.target_W[some + 1] - self.target_W[some]
        window_Q = np.repeat(np.arange(len(some)), count_B)
        at_Q = np.arange(len(window_Q)) + np.repeat(self.target_W[some] - np.cumsum(count_B) + count_B, count_B)
        place_Q = window_Q * history.item_BL.shape[1] + self.query_Q[at_Q] - self.start_W[some][window_Q]
        return Lesson(history, *(torch.from_numpy(x) for x in (place_Q, self.item_Q[at_Q], self.scenario_Q[at_Q])))


def happened(data: Dataset, rows: Ints) -> Bools:
    """Rows on which something happened: a binary task, as it is where there are no tasks."""
    binary_T = np.array([task.form == "binary" for task in data.layout.tasks])
    return cast(Bools, (data.labels(rows)[:, binary_T] > 0).any(1))
