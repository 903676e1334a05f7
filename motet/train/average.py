"""The average of the weights over the last steps (Polyak & Juditsky, 1992): what is judged, kept and served.

After every step m becomes k·m + (1 − k)·w with k = min(rate, (1 + step) / (10 + step)), so that the first steps are
forgotten soon. All that is dense is averaged; the rows of the table are not, each of them is moved by few batches.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor


class Average:
    """Of some long vectors that an optimizer changes in place; with a rate of 0 they are themselves."""

    def __init__(self, vectors: Sequence[Tensor], rate: float) -> None:
        self.vectors, self.rate = list(vectors), rate
        self.means = [vector.clone() for vector in vectors] if rate else []

    @torch.no_grad()
    def add(self, step: int) -> None:
        """The vectors as they are after so many steps."""
        kept = min(self.rate, (1 + step) / (10 + step))
        for mean, vector in zip(self.means, self.vectors, strict=False):
            mean.lerp_(vector, 1 - kept)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The average stands where the vectors are, and the vectors again after it."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        for mean, vector in zip(self.means, self.vectors, strict=False):
            held = vector.clone()
            vector.copy_(mean)
            mean.copy_(held)

    def tensors(self) -> dict[str, Tensor]:
        """What a checkpoint needs; to be filled in place when a training goes on."""
        return {f"average.{number}": mean for number, mean in enumerate(self.means)}
