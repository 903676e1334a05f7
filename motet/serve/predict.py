"""Rows scored in bulk: a frame, or files that may be larger than memory into one Parquet file.

Files are read as a stream and scored in parts of `ROWS`. A part that is done is kept beside the output until all are,
so that a run that was killed goes on behind its last part.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from motet import runtime
from motet.batch import UNKNOWN
from motet.data.arrays import Bools
from motet.data.files import Scan, column_names, readable, refused
from motet.data.given import GivenRows, columns_of, given_rows, missing_columns
from motet.errors import InputError
from motet.serve.parts import Parts, check_output
from motet.train.run import Run, fingerprint_of
from motet.train.score import score_rows

ROWS = 1 << 17
Say = Callable[[str, float], None]


@dataclass(frozen=True)
class Predicted:
    """What was scored, and how much of it the log does not know."""

    rows: int
    unknown_users: int
    unknown_items: int
    missing_columns: tuple[str, ...]  # of the context, which counted as missing


def predict_frame(
    run: Run,
    frame: pl.DataFrame,
    *,
    at: float | None = None,
    where: str = "rows",
    first: int = 0,
    progress: Callable[[int], None] | None = None,
) -> tuple[pl.DataFrame, Predicted]:
    """User, item, scenario and time of the frame's rows, and what each task predicts of them, in their order.

    A probability of a binary task, on all impressions where it comes after another; a value of a regression. Null
    where a task does not apply to the item's kind or to the scenario.
    """
    data = run.data
    columns_of(data, frame.columns, where=where)
    if not frame.height:
        raise _nothing(where)
    given = given_rows(data, frame, where=where, first=first, at=at)
    logits_NT = score_rows(run.network, given, np.arange(len(given)), progress=progress)
    values_NT = run.calibration.apply(logits_NT, given.scenario_N)
    tasks = [
        pl.Series(task.name, values_NT[:, t], dtype=pl.Float32).set(pl.Series(~_applies(given, t)), None)
        for t, task in enumerate(data.layout.tasks)
    ]
    roles = data.schema.columns
    keys = [name for name in (roles.user, roles.item, roles.scenario, roles.time) if name and name in frame.columns]
    if taken := {series.name for series in tasks} & set(keys):
        message = f"a task and a column of keys are both called {sorted(taken)[0]!r}"
        raise InputError(message, where=where, fix="rename the task")
    facts = Predicted(
        rows=frame.height,
        unknown_users=int((given.user_N == UNKNOWN).sum()),
        unknown_items=int((~given.known_items_N).sum()),
        missing_columns=tuple(missing_columns(data, frame.columns)),
    )
    return frame.select(keys).with_columns(tasks), facts


def predict_files(
    run: Run,
    files: Sequence[Path],
    output: Path,
    *,
    at: float | None = None,
    force: bool = False,
    say: Say = lambda what, share: None,
) -> Predicted:
    """`predict_frame` of the rows of files with the same columns, written to the Parquet file `output`."""
    check_output(output, force=force)
    stats = [(str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    found = list[dict[str, Any]]()
    with Parts(output, [fingerprint_of(run.folder), stats, at, ROWS]) as parts:
        columns = _columns(run, files)
        scans = [_scan(run, file, columns, parts.folder / "unpacked") for file in files]
        total, where = sum(_height(scan) for scan in scans), ", ".join(map(str, files))
        for number, frame in enumerate(_chunks(scans, columns)):
            first = number * ROWS
            say("scoring rows", first / total)
            facts = parts.facts(number)
            if facts is None:
                tell = partial(_tell, say, first, total)
                scores, told = predict_frame(run, frame, at=at, where=where, first=first, progress=tell)
                facts = parts.put(number, scores, vars(told))
                runtime.give_back()
            found.append(facts)
        if not found:
            raise _nothing(where)
    counts = {key: sum(each[key] for each in found) for key in ("rows", "unknown_users", "unknown_items")}
    return Predicted(**counts, missing_columns=tuple(found[0]["missing_columns"]))


def _tell(say: Say, first: int, total: int, done: int) -> None:
    say("scoring rows", (first + done) / total)


def _nothing(where: str) -> InputError:
    return InputError("there are no rows", where=where, fix="give a row for each prediction")


def _applies(given: GivenRows, t: int) -> Bools:
    """Where a task can happen; of an unknown item nobody knows the kind."""
    layout, task = given.layout, given.layout.tasks[t]
    applies_N = np.ones(len(given), np.bool_)
    if task.kinds:
        kinds = [k for k, kind in enumerate(layout.kinds) if kind in task.kinds]
        applies_N &= np.isin(given.kind_N, kinds) | ~given.known_items_N
    if task.scenarios:
        names = [s for s, scenario in enumerate(layout.scenarios) if scenario.name in task.scenarios]
        applies_N &= np.isin(given.scenario_N, names)
    return applies_N


def _columns(run: Run, files: Sequence[Path]) -> list[str]:
    """The columns that are read of every file."""
    columns = columns_of(run.data, column_names(files[0]), where=str(files[0]))
    for file in files[1:]:
        if odd := set(columns) ^ set(columns_of(run.data, column_names(file), where=str(file))):
            fix = f"give it the columns of {files[0].name}, or score it alone"
            raise InputError(f"column {sorted(odd)[0]!r} is not in all files", where=str(file), fix=fix)
    return columns


def _scan(run: Run, file: Path, columns: Sequence[str], unpacked: Path) -> Scan:
    """A CSV's types are told by all its values: a stream cannot change them."""
    roles = run.data.schema.columns
    keys = [name for name in (roles.user, roles.item, roles.scenario) if name is not None]
    return Scan.of(file, columns, keys, folder=unpacked, whole=True)


def _height(scan: Scan) -> int:
    with _read(scan):
        return int(scan.frame.select(pl.len()).collect().item())


def _chunks(scans: Sequence[Scan], columns: Sequence[str]) -> Iterator[pl.DataFrame]:
    """The rows in frames of `ROWS`, the last one shorter, of the first frame's types."""
    waiting, rows, types = list[pl.DataFrame](), 0, pl.Schema()
    for scan in scans:
        before = 0
        for frame in _frames(scan):
            before += frame.height
            types = types or frame.select(columns).schema
            with _read(scan):
                waiting.append(frame.select(columns).cast(types))
            rows += frame.height
            while rows >= ROWS:
                joined = pl.concat(waiting)
                yield joined.head(ROWS)
                waiting, rows = [joined.slice(ROWS)], rows - ROWS
        scan.check(before)
    if rows:
        yield pl.concat(waiting)


def _frames(scan: Scan) -> Iterator[pl.DataFrame]:
    batches = scan.frame.collect_batches(chunk_size=ROWS, maintain_order=True)
    while True:
        with _read(scan):
            frame = next(batches, None)
        if frame is None:
            return
        yield frame


@contextmanager
def _read(scan: Scan) -> Iterator[None]:
    with readable(scan.path, scan.form):
        try:
            yield
        except pl.exceptions.PolarsError as error:
            raise refused(scan, error) from None
