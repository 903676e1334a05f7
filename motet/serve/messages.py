"""What the service is told and what it answers: checked strictly, an unknown field is an error."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

MOST_ITEMS, MOST_IDS, MOST_EVENTS = 1_000, 10_000, 1_000
"""Bounds of one request: places of a slate, ids in a list, events."""
_LARGEST_WEIGHT = 1e6

Id = Annotated[str, Field(min_length=1, max_length=512)]
Name = Annotated[str, Field(min_length=1, max_length=200)]
Time = Annotated[float | str, Field(union_mode="left_to_right")]
Labels = Annotated[dict[Name, float], Field(max_length=200)]


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, frozen=True)


class PastEvent(_Message):
    """One event of a history that comes with a request."""

    item_id: Id
    scenario: Name | None = Field(default=None, description="where it happened; left out: where the request is made")
    time: Time | None = Field(
        default=None, description="seconds since 1970 or ISO text; left out: a minute before the next"
    )
    labels: Labels = Field(default={}, description="task to value: what came of it")


class Recommend(_Message):
    """A request for slates."""

    user_id: Id | None = Field(default=None, description="left out or never seen: answered as an unknown user")
    history: list[PastEvent] | None = Field(
        default=None, max_length=MOST_IDS, description="stands for the user's own events, oldest first"
    )
    scenario: Name | None = Field(default=None, description="may be left out where there is only one")
    kinds: list[Name] = Field(default=[], max_length=200, description="one slate each; left out: all")
    n: int | None = Field(
        default=None, ge=1, le=MOST_ITEMS, description="items per slate; left out: the scenario's slate size"
    )
    weights: dict[Name, Annotated[float, Field(ge=-_LARGEST_WEIGHT, le=_LARGEST_WEIGHT)]] = Field(
        default={}, max_length=200, description="blend weights of tasks, instead of the bundle's"
    )
    context: dict[Name, Annotated[str, Field(max_length=1_000)] | int | float | bool] = Field(
        default={}, max_length=200, description="features of the request; what is left out counts as missing"
    )
    exclude: list[Id] = Field(default=[], max_length=MOST_IDS, description="items to leave out")
    candidates: list[Id] | None = Field(
        default=None, min_length=1, max_length=MOST_IDS, description="rank these and no others, seen or not"
    )
    seen: bool = Field(default=False, description="keep items that the user has been shown")
    time: Time | None = Field(
        default=None,
        description="when the request is made; left out, or before the last event: just after the last event",
    )


class Place(_Message):
    """One place of a slate."""

    item_id: str
    score: float | None = Field(description="what orders the slate; null in a fallback")
    predictions: dict[str, float] = Field(
        description="of tasks that apply to the kind: a probability, or a value; empty in a fallback"
    )
    text: str | None = Field(description="the item's first text feature")


class Slate(_Message):
    """The ordered answer for one kind."""

    kind: str
    answer: Literal["personal", "unknown_user", "fallback"] = Field(
        description="ranked by what is known of the user; ranked as for a user of whom nothing is known; or, where the "
        "ranker was not free in time, popular items, the same for everybody"
    )
    items: list[Place]


class Slates(_Message):
    """The answer to a request."""

    user_id: str | None
    scenario: str
    bundle: str = Field(description="the fingerprint of the bundle that answered")
    slates: list[Slate]


class NewEvent(_Message):
    """An impression, and what is known to have come of it."""

    event_id: Id = Field(description="telling the same id again changes nothing")
    user_id: Id
    item_id: Id
    scenario: Name | None = Field(default=None, description="may be left out where there is only one")
    time: Time | None = Field(
        default=None, description="seconds since 1970 or ISO text; left out only where the log has no times"
    )
    labels: Labels = Field(default={}, description="task to value; a task that is left out is not observed")


class NewEvents(_Message):
    """Events, in the order in which they happened."""

    events: list[NewEvent] = Field(min_length=1, max_length=MOST_EVENTS)


class Accepted(_Message):
    """What became of events; it is sent when they are on the disk and counted."""

    accepted: int = Field(description="events that were new")
    duplicates: int = Field(description="events whose id was known, which change nothing")
    unknown_items: int = Field(description="new events of items that the bundle does not know")


class Status(_Message):
    """Whether requests are answered."""

    status: str
    bundle: str
    events: int
    clock: float = Field(description="just after all that is known: requests without a time are made then")


class Problem(_Message):
    """What is wrong with a request, as RFC 9457 has it, with where it stands and what would be right."""

    type: str
    title: str
    status: int
    detail: str
    where: str
    fix: str
