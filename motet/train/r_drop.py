"""R-Drop (Liang et al., NeurIPS 2021): two passes with different dropout should say the same.

A batch is shown twice in one pass. For probabilities p, p' with logits z, z' the mean of both divergences is
(p − p') (z − z') / 2; a regression pays half the squared difference. Only where a label is observed.

Shapes: B rows, C = 1, T tasks.
"""

from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar, cast

import torch
from torch import Tensor

from motet.batch import Batch

D = TypeVar("D")


def twice(batch: Batch) -> Batch:
    """Every request a second time, behind the first ones."""
    return _twice(batch)


def disagreement(logits_BCT: Tensor, labels_BCT: Tensor, binary_T: Tensor) -> Tensor:
    """Of the first half of the rows with the second, at the first half's, [B / 2, C, T]."""
    one, other = logits_BCT.chunk(2)
    said = torch.where(binary_T, one.sigmoid() - other.sigmoid(), one - other)
    return said * (one - other) / 2 * ~labels_BCT.chunk(2)[0].isnan()


def _twice(value: D) -> D:
    """A dataclass of tensors and of such dataclasses."""
    changed: dict[str, Any] = {}
    for field in fields(cast(Any, value)):
        item = getattr(value, field.name)
        if isinstance(item, Tensor):
            changed[field.name] = torch.cat([item, item])
        elif is_dataclass(item):
            changed[field.name] = _twice(item)
    return cast(D, replace(cast(Any, value), **changed))
