"""The matrix of cells: right rows, right numbers, right verdicts, nulls where nothing can be said."""

import json
from dataclasses import replace

import numpy as np
import pytest

from motet.errors import InputError
from motet.evaluate.cells import Cell, cell_table, macro, verdict_counts
from motet.schema import Task
from motet.scoring import metrics

KEYS = [
    "scenario",
    "task",
    "kind",
    "metric",
    "value",
    "low",
    "high",
    "rows",
    "users",
    "positives",
    "positives_valid",
    "auc",
    "gauc",
    "log_loss",
    "ne",
    "ece",
    "accuracy",
    "majority",
    "rmse",
    "solo",
    "delta",
    "delta_low",
    "delta_high",
    "p_holm",
    "verdict",
]
CLICK, STARS = Task(name="click", label="c"), Task(name="stars", label="s", form="regression")
BUY = Task(name="buy", label="b", kinds=("goods",), scenarios=("mobile",))


def table(seeds=3, rows=6000, good=1.0, bad=1.0, seed=0, **changes):
    """Two scenarios, a click and a rating; models see the truth through noise of the given size (`good`: joint)."""
    rng = np.random.default_rng(seed)
    taste = rng.normal(size=rows)
    labels = np.stack([(taste + rng.normal(size=rows) > 0.5).astype(float), 3 + taste + rng.normal(size=rows)], 1)

    def predict(noise):
        seen = taste + noise * rng.normal(size=(seeds, rows))
        return np.stack([1 / (1 + np.exp(-2 * seen + 1)), 3 + seen / (1 + noise**2)], 2).astype(np.float32)

    arguments = {
        "scenarios": ["mobile", "voice"],
        "tasks": [CLICK, STARS],
        "scenario_N": rng.integers(0, 2, rows),
        "user_N": rng.integers(0, 400, rows),
        "labels_NT": labels,
        "joint_RNT": predict(good),
        "solo_RNT": predict(bad),
        "base_rates_ST": np.array([[0.4, 3.0]] * 2),
        "positives_valid_ST": np.array([[70, 0]] * 2),
        "resamples": 200,
    }
    return {**arguments, **changes}


def test_entries_have_exactly_the_keys_of_the_report_and_are_json():
    entries = [cell.to_dict() for cell in cell_table(**table(rows=500))]
    assert all(list(entry) == KEYS for entry in entries)
    assert json.loads(json.dumps(entries, allow_nan=False)) == entries
    assert [(entry["scenario"], entry["task"]) for entry in entries] == [
        ("mobile", "click"),
        ("mobile", "stars"),
        ("voice", "click"),
        ("voice", "stars"),
    ]


def test_numbers_are_the_metrics_on_the_cells_own_rows_averaged_over_seeds():
    given = table(rows=800, bad=2.0)
    given["labels_NT"][::3, 0] = np.nan
    click, stars = cell_table(**given)[:2]
    mobile = given["scenario_N"] == 0
    own = mobile & ~np.isnan(given["labels_NT"][:, 0])
    y, user = given["labels_NT"][own, 0], given["user_N"][own]
    seeds = given["joint_RNT"][:, own, 0]
    assert (click.rows, click.users, click.positives) == (own.sum(), len(set(user)), y.sum())
    assert click.positives_valid == 70
    assert click.value == click.auc == np.mean([metrics.auc(y, p) for p in seeds])
    assert click.gauc == np.mean([metrics.gauc(y, p, user) for p in seeds])
    assert click.ne == np.mean([metrics.ne(y, p, 0.4) for p in seeds])
    assert click.ece == np.mean([metrics.ece(y, p) for p in seeds])
    assert click.majority == 1 - y.mean()
    assert click.solo == np.mean([metrics.auc(y, p) for p in given["solo_RNT"][:, own, 0]])
    assert click.delta == pytest.approx(click.value - click.solo)
    assert click.low < click.value < click.high

    y, seeds = given["labels_NT"][mobile, 1], given["joint_RNT"][:, mobile, 1]
    assert stars.metric == "relative_rmse"
    assert stars.value == pytest.approx(np.mean([metrics.relative_rmse(y, v, 3.0) for v in seeds]))
    assert stars.rmse == pytest.approx(np.mean([metrics.rmse(y, v) for v in seeds]))
    assert stars.ne == pytest.approx(np.mean([metrics.relative_mse(y, v, 3.0) for v in seeds]))
    assert stars.low < stars.value < stars.high
    null = [name for name, value in stars.to_dict().items() if value is None]
    assert null == ["kind", "positives", "positives_valid", "auc", "gauc", "log_loss", "ece", "accuracy", "majority"]


