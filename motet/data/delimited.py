"""CSV and TSV as streams: separator, quotes and column types told by the content, rows of another width refused.

The types are those that all of a column's values agree on. They are guessed from the first rows; where a later value
does not fit, the caller scans again with `whole`, which looks at every value before the first is read.
"""

import csv
import gzip
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from motet.errors import InputError

SEPARATORS = (",", "\t", ";", "|")
_GUESS_ROWS = 10_000
_BLOCK = 1 << 22  # bytes


@dataclass(frozen=True, slots=True)
class Delimited:
    """One file's layout; `text` is the file itself or, of a compressed one, its content."""

    path: Path
    text: Path | bytes
    separator: str
    names: list[str]
    quoted: bool  # a quote counts only where some field starts with one: elsewhere it is an inch or a ditto mark
    separators: int  # outside quotes

    @classmethod
    def of(cls, path: Path, text: Path | bytes, separator: str | None) -> "Delimited":
        """The layout; `separator` None: the sign that the header holds most often."""
        header = head(text).split("\n", 1)[0]
        sign = separator or max(SEPARATORS, key=header.count)
        names = next(csv.reader([header], delimiter=sign), [])
        if not names and not any(block.strip() for block in _blocks(text)):
            raise InputError("is empty", where=str(path), fix="write a header line and at least one row")
        quoted = _quoted(text, sign.encode())
        return cls(path, text, sign, names, quoted, _count(text, sign.encode(), quoted=quoted))

    def scan(self, wanted: Sequence[str] | None, as_written: Sequence[str], *, whole: bool = False) -> pl.LazyFrame:
        """The wanted columns, those `as_written` as text."""
        types: dict[str, pl.DataType] = {name: pl.String() for name in as_written}
        if not whole:
            first = self._scan(types, _GUESS_ROWS).head(_GUESS_ROWS)
            try:
                guess = first.select(self.names if wanted is None else wanted).collect()
            except pl.exceptions.PolarsError:
                return self.scan(wanted, as_written, whole=True)
            unsure = [name for name in guess.columns if name not in types and guess[name].null_count() == guess.height]
            types = dict(guess.schema) | {name: self._type_of(name) for name in unsure} | types
        scan = self._scan(types, None if whole else 0)
        return scan if wanted is None else scan.select(wanted)

    def check(self, height: int) -> None:
        """An `InputError` naming the first row whose number of fields is not the header's; blank lines are no rows."""
        width = len(self.names)
        if width < 2 or self.separators == (height + 1) * (width - 1):
            return
        try:
            rows = csv.reader(
                lines(self.text),
                delimiter=self.separator,
                quoting=csv.QUOTE_MINIMAL if self.quoted else csv.QUOTE_NONE,
            )
            row, found = next(
                ((r, len(fields)) for r, fields in enumerate(rows) if len(fields) not in {0, width}), (0, 0)
            )
        except csv.Error:
            return
        if row:
            raise InputError(
                f"row {row} has {found} fields, the header has {width}",
                where=str(self.path),
                fix="quote values that hold the separator, and write empty fields for missing values",
            )

    def _scan(self, types: dict[str, pl.DataType], guess: int | None) -> pl.LazyFrame:
        return pl.scan_csv(
            self.text,
            separator=self.separator,
            schema_overrides={name: dtype for name, dtype in types.items() if name in self.names},
            infer_schema_length=guess,
            quote_char='"' if self.quoted else None,
            glob=False,
        )

    def _type_of(self, name: str) -> pl.DataType:
        """The type of a column that says nothing in the first rows, from every value that it holds."""
        values = self._scan(dict.fromkeys(self.names, pl.String()), 0).select(pl.col(name).drop_nulls().unique())
        found = values.collect(engine="streaming")
        if not found.height:
            return pl.String()
        return pl.read_csv(found.write_csv().encode(), infer_schema_length=None).dtypes[0]


def plain_text(path: Path, folder: Path | None = None) -> Path | bytes:
    """The path itself, or what is in a compressed file: in memory, or as a file in `folder`."""
    with path.open("rb") as file:
        magic = file.read(4)
    if magic.startswith(b"\x1f\x8b"):
        if folder is None:
            return gzip.decompress(path.read_bytes())
        target = folder / f"{path.name}.txt"
        folder.mkdir(parents=True, exist_ok=True)
        with gzip.open(path, "rb") as packed, target.open("wb") as file:
            shutil.copyfileobj(packed, file, _BLOCK)
        return target
    if magic == b"\x28\xb5\x2f\xfd":
        lines = pl.scan_csv(path, has_header=False, separator="\x1f", quote_char=None, infer_schema=False, glob=False)
        return "\n".join(lines.collect().to_series().fill_null("")).encode()
    return path


def text_bytes(path: Path) -> bytes:
    """The uncompressed content of a text file."""
    text = plain_text(path)
    return text if isinstance(text, bytes) else text.read_bytes()


def head(text: Path | bytes) -> str:
    """The first lines, without a byte order mark."""
    start = next(_blocks(text), b"")[:65_536]
    return start.rsplit(b"\n", 1)[0].decode("utf-8-sig").replace("\r\n", "\n")


def _blocks(text: Path | bytes) -> Iterator[bytes]:
    if isinstance(text, bytes):
        yield from (text[at : at + _BLOCK] for at in range(0, len(text), _BLOCK))
        return
    with text.open("rb") as file:
        while block := file.read(_BLOCK):
            yield block


def lines(text: Path | bytes) -> Iterator[str]:
    """The lines with their ends, one at a time."""
    rest = b""
    for place, block in enumerate(_blocks(text)):
        *whole, rest = (rest + block).split(b"\n")
        for row, line in enumerate(whole):
            yield line.decode("utf-8" if place or row else "utf-8-sig") + "\n"
    if rest:
        yield rest.decode("utf-8")


def _quoted(text: Path | bytes, separator: bytes) -> bool:
    """Whether a field starts with a quote."""
    before = b"\n"
    for block in _blocks(text):
        if b'"' in block:
            joined = before + block
            if b'\n"' in joined or separator + b'"' in joined or joined.startswith(b'\n\xef\xbb\xbf"'):
                return True
        before = block[-1:]
    return False


def _count(text: Path | bytes, separator: bytes, *, quoted: bool) -> int:
    """How many separators stand outside quotes."""
    total, inside = 0, False
    for block in _blocks(text):
        signs = np.frombuffer(block, np.uint8)
        here = signs == separator[0]
        total += int(np.count_nonzero(here))
        if not quoted or (not inside and b'"' not in block):
            continue
        ends = np.flatnonzero(signs == ord('"'))
        ends = np.concatenate([[0], ends]) if inside else ends
        inside = len(ends) % 2 == 1
        ends = np.concatenate([ends, [len(signs)]]) if inside else ends
        first, last = ends[::2], ends[1::2]
        far = last > first + 1
        if not far.any():
            continue
        places = np.flatnonzero(here)
        total -= int((np.searchsorted(places, last[far]) - np.searchsorted(places, first[far])).sum())
    return total
