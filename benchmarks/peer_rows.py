"""The rows that other packages are trained on, read from the file that `exported.py` writes, and how long they train.

NumPy and torch alone, because the peers' environment runs this. An input is a column of ids, a bag of ids (tags, the
items of the history) or a block of numbers. Shapes: N rows, B of a batch, T tasks, S scenarios.
"""

import copy
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.integer[Any]]
Inputs = Mapping[str, Tensor]
SMALLEST = 1e-7
FEWEST = 50
"""Labels of each class that a cell needs to be judged."""


@dataclass(frozen=True)
class Ids:
    """A column of ids, or with `length` a bag of them, padded with 0. `shares`: the column whose table it takes."""

    name: str
    size: int
    length: int = 0
    shares: str | None = None


@dataclass(frozen=True)
class Peers:
    """What a peer may see: train and valid with labels, test without them."""

    ids: tuple[Ids, ...]
    numbers: int  # columns of the block of numbers
    large: frozenset[str]  # ids of users, items and other fields of many values
    binary: tuple[bool, ...]
    base_rates_ST: Floats
    inputs: Mapping[str, Inputs]  # by split
    labels: Mapping[str, Tensor]  # float32 [N, T], nan where unobserved, a regression's standardised
    scenario_N: Ints  # of valid

    def without(self, names: frozenset[str]) -> "Peers":
        """The same rows without some columns of ids."""
        kept = tuple(column for column in self.ids if column.name not in names)
        shown = {
            split: {key: value for key, value in inputs.items() if key not in names}
            for split, inputs in self.inputs.items()
        }
        return Peers(
            kept, self.numbers, self.large, self.binary, self.base_rates_ST, shown, self.labels, self.scenario_N
        )

    def of_tasks(self, tasks: Sequence[int]) -> "Peers":
        """The same rows with some of the tasks, in that order."""
        chosen = list(tasks)
        labels = {split: y_NT[:, chosen] for split, y_NT in self.labels.items()}
        binary, rates_ST = tuple(self.binary[t] for t in chosen), self.base_rates_ST[:, chosen]
        return Peers(self.ids, self.numbers, self.large, binary, rates_ST, self.inputs, labels, self.scenario_N)

    def in_buckets(self, buckets: int) -> "Peers":
        """Every number as a column of ids, by train's quantiles: for models that take nothing else."""
        ranks = np.arange(1, buckets) / buckets
        edges = np.quantile(self.inputs["train"]["numbers"].numpy(), ranks, axis=0)
        names = [f"number{place}" for place in range(self.numbers)]
        shown: dict[str, Inputs] = {}
        for split, inputs in self.inputs.items():
            numbers = inputs["numbers"].numpy()
            cut = {n: torch.from_numpy(np.searchsorted(edges[:, i], numbers[:, i])) for i, n in enumerate(names)}
            shown[split] = {key: value for key, value in inputs.items() if key != "numbers"} | cut
        ids = (*self.ids, *(Ids(name, buckets) for name in names))
        return Peers(ids, 0, self.large, self.binary, self.base_rates_ST, shown, self.labels, self.scenario_N)

    def macro_ne(self, predictions_NT: Floats) -> float:
        """Mean over the cells of valid with enough labels of log loss / entropy of train's rate, or of the same of
        squared errors: what our networks stop by."""
        y_NT, found = self.labels["valid"].numpy(), []
        for s, t in np.ndindex(*self.base_rates_ST.shape):
            y, p = y_NT[self.scenario_N == s, t], predictions_NT[self.scenario_N == s, t]
            seen, rate = ~np.isnan(y), self.base_rates_ST[s, t]
            y, p = y[seen].astype(np.float64), p[seen].astype(np.float64)
            if self.binary[t] and min(y.sum(), (1 - y).sum()) >= FEWEST and 0 < rate < 1:
                found.append(_cross_entropy(y, p) / _cross_entropy(np.array([rate]), rate))
            elif not self.binary[t] and len(y) >= FEWEST:
                found.append(np.sum((y - p) ** 2) / np.sum((y - rate) ** 2))
        return float(np.mean(found)) if found else 0.0


def _cross_entropy(y: Floats, p: Any) -> float:
    p = np.clip(p, SMALLEST, 1 - SMALLEST)
    return float(-np.mean(y * np.log(p) + (1 - y) * np.log1p(-p)))


def read(path: Path) -> Peers:
    """The file that `exported.py` wrote."""
    with np.load(path, allow_pickle=False) as file:
        told, arrays = json.loads(str(file["told"])), {name: file[name] for name in file.files if name != "told"}
    ids = tuple(Ids(**column) for column in told["ids"])
    keys = [*(column.name for column in ids), "numbers"]
    inputs = {
        split: {key: torch.from_numpy(arrays[f"{split}/{key}"]) for key in keys} for split in ("train", "valid", "test")
    }
    labels = {split: torch.from_numpy(arrays[f"{split}/labels"]) for split in ("train", "valid")}
    rates_ST = np.array([[np.nan if rate is None else rate for rate in row] for row in told["base_rates"]])
    return Peers(ids, told["numbers"], frozenset(told["large"]), tuple(told["binary"]), rates_ST, inputs, labels,
                 arrays["valid/scenario"])  # fmt: skip


class Batches:
    """Rows as the packages' trainers take them: batches of nearly equal size, so that none is a single row."""

    def __init__(self, inputs: Inputs, labels_NT: Tensor | None, rows: Ints, batch: int) -> None:
        self.inputs, self.labels_NT = inputs, labels_NT
        self.parts = np.array_split(rows, max(1, round(len(rows) / batch)))

    def __len__(self) -> int:
        return len(self.parts)

    def __iter__(self) -> Iterator[Any]:
        for part in self.parts:
            at = torch.from_numpy(part)
            x = {name: column.index_select(0, at) for name, column in self.inputs.items()}
            yield x if self.labels_NT is None else (x, self.labels_NT.index_select(0, at))


def loss_of(binary: bool, predicted: Tensor, label: Tensor, reduction: str = "mean") -> Tensor:
    """Cross entropy or squared error of the observed labels, 0 without any: the packages know no missing labels."""
    seen = ~torch.isnan(label)
    if not seen.any():
        return (predicted * 0).sum()
    loss = nn.functional.binary_cross_entropy if binary else nn.functional.mse_loss
    return loss(predicted[seen], label[seen], reduction=reduction)


class Peer(Protocol):
    """A package's model with its own training step."""

    network: nn.Module

    def train(self, rows: Ints) -> None:
        """One pass over those rows of train, in any order."""
        ...

    def predict(self, split: str) -> Floats:
        """Probabilities, or values of regressions, [N, T]."""
        ...


def fit(peer: Peer, data: Peers, *, seed: int, epochs: int, judged: int, patience: int) -> float:
    """Train until valid's macro `ne` has not become better for `patience` evaluations, `judged` of them an epoch.

    The best weights are left loaded; how many epochs it took comes back.
    """
    rng, best, kept, waited, done = np.random.default_rng(seed), np.inf, None, 0, 0
    while waited < patience and done < epochs * judged:
        if done % judged == 0:
            parts = np.array_split(rng.permutation(len(data.labels["train"])), judged)
        peer.train(parts[done % judged])
        ne, done = data.macro_ne(peer.predict("valid")), done + 1
        if ne < best - 1e-5:
            best, kept, waited = ne, copy.deepcopy(peer.network.state_dict()), 0
        else:
            waited += 1
    if kept is not None:
        peer.network.load_state_dict(kept)
    return done / judged
