"""What evaluations keep beside the runs, so that the next one reads it back: logits of models, figures of slates.

A file is named by a fingerprint of everything that its content follows from, the code included: whatever has changed is
computed anew, and nothing needs to be thrown away by hand.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from motet.errors import InputError
from motet.settings import atomic_file, fingerprint, write_json
from motet.version import VERSION

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Scored:
    """A model's logits on valid and test rows, and the seconds that training or fitting it took."""

    valid: Floats
    test: Floats
    seconds: float

    def of(self, split: str) -> Floats:
        return self.test if split == "test" else self.valid


@dataclass(frozen=True)
class Kept:
    """The folder in which it lies."""

    folder: Path

    @classmethod
    def beside(cls, run: Path) -> "Kept":
        """Shared by the runs of one folder."""
        return cls(run.parent / ".controls")

    def has(self, key: str) -> bool:
        """Whether logits are kept under that key."""
        return self._logits(key).exists()

    def read(self, key: str) -> Scored:
        """The logits under that key."""
        with _whole(path := self._logits(key)):
            tensors = load_file(path)
            return Scored(tensors["valid"], tensors["test"], float(tensors["seconds"][0]))

    def write(self, key: str, scored: Scored) -> None:
        with atomic_file(self._logits(key)) as file:
            tensors = {"valid": scored.valid, "test": scored.test, "seconds": np.array([scored.seconds])}
            file.write(save(tensors))

    def scored(self, key: str, score: Callable[[], Scored]) -> Scored:
        """The logits under that key, computed and kept where there are none."""
        if not self.has(key):
            self.write(key, score())
        return self.read(key)

    def figures(self, key: str) -> list[dict[str, Any]] | None:
        """Entries of a report; None where none are kept."""
        if not (path := self._figures(key)).exists():
            return None
        with _whole(path):
            entries: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
            return entries

    def write_figures(self, key: str, entries: list[dict[str, Any]]) -> None:
        write_json(self._figures(key), entries)

    def one(self, key: str, compute: Callable[[], dict[str, Any] | None]) -> dict[str, Any] | None:
        """A single entry under that key, or None, computed and kept where there is none."""
        entries = self.figures(key)
        if entries is None:
            found = compute()
            entries = [] if found is None else [found]
            self.write_figures(key, entries)
        return entries[0] if entries else None

    def _logits(self, key: str) -> Path:
        return self.folder / f"{key}.safetensors"

    def _figures(self, key: str) -> Path:
        return self.folder / f"{key}.json"


@contextmanager
def _whole(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        found = f"what an earlier evaluation kept cannot be read: {str(error).splitlines()[0]}"
        raise InputError(found, where=str(path), fix="delete this file: it is computed again") from error


def key_of(folders: tuple[str, ...], *parts: Any) -> str:
    """A key that changes with any of the parts, with Motet's version and with the code of those of its folders."""
    return fingerprint([VERSION, code(folders), *parts])


@cache
def code(folders: tuple[str, ...]) -> str:
    """A hash of Motet's files in those folders, and of what they all stand on."""
    root = files("motet")
    hashed = hashlib.sha256(root.joinpath("batch.py").read_bytes())
    for folder in folders:
        for file in sorted(Path(str(root.joinpath(folder))).rglob("*")):
            if file.suffix in {".py", ".toml"}:
                hashed.update(file.read_bytes())
    return hashed.hexdigest()
