"""Prior correction against simulated logs whose negatives were sampled."""

import json
from dataclasses import replace

import numpy as np
import pytest
from contracts.toy import toy
from scipy.special import expit

from motet.batch import Layout
from motet.errors import InputError
from motet.schema import Schema, Task
from motet.scoring import calibrate
from motet.scoring.calibrate import Calibration
from motet.scoring.metrics import Floats
from motet.scoring.sampled import Sampled
from motet.settings import parse

ROWS = 400_000


def layout(kept: float | dict[str, float], of: str = "click") -> Layout:
    found = toy().layout
    return replace(found, tasks=tuple(
        replace(task, negatives_kept=kept) if task.name == of else task for task in found.tasks
    ))  # fmt: skip


def test_a_calibration_of_a_sampled_log_becomes_that_of_the_whole_log() -> None:
    """Clicks and what comes after them, in two scenarios of which one sampled its rows without a click."""
    rng = np.random.default_rng(0)
    scenario, z = rng.integers(2, size=ROWS), rng.normal(size=ROWS)
    click_p, buy_p = expit(z - 2), expit(0.5 * z - 1)
    click = rng.random(ROWS) < click_p
    buy = click & (rng.random(ROWS) < buy_p)
    labels = np.stack([click, buy, np.full(ROWS, 3.0)], 1).astype(np.float64)
    logged = click | (scenario == 0) | (rng.random(ROWS) < 0.1)
    values = np.stack([z, z, np.full(ROWS, 3.0)], 1)
    forms = [task.form for task in toy().layout.tasks]
    fitted = calibrate.fit(values[logged], labels[logged], scenario[logged], scenarios=2, forms=forms)
    true = replace(fitted, sampled=Sampled.of(layout({"mobile": 0.1})))
    for cell in range(2):
        rows = scenario == cell
        found, wrong = (c.apply(values[rows], scenario[rows]).mean(0) for c in (true, fitted))
        assert found[0] == pytest.approx(click[rows].mean(), rel=0.02)
        assert found[1] == pytest.approx(buy[rows].mean(), rel=0.08)  # the product of two sigmoids is not quite one
        assert found[2] == pytest.approx(3.0)
        assert (wrong[0] > 2 * found[0]) == (wrong[1] > 2 * found[1]) == (cell == 1)


def test_log_odds_are_lowered_by_the_log_of_the_share_and_a_child_keeps_its_share_of_the_parent() -> None:
    sampled = Sampled.of(layout(0.2))
    assert sampled is not None
    told = np.array([[[0.5, 0.25, 7.0]]])
    found = sampled.undone(told, np.int64(1))[0, 0]  # type: ignore[arg-type]
    assert found.tolist() == pytest.approx([1 / 6, 1 / 12, 7.0])  # odds 1 → 0.2; a half of the parent as before


def test_a_child_whose_own_negatives_were_sampled_is_corrected_by_itself() -> None:
    sampled = Sampled.of(layout(0.25, of="buy"))
    assert sampled is not None
    assert sampled.undone(np.array([[0.9, 0.5, 7.0]]), np.array([0]))[0].tolist() == pytest.approx([0.9, 0.2, 7.0])


def test_where_all_negatives_are_kept_nothing_is_corrected_and_nothing_is_stored() -> None:
    assert Sampled.of(toy().layout) is None
    assert set(Calibration.identity(2, ["binary"]).to_dict()) == {"slopes", "intercepts", "forms"}


def test_it_is_stored_with_the_calibration() -> None:
    forms = [task.form for task in toy().layout.tasks]
    fitted = replace(Calibration.identity(2, forms), sampled=Sampled.of(layout({"mobile": 0.1})))
    again = Calibration.from_dict(json.loads(json.dumps(fitted.to_dict())))
    values: Floats = np.random.default_rng(0).normal(size=(6, 3))
    scenario = np.arange(6) % 2
    np.testing.assert_array_equal(again.apply(values, scenario), fitted.apply(values, scenario))
    assert not np.allclose(again.apply(values, scenario), replace(fitted, sampled=None).apply(values, scenario))


@pytest.mark.parametrize(
    ("kept", "said"),
    [(0.0, "above 0"), (1.5, "at most 1"), ({"mobil": 0.5}, "'mobil' is not defined")],
)
def test_an_impossible_share_or_an_unknown_scenario_is_an_error(kept: object, said: str) -> None:
    document = {
        "tables": {"impressions": "log.csv"},
        "columns": {"user": "u", "item": "i"},
        "scenarios": [{"name": "mobile"}],
        "tasks": [{"name": "click", "label": "c", "negatives_kept": kept}],
    }
    with pytest.raises(InputError, match=said):
        parse(Schema, document)


def test_a_scenario_that_the_data_does_not_have_is_an_error() -> None:
    with pytest.raises(InputError, match="unknown scenario 'mobil'"):
        Sampled.of(layout({"mobil": 0.5}))


def test_a_regression_has_no_negatives() -> None:
    with pytest.raises(InputError, match="no negatives to keep"):
        parse(Task, {"name": "stars", "label": "s", "form": "regression", "negatives_kept": 0.5})
