"""The arithmetic limit of a network: the matrix products of one training step, and how fast this machine multiplies.

A step cannot be faster than its products, forward and backward, each alone in a loop at the shape and layout the step
has. Everything else that a step does is measured against that.

    python -m benchmarks.limit [--batch N]
"""

import argparse
import json
import statistics
import time
from collections import Counter
from collections.abc import Callable
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
"""Every matrix product of an eager network, and which of its arguments are multiplied."""


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
        self.found: Counter[Product] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in MULTIPLIED:
            left, right = args[MULTIPLIED[func]]
            self.found[Product(_side(left), _side(right))] += 1
        return func(*args, **(kwargs or {}))


def products(step: Callable[[], object]) -> Counter[Product]:
    """How often each product occurs in one call, backward included."""
    with _Watch() as watch:
        step()
    return watch.found


def measure(found: Counter[Product], batch: int, repeats: int = 5) -> dict[str, float]:
    """Operations per row, the rate at which this machine does them now, and the rows per second they leave at most."""
    flops = sum(times * product.flops for product, times in found.items())
    seconds = sum(
        times * statistics.median(product.seconds() for _ in range(repeats)) for product, times in found.items()
    )
    return {"flops_per_row": flops / batch, "gflops": flops / seconds / 1e9, "rows_per_second": batch / seconds}


def _side(tensor: Tensor) -> tuple[tuple[int, ...], tuple[int, ...]]:
    return tuple(tensor.shape), tensor.stride()


if __name__ == "__main__":
    from benchmarks.ours import training
    from benchmarks.workload import Workload
    from motet import runtime

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=4096)
    work = Workload(batch=parser.parse_args().batch, rows=8192, threads=runtime.use_threads())
    made = training(work)
    found = products(lambda: made.run(made.data.rows("train")[: work.batch], work.batch))
    print(json.dumps(measure(found, work.batch, 15) | {"threads": work.threads, "machine": runtime.machine()}))
