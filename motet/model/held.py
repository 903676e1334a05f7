"""The embedding table of a network that is only asked: as fp32, or in half or about a quarter of the memory.

A row is held with its say multiplied in, so that a lookup reads nothing else. int8: x ≈ scale · q with one scale per
row, max |x| / 127, and q the nearest whole number. Only the rows of a batch are made fp32 again.

Shapes: I ids of a batch, N rows at a time, V rows of the table, D embedding width.
"""

import torch
from torch import Tensor, nn

from motet.errors import InputError
from motet.model.inputs import apart, together
from motet.settings import nearest

FORMS = {"fp32": torch.float32, "fp16": torch.float16, "int8": torch.int8}
_STEPS = 127  # of int8 on either side of zero


class HeldTable(nn.Module):
    """A finished table in one of the forms; `put` fills it. fp32 answers as the table that was trained, bit for bit."""

    def __init__(self, rows: int, dim: int, form: str) -> None:
        super().__init__()
        if form not in FORMS:
            raise InputError(f"unknown form of a table {form!r}", where="--table", fix=nearest(form, list(FORMS)))
        self.register_buffer("values_VD", torch.empty(rows, dim, dtype=FORMS[form]), persistent=False)
        self.register_buffer("scale_V", torch.empty(rows) if form == "int8" else None, persistent=False)
        self.values_VD: Tensor
        self.scale_V: Tensor | None

    @property
    def bytes(self) -> int:
        """What it takes in memory."""
        held = [self.values_VD] if self.scale_V is None else [self.values_VD, self.scale_V]
        return sum(tensor.numel() * tensor.element_size() for tensor in held)

    def put(self, start: int, weight_ND: Tensor, say_N: Tensor) -> None:
        """Hold these rows from row `start` on."""
        rows, said_ND = slice(start, start + len(weight_ND)), weight_ND * say_N[:, None]
        if self.scale_V is not None:
            scale_N = said_ND.abs().amax(1) / _STEPS
            self.scale_V[rows] = scale_N
            said_ND = (said_ND / scale_N.clamp(min=torch.finfo().tiny)[:, None]).round_().clamp_(-_STEPS, _STEPS)
        self.values_VD[rows] = said_ND

    def forward(self, ids: list[Tensor]) -> list[Tensor]:
        """Embeddings [..., D] of several id tensors [...], looked up together."""
        ids_I = together(ids)
        said_ID = self.values_VD.index_select(0, ids_I)
        if self.scale_V is not None:
            return apart(said_ID * self.scale_V.index_select(0, ids_I)[:, None], ids)
        return apart(said_ID.float(), ids)
