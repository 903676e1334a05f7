"""Outcomes that pose as features: an impression-level column that alone almost tells a label is refused."""

import numpy as np
import polars as pl

from motet.data.arrays import Bools, Numbers
from motet.data.leak import SUSPICIOUS, evidence, single_column_auc
from motet.data.numbers import values_of
from motet.data.tags import column_of
from motet.data.vocab import key_strings
from motet.errors import InputError
from motet.schema import FeatureForm, Schema

_FEWEST = 10  # positives and negatives below which an AUC says nothing


def check_leaks(schema: Schema, impressions: pl.DataFrame, labels_NT: Numbers, train_N: Bools) -> None:
    """An `InputError` for the first context feature whose AUC against a binary label exceeds 0.9 on train rows.

    Features marked `known_before = true` are trusted. At most 200,000 rows, drawn at random, are looked at.
    """
    rows = evidence(np.flatnonzero(train_N))
    frame, labels_RT = impressions[rows], labels_NT[rows]
    for column, feature in schema.features.of("context").items():
        if feature.known_before or feature.form not in {"categorical", "numeric"}:
            continue
        for place, task in enumerate(schema.tasks):
            value = telling(frame, column, feature.form, labels_RT[:, place]) if task.form == "binary" else 0.5
            if value > SUSPICIOUS:
                raise InputError(
                    f"column {column!r} alone tells {task.name!r} with an AUC of {value:.2f}: "
                    "it looks like an outcome, known only after the impression",
                    where=f"features.context.{column}",
                    fix=f'take it out, or promise `{column} = {{ form = "{feature.form}", known_before = true }}`',
                )


def telling(frame: pl.DataFrame, column: str, form: FeatureForm, labels_R: Numbers) -> float:
    """How well a column alone tells a binary label, as an AUC: the better of its value and of its being missing.

    0.5 with fewer than ten observed positives or negatives.
    """
    positives, seen = int(np.nansum(labels_R)), int((~np.isnan(labels_R)).sum())
    if min(positives, seen - positives) < _FEWEST:
        return 0.5
    labels = labels_R.astype(np.float64)
    if form == "categorical":
        return single_column_auc(key_strings(column_of(frame, column)), labels)
    values = pl.Series(values_of(frame, column))
    return max(single_column_auc(values, labels), single_column_auc(values.is_nan().cast(pl.Int8), labels))
