"""The reference of motet.toml, read from the dataclasses: names, types and defaults from the class, words from the
comment behind each field. `tables.py` puts it into schema.md.
"""

import ast
import inspect
import io
import tokenize
import types
import typing
from dataclasses import fields
from typing import Any, Literal, get_args, get_origin

import motet.schema as schema
from motet.baselines import Boost, Ridge
from motet.data.clean import Clean
from motet.data.history import HistorySettings
from motet.data.running import Running
from motet.data.split import Split
from motet.evaluate.plan import Evaluate
from motet.model.next_item import NextItem
from motet.model.presets import presets
from motet.model.ranker import Model, resolve
from motet.settings import defaults
from motet.train.loop import Train
from motet.train.search import Range, Tune

__all__ = ["SECTIONS", "comments", "reference"]

SECTIONS: tuple[tuple[str, str, type[Any]], ...] = (
    ("[tables]", "tables", schema.Tables),
    ("[columns]", "columns", schema.Columns),
    ("[[scenarios]]", "scenarios", schema.Scenario),
    ("[[kinds]]", "kinds", schema.Kind),
    ("[[tasks]]", "tasks", schema.Task),
    ("[features.user], [features.item], [features.context]", "features", schema.Feature),
    ("[[references]]", "references", schema.Reference),
    ("[clean]", "clean", Clean),
    ("[split]", "split", Split),
    ("[running]", "running", Running),
    ("[history]", "history", HistorySettings),
    ("[model]", "model", Model),
    ("[train]", "train", Train),
    ("[next_item]", "next_item", NextItem),
    ("[evaluate]", "evaluate", Evaluate),
    ("[baselines.boosting]", "baselines.boosting", Boost),
    ("[baselines.logistic]", "baselines.logistic", Ridge),
    ("[tune]", "tune", Tune),
)
"""Heading, key in the file, class: in the order of a motet.toml."""

INTRODUCTIONS = {
    "scenarios": "Optional: without any, the scenarios are the values of the scenario column, the commonest first.",
    "kinds": "Optional: without any, the kinds are the values of the kind column.",
    "features": 'Column = form, as in `price = "numeric"`, or a table: `price = { form = "numeric", buckets = 20 }`.',
    "tune": "What `motet tune` searches, and how long: [tuning](tuning.md).",
    "model": f"A preset ({', '.join(f'`{name}`' for name in presets())}) and what differs from it. "
    "The defaults below are those of `motet`.",
}
UNCOMMENTED = {
    ("tables", "impressions"): "the log: one row per item shown; a list of files is one table",
    ("tables", "users"): "one row per user",
    ("tables", "items"): "one row per item",
    ("columns", "user"): "the user's key",
    ("columns", "item"): "the item's key",
    ("columns", "kind"): "the item's kind, a column of the items table",
    ("columns", "request"): "rows of one request are one slate; carried, not used yet",
    (
        "columns",
        "position",
    ): "place in the slate, from 1; read by `model.position` in training, and a feature only if listed as one",
    ("columns", "propensity"): "the logging policy's probability; carried, not used yet",
    ("columns", "split"): 'train, valid or test, for `[split] by = "column"`',
    ("scenarios", "name"): "a value of the scenario column",
    ("scenarios", "description"): "for people; no model reads it yet",
    ("scenarios", "input"): "how one answers there; part of the scenario's prior",
    ("scenarios", "screen"): "what one sees there; part of the scenario's prior",
    ("scenarios", "slate_size"): "items per slate; part of the prior, and the default of `motet recommend`",
    ("kinds", "name"): "a value of the kind column",
    ("kinds", "table"): "`users`: every user is an item of this kind, see [your data](your-data.md#kinds)",
    ("tasks", "name"): "what the report calls it",
    ("tasks", "label"): "the column of the impressions that holds it; empty means unobserved",
    ("tasks", "form"): "a probability, or a value",
    ("tasks", "high"): "its upper end",
    ("references", "name"): "what the report calls it",
    ("features", "form"): "`text` and `vector` are carried through, and not used by the model yet",
    ("clean", "max_item_events_per_day"): "the same for items; 0 is off",
    ("clean", "max_time"): "later rows are removed",
    ("split", "by"): "see [concepts](concepts.md#splits)",
    ("split", "valid"): "share of the rows; of a user's rows with `user_last`",
    ("split", "test"): "likewise",
    ("split", "valid_from"): "a date or a time, with `test_from`: replaces the shares of a split by time",
    ("split", "test_from"): "likewise",
    ("running", "keys"): "combinations of user, item, scenario, kind and categorical features",
    ("history", "length"): "events that a model sees, the last ones",
    ("model", "preset"): "a file of motet/model/presets",
    ("model", "history"): "slot 3, the user's past",
    ("model", "history_width"): "width of an event",
    ("model", "history_layers"): "self-attention blocks, of `attention`",
    ("model", "history_heads"): 'attention heads, of `attention` and of `scenario = "token"`',
    ("model", "scenario"): "slot 4, how the scenario conditions inputs and experts; `token` takes the experts' place",
    ("model", "experts"): 'slot 5; `none` with `scenario = "token"` only',
    (
        "model",
        "expert_count",
    ): "experts; of `ple` the shared ones, each task has half as many of its own; of `stem` a group's",
    ("model", "expert_widths"): "hidden width and output width of an expert",
    ("model", "fusion"): "slot 6, how a cell's voices are joined",
    ("model", "cell_rank"): "rank of the cell voice's adapter",
    ("model", "head_width"): "hidden width of a head, slot 7",
    ("model", "dropout"): "in experts, heads and attention",
    ("train", "seed"): "of weights, order and dropout; seed r of an evaluation is this plus r",
    ("train", "weight_decay"): "of AdamW",
    ("train", "table_weight_decay"): "of the table",
    ("train", "evaluations_per_epoch"): "how often valid is judged, evenly and at the end of each epoch",
    ("evaluate", "split"): "which split is judged",
    ("evaluate", "seeds"): "paired seeds of the model and its controls",
    ("evaluate", "resamples"): "of the bootstrap over users",
    ("evaluate", "baselines"): "which to fit",
    ("evaluate", "presets"): "which to train beside the controls",
    ("baselines.boosting", "leaf_ridge"): "of leaf values",
    ("baselines.boosting", "learning_rate"): "of each tree",
    ("tune", "seeds"): "of each finalist",
}
"""Words for fields that have no comment in the code, by (section, field)."""


