"""Which impressions are train, valid and test, and a check that nothing leaks between them.

- `time`: the last rows in time; equal times stay together. Honest where time means something.
- `user_last`: the last share of each user's rows in time; every user of valid and test is known.
- `leave_last_out`: the last row of each user in each scenario is test, the one before valid (of three or more).
- `column`: as the `split` column of the impressions says.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import model_validator

from motet.batch import SPLITS
from motet.data.clock import moment
from motet.errors import InputError
from motet.schema import Schema
from motet.settings import settings

TRAIN, VALID, TEST = 0, 1, 2
OF_WHOM = {"time": "", "user_last": " of a user", "leave_last_out": " of a user in a scenario"}
_MIN_USER_ROWS = 10
_WORDS = {"train": 0, "training": 0, "0": 0, "valid": 1, "val": 1, "validation": 1, "dev": 1, "1": 1, "test": 2, "2": 2}

Times = npt.NDArray[np.float64]
Codes = npt.NDArray[np.integer]
Splits = npt.NDArray[np.int8]


@settings
class Split:
    """How impressions are split; the dates, given both, replace the shares of a split by time."""

    by: Literal["time", "user_last", "leave_last_out", "column"] = "time"
    valid: float = 0.1
    test: float = 0.1
    valid_from: int | float | str | None = None
    test_from: int | float | str | None = None

    @model_validator(mode="after")
    def _consistent(self) -> "Split":
        if not (self.valid > 0 and self.test > 0 and self.valid + self.test < 1):
            raise ValueError("valid and test should each be above 0 and together below 1")
        if (self.valid_from is None) != (self.test_from is None):
            raise ValueError("give both valid_from and test_from, or neither")
        if self.valid_from is not None and self.by != "time":
            raise ValueError(f'valid_from and test_from are for by = "time", not {self.by!r}')
        return self


def assign(
    schema: Schema, settings: Split, times_N: Times, user_N: Codes, scenario_N: Codes, column: pl.Series | None
) -> Splits:
    """0 train, 1 valid, 2 test for each row."""
    match settings.by:
        case "time":
            return _by_dates(settings, times_N) if settings.valid_from is not None else _by_time(settings, times_N)
        case "user_last":
            return _last_share(settings, times_N, user_N)
        case "leave_last_out":
            return _leave_last_out(times_N, _pairs(user_N, scenario_N))
        case "column":
            return _by_column(schema, column)


def check(
    split_N: Splits,
    settings: Split,
    times_N: Times,
    user_N: Codes,
    scenario_N: Codes,
    scenarios: Sequence[str],
) -> None:
    """An `InputError` for an empty split, a leak in time, or a scenario (`scenarios[code]`) that train does not see."""
    _check_filled(split_N, settings)
    _check_scenarios(split_N, scenario_N, scenarios)
    group_N = groups(settings, user_N, scenario_N)
    if group_N is not None:
        _check_order(split_N, times_N, group_N, strict=settings.by == "time", what=OF_WHOM[settings.by])


def groups(settings: Split, user_N: Codes, scenario_N: Codes) -> Codes | None:
    """Rows with the same code are split in time: all of them, a user's, a user's in a scenario; None: as a column says.

    Across groups nothing is promised: one user's train rows may lie after another's test rows.
    """
    match settings.by:
        case "time":
            return np.zeros_like(user_N)
        case "user_last":
            return user_N
        case "leave_last_out":
            return _pairs(user_N, scenario_N)
        case "column":
            return None


def _by_time(settings: Split, times_N: Times) -> Splits:
    """Boundaries at the changes of time that are nearest to the wished shares, in rows."""
    ordered = np.sort(times_N) if np.any(times_N[1:] < times_N[:-1]) else times_N
    starts = np.flatnonzero(ordered[1:] > ordered[:-1]) + 1
    if starts.size < 2:
        message = f"the log has {starts.size + 1} distinct times: too few to split by time"
        raise InputError(message, where="split.by", fix='use by = "user_last" or "column"')
    first = _nearest(starts[:-1], (1 - settings.valid - settings.test) * times_N.size)
    second = first + 1 + _nearest(starts[first + 1 :], (1 - settings.test) * times_N.size)
    return _at(times_N, ordered[starts[first]], ordered[starts[second]])


def _nearest(places: npt.NDArray[np.int64], wanted: float) -> int:
    """Which of the ascending places is nearest; of two equally near ones the first."""
    above = min(int(np.searchsorted(places, wanted)), places.size - 1)
    return above - 1 if above and wanted - places[above - 1] <= places[above] - wanted else above


def _by_dates(settings: Split, times_N: Times) -> Splits:
    valid_from = moment(settings.valid_from or 0, where="split.valid_from")
    test_from = moment(settings.test_from or 0, where="split.test_from")
    if valid_from >= test_from:
        fix = "valid comes before test"
        raise InputError("valid_from should be before test_from", where="split.valid_from", fix=fix)
    return _at(times_N, valid_from, test_from)


def _at(times_N: Times, valid_from: float, test_from: float) -> Splits:
    return (times_N >= valid_from).astype(np.int8) + (times_N >= test_from).astype(np.int8)


def _last_share(settings: Split, times_N: Times, user_N: Codes) -> Splits:
    """Of a user's n rows the last ⌊n · test⌋ are test (at least one of ten rows), those before likewise valid."""
    from_end_N, size_N = _places(times_N, user_N)
    enough_N = (size_N >= _MIN_USER_ROWS).astype(np.int64)
    test_N = np.maximum(np.floor(size_N * settings.test + 1e-9).astype(np.int64), enough_N)
    valid_N = np.maximum(np.floor(size_N * settings.valid + 1e-9).astype(np.int64), enough_N)
    return np.where(from_end_N < test_N, TEST, np.where(from_end_N < test_N + valid_N, VALID, TRAIN)).astype(np.int8)


