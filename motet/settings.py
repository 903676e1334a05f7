"""TOML files into frozen dataclasses and back; a mistake is named with file, line, key and the nearest right one."""

import difflib
import hashlib
import json
import os
import re
import tempfile
import tomllib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import IO, Any, TypeVar, cast, dataclass_transform, get_args, get_origin

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked_dataclass

from motet.errors import InputError

C = TypeVar("C")

_NAME = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\]|\\.)*"|'[^']*')"""
_DOTTED = rf"({_NAME}(?:\s*\.\s*{_NAME})*)"
_HEADER = re.compile(rf"\s*(\[\[?)\s*{_DOTTED}\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(rf"\s*{_DOTTED}\s*=")
_MISSING = {"missing", "missing_argument", "missing_keyword_only_argument"}
_UNKNOWN = {"unexpected_keyword_argument", "extra_forbidden"}


@dataclass_transform(frozen_default=True, kw_only_default=True)
def settings(cls: type[C]) -> type[C]:
    """A frozen, keyword-only dataclass whose fields are checked on construction and whose unknown keys are errors."""
    config = ConfigDict(extra="forbid", strict=False, ser_json_inf_nan="null")
    return cast(type[C], checked_dataclass(frozen=True, kw_only=True, config=config)(cls))


def read_toml(path: Path) -> dict[str, Any]:
    """The parsed file; a syntax error, or a file that is missing or unreadable, is an `InputError` naming the line."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError("no such file", where=str(path), fix="run `motet init FILES…` to write one") from None
    except OSError as error:
        fix = "name the motet.toml itself"
        raise InputError(f"cannot be read: {error.strerror or error}", where=str(path), fix=fix) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"not valid TOML: {error}", where=str(path), fix="correct the line named above") from None


def changes_of(pairs: Iterable[str]) -> dict[str, Any]:
    """{"section.key": value} of texts "section.key=value"; a value is read as TOML, or else is text."""
    changes: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key.strip():
            raise InputError(f"{pair!r} is no setting", where="--set", fix="write section.key=value")
        try:
            changes[key.strip()] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            changes[key.strip()] = value
    return changes


def parse(cls: type[C], data: object, *, path: Path | None = None, prefix: tuple[str | int, ...] = ()) -> C:
    """`data` checked into `cls`; `path` and `prefix` say where `data` stands, so that errors can name the line."""
    try:
        return TypeAdapter(cls).validate_python(data)
    except ValidationError as error:
        found = [(_keys(data, each), each) for each in error.errors()]
        keys, first = max(found, key=lambda pair: (len(pair[0]), pair[1]["type"] in _UNKNOWN))
        raise InputError(_explain(first), where=place(path, prefix + keys), fix=_fix(cls, first, keys)) from None


def place(path: Path | None, loc: tuple[str | int, ...]) -> str:
    """`file:line: key` for a key path such as ("tasks", 1, "label")."""
    key = ".".join(str(part + 1) if isinstance(part, int) else part for part in loc)
    if path is None:
        return key
    line = line_of(path.read_text(encoding="utf-8"), loc) if path.exists() else None
    return ": ".join(part for part in (f"{path}:{line}" if line else str(path), key) if part)


def line_of(text: str, loc: tuple[str | int, ...]) -> int | None:
    """The line (from 1) of the deepest part of `loc` that can be found: a `[section]`, the n-th `[[list]]` or a key."""
    section: tuple[str | int, ...] = ()
    seen: dict[tuple[str, ...], int] = {}
    best, best_depth = None, 0
    for number, line in enumerate(text.split("\n"), start=1):
        if header := _HEADER.match(line):
            names = _parts(header[2])
            if header[1] == "[[":
                seen[names] = seen.get(names, -1) + 1
                section = (*names, seen[names])
            else:
                section = (*names[:1], seen[names[:1]], *names[1:]) if names[:1] in seen else names
            here = section
        elif key := _KEY.match(line):
            here = section + _parts(key[1])
        else:
            continue
        if here == loc[: len(here)] and len(here) > best_depth:
            best, best_depth = number, len(here)
    return best


def _parts(dotted: str) -> tuple[str, ...]:
    """The names in a TOML key such as `features."unit price"`."""
    names: list[str] = []
    try:
        table: Any = tomllib.loads(f"{dotted} = 0")
    except tomllib.TOMLDecodeError:  # a line of a multi-line text that merely looks like a key
        return ()
    while isinstance(table, dict):
        name, table = next(iter(table.items()))
        names.append(name)
    return tuple(names)


def nearest(word: str, known: list[str]) -> str:
    """A fix naming the nearest known word, or all of them."""
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(sorted(known))}"


def _keys(data: object, error: Any) -> tuple[str | int, ...]:
    """Where the error stands in `data`: its location without the names of union branches that pydantic mixes in."""
    keys: list[str | int] = []
    for part in error["loc"]:
        if (isinstance(data, dict) and part in data) or (isinstance(data, list | tuple) and isinstance(part, int)):
            data = data[part]
        elif not (error["type"] in _MISSING and part == error["loc"][-1]):
            continue
        keys.append(part)
    return tuple(keys)


def _explain(error: Any) -> str:
    if error["type"] in _UNKNOWN:
        return f"unknown key {error['loc'][-1]!r}"
    if error["type"] in _MISSING:
        return f"key {error['loc'][-1]!r} is missing"
    message = str(error["msg"])
    if error["type"] == "value_error":
        return message.removeprefix("Value error, ")
    shown = error["input"]
    return f"{message}, not {shown!r}" if isinstance(shown, str | int | float | bool) else message


def _fix(cls: type[Any], error: Any, keys: tuple[str | int, ...]) -> str:
    if error["type"] in _UNKNOWN:
        owner = _owner(cls, keys[:-1])
        return nearest(str(keys[-1]), [field.name for field in fields(owner)] if owner else [])
    if error["type"] in _MISSING:
        return f"add `{error['loc'][-1]} = …`"
    if notes := getattr(error.get("ctx", {}).get("error"), "__notes__", None):
        return str(notes[0])
    return "see `motet check --schema` for what is allowed here"


def _owner(annotation: Any, keys: tuple[str | int, ...]) -> type[Any] | None:
    """The dataclass that a place inside `annotation` stands in."""
    if is_dataclass(annotation):
        if not keys:
            return cast(type[Any], annotation)
        types = {field.name: field.type for field in fields(annotation)}
        return _owner(types.get(str(keys[0])), keys[1:])
    arguments = [argument for argument in get_args(annotation) if argument is not Ellipsis]
    if get_origin(annotation) in {dict, list, tuple}:
        return _owner(arguments[-1], keys[1:]) if keys else None
    return next((found for argument in arguments if (found := _owner(argument, keys))), None)


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


def sync(path: Path) -> None:
    """A file's content, or the names in a folder, are on the disk when this returns."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_json(path: Path, value: object) -> None:
    """`value` as indented JSON, written atomically; not-a-number must have been made null before."""
    with atomic_file(path, "w") as file:
        json.dump(value, file, indent=1, ensure_ascii=False, allow_nan=False)
        file.write("\n")
