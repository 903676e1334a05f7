"""Files into frames: Parquet, CSV, TSV, JSON lines, Arrow; plain, `.gz` or `.zst`; globs and lists as one table.

The format is told by the suffix and, where that says nothing, by the first bytes. Rows keep the order of the files
(a glob's are sorted by name) and of the rows in them. Text must be UTF-8.
"""

import csv
import gzip
import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl

from motet.errors import InputError

Format = Literal["parquet", "arrow", "jsonl", "csv", "tsv"]
_SUFFIXES: dict[str, Format] = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
    ".ipc": "arrow",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "tsv",
}
_COMPRESSED = {".gz", ".zst"}
_SEPARATORS = (",", "\t", ";", "|")


@dataclass(frozen=True)
class SourceFile:
    """One file that was read, for the manifest."""

    path: str  # relative to the folder of the `motet.toml` where it lies under it
    bytes: int
    sha256: str


@dataclass(frozen=True)
class RawTables:
    """The tables of a schema as read; keys are text and missing keys null."""

    impressions: pl.DataFrame
    users: pl.DataFrame | None
    items: pl.DataFrame | None
    edges: pl.DataFrame | None
    files: tuple[SourceFile, ...]


def read_frame(paths: str | Sequence[str], base: Path) -> pl.DataFrame:
    """Every column of one table; `paths` are relative to `base` and may be globs."""
    files = resolve(paths, base)
    return join_files([(file, read_file(file)) for file in files])


def read_columns(
    paths: str | Sequence[str], base: Path, columns: Sequence[str], text: Sequence[str]
) -> tuple[pl.DataFrame, list[str], tuple[SourceFile, ...]]:
    """The wanted `columns` that exist, the names of all, and the files; `text` columns of CSV stay as written."""
    files = resolve(paths, base)
    names = column_names(files[0])
    frame = join_files([(file, read_file(file, columns, text)) for file in files])
    return frame, names, tuple(source_file(file, base) for file in files)


def resolve(paths: str | Sequence[str], base: Path) -> list[Path]:
    """The existing files meant by paths and globs, in order; an `InputError` names what matches nothing."""
    found: list[Path] = []
    for text in [paths] if isinstance(paths, str) else paths:
        path = base / text
        if path.is_file():
            found.append(path)
        elif any(sign in text for sign in "*?["):
            anchor = Path(path.anchor) if Path(text).is_absolute() else base
            matches = sorted(p for p in anchor.glob(str(path.relative_to(anchor))) if p.is_file())
            if not matches:
                raise InputError(
                    f"no file matches the pattern {text!r}", where=str(base), fix="check folder and suffix"
                )
            found += matches
        elif path.is_dir():
            raise InputError("is a folder, not a file", where=str(path), fix=f'name the files: "{text}/*.parquet"')
        else:
            raise InputError("no such file", where=str(path), fix="paths are relative to the folder of the motet.toml")
    return found


