"""Files into frames: Parquet, CSV, TSV, JSON lines, Arrow; plain, `.gz` or `.zst`; globs and lists as one table.

The format is told by the suffix and, where that says nothing, by the first bytes. Rows keep the order of the files
(a glob's are sorted by name) and of the rows in them. Text must be UTF-8.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import polars as pl

from motet.data.delimited import Delimited, head, lines, plain_text
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


@dataclass(frozen=True, slots=True)
class Scan:
    """One file to be read as a stream."""

    path: Path
    form: Format
    frame: pl.LazyFrame
    layout: Delimited | None = None

    @classmethod
    def of(
        cls,
        path: Path,
        columns: Sequence[str] | None = None,
        text: Sequence[str] = (),
        *,
        folder: Path | None = None,
        whole: bool = False,
    ) -> "Scan":
        """Only those of `columns` that exist; `text` columns of CSV as written.

        Compressed text is unpacked in `folder`. `whole` looks at every value of a CSV before its types are decided.
        """
        form = format_of(path)
        with readable(path, form):
            match form:
                case "parquet":
                    return cls(path, form, _wanted(pl.scan_parquet(path, glob=False), columns))
                case "arrow":
                    return cls(path, form, _wanted(pl.scan_ipc(path, glob=False), columns))
                case "jsonl":
                    return cls(path, form, _wanted(_json_lines(path, plain_text(path, folder)), columns))
                case "csv" | "tsv":
                    layout = Delimited.of(path, plain_text(path, folder), "\t" if form == "tsv" else None)
                    wanted = None if columns is None else [name for name in layout.names if name in set(columns)]
                    return cls(path, form, layout.scan(wanted, text, whole=whole), layout)

    def check(self, height: int) -> None:
        """Refuse rows of another width than the header's, once it is known how many rows were read."""
        if self.layout is not None:
            self.layout.check(height)


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
    for whole in (False, True):
        scan = Scan.of(path, columns, text, whole=whole)
        try:
            frame = scan.frame.collect()
        except pl.exceptions.PolarsError as error:
            if whole or scan.layout is None:
                raise refused(scan, error) from None
            continue
        scan.check(frame.height)
        return frame
    raise AssertionError("the second attempt returns or raises")


def column_names(path: Path) -> list[str]:
    """The columns of a file without reading its rows where the format allows."""
    form = format_of(path)
    with readable(path, form):
        match form:
            case "parquet":
                return list(pl.read_parquet_schema(path))
            case "arrow":
                return list(pl.read_ipc_schema(path))
            case "jsonl":
                return _json_lines(path, plain_text(path)).collect_schema().names()
            case "csv" | "tsv":
                return Delimited.of(path, plain_text(path), "\t" if form == "tsv" else None).names


def refused(scan: Scan, error: Exception) -> InputError:
    """Why a file cannot be read, naming the row where it can be told."""
    if scan.layout is not None:
        try:
            scan.layout.check(-1)
        except InputError as ragged:
            return ragged
    if scan.form == "jsonl" and (row := _bad_line(scan.path)):
        fix = "write one JSON object per line"
        return InputError(f"row {row} is no JSON object", where=str(scan.path), fix=fix)
    return _unreadable(scan.path, scan.form, error)


@contextmanager
def readable(path: Path, form: Format) -> Iterator[None]:
    """Errors of reading as an `InputError`."""
    try:
        yield
    except (pl.exceptions.PolarsError, OSError, EOFError, UnicodeDecodeError) as error:
        row = _bad_line(path) if form == "jsonl" and isinstance(error, pl.exceptions.PolarsError) else 0
        if row:
            fix = "write one JSON object per line"
            raise InputError(f"row {row} is no JSON object", where=str(path), fix=fix) from None
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
        start = head(plain_text(path)).lstrip()
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise _unreadable(path, "csv", error) from None
    if start.startswith("["):
        raise InputError("is one JSON array", where=str(path), fix="write one JSON object per line (JSON lines)")
    return "jsonl" if start.startswith("{") else "csv"


def _wanted(frame: pl.LazyFrame, columns: Sequence[str] | None) -> pl.LazyFrame:
    names = frame.collect_schema().names()
    return frame if columns is None else frame.select([name for name in names if name in set(columns)])


def _json_lines(path: Path, text: Path | bytes) -> pl.LazyFrame:
    if not any(line.strip() for line in lines(text)):
        raise InputError("is empty", where=str(path), fix="write one JSON object per line")
    return pl.scan_ndjson(text, infer_schema_length=None)


def _bad_line(path: Path) -> int:
    """The first line that is no JSON object, from 1; 0 where all are."""
    for number, line in enumerate(lines(plain_text(path)), start=1):
        try:
            good = not line.strip() or isinstance(json.loads(line), dict)
        except ValueError:
            good = False
        if not good:
            return number
    return 0


def _unreadable(path: Path, form: Format, error: Exception) -> InputError:
    if isinstance(error, UnicodeDecodeError) or "utf-8" in str(error).lower():
        return InputError("is not UTF-8 text", where=str(path), fix="convert it, as in `iconv -f latin1 -t utf-8`")
    fix = "check that the file is complete and its suffix names its format"
    if form in {"csv", "tsv"}:
        fix += "; a field that holds a quote should be quoted, and the quote doubled"
    return InputError(f"cannot be read as {form}: {_short(error)}", where=str(path), fix=fix)


def _short(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0] or type(error).__name__