def test_a_planted_gain_and_a_planted_loss_are_found_in_both_forms():
    assert {cell.verdict for cell in cell_table(**table(good=0.5, bad=2.0))} == {"gain"}
    assert {cell.verdict for cell in cell_table(**table(good=2.0, bad=0.5))} == {"loss"}


def test_equal_models_tie_even_without_any_spread():
    given = table()
    given["solo_RNT"] = given["joint_RNT"]
    cells = cell_table(**given)
    assert [(cell.delta, cell.p_holm, cell.verdict) for cell in cells] == [(0, 1, "tie")] * 4
    assert verdict_counts(cells) == {"gain": 0, "tie": 4, "loss": 0, "unclear": 0}


def test_false_verdicts_are_rare_when_nothing_differs():
    counts = [verdict_counts(cell_table(**table(rows=1500, seed=s, resamples=100))) for s in range(40)]
    false = sum(count["gain"] + count["loss"] > 0 for count in counts)
    assert false <= 6  # 5 % of tables under the normal tail; few seeds let a little more through


def test_seeds_that_disagree_widen_the_interval():
    given = table(seeds=2)
    steady = cell_table(**given)[0]
    given["joint_RNT"] = given["joint_RNT"].copy()
    given["joint_RNT"][1, :, 0] = np.random.default_rng(0).random(6000)  # one seed learned nothing
    shaky = cell_table(**given)[0]
    assert shaky.delta_high - shaky.delta_low > 5 * (steady.delta_high - steady.delta_low)
    assert shaky.verdict == "unclear"


def test_without_resamples_the_metrics_are_the_same_and_nothing_is_said_of_their_spread():
    whole, bare = (cell_table(**table(rows=500, solo_RNT=None, resamples=n)) for n in (50, 0))
    assert [(cell.value, cell.ne) for cell in bare] == [(cell.value, cell.ne) for cell in whole]
    assert np.isnan([(cell.low, cell.high) for cell in bare]).all()
    assert {cell.verdict for cell in cell_table(**table(rows=500, resamples=0))} == {"unclear"}


def test_without_solo_models_there_is_no_verdict():
    cells = cell_table(**table(rows=400, solo_RNT=None))
    assert all(cell.to_dict()[key] is None for cell in cells for key in KEYS[KEYS.index("solo") :])
    assert cells[0].to_dict()["low"] is not None
    assert sum(verdict_counts(cells).values()) == 0


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda given: given["labels_NT"].__setitem__((slice(110, None), 0), np.nan), "positives"),
        (lambda given: given.__setitem__("user_N", np.arange(6000) % 29), "users"),
    ],
    ids=["few positives", "few users"],
)
def test_a_small_cell_is_unclear_but_keeps_its_numbers(spoil, why):
    given = table(good=0.2, bad=4.0)
    spoil(given)
    click = cell_table(**given)[0]
    assert click.verdict == "unclear"
    assert np.isnan(click.p_holm)
    assert np.isfinite([click.value, click.low, click.solo, click.delta, click.delta_low]).all()


@pytest.mark.parametrize("label", [0.0, 1.0, np.nan], ids=["all negative", "all positive", "no label"])
def test_a_one_class_or_empty_cell_has_nulls_and_leaves_the_others_alone(label):
    given = table(good=0.5, bad=2.0)
    given["labels_NT"][given["scenario_N"] == 1, 0] = label
    entry = {(c.scenario, c.task): c.to_dict() for c in cell_table(**given)}
    spoiled = entry["voice", "click"]
    assert all(spoiled[key] is None for key in ("value", "low", "high", "auc", "gauc", "solo", "delta", "p_holm"))
    assert spoiled["verdict"] == "unclear"
    assert entry["mobile", "click"]["verdict"] == "gain"


