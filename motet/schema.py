"""The nouns: scenarios, tasks, kinds, features and the tables they stand in, as read from `motet.toml`.

`Schema` is what a person's data means; how it is cleaned, split, trained and served are settings of those stages.
"""

import re
from dataclasses import field
from typing import Literal

from pydantic import field_validator, model_validator

from motet.condition import columns_of, parse_condition
from motet.errors import InputError
from motet.settings import settings

Form = Literal["binary", "regression"]
Owner = Literal["user", "item", "context"]
FeatureForm = Literal["categorical", "numeric", "tags", "text", "vector"]
NEXT = "next"
"""The task of data without tasks, which happened on every row: that the user went on to this item."""
OWNERS: tuple[Owner, ...] = ("user", "item", "context")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


@settings
class Tables:
    """Files of each table, relative to the `motet.toml`; globs read many files as one table."""

    impressions: str | tuple[str, ...]
    users: str | None = None
    items: str | None = None
    edges: str | None = None  # source, relation, target
    reader: str | None = None  # a named reader of `motet.data.sources`; `impressions` is then its folder
    snapshot: int | float | str | None = None  # when the log was extracted; default: its last time


@settings
class Columns:
    """Which column plays which role in the impressions table (`kind` in the items table)."""

    user: str
    item: str
    time: str | None = None  # left out: the order of the rows
    scenario: str | None = None  # left out: one scenario, "all"
    kind: str | None = None
    request: str | None = None
    position: str | None = None
    propensity: str | None = None
    split: str | None = None


@settings
class Scenario:
    """A surface or context with its own distribution, and how one interacts there."""

    name: str
    description: str = ""
    input: Literal["touch", "pointer", "speech"] | None = None
    screen: Literal["none", "small", "large"] | None = None
    slate_size: int = 10

    @field_validator("slate_size")
    @classmethod
    def _positive(cls, value: int) -> int:
        if value < 1:
            raise ValueError("slate_size should be at least 1")
        return value


@settings
class Kind:
    """A sort of item; `table = "users"` makes users the candidates (friends)."""

    name: str
    table: Literal["items", "users"] = "items"


@settings
class Task:
    """One user reaction to predict, and where and when its label counts as observed and known."""

    name: str
    label: str
    form: Form = "binary"
    after: str | None = None  # the parent: P(task) = P(parent) · P(task | parent)
    kinds: tuple[str, ...] = ()  # empty: all
    scenarios: tuple[str, ...] = ()  # empty: all
    delay: str | None = None  # the label is known this long after the impression: "30m", "2d"
    known_at: str | None = None  # or from this column's time on
    observed_when: str | None = None  # a condition; the label is unobserved elsewhere
    positive_when: str | None = None  # a condition that makes the label: `rating >= 4`
    utility: Literal["log", "linear"] | None = None  # how it enters the blend; default: log if binary, else linear
    low: float | None = None  # the label's range; outside it the label is out of range
    high: float | None = None
    negatives_kept: float | dict[str, float] = 1.0  # share of its negatives that the log keeps, or that of scenarios

    @field_validator("negatives_kept")
    @classmethod
    def _share(cls, value: float | dict[str, float]) -> float | dict[str, float]:
        if not all(0 < share <= 1 for share in (value.values() if isinstance(value, dict) else [value])):
            raise ValueError("negatives_kept should be above 0 and at most 1, as in 0.1 where one of ten was kept")
        return value

    @field_validator("observed_when", "positive_when")
    @classmethod
    def _parses(cls, text: str | None) -> str | None:
        try:
            if text is not None:
                parse_condition(text)
        except InputError as error:
            mistake = ValueError(error.what)
            mistake.add_note(error.fix)
            raise mistake from None
        return text

    @field_validator("delay")
    @classmethod
    def _delay(cls, text: str | None) -> str | None:
        if text is not None:
            seconds(text)
        return text

    @model_validator(mode="after")
    def _consistent(self) -> "Task":
        if self.delay and self.known_at:
            raise ValueError(f"task {self.name!r} has both delay and known_at: keep one")
        if self.form == "regression" and (self.after or self.positive_when):
            raise ValueError(f"task {self.name!r} is a regression: `after` and `positive_when` are for binary tasks")
        if self.form == "regression" and self.negatives_kept != 1.0:
            raise ValueError(f"task {self.name!r} is a regression: it has no negatives to keep")
        return self

    @property
    def range(self) -> tuple[float, float]:
        """The lowest and highest value its label may have."""
        if self.form == "binary":
            return 0.0, 1.0
        return (-float("inf") if self.low is None else self.low, float("inf") if self.high is None else self.high)

    def kept(self, scenario: str) -> float:
        """The share of its negatives that the log keeps in that scenario."""
        return self.negatives_kept.get(scenario, 1.0) if isinstance(self.negatives_kept, dict) else self.negatives_kept

    @property
    def delay_seconds(self) -> float:
        return seconds(self.delay) if self.delay else 0.0


