"""What the log says about its tasks: which come after which, when labels are known, where a task exists at all."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import polars as pl

from motet.data.arrays import Floats
from motet.data.infer.choice import Choice, Log, TaskChoice, left_out
from motet.data.infer.column import Column, seconds
from motet.data.infer.tasks import labels_of, taken
from motet.data.infer.words import BUY, CART, CLICK, any_means
from motet.schema import Task

FEW = 10
"""Fewer positives than this are no evidence for a chain or a delay."""
_NEVER = 13.8  # −ln of a chance of one in a million


def chain(log: Log, tasks: list[TaskChoice]) -> list[TaskChoice]:
    """Purchases after clicks where none happened without one, each child behind its parent."""
    parents = {choice.task.name: _parent(log, choice, tasks) for choice in tasks}
    ordered: list[TaskChoice] = []

    def place(choice: TaskChoice) -> None:
        if choice.task.name in taken(ordered):
            return
        parent = parents[choice.task.name]
        if parent is None:
            ordered.append(choice)
            return
        place(parent)
        reason = f"none of its {_positives(log, choice.task):,} positives came without {parent.task.name}"
        task = replace(choice.task, after=parent.task.name)
        ordered.append(replace(choice, task=task, reasons=choice.reasons | {"after": reason}))

    for choice in tasks:
        place(choice)
    return ordered


def _positives(log: Log, task: Task) -> int:
    return int((labels_of(log, task) == 1).sum())


def _parent(log: Log, child: TaskChoice, tasks: Sequence[TaskChoice]) -> TaskChoice | None:
    """The rarest click-like task that every positive of a purchase-like one has, too."""
    if child.task.form != "binary" or not any_means(log.columns[child.task.label].words, BUY | CART):
        return None
    own = labels_of(log, child.task)
    found: list[tuple[float, int, TaskChoice]] = []
    for place, other in enumerate(tasks):
        words = log.columns[other.task.label].words
        if other is child or other.task.form != "binary" or not any_means(words, CLICK | CART):
            continue
        above = labels_of(log, other.task)
        with_parent, without = own[above == 1], own[above == 0]
        funnel = (with_parent == 1).sum() >= FEW and (without == 0).sum() >= FEW and not (without == 1).any()
        if funnel and np.nanmean(own) < np.nanmean(above):
            found.append((float(np.nanmean(above)), place, other))
    return min(found)[2] if found else None


def add_delays(log: Log, tasks: list[TaskChoice], free: Sequence[Column]) -> tuple[list[TaskChoice], list[Choice]]:
    """Times that stand in the log beside its time: of an outcome (a delay) or of when a label is known (`known_at`)."""
    if log.time is None or (shown := seconds(log.columns[log.time])) is None:
        return tasks, []
    dropped: list[Choice] = []
    for column in free:
        later = seconds(column)
        if later is None:
            continue
        gap = (later - shown).to_numpy()
        for place, choice in enumerate(tasks):
            if choice.task.delay or choice.task.known_at:
                continue
            if delayed := _delayed(log, choice, column, gap):
                tasks[place] = delayed
                key = "known_at" if delayed.task.known_at else "delay"
                why = f"an outcome's time, used for the {key} of {choice.task.name}; no feature"
                dropped.append(left_out("outcome", column.name, why, warning=False))
                break
    return tasks, dropped


def _delayed(log: Log, choice: TaskChoice, column: Column, gap: Floats) -> TaskChoice | None:
    """The task with a delay if the time is filled just where its label is 1, or with `known_at` if it always is."""
    if choice.task.form != "binary":
        return None
    labels, filled = labels_of(log, choice.task), ~np.isnan(gap)
    positive, negative = labels == 1, labels == 0
    if positive.sum() < FEW or not filled[positive].mean() >= 0.95 or np.nanquantile(gap, 0.01) < 0:
        return None
    longest = float(np.nanquantile(gap[positive], 0.99))
    if longest <= 60 or not negative.any():
        return None
    if filled[negative].mean() <= 0.05:
        text = duration(longest)
        reason = f"99 % of its positives came within {text} ({column.name} less {log.time})"
        return replace(choice, task=replace(choice.task, delay=text), reasons=choice.reasons | {"delay": reason})
    label = set(log.columns[choice.task.label].words)
    related = bool(label & set(column.words)) or (any_means(label, BUY) and any_means(column.words, BUY))
    if filled.mean() < 0.95 or not related:
        return None
    reason = "the label is known from this time on"
    return replace(
        choice, task=replace(choice.task, known_at=column.name), reasons=choice.reasons | {"known_at": reason}
    )


def duration(length: float) -> str:
    """Seconds rounded up to minutes (up to two hours), hours (up to two days) or days."""
    for limit, unit, name in ((7200, 60, "m"), (172_800, 3600, "h")):
        if length <= limit:
            return f"{math.ceil(length / unit)}{name}"
    return f"{math.ceil(length / 86_400)}d"


def limit(log: Log, tasks: list[TaskChoice], kinds: pl.Series | None, scenarios: pl.Series | None) -> list[TaskChoice]:
    """Leave out kinds and scenarios of a task in which its label is never 1 though that would be no chance.

    `kinds` and `scenarios` are those of each row; a value is left out where all its labels are missing, or where it has
    n labels of 0 and (1 - rate elsewhere)ⁿ < 1e-6.
    """
    for key, values in (("kinds", kinds), ("scenarios", scenarios)):
        if values is None:
            continue
        tasks = [_limited(log, choice, key, values.cast(pl.String)) for choice in tasks]
    return tasks


def _limited(log: Log, choice: TaskChoice, key: str, values: pl.Series) -> TaskChoice:
    if choice.task.form != "binary":
        return choice
    frame = pl.DataFrame({"value": values, "label": labels_of(log, choice.task)}).drop_nulls("value")
    label = pl.col("label").fill_nan(None)
    counts = frame.group_by("value", maintain_order=True).agg(ones=label.sum(), seen=label.count())
    alive = counts.filter(pl.col("ones") > 0)
    rate = min(float(alive["ones"].sum()) / max(int(alive["seen"].sum()), 1), 1 - 1e-9)
    dead = counts.filter(
        (pl.col("ones") == 0) & ((pl.col("seen") == 0) | (pl.col("seen") * -math.log1p(-rate) > _NEVER))
    )
    if not alive.height or not dead.height or alive.height + dead.height < counts.height:
        return choice
    kept, gone = sorted(alive["value"]), ", ".join(sorted(dead["value"]))
    task = replace(choice.task, kinds=tuple(kept)) if key == "kinds" else replace(choice.task, scenarios=tuple(kept))
    return replace(choice, task=task, reasons=choice.reasons | {key: f"it never happens in {gone}"})
