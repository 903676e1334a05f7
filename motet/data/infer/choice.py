"""What was decided about a column or a task, and why: the one thing that the document and the findings are made of."""

from dataclasses import dataclass, field

from motet.data.infer.column import Column, Table
from motet.schema import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One `key = value` of a section or, where not `active`, the same as a comment; without a key, the value alone."""

    role: str
    column: str
    key: str | None
    value: str | tuple[str, ...] | dict[str, str]
    why: str
    warning: bool = False
    active: bool = True


@dataclass(frozen=True, slots=True)
class TaskChoice:
    """A task, why it is one, and why its other keys have the values that they have."""

    task: Task
    why: str
    reasons: dict[str, str] = field(default_factory=dict)  # key to reason
    warning: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Log:
    """The impressions table with the roles found in it."""

    table: Table
    user: str
    item: str
    time: str | None = None
    request: str | None = None
    scenario: str | None = None

    @property
    def columns(self) -> dict[str, Column]:
        return self.table.columns


def left_out(role: str, column: str, why: str, *, value: str = "…", warning: bool = True) -> Choice:
    """A column that is written as a comment only."""
    return Choice(role=role, column=column, key=column, value=value, why=why, warning=warning, active=False)
