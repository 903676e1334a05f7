"""A prepared folder as arrays that another package's model can be trained on: the same rows and the same features.

One `.npz` of plain arrays for each folder. Columns of ids, the scenario and the kind among them, hold 0 for nothing, 1
for unknown, then what train has seen. Tags and the items of the history are bags of ids. Numbers, the running
counts among them, are one block, standardised as our models see them. Labels of a regression are standardised by train;
those of test are not in the file. Shapes: N rows, K ids of a bag, P numbers, T tasks.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motet.baselines.matrix import Flat, batches, flatten, number_names
from motet.batch import SPLITS, Layout, Split
from motet.data.dataset import Dataset
from motet.settings import atomic_file

LARGE = 255
"""A field of at least so many ids holds users, items or the like."""
HISTORY = "history"
Arrays = dict[str, NDArray[Any]]


def export(data: Dataset, path: Path) -> Path:
    """Write the file."""
    arrays: Arrays = {"told": np.array(json.dumps(_told(data.layout), allow_nan=False))}
    for split in SPLITS:
        arrays |= {f"{split}/{name}": array for name, array in _columns(data, split).items()}
    with atomic_file(path) as file:
        np.savez(file, **arrays)
    return path


def standardised(layout: Layout) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What is subtracted from the labels of each task and what they are then divided by, [T] each."""
    regression = np.array([task.form == "regression" for task in layout.tasks])
    rates_ST = np.array(layout.base_rates, np.float64)
    seen_ST = np.isfinite(rates_ST)
    mean_T = np.where(seen_ST, rates_ST, 0).sum(0) / np.maximum(seen_ST.sum(0), 1)
    scale_T = np.array(layout.label_scales, np.float64)
    return np.where(regression, mean_T, 0.0), np.where(regression & (scale_T > 0), scale_T, 1.0)


def _told(layout: Layout) -> dict[str, Any]:
    """What the columns are."""
    mean_T, scale_T = standardised(layout)
    rates_ST = (np.array(layout.base_rates, np.float64) - mean_T) / scale_T
    ids = [{"name": _name(i), "size": f.size + 1, "length": f.columns if f.is_bag else 0}
           for i, f in enumerate(layout.fields)]  # fmt: skip
    items = [(i, field) for i, field in enumerate(layout.fields) if field.owner == "item"]
    place, item = items[0]
    ids.append({"name": HISTORY, "size": item.size + 1, "length": layout.history_length, "shares": _name(place)})
    return {
        "ids": ids,
        "large": [*(_name(i) for i, field in enumerate(layout.fields) if field.size >= LARGE), _name(place), HISTORY],
        "numbers": len(number_names(layout)),
        "binary": [task.form == "binary" for task in layout.tasks],
        "base_rates": [[None if np.isnan(rate) else float(rate) for rate in row] for row in rates_ST],
    }


def _columns(data: Dataset, split: Split) -> Arrays:
    layout, parts, histories = data.layout, list[Flat](), list[NDArray[np.int32]]()
    item = layout.of("item")[0]
    for batch in batches(data, data.rows(split)):
        parts.append(flatten(batch))
        events_BL = batch.history.item_ids_BLK[:, -layout.history_length :, 0].numpy()
        padded_BL = np.zeros((len(events_BL), layout.history_length), np.int32)
        padded_BL[:, : events_BL.shape[1]] = _own(events_BL, item.offset)
        histories.append(padded_BL)
    ids_NK, numbers_NP, labels_NT, scenario_N = (
        np.concatenate([getattr(part, name) for part in parts])
        for name in ("ids_NK", "numbers_NF", "labels_NT", "scenario_N")
    )
    found: Arrays = {
        "scenario": scenario_N.astype(np.int32),
        HISTORY: np.concatenate(histories),
        "numbers": numbers_NP,
    }
    if split != "test":
        mean_T, scale_T = standardised(layout)
        found["labels"] = ((labels_NT - mean_T) / scale_T).astype(np.float32)
    first = 0
    for i, field in enumerate(layout.fields):
        own = _own(ids_NK[:, first : first + field.columns], field.offset)
        found[_name(i)], first = own if field.is_bag else own[:, 0], first + field.columns
    return found


def _own(packed: NDArray[np.integer[Any]], offset: int) -> NDArray[np.int32]:
    """Rows of the one table as a field's own ids: 0 pads, 1 is unknown."""
    return np.where(packed > 0, packed - (offset - 1), 0).astype(np.int32)


def _name(place: int) -> str:
    return f"id{place}"
