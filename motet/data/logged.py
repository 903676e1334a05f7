"""From cleaned tables to impressions in time order: rows of users and items, labels, splits, and who may see which."""

from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from motet.batch import SPLITS
from motet.data.arrays import Bools, Floats, Ids, Ints, Numbers
from motet.data.clean import ROW, Clean
from motet.data.entities import Kinds, entity_table, find_kinds, find_scenarios
from motet.data.features import CLOCK
from motet.data.files import RawTables
from motet.data.labels import labels_of
from motet.data.outcomes import check_leaks
from motet.data.split import OF_WHOM, Split, assign, check, groups
from motet.data.stages import Stages
from motet.data.tables import is_order_index, times_of
from motet.data.vocab import row_numbers
from motet.schema import Scenario, Schema


@dataclass(frozen=True, slots=True, eq=False)
class Logged:
    """N impressions in time order (equal times keep their order) and the tables of who occurs in them."""

    frame: pl.DataFrame  # the impressions' columns, with the clock where times are real
    users: pl.DataFrame
    items: pl.DataFrame
    scenarios: tuple[Scenario, ...]
    kinds: Kinds
    row_N: Ints  # place in the files, from 0
    time_N: Floats
    user_N: Ids  # rows of the packed users table
    item_N: Ids
    scenario_N: Ids
    split_N: np.ndarray[tuple[int], np.dtype[np.int8]]
    labels_NT: Numbers  # as they became known: for counts and histories
    known_at_NT: Floats
    targets_NT: Numbers  # to learn from and be judged by: train's only if known before what comes after begins
    warnings: tuple[str, ...]

    @property
    def train_N(self) -> Bools:
        return np.equal(self.split_N, SPLITS.index("train"))


def log_impressions(tables: RawTables, schema: Schema, cleaning: Clean, splitting: Split, stages: Stages) -> Logged:
    """Everything about the impressions that needs no fitting; leaks and empty splits are an `InputError`."""
    stages.begin("labels")
    impressions, columns = tables.impressions.drop(ROW), schema.columns
    users = entity_table(tables.users, columns.user, impressions[columns.user])
    kinds = find_kinds(entity_table(tables.items, columns.item, impressions[columns.item]), schema)
    scenarios, scenario_N = find_scenarios(impressions, schema)
    time_N = times_of(impressions, schema)
    user_N = row_numbers(impressions[columns.user], users[columns.user])
    item_N = row_numbers(impressions[columns.item], kinds.items[columns.item])
    kind_N = None if columns.kind is None else np.array(kinds.names)[kinds.kind_I[item_N]]
    labels = labels_of(impressions, schema, time_N, kind_N)
    stages.begin("split")
    column = None if columns.split is None else impressions[columns.split]
    split_N = assign(schema, splitting, time_N, user_N, scenario_N, column)
    check(split_N, splitting, time_N, user_N, scenario_N, [scenario.name for scenario in scenarios])
    order = np.argsort(time_N, kind="stable")
    known_at_NT = np.maximum(labels.known_at_NT, time_N[:, None])[order]
    logged = Logged(
        frame=_with_clock(impressions[order], time_N[order], schema),
        users=users,
        items=kinds.items,
        scenarios=scenarios,
        kinds=kinds,
        row_N=tables.impressions[ROW].to_numpy().astype(np.int64)[order],
        time_N=time_N[order],
        user_N=user_N[order],
        item_N=item_N[order],
        scenario_N=scenario_N[order],
        split_N=split_N[order],
        labels_NT=labels.values_NT[order],
        known_at_NT=known_at_NT,
        targets_NT=labels.values_NT[order],
        warnings=kinds.warnings,
    )
    logged = _cut_off(logged, schema, splitting)
    check_leaks(schema, logged.frame, logged.targets_NT, logged.train_N)
    return logged


def _with_clock(frame: pl.DataFrame, time_N: Floats, schema: Schema) -> pl.DataFrame:
    """The frame with its seconds, unless they are an order index."""
    seconds = pl.Series(CLOCK, time_N)
    if schema.columns.time is None or is_order_index(seconds):
        return frame
    return frame.with_columns(seconds)


def _cut_off(logged: Logged, schema: Schema, splitting: Split) -> Logged:
    """Labels of train that become known only after valid begins are unobserved, as are valid's after test begins.

    In a split by user: after that user's valid or test begins. A column may split as it likes: nothing is cut.
    """
    group_N = groups(splitting, logged.user_N, logged.scenario_N)
    if group_N is None:
        return logged
    targets, warnings = logged.targets_NT.copy(), list(logged.warnings)
    for place in (0, 1):
        begins = np.full(int(group_N.max(initial=0)) + 1, np.inf)
        later_N = logged.split_N > place
        np.minimum.at(begins, group_N[later_N], logged.time_N[later_N])
        own_N = logged.split_N == place
        late = own_N[:, None] & (logged.known_at_NT > begins[group_N][:, None]) & ~np.isnan(targets)
        targets[late] = np.nan
        for task, count in zip(schema.tasks, late.sum(axis=0), strict=True):
            if count:
                when = f"become known only after {SPLITS[place + 1]}{OF_WHOM[splitting.by]} begins and are not used"
                warnings.append(f"{count} labels of {task.name!r} in {SPLITS[place]} {when}")
    return replace(logged, targets_NT=targets, warnings=tuple(warnings))
