"""A tiny in-memory log behind the data set's API (`motet.batch.Rows`), and ways to rearrange a batch.

Rankers are tested on it without a prepared folder. Users and items have an appeal that all features hint at; the last
items appear in test only; `stars` is observed where clicked.

Shapes: N rows of the log, U users, I items, B requests, C candidates, L history, T tasks.
"""

from copy import copy
from dataclasses import fields, replace
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from motet.batch import PADDING, UNKNOWN, Batch, Field, History, Layout, Split
from motet.schema import Scenario, Task

Ints = NDArray[np.int64]
FIRST = UNKNOWN + 1
BOUNDS = {"train": (0.0, 0.7), "valid": (0.7, 0.85), "test": (0.85, 1.0)}
TASKS = (
    Task(name="click", label="click"),
    Task(name="buy", label="buy", after="click"),
    Task(name="stars", label="stars", form="regression"),
)


class Toy:
    """N impressions of U users and I items in two scenarios and two kinds, in time order."""

    def __init__(self, seed: int = 0, *, rows: int = 1500, users: int = 60, items: int = 40, history: int = 6) -> None:
        rng = np.random.default_rng(seed)
        self.appeal_U = np.concatenate([[0, 0], rng.normal(size=users)])
        self.appeal_I = np.concatenate([[0, 0], rng.normal(size=items)])
        self.hint_UI = rng.normal(size=(users + FIRST, items + FIRST))
        late_N = np.arange(rows) >= BOUNDS["test"][0] * rows
        self.user_N = FIRST + rng.integers(users, size=rows)
        self.item_N = FIRST + rng.integers(np.where(late_N, items, items - min(4, items - 1)))
        self.scenario_N = rng.integers(2, size=rows)
        self.labels_NT = self._react(rng)
        self.layout = self._layout(users, items, history)
        self.counts_V = torch.full((self.layout.table_rows,), 20)

    def _react(self, rng: np.random.Generator) -> NDArray[np.float32]:
        appeal_N = self.appeal_U[self.user_N] + self.appeal_I[self.item_N] + self.scenario_N - 0.5
        click_N = rng.random(len(appeal_N)) < 1 / (1 + np.exp(-1.5 * appeal_N))
        buy_N = click_N & (rng.random(len(appeal_N)) < 0.4)
        stars_N = np.where(click_N, 3 + appeal_N / 2 + 0.3 * rng.normal(size=len(appeal_N)), np.nan)
        return np.stack([click_N, buy_N, stars_N], axis=1).astype(np.float32)

    def _layout(self, users: int, items: int, history: int) -> Layout:
        sizes = (
            ("user", "user", users, 1),
            ("age", "user", 3, 1),
            ("item", "item", items, 1),
            ("tags", "item", 5, 3),
            ("scenario", "context", 2, 1),
        )
        placed, offset = [], 1
        for name, owner, keys, columns in sizes:
            placed.append(Field(name, owner, offset, keys + 1, columns))  # type: ignore[arg-type]
            offset += keys + 1
        rates, scales = self._moments()
        return Layout(
            scenarios=(Scenario(name="desktop"), Scenario(name="mobile")),
            tasks=TASKS,
            kinds=("goods", "content"),
            fields=tuple(placed),
            user_numbers=("age",),
            item_numbers=("price",),
            context_numbers=("hour",),
            pair_numbers=("user: impressions", *(f"{key}: {task.name}" for key in ("user", "item") for task in TASKS)),
            table_rows=offset,
            base_rates=rates,
            label_scales=scales,
            history_length=history,
        )

    def _moments(self) -> tuple[tuple[tuple[float, ...], ...], tuple[float, ...]]:
        """Train means of each cell, nan where nothing is observed, and the scale of each task's labels."""
        cells = [self.labels_NT[self.rows("train", scenario)].T for scenario in range(2)]
        seen = [[labels[np.isfinite(labels)] for labels in cell] for cell in cells]
        rates = tuple(tuple(float(y.mean()) if len(y) else np.nan for y in cell) for cell in seen)
        stars = np.concatenate([cell[2] for cell in seen])
        return rates, (1.0, 1.0, float(stars.std() or 1.0) if len(stars) else 1.0)

    def relabelled(self, labels_NT: NDArray[Any]) -> "Toy":
        """The same impressions with other labels."""
        other = copy(self)
        other.labels_NT = labels_NT.astype(np.float32)
        rates, scales = other._moments()
        other.layout = replace(self.layout, base_rates=rates, label_scales=scales)
        return other

    def rows(self, split: Split, scenario: int | None = None) -> Ints:
        low, high = (int(share * len(self.user_N)) for share in BOUNDS[split])
        rows = np.arange(low, high)
        return rows if scenario is None else rows[self.scenario_N[rows] == scenario]

    def labels(self, rows: Ints) -> NDArray[np.float32]:
        return self.labels_NT[rows]

    def scenarios(self, rows: Ints) -> Ints:
        return self.scenario_N[rows]

    def batch(self, rows: Ints | Tensor) -> Batch:
        """Those rows with their labels, C = 1."""
        rows = np.asarray(rows)
        labels_B1T = torch.from_numpy(self.labels_NT[rows])[:, None]
        return replace(self._batch(rows, self.item_N[rows][:, None]), labels_BCT=labels_B1T)

    def requests(self, rows: Ints, candidates: int, seed: int = 0) -> Batch:
        """The requests of those rows, each with that many random candidates and no labels."""
        items = len(self.appeal_I) - FIRST
        draw = np.random.default_rng(seed).random((len(rows), items)).argsort(1)[:, :candidates]
        return self._batch(rows, FIRST + draw)

    def _batch(self, rows: Ints, item_BC: Ints) -> Batch:
        user, item, scenario = self.user_N[rows], item_BC, self.scenario_N[rows]
        field = {f.name: f for f in self.layout.fields}
        user_ids = np.stack([field["user"].offset + user - 1, field["age"].offset + 1 + user % 3], axis=1)
        shape = item.shape
        hint_BC = self.hint_UI[np.broadcast_to(user[:, None], shape), item]
        effects = [np.broadcast_to(self.appeal_U[user][:, None], shape), self.appeal_I[item]]
        pairs = [hint_BC, *(effect + 0.3 * (place + 1) * hint_BC for effect in effects for place in range(3))]
        return Batch(
            user_B=torch.from_numpy(user),
            scenario_B=torch.from_numpy(scenario),
            user_ids_BK=_ids(user_ids),
            user_numbers_BN=_numbers((user % 3)[:, None] - 1),
            context_ids_BK=_ids((field["scenario"].offset + 1 + scenario)[:, None]),
            context_numbers_BN=_numbers(np.sin(rows)[:, None]),
            item_BC=torch.from_numpy(item),
            kind_BC=torch.from_numpy(item % 2),
            item_ids_BCK=_ids(self._item_ids(item)),
            item_numbers_BCN=_numbers(np.cos(item)[..., None]),
            pair_numbers_BCN=_numbers(np.stack(pairs, axis=-1)),
            history=self._history(rows),
        )

    def _item_ids(self, item: Ints) -> Ints:
        field = {f.name: f for f in self.layout.fields}
        first = field["tags"].offset + 1 + item % 5
        second = np.where(item % 3 == 0, field["tags"].offset + 1 + (item + 2) % 5, PADDING)
        ids = np.stack([field["item"].offset + item - 1, first, second, np.zeros_like(item)], axis=-1)
        return np.where((item == PADDING)[..., None], PADDING, ids)

    def _history(self, rows: Ints) -> History:
        pasts = [self._past(row)[-self.layout.history_length :] for row in rows]
        longest = max([1, *(len(past) for past in pasts)])
        event_BL = np.full((len(rows), longest), -1)
        for row_L, past in zip(event_BL, pasts, strict=True):
            row_L[: len(past)] = past
        there_BL = event_BL >= 0
        item_BL = np.where(there_BL, self.item_N[event_BL], PADDING)
        stars_N1 = self.labels_NT[:, 2:]
        usual = np.mean(stars_N1[np.isfinite(stars_N1)]) if np.isfinite(stars_N1).any() else 0.0
        stars = (stars_N1 - usual) / self.layout.label_scales[2]
        action_NT = np.nan_to_num(np.concatenate([self.labels_NT[:, :2], stars], axis=1))
        return History(
            item_BL=torch.from_numpy(item_BL),
            item_ids_BLK=_ids(self._item_ids(item_BL)),
            kind_BL=torch.from_numpy(np.where(there_BL, item_BL % 2, 0)),
            scenario_BL=torch.from_numpy(np.where(there_BL, self.scenario_N[event_BL], 0)),
            action_BLT=_numbers(np.where(there_BL[..., None], action_NT[event_BL], 0)),
            gap_BL=_numbers(np.where(there_BL, np.log1p(rows[:, None] - event_BL), 0)),
            length_B=torch.from_numpy(there_BL.sum(1)),
        )

    def _past(self, row: int) -> Ints:
        """Earlier rows of the same user with a click."""
        return np.flatnonzero((self.user_N[:row] == self.user_N[row]) & (self.labels_NT[:row, 0] > 0))


