"""What a network says of many pairs of request and candidate, in tiles that stay in a core's cache.

Layers over all pairs at once write each result to memory before the next one reads it. Over a tile they find it where
it was left. Tiles share nothing, so every core takes its own.

Shapes: B requests, C candidates, X user width, T tasks.
"""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from motet import runtime

PAIRS = 2048
"""Pairs in a tile: a layer of 256 units is two megabytes, and calls are few beside what they compute."""

Cells = Callable[[Tensor, Sequence[Tensor], Tensor], Tensor]
"""Requests [B, X], parts of their candidates [B, C, …] and scenarios [B] to [B, C, T]."""


def in_tiles(cells: Cells, user_BX: Tensor, candidate: Sequence[Tensor], scenario_B: Tensor) -> Tensor:
    """`cells` of all pairs, [B, C, T]: tile after tile on a CPU where no gradient or graph is wanted, else at once."""
    B, C = candidate[0].shape[:2]
    if torch.compiler.is_exporting() or torch.is_grad_enabled() or B * C <= PAIRS or user_BX.device.type != "cpu":
        return cells(user_BX, candidate, scenario_B)

    @torch.no_grad()  # threads do not inherit it
    def answer(tile: tuple[slice, slice]) -> tuple[tuple[slice, slice], Tensor]:
        return tile, cells(user_BX[tile[0]], [part[tile] for part in candidate], scenario_B[tile[0]])

    parts = runtime.in_threads(answer, _tiles(B, C))
    logits_BCT = user_BX.new_empty(B, C, parts[0][1].shape[-1])
    for tile, part_BCT in parts:
        logits_BCT[tile] = part_BCT
    return logits_BCT


def _tiles(B: int, C: int) -> Iterator[tuple[slice, slice]]:
    width = min(C, PAIRS)
    height = PAIRS // width
    for b in range(0, B, height):
        yield from ((slice(b, b + height), slice(c, c + width)) for c in range(0, C, width))
