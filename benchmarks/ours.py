"""Motet as a worker: the same rows and MMoE as the peers', by the training step that `motet train` takes.

Half of the fields are the user's, half the item's, and every row shows an item of its own. Histories, where there are
any, are full, of the first `POOL` rows' items.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks import limit
from benchmarks.workload import Workload, of_arguments, serve, timed
from motet import runtime
from motet.batch import UNKNOWN, Batch, Field, History, Layout, Split
from motet.model.ranker import Network, resolve
from motet.schema import Scenario, Task
from motet.train.device import Place
from motet.train.loop import Train, losses_of
from motet.train.losses import CellSums
from motet.train.optim import learning_rate
from motet.train.step import Step
from motet.version import VERSION

CPU = torch.device("cpu")
POOL = 20_000
Ints = NDArray[np.int64]


class Memory:
    """The workload as `motet.batch.Rows`: packed arrays, all rows in train."""

    def __init__(self, work: Workload) -> None:
        offset_F = 1 + work.ids_per_field * np.arange(work.fields)
        self.ids_NF = torch.from_numpy((work.ids() + offset_F).astype(np.int32))
        self.labels_NT, self.scenario_N = torch.from_numpy(work.labels()), torch.arange(work.rows) % work.scenarios
        self.layout = layout(work, offset_F.tolist())
        self.counts_V = torch.full((self.layout.table_rows,), 100)
        self.length = work.history
        self.halves = work.fields // 2, work.fields - work.fields // 2

    def rows(self, split: Split, scenario: int | None = None) -> Ints:
        return np.arange(len(self.ids_NF) if split == "train" else 0)

    def batch(self, rows: Ints | Tensor) -> Batch:
        at = torch.as_tensor(rows, dtype=torch.int64)
        user_ids_BK, item_ids_BK = self.ids_NF.index_select(0, at).split(self.halves, 1)
        zero_B, none_BN = torch.zeros_like(at), torch.zeros(len(at), 0)
        return Batch(
            user_B=zero_B,
            scenario_B=self.scenario_N.index_select(0, at),
            user_ids_BK=user_ids_BK,
            user_numbers_BN=none_BN,
            context_ids_BK=user_ids_BK[:, :0],
            context_numbers_BN=none_BN,
            item_BC=at[:, None] + UNKNOWN + 1,
            kind_BC=zero_B[:, None],
            item_ids_BCK=item_ids_BK[:, None],
            item_numbers_BCN=none_BN[:, None],
            pair_numbers_BCN=none_BN[:, None],
            history=self._history(at),
            labels_BCT=self.labels_NT.index_select(0, at)[:, None],
        )

    def labels(self, rows: Ints) -> NDArray[np.float32]:
        labels_NT: NDArray[np.float32] = self.labels_NT.numpy()[rows]
        return labels_NT

    def scenarios(self, rows: Ints) -> Ints:
        return self.scenario_N.numpy()[rows]

    def _history(self, at_B: Tensor) -> History:
        place_L = torch.arange(max(1, self.length))
        row_BL = (at_B[:, None] * 7919 + place_L * 104_729) % min(POOL, len(self.ids_NF))
        events, there = row_BL.shape, self.length > 0
        return History(
            item_BL=(row_BL + UNKNOWN + 1) * there,
            item_ids_BLK=self.ids_NF.index_select(0, row_BL.flatten())[:, self.halves[0] :].view(*events, -1) * there,
            kind_BL=torch.zeros_like(row_BL),
            scenario_BL=self.scenario_N.index_select(0, row_BL.flatten()).view(events),
            action_BLT=self.labels_NT.index_select(0, row_BL.flatten()).view(*events, -1) * there,
            gap_BL=(self.length - place_L).float().log1p().expand(events),
            length_B=torch.full_like(at_B, self.length),
        )


def layout(work: Workload, offsets: list[int]) -> Layout:
    tasks = tuple(Task(name=f"task {number}", label=f"label {number}") for number in range(work.tasks))
    half = work.fields // 2
    packed = tuple(
        Field(f"field {number}", "user" if number < half else "item", offset, work.ids_per_field)
        for number, offset in enumerate(offsets)
    )
    return Layout(
        scenarios=tuple(Scenario(name=f"scenario {number}") for number in range(work.scenarios)),
        tasks=tasks,
        kinds=("item",),
        fields=packed,
        user_numbers=(),
        item_numbers=(),
        context_numbers=(),
        pair_numbers=(),
        table_rows=offsets[-1] + work.ids_per_field,
        base_rates=((0.3,) * work.tasks,) * work.scenarios,
        label_scales=(1.0,) * work.tasks,
        history_length=max(1, work.history),
    )


@dataclass(frozen=True)
class Training:
    """What the loop of `motet train` holds when a step begins."""

    data: Memory
    step: Step
    sums: CellSums

    def run(self, order: Ints, batch: int) -> None:
        """One step for every whole batch of those rows, as the loop takes it."""
        steps = len(order) // batch
        for number in range(steps):
            rows = self.data.batch(order[number * batch : (number + 1) * batch]).to(CPU)
            self.sums.add(*self.step(rows, learning_rate(number, steps, 1)), rows.scenario_B)


def model_of(work: Workload) -> dict[str, Any]:
    """`[model]`: a preset as it is, or the peers' MMoE in the workload's sizes, without history and dropout."""
    if work.preset:
        return {"preset": work.preset}
    sizes = {"expert_count": work.experts, "expert_widths": [work.hidden, work.width], "head_width": work.head}
    return {"preset": "mmoe", "history": "none", "dim": work.dim, "dropout": 0.0, **sizes}


def training(work: Workload) -> Training:
    """A new network, ready for its first step."""
    torch.manual_seed(work.seed)
    data, model = Memory(work), resolve(model_of(work))
    network, how = Network(data.layout, data.counts_V, model).train(), Train()
    losses, weights_T = losses_of(network, data, data.rows("train"), how, CPU)
    rates = {"lr": how.lr, "table_lr": how.table_lr, "weight_decay": how.weight_decay}
    return Training(
        data, Step(network, losses, weights_T, Place(CPU, bf16=False), **rates), CellSums(network.layout, CPU)
    )


def answers(work: Workload) -> dict[str, Callable[[int], Any]]:
    """How fast we are, and how fast we could be."""
    made = training(work)
    found = limit.products(lambda: made.run(np.arange(work.batch), work.batch))

    def run(steps: int) -> None:
        made.run(np.random.default_rng(work.seed).permutation(steps * work.batch), work.batch)

    return {
        "run": timed(run),
        "limit": lambda repeats: limit.measure(found, work.batch, repeats),
        "memory": lambda _: runtime.peak_rss_mb(),
    }


if __name__ == "__main__":
    work, _ = of_arguments(argparse.ArgumentParser(description=__doc__))
    runtime.use_threads(work.threads)
    serve(VERSION, lambda: answers(work))
