"""Context features that are outcomes are refused; honest ones pass, whatever the rows' rhythm."""

from typing import Any

import numpy as np
import polars as pl
import pytest
from stored import stored

from motet.data.leak import EVIDENCE_ROWS
from motet.data.outcomes import check_leaks
from motet.errors import InputError
from motet.schema import Schema
from motet.settings import parse


def schema(feature: Any) -> Schema:
    return parse(
        Schema,
        {
            "tables": {"impressions": "x.csv"},
            "columns": {"user": "u", "item": "i"},
            "tasks": [{"name": "click", "label": "clicked"}],
            "features": {"context": {"spent": feature}},
        },
    )


def look(feature: Any, spent: np.ndarray[Any, Any], labels: np.ndarray[Any, Any]) -> None:
    frame = stored(pl.DataFrame({"spent": spent}))
    check_leaks(schema(feature), frame, [labels.astype(np.float32)], np.ones(len(labels), np.bool_))


def test_an_outcome_is_refused_unless_it_is_promised_to_be_known_before() -> None:
    labels = np.random.default_rng(0).integers(0, 2, 2000)
    with pytest.raises(InputError, match=r"'spent' alone tells 'click' with an AUC of 1\.00") as caught:
        look("numeric", labels + 0.5, labels)
    assert caught.value.where == "features.context.spent"
    look({"form": "numeric", "known_before": True}, labels + 0.5, labels)


def test_a_feature_that_tells_only_in_every_second_row_is_no_outcome() -> None:
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, 2 * EVIDENCE_ROWS)
    spent = np.where(np.arange(len(labels)) % 2 == 0, labels, rng.integers(0, 2, len(labels)))
    look("numeric", spent.astype(np.float64), labels)


def test_too_few_labels_say_nothing() -> None:
    labels = np.array([1.0] * 9 + [0.0] * 500)
    look("numeric", labels, labels)
