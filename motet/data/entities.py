"""Users, items, scenarios and kinds: who occurs, in which order, and which row of its table each impression means."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from motet.data.arrays import Ids, Numbers
from motet.data.coded import Coded
from motet.data.store import Table
from motet.data.tables import scenario_of
from motet.data.vocab import FIRST_KEY, row_numbers
from motet.errors import InputError
from motet.schema import Scenario, Schema

MOST_SCENARIOS = 200
_NAMELESS_KIND = "item"


@dataclass(frozen=True, slots=True)
class Kinds:
    """The kinds in order, and each item's."""

    names: tuple[str, ...]
    items: pl.DataFrame  # the items table with every kind filled in
    kind_I: Ids  # index into names, of rows of the packed items table (0 for padding and unknown)
    warnings: tuple[str, ...]


def entity_table(table: pl.DataFrame | None, key: str, occurring: Coded) -> pl.DataFrame:
    """One row for each key that occurs in the impressions, in order of appearance, then the table's other keys.

    The table has one row per key, as cleaning leaves it; attributes of keys that it lacks are null.
    """
    keys = occurring.values.gather(occurring.occurring()).alias(key).to_frame()
    if table is None:
        return keys
    every = pl.concat([keys, table.select(key)]).unique(key, keep="first", maintain_order=True)
    return every.join(table, on=key, how="left", maintain_order="left")


def find_scenarios(impressions: Table, schema: Schema) -> tuple[tuple[Scenario, ...], Ids]:
    """The schema's scenarios, or those of the data with the commonest first, and each row's index into them."""
    if schema.columns.scenario is None and len(schema.scenarios) > 1:
        fix = "name the column in [columns] scenario, or define one scenario"
        raise InputError("several scenarios are defined, but no column says which", where="scenarios", fix=fix)
    column = scenario_of(impressions, schema)
    if schema.scenarios:
        names = pl.Series([scenario.name for scenario in schema.scenarios])
        return schema.scenarios, row_numbers(column, names) - np.int32(FIRST_KEY)
    counted = pl.DataFrame({"name": column.values, "count": column.counts()}).filter(pl.col("count") > 0)
    found = counted.sort("count", "name", descending=[True, False])["name"]
    if len(found) > MOST_SCENARIOS:
        raise InputError(
            f"column {schema.columns.scenario!r} has {len(found)} values; at most {MOST_SCENARIOS} scenarios are found",
            where="columns.scenario",
            fix="name a column with fewer values, or list the scenarios as [[scenarios]]",
        )
    return tuple(Scenario(name=name) for name in found), row_numbers(column, found) - np.int32(FIRST_KEY)


def find_kinds(items: pl.DataFrame, schema: Schema) -> Kinds:
    """The schema's kinds, or those of the items with the commonest first; an item without one gets the commonest."""
    column = schema.columns.kind
    if column is None:
        return _one_kind(items, schema)
    found = items[column].drop_nulls().value_counts().sort("count", column, descending=[True, False])[column].to_list()
    if not found:
        raise InputError(f"no item has a kind in column {column!r}", where="columns.kind", fix="leave columns.kind out")
    names = [kind.name for kind in schema.kinds] or found
    lacking = items[column].null_count()
    items = items.with_columns(pl.col(column).fill_null(found[0]))
    kind_I = row_numbers(Coded.of(items[column]), pl.Series(names)) - np.int32(FIRST_KEY)
    kind_I = np.concatenate([np.zeros(FIRST_KEY, np.int32), kind_I])
    warnings = (f"{lacking} items have no kind and are taken for {found[0]!r}",) if lacking else ()
    return Kinds(tuple(names), items, kind_I, warnings)


def vector_array(values: pl.Series) -> Numbers:
    """[R, D] of a column of lists, or of text such as "[0.1, 0.2]"; a missing vector is zero."""
    if values.dtype == pl.String:
        values = values.str.strip_chars("[] ").str.replace_all(r"[,;\s]+", " ").str.split(" ")
    sizes = values.cast(pl.List(pl.Float32), strict=False).list.len().drop_nulls().unique()
    if len(sizes) != 1:
        lengths = ", ".join(str(size) for size in sizes.sort().to_list()) or "none"
        message = f"the vectors of column {values.name!r} should all have one length, not {lengths}"
        raise InputError(message, where=f"features.*.{values.name}", fix="correct the column, or leave it out")
    array = np.zeros((len(values), int(sizes[0])), dtype=np.float32)
    given = values.is_not_null().to_numpy()
    flat = values.drop_nulls().cast(pl.List(pl.Float32), strict=False).explode().fill_null(0.0)
    array[given] = flat.to_numpy().reshape(-1, array.shape[1])
    return np.nan_to_num(array, nan=0.0, posinf=0.0, neginf=0.0)


def _one_kind(items: pl.DataFrame, schema: Schema) -> Kinds:
    if len(schema.kinds) > 1:
        fix = "name the items' kind column in [columns] kind"
        raise InputError("several kinds are defined, but no column says which item has which", where="kinds", fix=fix)
    name = schema.kinds[0].name if schema.kinds else _NAMELESS_KIND
    return Kinds((name,), items, np.zeros(FIRST_KEY + items.height, np.int32), ())
