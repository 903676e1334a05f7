"""The report's first sentence says what happened, and what speaks against it."""

from typing import Any

import pytest

from motet.evaluate.sentence import sentence


def small(**changes: Any) -> dict[str, Any]:
    report: dict[str, Any] = {
        "split": "test",
        "rows": 6012,
        "seeds": 3,
        "macro": {"auc": 0.742},
        "cells": [{"scenario": "voice", "task": "like", "verdict": "loss"}],
        "verdicts": {"gain": 4, "tie": 3, "loss": 1, "unclear": 7},
        "controls": [{"name": "solo", "macro": {"auc": 0.731}}, {"name": "pooled", "macro": {"auc": 0.74}}],
        "baselines": [
            {"name": "logistic", "label": "pooled logistic regression", "macro": {"auc": 0.719}},
            {"name": "boosting", "label": "gradient boosting", "macro": {"auc": 0.735}},
        ],
    }
    return {**report, **changes}


def test_the_whole_result_is_one_sentence() -> None:
    assert sentence(small()) == (
        "On 6,012 held-out impressions the joint model reaches a macro AUC of 0.742 (0.731 for one model per cell, "
        "0.735 for the best baseline, gradient boosting); sharing helped in 4 of 15 cells, hurt in 1 (voice × like), "
        "was a tie in 3 and is unclear in 7."
    )


def test_a_better_baseline_is_said_outright() -> None:
    said = sentence(small(baselines=[{"name": "b", "label": "gradient boosting", "macro": {"auc": 0.751}}]))
    assert "0.742 (0.731 for one model per cell); the best baseline, gradient boosting, is ahead with 0.751;" in said


def test_a_baseline_ahead_by_less_than_is_printed_is_not_called_ahead() -> None:
    said = sentence(small(baselines=[{"name": "b", "macro": {"auc": 0.7421}}]))
    assert "ahead" not in said
    assert "0.742 for the best baseline, b" in said


def test_without_solo_models_no_claim_about_sharing_is_made() -> None:
    said = sentence(small(controls=[], verdicts={"gain": 0, "tie": 0, "loss": 0, "unclear": 0}, cells=[]))
    assert "where sharing helps is not known" in said
    assert "helped" not in said
    assert "one model per cell" not in said


def test_one_seed_is_said_and_three_are_not() -> None:
    assert sentence(small(seeds=1)).endswith("With one seed, training noise is not covered.")
    assert "seed" not in sentence(small())


def test_the_way_to_each_ceiling_is_told_nearest_first() -> None:
    references = [
        {"name": "the oracle", "ceiling": True, "share": 0.567},
        {"name": "the informed oracle", "ceiling": True, "share": 0.856},
        {"name": "production", "ceiling": False, "share": None},
    ]
    said = sentence(small(references=references))
    assert said.endswith("It goes 86 % of the way from the base rate to the informed oracle and 57 % to the oracle.")


def test_many_losses_are_counted_and_some_named() -> None:
    cells = [{"scenario": "s", "task": f"t{i}", "verdict": "loss"} for i in range(5)]
    said = sentence(small(cells=cells, verdicts={"loss": 5, "gain": None}))
    assert "sharing helped in none of 5 cells, hurt in 5 (s × t0, s × t1, s × t2 and 2 more)" in said


def test_a_run_of_regressions_is_told_by_rmse_where_lower_is_better() -> None:
    baselines = [{"name": "mean", "macro": {"rmse": 1.1}}, {"name": "boosting", "macro": {"rmse": 0.9}}]
    said = sentence(small(macro={"auc": None, "rmse": 0.942}, baselines=baselines, controls=[]))
    assert "reaches a macro RMSE of 0.942; the best baseline, boosting, is ahead with 0.900" in said


@pytest.mark.parametrize("report", [{}, {"macro": None, "cells": None, "verdicts": None, "rows": None}])
def test_an_empty_report_says_that_there_is_no_number(report: dict[str, Any]) -> None:
    said = sentence(report)
    assert said.startswith("On held-out impressions no cell has enough positives and negatives")
    assert "None" not in said


def test_valid_rows_are_not_called_held_out() -> None:
    assert sentence(small(split="valid")).startswith("On 6,012 impressions of the valid split the joint model")
