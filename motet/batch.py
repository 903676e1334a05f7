"""What flows between stages: the layout of packed columns, a batch, a ranker's output, and the ranker protocol.

Shape letters: B rows or requests, C candidates, L history length, D width, H attention heads, F features (fields),
K packed id columns, N numbers, S scenarios, T tasks, E experts, V voices. In training C is 1.
"""

from dataclasses import dataclass, fields, replace
from typing import Literal, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from motet.schema import Owner, Scenario, Task

PADDING, UNKNOWN = 0, 1
"""Index 0 pads, index 1 stands for unknown: in every vocab, and as rows of the users and items tables."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Field:
    """One categorical field or bag of tags: `columns` adjacent columns of packed ids that share `size` table rows.

    Table row 0 is padding for all fields. The field owns rows offset … offset + size - 1, of which the first is its
    unknown. Packed ids are table rows (offset added), so a lookup needs no arithmetic.
    """

    name: str
    owner: Owner
    offset: int
    size: int
    columns: int = 1

    @property
    def is_bag(self) -> bool:
        return self.columns > 1


@dataclass(frozen=True, slots=True)
class Layout:
    """Everything a ranker must know to be built: what the columns of a batch mean."""

    scenarios: tuple[Scenario, ...]
    tasks: tuple[Task, ...]
    kinds: tuple[str, ...]
    fields: tuple[Field, ...]  # user fields, then item fields, then context fields, each in column order
    user_numbers: tuple[str, ...]
    item_numbers: tuple[str, ...]
    context_numbers: tuple[str, ...]
    pair_numbers: tuple[str, ...]  # running counts and rates: they depend on request and candidate
    table_rows: int  # rows of the one embedding table, padding included
    base_rates: tuple[tuple[float, ...], ...]  # [S][T] train mean of the label, nan where never observed
    label_scales: tuple[float, ...]  # [T] train standard deviation of a regression label, 1 for binary
    history_length: int

    def of(self, owner: Owner) -> tuple[Field, ...]:
        """The fields of one table."""
        return tuple(field for field in self.fields if field.owner == owner)

    def columns(self, owner: Owner) -> int:
        """How many packed id columns one table has."""
        return sum(field.columns for field in self.of(owner))

    def parent(self, task: int) -> int | None:
        """The index of the task that `task` comes after."""
        after = self.tasks[task].after
        return None if after is None else next(i for i, t in enumerate(self.tasks) if t.name == after)


@dataclass(frozen=True, slots=True)
class History:
    """The last events of each request's user, oldest first, padding at the end. L is the longest in the batch."""

    item_BL: Tensor  # int64 rows of the items table, 0 padding
    item_ids_BLK: Tensor  # int32 packed ids of those items
    kind_BL: Tensor  # int64 index into layout.kinds
    scenario_BL: Tensor  # int64 where it happened
    action_BLT: Tensor  # float32 1 where that binary task happened, (value - mean) / scale for regression, else 0
    gap_BL: Tensor  # float32 log(1 + seconds before the request); order steps when there is no time
    length_B: Tensor  # int64 0 … L

    @property
    def mask_BL(self) -> Tensor:
        """True where an event stands."""
        return torch.arange(self.item_BL.shape[1], device=self.item_BL.device) < self.length_B[:, None]


@dataclass(frozen=True, slots=True)
class Batch:
    """B requests × C candidates. Per-candidate tensors of a shared catalogue may be expanded views."""

    user_B: Tensor  # int64 rows of the users table, 1 unknown
    scenario_B: Tensor  # int64 index into layout.scenarios
    user_ids_BK: Tensor  # int32 packed ids
    user_numbers_BN: Tensor  # float32
    context_ids_BK: Tensor
    context_numbers_BN: Tensor
    item_BC: Tensor  # int64 rows of the items table
    kind_BC: Tensor  # int64 index into layout.kinds
    item_ids_BCK: Tensor
    item_numbers_BCN: Tensor
    pair_numbers_BCN: Tensor
    history: History
    labels_BCT: Tensor | None = None  # float32, nan where unobserved
    position_BC: Tensor | None = None  # float32 from 1, nan where not logged; rankers read it while they learn only

    def to(self, device: torch.device) -> "Batch":
        """The same batch with every tensor on `device`."""
        return _map(self, device)


@dataclass(frozen=True, slots=True)
class CellOutput:
    """A ranker's answer.

    Binary tasks: the logit of the marginal probability on all impressions (a chained task's already multiplied by its
    parent's). Regression tasks: the expected label in its own unit.
    """

    logits_BCT: Tensor
    given_BCT: Tensor | None = None  # of a network that learns: before chains are multiplied, each given its parent


class Ranker(Protocol):
    """Whatever scores candidates: the model, its presets and the baselines.

    Contract: a candidate's logits do not depend on other candidates, on the batch, on padding or on labels; they are
    finite; the same batch gives the same logits.
    """

    name: str

    def score(self, batch: Batch) -> CellOutput:
        """Logits for every candidate and task, [B, C, T], without gradient."""
        ...


Split = Literal["train", "valid", "test"]
SPLITS: tuple[Split, ...] = ("train", "valid", "test")


class Scorable(Protocol):
    """Rows that a ranker can score. N rows."""

    @property
    def layout(self) -> Layout:
        """What the columns of its batches mean."""
        ...

    def batch(self, rows: NDArray[np.int64] | Tensor) -> Batch:
        """Those rows as a batch with one candidate each."""
        ...


class Rows(Protocol):
    """Impressions to learn from: what training, baselines and evaluation need of a data set. N rows."""

    layout: Layout
    counts_V: Tensor

    def rows(self, split: Split, scenario: int | None = None) -> NDArray[np.int64]:
        """Row numbers of a split, int64, in time order; of one scenario when it is given."""
        ...

    def batch(self, rows: NDArray[np.int64] | Tensor) -> Batch:
        """Those rows as a batch with one candidate each."""
        ...

    def labels(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Labels [N, T] float32, nan where unobserved."""
        ...

    def scenarios(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Index into layout.scenarios, [N] int64."""
        ...


def _map(value: T, device: torch.device) -> T:
    """A dataclass of tensors moved to a device, nested ones too."""
    moved = {}
    for field in fields(value):  # type: ignore[arg-type]
        item = getattr(value, field.name)
        moved[field.name] = (
            item.to(device) if isinstance(item, Tensor) else item if item is None else _map(item, device)
        )
    return replace(value, **moved)  # type: ignore[type-var]
