"""Rows scored in bulk: a frame, or files that may be larger than memory into one Parquet file.

Files are read as a stream and scored in parts of `ROWS`. A part that is done is kept beside the output until all are,
so that a run that was killed goes on behind its last part.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from motet.batch import UNKNOWN
from motet.data.arrays import Bools
from motet.data.files import Scan, column_names, readable, refused
from motet.data.given import GivenRows, columns_of, given_rows, missing_columns
from motet.errors import InputError
from motet.serve.parts import Parts, check_output
from motet.train.run import Run, fingerprint_of
from motet.train.score import score_rows

ROWS = 1 << 18
Say = Callable[[str, float], None]


@dataclass(frozen=True)
class Predicted:
    """What was scored, and how much of it the log does not know."""

    rows: int
    unknown_users: int
    unknown_items: int
    missing_columns: tuple[str, ...]  # of the context, which counted as missing


def predict_frame(
    run: Run, frame: pl.DataFrame, *, at: float | None = None, where: str = "rows", first: int = 0
) -> tuple[pl.DataFrame, Predicted]:
    """User, item, scenario and time of the frame's rows, and what each task predicts of them, in their order.

    A probability of a binary task, on all impressions where it comes after another; a value of a regression. Null
    where a task does not apply to the item's kind or to the scenario.
    """
    data = run.data
    columns_of(data, frame.columns, where=where)
    if not frame.height:
        raise InputError("there are no rows", where=where, fix="give one row for each prediction")
    given = given_rows(data, frame, where=where, first=first, at=at)
    logits_NT = score_rows(run.network, given, np.arange(len(given)))
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
    parts, found = Parts(output, [fingerprint_of(run.folder), stats, at, ROWS]), list[dict[str, Any]]()
    total = sum(size for _, size, _ in stats)
    for number, (frame, read) in enumerate(_chunks(run, files, parts.folder / "unpacked")):
        say("scoring rows", read / max(total, 1))
        facts = parts.facts(number)
        if facts is None:
            scores, told = predict_frame(run, frame, at=at, where=str(files[0]), first=number * ROWS)
            facts = parts.put(number, scores, vars(told))
        found.append(facts)
    parts.finish()
    counts = {key: sum(each[key] for each in found) for key in ("rows", "unknown_users", "unknown_items")}
    return Predicted(**counts, missing_columns=tuple(found[0]["missing_columns"]))


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


def _chunks(run: Run, files: Sequence[Path], unpacked: Path) -> Iterator[tuple[pl.DataFrame, int]]:
    """The rows in frames of `ROWS`, the last one shorter, with how many bytes of the files lie before its end."""
    roles = run.data.schema.columns
    text = [name for name in (roles.user, roles.item, roles.scenario) if name is not None]
    waiting, rows, read, any_rows = list[pl.DataFrame](), 0, 0, False
    columns: list[str] | None = None
    for file in files:
        wanted = columns_of(run.data, column_names(file), where=str(file))
        if columns is not None and set(wanted) != set(columns):
            odd = sorted(set(wanted) ^ set(columns))[0]
            fix = f"give it the columns of {files[0].name}, or score it alone"
            raise InputError(f"column {odd!r} is not in all files", where=str(file), fix=fix)
        columns = columns or wanted
        for frame in _frames(file, columns, text, unpacked):
            waiting.append(frame.select(columns))
            rows += frame.height
            while rows >= ROWS:
                joined = pl.concat(waiting, how="vertical_relaxed")
                any_rows = True
                yield joined.head(ROWS), read
                waiting, rows = [joined.slice(ROWS)], rows - ROWS
        read += file.stat().st_size
    if rows or not any_rows:
        yield pl.concat(waiting, how="vertical_relaxed") if waiting else _nothing(files), read


def _nothing(files: Sequence[Path]) -> pl.DataFrame:
    raise InputError("there are no rows", where=str(files[0]), fix="check the file")


def _frames(file: Path, columns: Sequence[str], text: Sequence[str], unpacked: Path) -> Iterator[pl.DataFrame]:
    """A file's rows as a stream; a CSV's types are told by all its values, as a stream cannot change them."""
    scan = Scan.of(file, columns, text, folder=unpacked, whole=True)
    before = 0
    with readable(file, scan.form):
        try:
            for frame in scan.frame.collect_batches(chunk_size=ROWS, maintain_order=True):
                before += frame.height
                yield frame
        except pl.exceptions.PolarsError as error:
            raise refused(scan, error) from None
    scan.check(before)
