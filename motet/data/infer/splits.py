"""The split that fits a log: by time where time means something and most users of the test rows are known by then."""

import numpy as np
import polars as pl

from motet.data.infer.choice import Choice, Log
from motet.data.infer.column import seconds, share

_TRAIN, _TEST = 0.8, 0.9
_FEW_TESTS = 0.02  # share of test rows, below which leaving out each user's last row tests too little
_FEW_ROWS = 10  # of a user, below which a share of a tenth is empty


def find_split(log: Log, column: str | None) -> Choice:
    """The line of [split]; `column` is the split column if there is one."""
    if column is not None:
        return _choice("column", f"{column} says it")
    rows = log.table.frame[log.user].value_counts(name="rows")["rows"]
    stamps = seconds(log.columns[log.time]) if log.time else None
    if stamps is None:
        return _without_time(log)
    unseen, scenario = _strangers(log, stamps)
    enough = int((rows >= _FEW_ROWS).sum()) >= 2
    if enough and unseen > 0.5:
        why = f"{share(unseen)} of the users in the last tenth of the time are new then; each user's last rows are test"
        return _choice("user_last", why)
    if enough and scenario is not None:
        return _choice("user_last", f"scenario {scenario} appears only late in time; each user's last rows are test")
    return _choice("time", f"train on the past, test on the last tenth; {share(unseen)} of its users are new then")


def _without_time(log: Log) -> Choice:
    keys = [log.user, *([log.scenario] if log.scenario else [])]
    enough = int((log.table.frame.group_by(keys).len("rows")["rows"] >= 3).sum())
    if enough >= min(_FEW_TESTS * log.table.rows, 1000):
        return _choice("leave_last_out", "there is an order but no time: each user's last row is test")
    return _choice("time", "there is no time and users have few rows: the last rows of the table are test")


def _strangers(log: Log, stamps: pl.Series) -> tuple[float, str | None]:
    """The share of the test users whom train has not seen, and a scenario that train has not seen."""
    known = stamps.drop_nulls().sort()
    cuts = [known[min(int(part * len(known)), len(known) - 1)] for part in (_TRAIN, _TEST)]
    train, test = (stamps < cuts[0]).fill_null(False), (stamps >= cuts[1]).fill_null(False)
    users = log.table.frame[log.user].cast(pl.String)
    seen, asked = users.filter(train).unique(), users.filter(test).unique()
    unseen = float(np.mean(~asked.is_in(seen.implode()).to_numpy())) if len(asked) else 0.0
    if log.scenario is None:
        return unseen, None
    scenarios = log.table.frame[log.scenario].cast(pl.String)
    late = set(scenarios.drop_nulls().unique()) - set(scenarios.filter(train).drop_nulls().unique())
    return unseen, min(late, default=None)


def _choice(by: str, why: str) -> Choice:
    return Choice(role="split", column="", key="by", value=by, why=why)