def test_an_empty_table_is_a_table_of_nulls():
    given = table(rows=0)
    cells = cell_table(**given)
    assert [cell.rows for cell in cells] == [0] * 4
    assert macro(cells) == dict.fromkeys(["auc", "gauc", "log_loss", "ne", "ece", "rmse"])


def test_a_task_stands_only_in_its_scenarios_and_names_its_kind():
    cells = cell_table(**table(rows=300, tasks=[BUY, STARS]))
    assert [(c.scenario, c.task, c.kind) for c in cells] == [
        ("mobile", "buy", "goods"),
        ("mobile", "stars", None),
        ("voice", "stars", None),
    ]


def test_a_cell_without_a_solo_model_is_unclear():
    given = table(rows=3000)
    given["solo_RNT"][:, given["scenario_N"] == 0, 0] = np.nan
    first, *rest = cell_table(**given)
    assert (first.verdict, first.to_dict()["delta"]) == ("unclear", None)
    assert all(np.isfinite(cell.p_holm) for cell in rest)


def test_a_train_split_without_the_label_leaves_ne_null():
    click, stars = cell_table(**table(rows=400, base_rates_ST=np.full((2, 2), np.nan)))[:2]
    assert (click.to_dict()["ne"], click.to_dict()["majority"], stars.to_dict()["value"]) == (None, None, None)
    assert np.isfinite([click.auc, stars.rmse]).all()


def test_predictions_that_are_not_finite_or_not_paired_are_refused():
    given = table(rows=300)
    given["joint_RNT"][0, 5, 0] = np.nan
    with pytest.raises(InputError, match=r"1 of \d+ predictions are not finite"):
        cell_table(**given)
    given = table(rows=300)
    with pytest.raises(InputError, match="solo predictions"):
        cell_table(**{**given, "solo_RNT": given["solo_RNT"][:1]})
    with pytest.raises(InputError, match="labels"):
        cell_table(**{**given, "joint_RNT": given["joint_RNT"][:, :-1]})


def test_the_same_seed_gives_the_same_table():
    assert cell_table(**table(rows=500))[0] == cell_table(**table(rows=500))[0]
    assert cell_table(**table(rows=500))[0].low != cell_table(**table(rows=500), seed=1)[0].low


def test_macro_is_unweighted_over_cells_with_enough_of_both_classes():
    def cell(**values):
        base = {
            "scenario": "s",
            "task": "t",
            "kind": None,
            "metric": "auc",
            "value": 0.5,
            "low": 0.4,
            "high": 0.6,
            "rows": 1000,
            "users": 99,
        }
        return Cell(**{**base, "positives": 100, "positives_valid": 0, **values})

    cells = [
        cell(auc=0.6, gauc=0.5, ne=0.9, log_loss=0.3, ece=0.01),
        cell(auc=0.8, gauc=float("nan"), ne=0.7, log_loss=0.5, ece=0.03, rows=50_000),
        cell(auc=0.1, ne=9.0, positives=49),
        cell(auc=0.1, ne=9.0, positives=951),
        cell(metric="relative_rmse", positives=None, rows=50, rmse=1.5, ne=0.2),
        cell(metric="relative_rmse", positives=None, rows=49, rmse=9.0, ne=9.0),
    ]
    assert macro(cells) == pytest.approx(
        {"auc": 0.7, "gauc": 0.5, "log_loss": 0.4, "ne": 0.8, "ece": 0.02, "rmse": 1.5}
    )
    assert macro([replace(cell(), positives=3)]) == dict.fromkeys(["auc", "gauc", "log_loss", "ne", "ece", "rmse"])


def test_one_user_has_a_value_but_no_interval() -> None:
    labels, joint = np.array([[0.0], [1.0], [1.0]]), np.array([[[0.1], [0.4], [0.3]]])
    (cell,) = cell_table(
        scenarios=["all"], tasks=[Task(name="click", label="clicked")], scenario_N=[0, 0, 0], user_N=[7, 7, 7],
        labels_NT=labels, joint_RNT=joint, solo_RNT=joint[:, ::-1], base_rates_ST=[[0.5]], positives_valid_ST=[[1]],
    )  # fmt: skip
    told = cell.to_dict()
    assert told["value"] == 1.0
    assert [told[name] for name in ("low", "high", "delta_low", "delta_high")] == [None] * 4
    assert told["verdict"] == "unclear"
