"""TOML files into frozen dataclasses and back; a mistake is named with file, line, key and the nearest right one."""

import difflib
import hashlib
import json
import os
import re
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import IO, Any, TypeVar, cast, dataclass_transform

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked_dataclass

from motet.errors import InputError

C = TypeVar("C")


@dataclass_transform(frozen_default=True, kw_only_default=True)
def settings(cls: type[C]) -> type[C]:
    """A frozen, keyword-only dataclass whose fields are checked on construction and whose unknown keys are errors."""
    config = ConfigDict(extra="forbid", strict=False, ser_json_inf_nan="null")
    return cast(type[C], checked_dataclass(frozen=True, kw_only=True, config=config)(cls))


def read_toml(path: Path) -> dict[str, Any]:
    """The parsed file; a syntax error or a missing file is an `InputError` naming the line."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError("no such file", where=str(path), fix="run `motet init FILES…` to write one") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"not valid TOML: {error}", where=str(path), fix="correct the line named above") from None


def parse(cls: type[C], data: object, *, path: Path | None = None, prefix: tuple[str | int, ...] = ()) -> C:
    """`data` checked into `cls`; `path` and `prefix` say where `data` stands, so that errors can name the line."""
    try:
        return TypeAdapter(cls).validate_python(data)
    except ValidationError as error:
        first = error.errors()[0]
        loc = prefix + tuple(part for part in first["loc"] if not _is_machinery(part))
        raise InputError(*_explain(cls, first, loc), where=place(path, loc), fix=_fix(cls, first)) from None


def place(path: Path | None, loc: tuple[str | int, ...]) -> str:
    """`file:line: key` for a key path such as ("tasks", 1, "label")."""
    key = ".".join(str(part + 1) if isinstance(part, int) else part for part in loc)
    if path is None:
        return key
    line = line_of(path.read_text(encoding="utf-8"), loc) if path.exists() else None
    return f"{path}:{line}: {key}" if line else f"{path}: {key}"


def line_of(text: str, loc: tuple[str | int, ...]) -> int | None:
    """The line (from 1) of the deepest part of `loc` that can be found: a `[section]`, the n-th `[[list]]` or a key."""
    wanted = [part for part in loc if isinstance(part, str)]
    index = next((part for part in loc if isinstance(part, int)), 0)
    section: list[str] = []
    seen: dict[str, int] = {}
    best, best_depth = None, 0
    for number, line in enumerate(text.splitlines(), start=1):
        if header := re.match(r"\s*(\[\[?)\s*([\w.\"'-]+)\s*\]\]?", line):
            section = [part.strip("\"'") for part in header[2].split(".")]
            if header[1] == "[[":
                seen[header[2]] = seen.get(header[2], -1) + 1
                if section == wanted[: len(section)] and seen[header[2]] != index:
                    section = ["", *section]
            here = section
        elif key := re.match(r"\s*([\w.\"'-]+)\s*=", line):
            here = section + [part.strip("\"'") for part in key[1].split(".")]
        else:
            continue
        if here == wanted[: len(here)] and len(here) > best_depth:
            best, best_depth = number, len(here)
    return best


def nearest(word: str, known: list[str]) -> str:
    """A fix naming the nearest known word, or all of them."""
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(sorted(known))}"


def _is_machinery(part: str | int) -> bool:
    """Pydantic puts names of union branches into an error's location; they are no keys of the file."""
    return isinstance(part, str) and (part[:1].isupper() or "[" in part or part in {"str", "float", "int", "bool"})


def _explain(cls: type[Any], error: Any, loc: tuple[str | int, ...]) -> tuple[str]:
    if error["type"] == "unexpected_keyword_argument":
        return (f"unknown key {loc[-1]!r}",)
    if error["type"] in {"missing", "missing_argument"}:
        return (f"key {loc[-1]!r} is missing",)
    message = str(error["msg"])
    if error["type"] == "value_error":
        return (message.removeprefix("Value error, "),)
    shown = error["input"]
    return (f"{message}, not {shown!r}" if isinstance(shown, str | int | float | bool) else message,)


def _fix(cls: type[Any], error: Any) -> str:
    if error["type"] == "unexpected_keyword_argument":
        owner = _owner(cls, error["loc"][:-1])
        return nearest(str(error["loc"][-1]), [field.name for field in fields(owner)] if owner else [])
    if error["type"] in {"missing", "missing_argument"}:
        return f"add `{error['loc'][-1]} = …`"
    return "see `motet check --schema` for what is allowed here"


def _owner(cls: type[Any], loc: tuple[str | int, ...]) -> type[Any] | None:
    """The dataclass that a location inside `cls` stands in."""
    here: Any = cls
    for part in loc:
        if isinstance(part, str) and not _is_machinery(part) and is_dataclass(here):
            here = next((field.type for field in fields(here) if field.name == part), None)
        here = _dataclass_inside(here)
    return cast(type[Any], here) if is_dataclass(here) else None


def _dataclass_inside(annotation: Any) -> Any:
    if is_dataclass(annotation):
        return annotation
    return next((found for arg in getattr(annotation, "__args__", ()) if (found := _dataclass_inside(arg))), None)


def plain(value: object) -> Any:
    """A settings object as plain dicts and lists, without keys that are None (TOML has no null)."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(v) for field in fields(value) if (v := getattr(value, field.name)) is not None}
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def defaults(cls: type[Any]) -> dict[str, Any]:
    """Field name to default value, of fields that have one: the one source for docs of defaults."""
    found = {}
    for field in fields(cls):
        if field.default is not MISSING:
            found[field.name] = field.default
        elif field.default_factory is not MISSING:
            found[field.name] = field.default_factory()
    return found


def fingerprint(value: object) -> str:
    """Sixteen hex digits that change when anything in `value` does."""
    text = json.dumps(plain(value), sort_keys=True, default=str, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@contextmanager
def atomic_file(path: Path, mode: str = "wb") -> Iterator[IO[Any]]:
    """A file that replaces `path` only when the block ends well: temporary file, fsync, rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, mode, encoding=None if "b" in mode else "utf-8") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def write_json(path: Path, value: object) -> None:
    """`value` as indented JSON, written atomically; not-a-number must have been made null before."""
    with atomic_file(path, "w") as file:
        json.dump(value, file, indent=1, ensure_ascii=False, allow_nan=False)
        file.write("\n")