def source_file(path: Path, base: Path) -> SourceFile:
    """Name, size and streamed sha256 of a file."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    name = path.relative_to(base) if path.is_relative_to(base) else path
    return SourceFile(path=name.as_posix(), bytes=path.stat().st_size, sha256=digest)


def join_files(parts: Sequence[tuple[Path, pl.DataFrame]]) -> pl.DataFrame:
    """Several files as one table: the same columns in any order, types widened where they differ."""
    first_path, first = parts[0]
    for path, frame in parts[1:]:
        if odd := set(frame.columns) ^ set(first.columns):
            raise InputError(
                f"column {sorted(odd)[0]!r} is not in all files of this table",
                where=str(path),
                fix=f"give it the columns of {first_path.name}, or read the files as separate tables",
            )
    if len(parts) == 1:
        return first
    try:
        return pl.concat([frame.select(first.columns) for _, frame in parts], how="vertical_relaxed")
    except pl.exceptions.PolarsError as error:
        message = f"its columns have other types than those of {first_path.name}: {_short(error)}"
        raise InputError(message, where=str(parts[-1][0]), fix="write the files with the same column types") from None


def read_file(path: Path, columns: Sequence[str] | None = None, text: Sequence[str] = ()) -> pl.DataFrame:
    """One file; with `columns`, only those of them that exist. Unreadable content is an `InputError` naming the row."""
    form = format_of(path)
    wanted = None if columns is None else [name for name in column_names(path) if name in set(columns)]
    try:
        match form:
            case "parquet":
                return pl.read_parquet(path, columns=wanted)
            case "arrow":
                return pl.read_ipc(path, columns=wanted)
            case "jsonl":
                frame = _read_json_lines(path)
                return frame if wanted is None else frame.select(wanted)
            case "csv" | "tsv":
                return _read_delimited(path, form, wanted, text)
    except (pl.exceptions.PolarsError, OSError, EOFError, UnicodeDecodeError) as error:
        raise _unreadable(path, form, error) from None


def column_names(path: Path) -> list[str]:
    """The columns of a file without reading its rows where the format allows."""
    form = format_of(path)
    try:
        match form:
            case "parquet":
                return list(pl.read_parquet_schema(path))
            case "arrow":
                return list(pl.read_ipc_schema(path))
            case "jsonl":
                return _read_json_lines(path).columns
            case "csv" | "tsv":
                header = _head(path).split("\n", 1)[0]
                return next(csv.reader([header], delimiter=_separator(form, header)), [])
    except (pl.exceptions.PolarsError, OSError, EOFError, UnicodeDecodeError) as error:
        raise _unreadable(path, form, error) from None


def format_of(path: Path) -> Format:
    """The format of a file by its suffix (compression suffixes aside), else by its first bytes."""
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() not in _COMPRESSED]
    if suffixes and suffixes[-1] in _SUFFIXES:
        return _SUFFIXES[suffixes[-1]]
    with path.open("rb") as file:
        magic = file.read(8)
    if magic.startswith(b"PAR1"):
        return "parquet"
    if magic.startswith(b"ARROW1"):
        return "arrow"
    try:
        start = _head(path).lstrip()
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise _unreadable(path, "csv", error) from None
    if start.startswith("["):
        raise InputError("is one JSON array", where=str(path), fix="write one JSON object per line (JSON lines)")
    return "jsonl" if start.startswith("{") else "csv"


def text_bytes(path: Path) -> bytes:
    """The uncompressed content of a text file."""
    with path.open("rb") as file:
        magic = file.read(4)
    if magic.startswith(b"\x1f\x8b"):
        return gzip.decompress(path.read_bytes())
    if magic == b"\x28\xb5\x2f\xfd":
        lines = pl.read_csv(path, has_header=False, separator="\x1f", quote_char=None, infer_schema=False)
        return "\n".join(lines.to_series().fill_null("")).encode()
    return path.read_bytes()


def _head(path: Path) -> str:
    """The first lines of a text file, without a byte order mark."""
    with path.open("rb") as file:
        magic = file.read(4)
    if magic.startswith(b"\x1f\x8b"):
        with gzip.open(path, "rb") as unpacked:
            start = unpacked.read(65_536)
    elif magic == b"\x28\xb5\x2f\xfd":
        start = text_bytes(path)[:65_536]
    else:
        with path.open("rb") as file:
            start = file.read(65_536)
    return start.rsplit(b"\n", 1)[0].decode("utf-8-sig").replace("\r\n", "\n")


def _separator(form: Format, header: str) -> str:
    return "\t" if form == "tsv" else max(_SEPARATORS, key=header.count)


def _read_delimited(path: Path, form: Format, wanted: list[str] | None, text: Sequence[str]) -> pl.DataFrame:
    data = text_bytes(path)
    if not data.strip():
        raise InputError("is empty", where=str(path), fix="write a header line and at least one row")
    header = data[:65_536].split(b"\n", 1)[0].decode("utf-8-sig").rstrip("\r")
    separator = _separator(form, header)
    width = len(next(csv.reader([header], delimiter=separator)))
    quoted = data.startswith(b'"') or b'\n"' in data or separator.encode() + b'"' in data
    overrides: dict[str, pl.DataType] = {name: pl.String() for name in text}
    try:
        frame = pl.read_csv(
            data,
            separator=separator,
            columns=wanted,
            schema_overrides=overrides,
            infer_schema_length=None,
            quote_char='"' if quoted else None,
        )
    except pl.exceptions.ComputeError as error:
        _refuse_ragged(path, data, separator, width, quoted)
        raise error from None
    if width > 1 and (quoted or data.count(separator.encode()) != (frame.height + 1) * (width - 1)):
        _refuse_ragged(path, data, separator, width, quoted)
    return frame


def _refuse_ragged(path: Path, data: bytes, separator: str, width: int, quoted: bool) -> None:
    """Name the first row whose number of fields is not the header's; blank lines are no rows.

    A quote counts only in files where some field starts with one: elsewhere it is an inch or a ditto mark.
    """
    lines = io.StringIO(data.decode("utf-8-sig"), newline="")
    try:
        rows = csv.reader(lines, delimiter=separator, quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE)
        widths = np.fromiter(map(len, rows), dtype=np.int64)
    except csv.Error:
        return
    odd = np.flatnonzero((widths != width) & (widths != 0))
    if odd.size:
        row = int(odd[0])
        raise InputError(
            f"row {row} has {widths[row]} fields, the header has {width}",
            where=str(path),
            fix="quote values that hold the separator, and write empty fields for missing values",
        )


def _read_json_lines(path: Path) -> pl.DataFrame:
    data = text_bytes(path)
    if not data.strip():
        raise InputError("is empty", where=str(path), fix="write one JSON object per line")
    try:
        return pl.read_ndjson(io.BytesIO(data), infer_schema_length=None)
    except pl.exceptions.PolarsError as error:
        for number, line in enumerate(data.splitlines(), start=1):
            try:
                good = isinstance(json.loads(line or b"{}"), dict)
            except ValueError:
                good = False
            if not good:
                message = f"row {number} is no JSON object"
                raise InputError(message, where=str(path), fix="write one JSON object per line") from None
        raise error from None


def _unreadable(path: Path, form: Format, error: Exception) -> InputError:
    if isinstance(error, UnicodeDecodeError) or "utf-8" in str(error).lower():
        return InputError("is not UTF-8 text", where=str(path), fix="convert it, as in `iconv -f latin1 -t utf-8`")
    fix = "check that the file is complete and its suffix names its format"
    if form in {"csv", "tsv"}:
        fix += "; a field that holds a quote should be quoted, and the quote doubled"
    return InputError(f"cannot be read as {form}: {_short(error)}", where=str(path), fix=fix)


def _short(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0] or type(error).__name__