def reference() -> str:
    """Every section with a table of its keys."""
    parts = [_section(heading, key, cls) for heading, key, cls in SECTIONS]
    return "\n\n".join([*parts, _BLEND])


def comments(cls: type[Any]) -> dict[str, str]:
    """Field name to the comment behind it."""
    source = inspect.cleandoc(inspect.getsource(cls))
    told = {
        token.start[0]: token.string.lstrip("# ")
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    body = next(node for node in ast.parse(source).body if isinstance(node, ast.ClassDef)).body
    lines = {node.target.id: node.end_lineno for node in body if isinstance(node, ast.AnnAssign)
             if isinstance(node.target, ast.Name)}  # fmt: skip
    return {name: told[line] for name, line in lines.items() if line in told}


def _section(heading: str, key: str, cls: type[Any]) -> str:
    said, types_of = comments(cls), typing.get_type_hints(cls)
    given = vars(resolve({})) if cls is Model else defaults(cls)
    rows = ["| key | value | default | |", "|---|---|---|---|"]
    for field in fields(cls):
        words = said.get(field.name) or UNCOMMENTED.get((key, field.name), "")
        value = _value(given[field.name]) if field.name in given else "required"
        rows.append(f"| `{field.name}` | {_type(types_of[field.name])} | {value} | {_escaped(words)} |")
    doc = inspect.cleandoc(cls.__doc__ or "").split("\n\n", 1)[0].replace("\n", " ")
    intro = "\n\n".join(part for part in (doc, INTRODUCTIONS.get(key)) if part)
    return f"## {key}\n\n`{heading}`\n\n{intro}\n\n" + "\n".join(rows)


def _type(kind: Any) -> str:
    """A type as a person would say it."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Literal:
        return ", ".join(f"`{_toml(value)}`" for value in inner)
    if origin in {types.UnionType, typing.Union}:
        kinds = [part for part in inner if part is not type(None) and not (part is int and float in inner)]
        return " or ".join(map(_type, kinds))
    if origin is tuple:
        whole = len(inner) == 2 and inner[1] is Ellipsis
        return f"list of {_type(inner[0])}" if whole else f"{len(inner)} × {_type(inner[0])}"
    if origin is dict:
        return f"table: name = {_type(inner[1])}"
    if kind is Range:
        return "`{ low = …, high = …, log = false }`"
    names = {str: "text", int: "whole number", float: "number", bool: "`true`, `false`", Any: "values"}
    return names[kind]


def _value(value: object) -> str:
    return "–" if value is None or value == "" else f"`{_toml(value)}`"


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, dict):
        return "{}"
    return f'"{value}"' if isinstance(value, str) else str(value)


def _escaped(words: str) -> str:
    return words.replace("|", r"\|")


_BLEND = """## blend

`[blend]`

Blend weights: task = number for all scenarios, or scenario = table of them; 1 where not named. Those named by
`--weight` of `motet recommend` are replaced.

```toml
[blend]
purchase = 3
[blend.voice]
purchase = 1
```"""
