"""Which columns of the log are labels, and the tasks they make."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from motet.condition import parse_condition
from motet.data.infer.choice import Log, TaskChoice
from motet.data.infer.column import Column, depends_on, names, share, snake
from motet.data.infer.words import KNOWN_BEFORE, OUTCOME, PAST, PROPENSITY, RATING, any_means
from motet.errors import InputError
from motet.schema import Task

_GRADES = RATING | {"label", "relevance", "feedback"}
_MISSING_RATINGS = {-1.0, 0.0}


def find_tasks(log: Log, free: Sequence[Column]) -> list[TaskChoice]:
    """Tasks from the columns that are no role, in the table's order; an `InputError` without any."""
    tasks: list[TaskChoice] = []
    for column in free:
        if why := _is_label(log, column):
            tasks.append(_binary(column, why, taken(tasks)))
        elif _is_rating(column):
            tasks += _rating(column, taken(tasks))
    if not tasks:
        columns = names(column.name for column in free) or "none besides the keys"
        fix = f"add a column of 0 and 1 named after what users did, such as `clicked`; other columns are {columns}"
        raise InputError("no label found: no column says what users did", where=log.table.name, fix=fix)
    return tasks


def taken(tasks: Sequence[TaskChoice]) -> set[str]:
    """The names of tasks so far."""
    return {choice.task.name for choice in tasks}


def is_outcome_name(column: Column) -> bool:
    """A name of what users do after seeing an item, unless it speaks of the past (`is_first_visit`)."""
    return any_means(column.words, OUTCOME) and not any_means(column.words, PAST)


def labels_of(log: Log, task: Task) -> npt.NDArray[np.float32]:
    """0, 1 and NaN of a binary task, its threshold applied."""
    values = log.columns[task.label].labels()
    if task.positive_when is None:
        return values
    threshold = float(task.positive_when.rsplit(" ", 1)[1])
    return np.where(np.isnan(values), np.nan, values >= threshold).astype(np.float32)


def _is_label(log: Log, column: Column) -> str | None:
    """Why a flag is an outcome; None where it is none."""
    if column.sort != "flag" or column.is_constant:
        return None
    if is_outcome_name(column):
        return "its name says what a user did"
    if "is" not in column.words or any_means(column.words, KNOWN_BEFORE | PAST):
        return None
    constant = depends_on(log.table.frame, log.user, column.name) or depends_on(log.table.frame, log.item, column.name)
    return None if constant else "it varies within users and within items"


def _binary(column: Column, why: str, used: set[str]) -> TaskChoice:
    labels = column.labels()
    observed = int((~np.isnan(labels)).sum())
    rate = float(np.nanmean(labels))
    missing = f", observed in {share(observed / column.rows)} of the rows" if observed < column.rows else ""
    task = Task(name=unique(snake(column.name), used), label=column.name)
    return TaskChoice(task, f"{why}; {share(rate)} are 1{missing}")


def _is_rating(column: Column) -> bool:
    """A graded judgement: few values, at most 100, in whole or half steps."""
    if column.sort not in {"whole", "number"} or not any_means(column.words, _GRADES):
        return False
    few = 3 <= column.distinct <= 21 and column.low >= -1 and column.high <= 100
    if not few or any_means(column.words, PROPENSITY):
        return False
    doubled = column.values.drop_nulls().cast(pl.Float64) * 2
    return bool((doubled == doubled.round()).all())


def _rating(column: Column, used: set[str]) -> list[TaskChoice]:
    """The value as a regression and, at three quarters of the scale, a binary task."""
    values = column.labels()
    levels = np.unique(values[~np.isnan(values)]).tolist()
    lowest = min(level for level in levels if level not in _MISSING_RATINGS)
    unrated = lowest >= 1 and bool(_MISSING_RATINGS & set(levels)) and max(levels) in {5.0, 10.0}
    quoted = column_text(column.name)
    observed = f"{quoted} >= {lowest:g}" if unrated and quoted else None
    low, high = (lowest if unrated else min(levels)), max(levels)
    unsaid = f"{share(float(np.mean(values < lowest)))} of the rows say “not rated”"
    reasons = {"observed_when": unsaid} if observed else {}
    name = unique("stars", used)
    stars = Task(name=name, label=column.name, form="regression", observed_when=observed, low=min(levels), high=high)
    found = [
        TaskChoice(
            stars, f"a rating from {low:g} to {high:g}: {len(levels)} values, mean {np.nanmean(values):.3g}", reasons
        )
    ]
    if quoted:
        threshold = _threshold(values[values >= low], low, high)
        rate = float((values[values >= low] >= threshold).mean())
        task = Task(
            name="liked" if "liked" not in used else unique(f"{snake(column.name)}_high", used | {name}),
            label=column.name,
            positive_when=f"{quoted} >= {threshold:g}",
            observed_when=observed,
        )
        why = f"{share(rate)} of the ratings are {threshold:g} or more"
        found.append(TaskChoice(task, why, {"positive_when": f"three quarters up the scale of {low:g} to {high:g}"}))
    return found


def _threshold(ratings: npt.NDArray[np.float32], low: float, high: float) -> float:
    """The lowest rating at three quarters of the scale or more; above the median if (nearly) all or none reach it."""
    levels = np.unique(ratings)
    threshold = float(levels[levels >= low + 0.75 * (high - low)][0])
    if 0.02 <= (ratings >= threshold).mean() <= 0.98:
        return threshold
    above = levels[levels > np.median(ratings)]
    return float(above[0]) if above.size else float(levels[-1])


def column_text(name: str) -> str | None:
    """The column as a condition writes it; None where no spelling is possible."""
    for spelling in (name, f"`{name}`"):
        try:
            if "`" not in name and parse_condition(f"{spelling} = 1"):
                return spelling
        except InputError:
            continue
    return None


def unique(name: str, used: set[str]) -> str:
    """The name, numbered where it is taken."""
    return next(each for each in (name, *(f"{name}_{n}" for n in range(2, len(used) + 3))) if each not in used)
