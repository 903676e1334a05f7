"""How much memory preparing may take, and what follows from it."""

import os
import re
from dataclasses import dataclass

from motet.errors import InputError

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}
_START = 600_000_000  # the libraries, and batches on their way to the disk
_ROW = 48  # bytes of one impression that are in memory at once, besides its labels
_TASK = 4
_LATE_TASK = 8  # a task whose labels become known later than the impression
_THREAD = 24
_SMALLEST, _LARGEST = 10_000, 250_000  # rows read at a time
_BATCH_BYTES = 1_000  # a row of text on its way to the disk


@dataclass(frozen=True, slots=True)
class Memory:
    """At most this many bytes."""

    bytes: int

    @classmethod
    def of(cls, text: str | None) -> "Memory":
        """A size such as "2GB" or "500 MiB"; None: three quarters of the machine's, 6 GB where it does not tell."""
        if text is None and not hasattr(os, "sysconf"):
            return cls(6 * 10**9)
        if text is None:
            return cls(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * 3 // 4)
        found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]i?)?b?\s*", text.lower())
        if found is None:
            raise InputError(f"{text!r} is no size", where="--memory", fix="write it as in --memory 2GB")
        size = int(float(found[1]) * _UNITS[found[2] or ""])
        if size < _START:
            fix = f"give it at least {told(_START)}, more for many rows"
            raise InputError(f"{text} is less than starting takes", where="--memory", fix=fix)
        return cls(size)

    @property
    def batch_rows(self) -> int:
        """Rows read at a time."""
        return max(min(_LARGEST, (self.bytes - _START // 2) // 10 // _BATCH_BYTES), _SMALLEST)

    def threads(self, rows: int, tasks: int, late_tasks: int) -> int:
        """How many tasks may be worked on side by side; an `InputError` if not even one."""
        need = _START + rows * (_ROW + tasks * _TASK + late_tasks * _LATE_TASK + _THREAD)
        if need > self.bytes:
            fix = f"give it --memory {told(need)}, or prepare fewer rows"
            raise InputError(f"{rows:,} impressions need more than {told(self.bytes)}", where="--memory", fix=fix)
        more = (self.bytes - need) // (rows * _THREAD)
        return int(min(1 + more, os.cpu_count() or 1))


def told(size: int) -> str:
    """A size in words, rounded up."""
    for unit, scale in (("GB", 10**9), ("MB", 10**6)):
        if size >= scale:
            return f"{-(-size * 10 // scale) / 10:g}{unit}"
    return f"{size}B"
