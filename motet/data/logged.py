"""From cleaned tables to impressions in time order: rows of users and items, labels, splits, and who may see which."""

from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from motet.batch import SPLITS
from motet.data.arrays import Bools, Floats, Ids, Numbers
from motet.data.clean import Clean
from motet.data.clock import is_order_index
from motet.data.coded import Coded
from motet.data.entities import Kinds, entity_table, find_kinds, find_scenarios
from motet.data.features import CLOCK
from motet.data.labels import labels_of
from motet.data.outcomes import check_leaks
from motet.data.split import OF_WHOM, Split, assign, check, first_times, groups
from motet.data.stages import Stages
from motet.data.store import Table
from motet.data.tables import Tables, times_of
from motet.data.vocab import row_numbers
from motet.schema import Scenario, Schema


@dataclass(frozen=True, slots=True, eq=False)
class Logged:
    """N impressions in time order (equal times keep their order) and the tables of who occurs in them.

    Labels are one array for each task. Tasks whose labels are known at once share `time_N` as their known-from times.
    """

    frame: Table  # the impressions' columns, with the clock where times are real
    users: pl.DataFrame
    items: pl.DataFrame
    scenarios: tuple[Scenario, ...]
    kinds: Kinds
    time_N: Floats
    user_N: Ids  # rows of the packed users table
    item_N: Ids
    scenario_N: Ids
    split_N: np.ndarray[tuple[int], np.dtype[np.int8]]
    labels_TN: tuple[Numbers, ...]  # as they became known: for counts and histories
    known_at_TN: tuple[Floats, ...]
    targets_TN: tuple[
        Numbers, ...
    ]  # to learn from and be judged by: train's only if known before what comes after begins
    warnings: tuple[str, ...]

    @property
    def train_N(self) -> Bools:
        return np.equal(self.split_N, SPLITS.index("train"))

    @property
    def late_tasks(self) -> int:
        """Tasks whose labels become known later than their impression."""
        return sum(known_N is not self.time_N for known_N in self.known_at_TN)


def log_impressions(tables: Tables, schema: Schema, cleaning: Clean, splitting: Split, stages: Stages) -> Logged:
    """Everything about the impressions that needs no fitting; leaks and empty splits are an `InputError`."""
    stages.begin("labels")
    impressions, columns = tables.impressions, schema.columns
    time_N = times_of(impressions, schema)
    user_keys, item_keys = impressions.coded(columns.user), impressions.coded(columns.item)
    users = entity_table(tables.users, columns.user, user_keys)
    kinds = find_kinds(entity_table(tables.items, columns.item, item_keys), schema)
    scenarios, scenario_N = find_scenarios(impressions, schema)
    user_N = row_numbers(user_keys, users[columns.user])
    item_N = row_numbers(item_keys, kinds.items[columns.item])
    del user_keys, item_keys
    by_kind = None
    if columns.kind is not None:
        by_kind = Coded(kinds.kind_I[item_N].astype(np.uint32), pl.Series([*kinds.names, None], dtype=pl.String))
    labels = labels_of(impressions, schema, time_N, by_kind)
    stages.begin("split")
    column = None if columns.split is None else impressions[columns.split]
    split_N = assign(schema, splitting, time_N, user_N, scenario_N, column)
    check(split_N, splitting, time_N, user_N, scenario_N, [scenario.name for scenario in scenarios])
    logged = Logged(
        frame=impressions,
        users=users,
        items=kinds.items,
        scenarios=scenarios,
        kinds=kinds,
        time_N=time_N,
        user_N=user_N,
        item_N=item_N,
        scenario_N=scenario_N,
        split_N=split_N,
        labels_TN=labels.values_TN,
        known_at_TN=labels.known_at_TN,
        targets_TN=labels.values_TN,
        warnings=kinds.warnings,
    )
    logged = _cut_off(_with_clock(_in_time(logged), schema), schema, splitting)
    check_leaks(schema, logged.frame, logged.targets_TN, logged.train_N)
    return logged


def _in_time(logged: Logged) -> Logged:
    """The rows in time order."""
    time_N = logged.time_N
    if not np.any(time_N[1:] < time_N[:-1]):
        return logged
    order = np.argsort(time_N, kind="stable")
    sorted_N = time_N[order]
    values_TN = tuple(values[order] for values in logged.labels_TN)
    return replace(
        logged,
        frame=logged.frame.take(order),
        time_N=sorted_N,
        **{name: getattr(logged, name)[order] for name in ("user_N", "item_N", "scenario_N", "split_N")},
        labels_TN=values_TN,
        known_at_TN=tuple(sorted_N if known is time_N else known[order] for known in logged.known_at_TN),
        targets_TN=values_TN,
    )


def _with_clock(logged: Logged, schema: Schema) -> Logged:
    """With the seconds as a column, unless they are an order index."""
    if schema.columns.time is None or is_order_index(pl.Series(logged.time_N)):
        return logged
    parts = logged.frame.parts
    return replace(logged, frame=replace(logged.frame, parts={**parts, CLOCK: parts[schema.columns.time]}))


def _cut_off(logged: Logged, schema: Schema, splitting: Split) -> Logged:
    """Labels of train that become known only after valid begins are unobserved, as are valid's after test begins.

    In a split by user: after that user's valid or test begins. A column may split as it likes: nothing is cut.
    """
    group_N = groups(splitting, logged.user_N, logged.scenario_N)
    if group_N is None or not logged.late_tasks:
        return logged
    targets, warnings = list(logged.targets_TN), list(logged.warnings)
    for place in (0, 1):
        begins_N = first_times(logged.time_N, group_N, logged.split_N > place)[group_N]
        for t, (task, known_N) in enumerate(zip(schema.tasks, logged.known_at_TN, strict=True)):
            if known_N is logged.time_N:
                continue
            late = (logged.split_N == place) & (known_N > begins_N) & ~np.isnan(targets[t])
            if count := int(late.sum()):
                targets[t] = np.where(late, np.float32(np.nan), targets[t])
                when = f"become known only after {SPLITS[place + 1]}{OF_WHOM[splitting.by]} begins and are not used"
                warnings.append(f"{count} labels of {task.name!r} in {SPLITS[place]} {when}")
    return replace(logged, targets_TN=tuple(targets), warnings=tuple(warnings))