def _leave_last_out(times_N: Times, group_N: Codes) -> Splits:
    from_end_N, size_N = _places(times_N, group_N)
    split_N = np.where(from_end_N == 0, TEST, np.where(from_end_N == 1, VALID, TRAIN))
    return np.where(size_N >= 3, split_N, TRAIN).astype(np.int8)


def _places(times_N: Times, group_N: Codes) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Each row's place from the end of its group in time order (0 is the last; ties by row), and the group's size."""
    order = np.lexsort((times_N, group_N))
    _, starts, sizes = np.unique(group_N[order], return_index=True, return_counts=True)
    from_end_N = np.empty(times_N.size, dtype=np.int64)
    size_N = np.empty(times_N.size, dtype=np.int64)
    from_end_N[order] = np.repeat(starts + sizes, sizes) - 1 - np.arange(times_N.size)
    size_N[order] = np.repeat(sizes, sizes)
    return from_end_N, size_N


def _pairs(user_N: Codes, scenario_N: Codes) -> npt.NDArray[np.int64]:
    width = int(scenario_N.max(initial=0)) + 1
    return user_N.astype(np.int64) * width + scenario_N


def _by_column(schema: Schema, column: pl.Series | None) -> Splits:
    if column is None:
        fix = 'name it in [columns] split, or use by = "time"'
        raise InputError("there is no split column", where="split.by", fix=fix)
    plain = column.cast(pl.Int64) if column.dtype.is_float() else column
    text = plain.cast(pl.String).str.strip_chars().str.to_lowercase()
    codes = text.replace_strict(list(_WORDS), list(_WORDS.values()), default=None, return_dtype=pl.Int8)
    if codes.null_count():
        row = int(codes.is_null().arg_true()[0])
        message = f"row {row + 1} holds {column[row]!r}, which is no split"
        raise InputError(
            message, where=f"column {schema.columns.split!r}", fix="write train, valid or test (or 0, 1, 2)"
        )
    return codes.to_numpy()


def _check_filled(split_N: Splits, settings: Split) -> None:
    counts = np.bincount(split_N, minlength=3)
    for code, name in enumerate(SPLITS):
        if counts[code] == 0:
            rows = ", ".join(f"{split} {count}" for split, count in zip(SPLITS, counts, strict=True))
            fix = {
                "time": "move valid_from and test_from inside the log, or raise valid and test",
                "user_last": f"raise valid and test: users with fewer than {_MIN_USER_ROWS} rows may give none",
                "leave_last_out": "it needs users with three rows in a scenario",
                "column": "the split column should name train, valid and test rows",
            }[settings.by]
            raise InputError(f"the {name} split is empty ({rows} rows)", where="split", fix=fix)


def _check_scenarios(split_N: Splits, scenario_N: Codes, scenarios: Sequence[str]) -> None:
    """A model cannot learn a scenario that it first meets in valid or test."""
    counts = np.bincount(scenario_N.astype(np.int64) * 3 + split_N, minlength=3 * len(scenarios)).reshape(-1, 3)
    for name, (train, valid, test) in zip(scenarios, counts.tolist(), strict=True):
        if train == 0 and valid + test > 0:
            found = " and ".join(f"{s} ({n} rows)" for s, n in (("valid", valid), ("test", test)) if n)
            fix = "start valid later, leave the scenario out of [[scenarios]] and the log, or gather more of its rows"
            raise InputError(f"scenario {name!r} is seen only in {found}", where="split", fix=fix)


def first_times(times_N: Times, group_N: Codes, rows_N: npt.NDArray[np.bool_]) -> Times:
    """The earliest time of each group among some rows, infinite where there is none."""
    size, rows = int(group_N.max(initial=0)) + 1, np.flatnonzero(rows_N)
    if size == 1:
        return np.array([times_N[rows].min(initial=np.inf)])
    first = np.full(size, np.inf)
    np.minimum.at(first, group_N[rows], times_N[rows])
    return first


def _check_order(split_N: Splits, times_N: Times, group_N: Codes, *, strict: bool, what: str) -> None:
    """Within each group no earlier split may end after (strict: or when) a later one starts."""
    begins = [first_times(times_N, group_N, split_N == split) for split in range(len(SPLITS))]
    ends = [-first_times(-times_N, group_N, split_N == split) for split in range(len(SPLITS))]
    for before, after in ((TRAIN, VALID), (VALID, TEST), (TRAIN, TEST)):
        leak = ends[before] >= begins[after] if strict else ends[before] > begins[after]
        if leak.any():
            where = int(np.flatnonzero(leak)[0])
            message = f"{SPLITS[after]} rows{what} lie at or before {SPLITS[before]} rows in time"
            span = f"{SPLITS[before]} up to {ends[before][where]:.0f}, {SPLITS[after]} from {begins[after][where]:.0f}"
            raise InputError(f"{message} ({span})", where="split", fix="split with `assign`, or correct the times")