@settings
class Reference:
    """Predictions of another model, standing in columns of the impressions: evaluated on the same rows as ours."""

    name: str
    columns: dict[str, str]  # task to column: a probability, or a value of the label's unit
    ceiling: bool = False  # nothing can do better: the report shows the share of the way to it


@settings
class Feature:
    """One feature and how it is turned into ids or numbers; fitted on train only."""

    form: FeatureForm
    transform: Literal["auto", "standard", "log", "quantile"] = "auto"  # numeric
    buckets: int = 0  # numeric: so many quantiles make it categorical; ids and tags: rows that rare and new ones share
    min_count: int = 2  # categorical and tags: frequency admission; ids rarer in train have no row of their own
    separator: str | None = None  # tags: left out, "|", ";", "," and blanks are tried
    known_before: bool = False  # context: a promise that the value is known before the labels

    @field_validator("buckets")
    @classmethod
    def _not_negative(cls, value: int) -> int:
        if value < 0:
            raise ValueError("buckets should not be negative; 0 is none")
        return value


Features = dict[str, FeatureForm | Feature]


@settings
class FeatureTable:
    """Features by the table they stand in; a bare form stands for a feature with defaults."""

    user: Features = field(default_factory=dict)
    item: Features = field(default_factory=dict)
    context: Features = field(default_factory=dict)

    def of(self, owner: Owner) -> dict[str, Feature]:
        """Column name to feature, in the file's order."""
        given: Features = getattr(self, owner)
        return {name: f if isinstance(f, Feature) else Feature(form=f) for name, f in given.items()}


@settings
class Schema:
    """What the data means. The order of tasks and scenarios is the order of the matrix of cells."""

    tables: Tables
    columns: Columns
    tasks: tuple[Task, ...]
    scenarios: tuple[Scenario, ...] = ()  # empty: found in the data
    kinds: tuple[Kind, ...] = ()  # empty: found in the data
    features: FeatureTable = field(default_factory=FeatureTable)
    references: tuple[Reference, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> "Schema":
        for what, names in (
            ("task", [task.name for task in self.tasks]),
            ("scenario", [scenario.name for scenario in self.scenarios]),
            ("kind", [kind.name for kind in self.kinds]),
        ):
            if twice := {name for name in names if names.count(name) > 1}:
                raise ValueError(f"{what} {sorted(twice)[0]!r} is defined twice")
        for task in self.tasks:
            self._check_names(task)
        for reference in self.references:
            _known(reference.columns, [task.name for task in self.tasks], f"reference {reference.name!r}: task")
        return self

    def _check_names(self, task: Task) -> None:
        names = [other.name for other in self.tasks]
        if task.after is not None:
            _known([task.after], names, f"task {task.name!r}: after")
            if names.index(task.after) >= names.index(task.name):
                raise ValueError(f"task {task.name!r} comes after {task.after!r}: define {task.after!r} first")
            if self.task(task.after).form != "binary":
                raise ValueError(f"task {task.name!r}: its parent {task.after!r} should be binary")
        if self.scenarios:
            names = [s.name for s in self.scenarios]
            _known(task.scenarios, names, f"task {task.name!r}: scenario")
            if isinstance(task.negatives_kept, dict):
                _known(tuple(task.negatives_kept), names, f"task {task.name!r}: negatives_kept: scenario")
        if self.kinds:
            _known(task.kinds, [kind.name for kind in self.kinds], f"task {task.name!r}: kind")

    def task(self, name: str) -> Task:
        """The task of that name; KeyError when there is none."""
        return next(task for task in self.tasks if task.name == name)

    def impression_columns(self) -> list[str]:
        """Every column of the impressions table that the schema reads."""
        roles = [self.columns.user, self.columns.item, self.columns.time, self.columns.scenario, self.columns.request]
        roles += [self.columns.position, self.columns.propensity, self.columns.split]
        for task in self.tasks:
            conditions = [c for c in (task.observed_when, task.positive_when) if c]
            roles += [task.label, task.known_at]
            roles += sorted(set().union(*(columns_of(parse_condition(c)) for c in conditions)))
        roles += [column for reference in self.references for column in reference.columns.values()]
        return list(dict.fromkeys([*(role for role in roles if role), *self.features.of("context")]))


def next_task(item: str) -> Task:
    """Of the schema's column of items."""
    return Task(name=NEXT, label=item, positive_when=f"`{item}` is not null")


def seconds(duration: str) -> float:
    """Seconds in "90s", "30m", "2h", "2d" or "1w"."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smhdw])\s*", duration)
    if not found:
        raise ValueError(f'{duration!r} is no duration: write a number and s, m, h, d or w, as in "2d"')
    return float(found[1]) * _UNITS[found[2]]


def _known(names: "dict[str, str] | tuple[str, ...] | list[str]", known: list[str], what: str) -> None:
    for name in names:
        if name not in known:
            raise ValueError(f"{what} {name!r} is not defined; defined: {', '.join(known)}")
