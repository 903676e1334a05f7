"""The arithmetic limit of a network: the matrix products of one training step, and how fast this machine multiplies.

A step cannot be faster than its products, forward and backward, each alone in a loop at the shape and layout the step
has. Everything else that a step does is measured against that.
"""

import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

ATEN = torch.ops.aten
MULTIPLIED: dict[Any, slice] = {
    ATEN.mm.default: slice(0, 2),
    ATEN.bmm.default: slice(0, 2),
    ATEN.addmm.default: slice(1, 3),
    ATEN.baddbmm.default: slice(1, 3),
}
"""Matrix products of an eager network, and which of its arguments are multiplied."""
FORWARD = ATEN._scaled_dot_product_flash_attention_for_cpu.default
BACKWARD = ATEN._scaled_dot_product_flash_attention_for_cpu_backward.default
"""Attention: two products forward and four backward over every pair of places, over half of the pairs where causal."""


@dataclass(frozen=True)
class Product:
    """One shape of product: sizes and strides of both sides, [.., m, k] and [.., k, n]."""

    left: tuple[tuple[int, ...], tuple[int, ...]]
    right: tuple[tuple[int, ...], tuple[int, ...]]

    @property
    def flops(self) -> int:
        """A multiplication and an addition for each of batch · m · k · n."""
        flops = 2 * self.right[0][-1]
        for size in self.left[0]:
            flops *= size
        return flops

    def seconds(self) -> float:
        """Of one product alone, its sides and its result in memory that is already there."""
        left, right = (torch.empty_strided(*side).normal_() for side in (self.left, self.right))
        out, product = left @ right, torch.bmm if left.dim() == 3 else torch.mm
        started = time.perf_counter()
        product(left, right, out=out)
        return time.perf_counter() - started


class _Watch(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.found: dict[Product, float] = defaultdict(float)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in MULTIPLIED:
            left, right = args[MULTIPLIED[func]]
            self.found[Product(_side(left), _side(right))] += 1
        elif func is FORWARD:
            self._attend(args[0], args[1], (1, 1, 0), causal=args[4:5] == (True,))
        elif func is BACKWARD:
            self._attend(args[1], args[2], (1, 1, 2), causal=args[7])
        return func(*args, **(kwargs or {}))

    def _attend(self, query: Tensor, key: Tensor, times: tuple[int, int, int], *, causal: bool) -> None:
        """Queries by keys, weights by values, and what backward multiplies by the weights turned."""
        pairs, (m, d), n = query.shape[:2].numel(), query.shape[-2:], key.shape[-2]
        shapes = ((m, d, n), (m, n, d), (n, m, d))
        for count, (rows, inner, columns) in zip(times, shapes, strict=True):
            product = Product(_whole(pairs, rows, inner), _whole(pairs, inner, columns))
            self.found[product] += count / 2 if causal else count


def products(step: Callable[[], object]) -> dict[Product, float]:
    """How often each product occurs in one call, backward included."""
    with _Watch() as watch:
        step()
    return watch.found


def measure(found: Mapping[Product, float], batch: int, repeats: int = 5) -> dict[str, float]:
    """Operations per row, the rate at which this machine does them now, and the rows per second they leave at most."""
    flops = sum(times * product.flops for product, times in found.items())
    seconds = sum(
        times * statistics.median(product.seconds() for _ in range(repeats)) for product, times in found.items()
    )
    return {"flops_per_row": flops / batch, "gflops": flops / seconds / 1e9, "rows_per_second": batch / seconds}


def _whole(*size: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Size and strides of a contiguous [pairs, rows, columns]."""
    return size, (size[1] * size[2], size[2], 1)


def _side(tensor: Tensor) -> tuple[tuple[int, ...], tuple[int, ...]]:
    return tuple(tensor.shape), tensor.stride()
