"""What a named reader is, and how one finds its files in a folder."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from motet.data.files import RawTables
from motet.errors import InputError


@dataclass(frozen=True)
class Reader:
    """A public data set: which files it expects, where they come from, its schema and how its tables are made."""

    name: str
    files: str
    origin: str
    schema_toml: Callable[[Path], str]  # a commented motet.toml for that folder
    read: Callable[[Path], RawTables]


def find(folder: Path, *patterns: str) -> list[Path]:
    """The files of the first pattern that matches any, plain or compressed, sorted by name."""
    for pattern in patterns:
        matches = {path for suffix in ("", ".gz", ".zst") for path in folder.glob(pattern + suffix) if path.is_file()}
        if matches:
            return sorted(matches)
    return []


def missing(reader: str, expected: str, folder: Path) -> InputError:
    """The error of a folder that does not hold a reader's files."""
    if not folder.is_dir():
        return InputError("no such folder", where=str(folder), fix=f"reader {reader!r} expects {expected}")
    return InputError(f"no file that reader {reader!r} knows", where=str(folder), fix=f"it expects {expected}")


def header(reader: str, folder: Path, comment: str, *keys: str) -> str:
    """The first lines of a reader's motet.toml; `keys` stand above all sections."""
    lines = [*(f"# {line}" for line in comment.strip().splitlines()), *keys]
    return "\n".join([*lines, "", "[tables]", f"impressions = {json.dumps(str(folder))}", f'reader = "{reader}"', ""])


def feature_lines(names: Iterable[str], form: str) -> str:
    """One `name = form` line per feature; `form` is TOML."""
    return "\n".join(f"{json.dumps(name) if not name.isidentifier() else name} = {form}" for name in names)
