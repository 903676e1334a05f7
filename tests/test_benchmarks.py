"""What a benchmark prints has the keys that its figures are read by, taken from the report."""

import json
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest

from benchmarks import amazon3, memory, scoring
from benchmarks.common import Benchmark, summary
from motet.baselines import BASELINES
from motet.data.dataset import Dataset
from motet.evaluate.verdict import VERDICTS

KEYS = {"macro_auc", "macro_ne", "baselines", "controls", "presets", "verdicts", "cells", "seconds"}


@pytest.fixture(scope="module")
def report(evaluated: Path) -> Any:
    return json.loads((evaluated / "report.json").read_text(encoding="utf-8"))


def test_the_keys_and_where_they_come_from(report: Any) -> None:
    found = summary(report, Benchmark("market", None), 12.34)
    assert set(found) >= KEYS
    assert found["macro_auc"] == pytest.approx(report["macro"]["auc"], abs=1e-4)
    assert found["macro_ne"] == pytest.approx(report["macro"]["ne"], abs=1e-4)
    assert set(found["baselines"]) == set(BASELINES)
    assert set(found["controls"]) == set(found["controls_ne"]) == {"solo", "pooled"}
    assert all(isinstance(value, float) for group in ("baselines", "controls") for value in found[group].values())
    assert set(found["presets"]) >= {"lstm-fusion"}
    assert set(found["presets_ne"]) == set(found["presets"])
    assert found["presets_ne"]["lstm-fusion"] == pytest.approx(
        next(entry for entry in report["presets"] if entry["name"] == "lstm-fusion")["macro"]["ne"], abs=0.05
    )
    assert set(found["verdicts"]) == set(VERDICTS)
    assert found["cells"] == report["cells"]
    assert found["seconds"] == 12.3


def test_baselines_are_compared_on_the_cells_that_count_for_us(report: Any) -> None:
    found = summary(report, Benchmark("market", None), 1.0)
    large = {(c["scenario"], c["task"]) for c in report["cells"] if c["auc"] and 50 <= c["positives"] <= c["rows"] - 50}
    logistic = next(entry for entry in report["baselines"] if entry["name"] == "logistic")
    values = [cell["value"] for cell in logistic["cells"] if (cell["scenario"], cell["task"]) in large]
    assert found["baselines"]["logistic"] == pytest.approx(sum(values) / len(values), abs=1e-4)


def test_the_macro_is_over_the_chosen_tasks_only(report: Any) -> None:
    clicks = [c["auc"] for c in report["cells"] if c["task"] == "click" and 50 <= c["positives"] <= c["rows"] - 50]
    found = summary(report, Benchmark("market", None, ("click",)), 1.0)
    assert found["macro_auc"] == pytest.approx(sum(clicks) / len(clicks), abs=1e-4)
    assert summary(report, Benchmark("market", None, ("stars",)), 1.0)["macro_auc"] is None


def test_it_is_json(report: Any) -> None:
    json.dumps(summary(report, Benchmark("market", None), 1.0), allow_nan=False)


@pytest.mark.parametrize(("final", "split"), [(False, "valid"), (True, "test")])
def test_amazon_ranks_every_user_of_every_category_by_every_model(tmp_path: Path, final: bool, split: str) -> None:
    for category, users in (("Beauty", 30), ("Toys", 20)):
        chains = [[f"{category[0]}{(user * 7 + k) % 40}" for k in range(5 + user % 4)] for user in range(users)]
        lines = [" ".join([f"u{user}", *chain]) for user, chain in enumerate(chains)]
        (tmp_path / f"{category}.user_sequence.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    found = amazon3.run(Namespace(data=tmp_path, work=tmp_path / "work", final=final))
    assert (found["benchmark"], found["split"]) == ("amazon3", split)
    entries = {(entry["scenario"], entry["model"]): entry for entry in found["ranking"]}
    assert set(entries) == {(s, model) for s in ("Beauty", "Toys") for model in amazon3.MODELS}
    assert [entries[s, "item-knn"]["users"] for s in ("Beauty", "Toys")] == [30, 20]
    # the next item of a chain stands beside the last ones, which neighbours know and popularity does not
    assert entries["Beauty", "item-knn"]["hit@10"] > entries["Beauty", "popularity"]["hit@10"]
    json.dumps(found, allow_nan=False)


def test_what_a_smaller_table_loses_is_told_by_cell_and_fp32_loses_nothing(trained: Path, report: Any) -> None:
    found = memory.losses(trained)
    assert set(found) == {"fp32", "fp16", "int8"}
    wanted = {f"{c['scenario']} × {c['task']}": c["auc"] for c in report["cells"] if enough(c)}
    assert set(found["fp32"]["cells"]) == set(wanted) != set()
    assert set(found["fp32"]["cells"].values()) == {0.0}
    assert found["fp32"]["macro_auc"] == pytest.approx(sum(wanted.values()) / len(wanted), abs=1e-4)
    assert 0 <= found["int8"]["mean_change"] < 0.02
    json.dumps(found, allow_nan=False)


def enough(cell: Any) -> bool:
    return cell["auc"] is not None and 50 <= cell["positives"] <= cell["rows"] - 50


def test_scoring_counts_every_pair_of_the_full_ranker_and_tells_a_share_of_its_limit(trained: Path) -> None:
    market = trained.parent.parent
    found = scoring.ranker(market, rounds=1, threads=1)
    data = Dataset.open(market / "prepared")
    kinds, scenarios = range(len(data.layout.kinds)), range(len(data.layout.scenarios))
    items = sum(len(data.catalogue(s, k)) for s in scenarios for k in kinds)
    assert 0 < found["pairs"] <= scoring.USERS * items
    assert found["limit_share"] > 0
    assert found["flops_per_pair"] > 100_000


def test_scoring_by_products_tells_its_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring, "ITEMS", 500)
    found = scoring.products(users=20, rounds=1)
    assert (found["users"], found["items"], found["best"]) == (20, 500, scoring.BEST)
    json.dumps(found, allow_nan=False)
