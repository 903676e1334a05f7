"""From files to a `motet.toml` that runs, step by step: tables, roles, tasks, features, split."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from motet.data.infer.choice import Choice, Log, TaskChoice
from motet.data.infer.column import Column
from motet.data.infer.context import find_context
from motet.data.infer.document import Document, write
from motet.data.infer.features import find_features
from motet.data.infer.refine import add_delays, chain, limit
from motet.data.infer.roles import find_kind, find_roles
from motet.data.infer.splits import find_split
from motet.data.infer.tables import Found, Say, find_tables, read_tables
from motet.data.infer.tasks import find_tasks, labels_of

_NO_TIME = "no column holds times: the order of the rows is used"
_NO_SCENARIO = "no column names a surface or device of 2 to 50 values: all rows are one scenario, all"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a column was taken for, and why; a warning wants to be read."""

    role: str
    column: str
    why: str
    warning: bool


@dataclass(frozen=True, slots=True)
class Inference:
    """The text of a `motet.toml` and the decisions in it."""

    toml: str
    findings: tuple[Finding, ...]


def infer(files: Sequence[Path], *, base: Path = Path(), say: Say = lambda what, share: None) -> Inference:
    """Read the tables, decide what each column is, and write it down; `base` is the folder of the future `motet.toml`.

    Relative files are relative to `base`. An `InputError` where no log, no user or item column or no label is found.
    """
    found = find_tables(read_tables(files, base, say), base)
    say("finding out what they mean", 0.0)
    roles = find_roles(found.impressions, found.user, found.item)
    kind = find_kind(found.items, found.item) if found.items else None
    log = _log(found, roles)
    free = _free(log, [*found.keys, *roles])
    say("finding out what they mean", 0.2)
    tasks = chain(log, find_tasks(log, free))
    free = [column for column in free if column.name not in {choice.task.label for choice in tasks}]
    tasks, spent = add_delays(log, tasks, free)
    scenarios = log.table.frame[log.scenario] if log.scenario else None
    tasks = limit(log, tasks, _kind_of_rows(found, kind), scenarios)
    free = [column for column in free if column.name not in {choice.column for choice in spent}]
    say("finding out what they mean", 0.6)
    labels = {choice.task.name: labels_of(log, choice.task) for choice in tasks if choice.task.form == "binary"}
    document = Document(
        tables=found.choices,
        columns=[*found.keys, *_missing(roles), *roles, *([kind] if kind else [])],
        tasks=tasks,
        users=find_features(found.users, "user", {found.user}) if found.users else [],
        items=_item_features(found, kind),
        context=[*find_context(log, free, labels), *spent],
        split=find_split(log, next((choice.column for choice in roles if choice.role == "split"), None)),
        scenarios=[str(value) for value in scenarios.drop_nulls().unique().sort()] if scenarios is not None else [],
    )
    return Inference(write(document), tuple(_findings(document)))


def _log(found: Found, roles: Sequence[Choice]) -> Log:
    role = {choice.role: choice.column for choice in roles}
    return Log(
        table=found.impressions,
        user=found.user,
        item=found.item,
        time=role.get("time"),
        request=role.get("request"),
        scenario=role.get("scenario"),
    )


def _free(log: Log, used: Sequence[Choice]) -> list[Column]:
    names = {choice.column for choice in used}
    return [column for column in log.columns.values() if column.name not in names]


def _missing(roles: Sequence[Choice]) -> list[Choice]:
    """Comments in place of roles that people ask for."""
    have = {choice.role for choice in roles}
    wanted = (("time", _NO_TIME), ("scenario", _NO_SCENARIO))
    return [
        Choice(role=role, column="", key=role, value="…", why=why, active=False)
        for role, why in wanted
        if role not in have
    ]


def _kind_of_rows(found: Found, kind: Choice | None) -> pl.Series | None:
    """The kind of the item of each impression."""
    if kind is None or found.items is None:
        return None
    items = found.items.frame.select(item=pl.col(found.item).cast(pl.String), kind=pl.col(kind.column).cast(pl.String))
    shown = found.impressions.frame.select(item=pl.col(found.item).cast(pl.String))
    return shown.join(items, on="item", how="left", maintain_order="left")["kind"]


def _item_features(found: Found, kind: Choice | None) -> list[Choice]:
    if found.items is None:
        return []
    return find_features(found.items, "item", {found.item, *([kind.column] if kind else [])})


def _findings(document: Document) -> list[Finding]:
    lines = [*document.tables, *document.columns]
    lines += [*document.users, *document.items, *document.context, document.split]
    found = [Finding(line.role, line.column, line.why, line.warning) for line in lines]
    place = len(document.tables) + len(document.columns)
    return [*found[:place], *map(_task_finding, document.tasks), *found[place:]]


def _task_finding(choice: TaskChoice) -> Finding:
    reasons = "; ".join([choice.why, *(f"{key}: {reason}" for key, reason in choice.reasons.items())])
    return Finding(f"task {choice.task.name}", choice.task.label, reasons, choice.warning)