@cache
def toy() -> Toy:
    """The one that most tests share."""
    return Toy()


def take(batch: Batch, rows: Ints | list[int]) -> Batch:
    """Some requests of a batch, in that order."""
    index = torch.as_tensor(rows)
    return _rebuild(batch, lambda name, tensor: tensor[index])


def choose(batch: Batch, candidates: list[int]) -> Batch:
    """Some candidates of every request, in that order."""
    return _rebuild(batch, lambda name, tensor: tensor[:, candidates] if "_BC" in name else tensor)


def pad_history(batch: Batch, by: int) -> Batch:
    """The same histories with more padding behind them."""

    def padded(name: str, tensor: Tensor) -> Tensor:
        if "_BL" not in name:
            return tensor
        return torch.cat([tensor, tensor.new_zeros(tensor.shape[0], by, *tensor.shape[2:])], dim=1)

    return _rebuild(batch, padded)


def without_history(batch: Batch) -> Batch:
    """The same requests of users without a past."""
    empty = _rebuild(batch.history, lambda name, tensor: torch.zeros_like(tensor))
    return replace(batch, history=empty)


def of_strangers(batch: Batch, layout: Layout) -> Batch:
    """The same requests with user and item unknown: every field at its unknown, every number 0."""

    def unknown(owner: str) -> Tensor:
        owned = [field for field in layout.fields if field.owner == owner]
        ids = [field.offset if column == 0 else PADDING for field in owned for column in range(field.columns)]
        return torch.tensor(ids, dtype=torch.int32)

    return replace(
        without_history(batch),
        user_B=torch.full_like(batch.user_B, UNKNOWN),
        item_BC=torch.full_like(batch.item_BC, UNKNOWN),
        user_ids_BK=unknown("user").expand_as(batch.user_ids_BK),
        item_ids_BCK=unknown("item").expand_as(batch.item_ids_BCK),
        **{f.name: torch.zeros_like(getattr(batch, f.name)) for f in fields(batch) if "numbers" in f.name},
    )


def _rebuild(value: Any, change: Any) -> Any:
    """A dataclass of tensors with each tensor changed, nested ones too."""
    parts = {f.name: getattr(value, f.name) for f in fields(value)}
    changed = {
        name: part if part is None else change(name, part) if isinstance(part, Tensor) else _rebuild(part, change)
        for name, part in parts.items()
    }
    return replace(value, **changed)


def _ids(values: Ints) -> Tensor:
    return torch.from_numpy(values.astype(np.int32))


def _numbers(values: NDArray[Any]) -> Tensor:
    return torch.from_numpy(values.astype(np.float32))
