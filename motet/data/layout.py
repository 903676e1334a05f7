"""The layout of packed columns to JSON and back; nan stands as null."""

import math
from dataclasses import asdict
from typing import Any

from motet.batch import Field, Layout
from motet.schema import Scenario, Task
from motet.settings import parse, plain

_NAMES = ("kinds", "user_numbers", "item_numbers", "context_numbers", "pair_numbers", "label_scales")


def layout_to_dict(layout: Layout) -> dict[str, Any]:
    """Plain JSON values from which `layout_from_dict` makes an equal layout."""
    return {
        "scenarios": plain(layout.scenarios),
        "tasks": plain(layout.tasks),
        "fields": [asdict(field) for field in layout.fields],
        **{name: list(getattr(layout, name)) for name in _NAMES},
        "table_rows": layout.table_rows,
        "base_rates": [[None if math.isnan(rate) else rate for rate in rates] for rates in layout.base_rates],
        "history_length": layout.history_length,
    }


def layout_from_dict(plain_layout: dict[str, Any]) -> Layout:
    """The layout that `layout_to_dict` made plain."""
    rates = tuple(tuple(math.nan if r is None else float(r) for r in row) for row in plain_layout["base_rates"])
    return Layout(
        scenarios=tuple(parse(Scenario, scenario) for scenario in plain_layout["scenarios"]),
        tasks=tuple(parse(Task, task) for task in plain_layout["tasks"]),
        fields=tuple(Field(**field) for field in plain_layout["fields"]),
        **{name: tuple(plain_layout[name]) for name in _NAMES},
        table_rows=plain_layout["table_rows"],
        base_rates=rates,
        history_length=plain_layout["history_length"],
    )
