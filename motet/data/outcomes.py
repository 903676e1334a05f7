"""Outcomes that pose as features: an impression-level column that alone almost tells a label is refused."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from motet.data.arrays import Bools, Numbers
from motet.data.leak import SUSPICIOUS, Suspect, evidence
from motet.data.numbers import values_of
from motet.data.rows import Frame, coded_column
from motet.data.store import Table
from motet.data.vocab import key_strings
from motet.errors import InputError
from motet.schema import FeatureForm, Schema

_FEWEST = 10  # positives and negatives below which an AUC says nothing


def check_leaks(schema: Schema, impressions: Table, labels_TN: Sequence[Numbers], train_N: Bools) -> None:
    """An `InputError` for the first context feature whose AUC against a binary label exceeds 0.9 on train rows.

    Features marked `known_before = true` are trusted. At most 200,000 rows, drawn at random, are looked at.
    """
    rows = evidence(np.flatnonzero(train_N))
    sample, labels_TR = impressions.take(rows), [labels_N[rows] for labels_N in labels_TN]
    for column, feature in schema.features.of("context").items():
        if feature.known_before or feature.form not in {"categorical", "numeric"} or column not in impressions.columns:
            continue
        suspects = _suspects(sample, column, feature.form)
        for task, labels_R in zip(schema.tasks, labels_TR, strict=True):
            value = _told(suspects, labels_R) if task.form == "binary" else 0.5
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
    return _told(_suspects(frame, column, form), labels_R)


def _suspects(frame: Frame, column: str, form: FeatureForm) -> list[Suspect]:
    """A column's values, and whether they are missing where that differs."""
    if form == "categorical":
        keys = coded_column(frame, column)
        ranks = key_strings(keys.values).rank("dense").to_numpy().astype(np.int64)
        return [Suspect(ranks[keys.codes], is_number=False)]
    values = pl.Series(values_of(frame, column))
    absent = values.is_nan()
    return [Suspect.of(values), *([Suspect.of(absent.cast(pl.Int8))] if absent.any() else [])]


def _told(suspects: list[Suspect], labels_R: Numbers) -> float:
    positives, seen = int(np.nansum(labels_R)), int((~np.isnan(labels_R)).sum())
    if min(positives, seen - positives) < _FEWEST:
        return 0.5
    return max(suspect.auc(labels_R.astype(np.float64)) for suspect in suspects)
