"""What a benchmark prints has the keys that its figures are read by, taken from the report."""

import json
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks import (
    amazon3,
    balancing,
    contended,
    from_lightgbm,
    limit,
    memory,
    metrics,
    profile,
    robustness,
    scaling,
    scoring,
    serve,
    throughput,
)
from benchmarks.common import Benchmark, summary
from benchmarks.workload import Workload
from motet.baselines import BASELINES
from motet.data.dataset import Dataset
from motet.data.sources.market import Market
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
    found = amazon3.run(
        Namespace(data=tmp_path, work=tmp_path / "work", final=final, quick=True, force=True, seeds=3, threads=1)
    )
    assert (found["benchmark"], found["split"]) == ("amazon3", split)
    entries = {(entry["scenario"], entry["model"]): entry for entry in found["ranking"]}
    models = (amazon3.OURS, "popularity", "item-knn")
    assert set(entries) == {(s, model) for s in ("Beauty", "Toys") for model in models}
    assert [training["epochs"] for training in found["trainings"]] == [amazon3.QUICK_EPOCHS]
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


def test_the_matrix_that_is_timed_has_every_cell_and_an_interval_of_each() -> None:
    found = metrics.run(rows=20_000, users=400, resamples=50, threads=1)
    assert found["cells"] == len(metrics.SCENARIOS) * len(metrics.BASE_RATES)
    assert 0 < found["widest_interval"] < 1
    assert found["seconds"]["metrics_and_bootstrap"] > 0
    json.dumps(found, allow_nan=False)


def test_the_limit_counts_forward_and_backward_of_a_product() -> None:
    left, right = torch.ones(3, 5, requires_grad=True), torch.ones(5, 7, requires_grad=True)
    found = limit.products(lambda: (left @ right).sum().backward())
    assert sum(times * product.flops for product, times in found.items()) == 3 * 2 * 3 * 5 * 7


@pytest.mark.parametrize(("causal", "share"), [(False, 1.0), (True, 0.5)])
def test_the_limit_counts_the_pairs_that_attention_looks_at(causal: bool, share: float) -> None:
    query, key, value = (torch.ones(2, 3, 8, 4, requires_grad=True) for _ in range(3))

    def attend() -> None:
        torch.nn.functional.scaled_dot_product_attention(query, key, value, is_causal=causal).sum().backward()

    flops = sum(times * product.flops for product, times in limit.products(attend).items())
    assert flops == share * 6 * (2 * 3) * 2 * 8 * 8 * 4


def test_the_exponent_of_a_power_law_is_found_within_its_interval() -> None:
    sizes = [1e3, 2e3, 4e3, 8e3]
    exponent, (low, high) = scaling.power_law(sizes, [3 * size**-0.25 for size in sizes])
    assert exponent == low == high == 0.25
    noise = np.array([1.01, 0.99, 1.0, 1.01])
    exponent, (low, high) = scaling.power_law(sizes, list(3 * np.array(sizes) ** -0.25 * noise))
    assert low < 0.25 < high
    assert low < exponent < high


def test_throughput_compares_round_by_round_and_leaves_out_a_peer_that_gave_up() -> None:
    first, second = throughput.PEERS[:2]
    walls = {"ours": (1.0, 2.0, 1.0), "small": (0.5, 1.0, 1.0), first: (2.0, 6.0, 3.0), second: (9.0, None, 9.0)}
    asked: Any = {
        name: [wall and {"wall": wall, "processor": wall} for wall in told] for name, told in walls.items()
    } | {"limit": [{"rows_per_second": 512 * rate} for rate in (2, 2, 2)]}
    found = throughput.summary(Workload(batch=512), asked, dict.fromkeys(walls, "1"))
    assert (found["ours"], found["limit_share"]) == (512, 0.5)
    assert found["ratio_to_best_peer"] == 3.0
    assert found["peers"][second] is None
    assert found["step_time_to_small_table"] == 2.0


def test_the_profile_gives_backward_to_the_part_whose_gradient_it_is() -> None:
    layer = torch.nn.Linear(64, 64)
    rows = torch.ones(256, 64, requires_grad=True)
    call = profile._labelled(profile.PART + "layer", layer.forward)
    parts = profile.spent(lambda: call(rows).sum().backward(), steps=1)
    assert parts["layer"].forward > 0
    assert parts["layer"].backward > 0
    assert parts["the rest"].operations >= 1


def test_the_page_for_users_of_lightgbm_runs_and_both_are_judged_on_the_same_cells(tmp_path: Path) -> None:
    found = from_lightgbm.run(tmp_path, Market(users=150, goods=80, content=60, impressions=10_000))
    assert set(found["cells"]["script"]) == set(found["cells"]["motet"]) != set()
    assert all(0.3 < auc < 1 for of in found["cells"].values() for auc in of.values())
    assert found["test_rows"] == 1_000
    assert found["lines"]["script"] > found["lines"]["motet"] > 5
    json.dumps(found, allow_nan=False)


def test_serving_is_timed_over_http_and_tells_what_was_asked(tmp_path: Path) -> None:
    found = serve.run(tmp_path, {"users": 150, "goods": 260, "content": 60, "impressions": 8_000}, seconds=1.0)
    assert (found["history"], found["tasks"], found["requests"]) == (50, 3, 5)
    assert found["ranked"] >= serve.CANDIDATES
    for sort in ("candidates", "catalogue", "events"):
        assert 0 < found[sort]["p50_ms"] <= found[sort]["p99_ms"] <= found[sort]["worst_ms"]
    assert found["ready_seconds"] > 0
    json.dumps(found, allow_nan=False)


def test_contended_times_every_spin_count_alone_and_beside_other_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contended, "WORK", Workload(batch=64, ids_per_field=50, rows=2048, fields=4, hidden=8, width=4))
    monkeypatch.setattr(contended, "SPINS", {"default": "", "ours": "1000"})
    found = contended.measure(rounds=1)
    assert set(found) == {"default", "ours"}
    assert found["default"]["beside_to_default"] == 1
    assert all(figures["alone_ms"] > 0 for figures in found.values())


def test_damage_is_done_to_train_alone(trained: Path) -> None:
    data = Dataset.open(trained.parent.parent / "prepared")
    train, valid = data.rows("train"), data.rows("valid")
    flipped = robustness.Damaged(data, robustness.Damage(0.3), 0)
    binary = np.array([task.form == "binary" for task in data.layout.tasks])
    before, after = data.labels(train)[:, binary], flipped.labels(train)[:, binary]
    seen = ~np.isnan(before)
    assert np.mean(before[seen] != after[seen]) == pytest.approx(0.3, abs=0.02)
    np.testing.assert_array_equal(np.isnan(after), ~seen)
    np.testing.assert_array_equal(flipped.labels(train)[:, ~binary], data.labels(train)[:, ~binary])
    np.testing.assert_array_equal(flipped.batch(train).labels_BCT[:, 0].numpy(), flipped.labels(train))  # type: ignore[index]
    rates = np.nanmean(np.where(data.scenarios(train)[:, None] == 0, flipped.labels(train), np.nan), 0)
    np.testing.assert_allclose(flipped.layout.base_rates[0], rates, rtol=1e-4)
    shuffled = robustness.Damaged(data, robustness.Damage(shuffled=True), 0)
    clean, damaged = data.batch(train), shuffled.batch(train)
    assert sorted(clean.item_BC[:, 0].tolist()) == sorted(damaged.item_BC[:, 0].tolist())
    assert (clean.item_BC != damaged.item_BC).float().mean() > 0.5
    assert torch.equal(clean.pair_numbers_BCN, damaged.pair_numbers_BCN)
    few = robustness.Damaged(data, robustness.Damage(kept=0.1), 0)
    assert len(few.rows("train")) == round(0.1 * len(train))
    for one in (flipped, shuffled, few):
        np.testing.assert_array_equal(one.rows("valid"), valid)
        np.testing.assert_array_equal(one.labels(valid), data.labels(valid))
        assert torch.equal(one.batch(valid).item_ids_BCK, data.batch(valid).item_ids_BCK)


def test_balancers_and_damage_are_told_by_differences_paired_by_seed() -> None:
    keys = ("auc", "ne", "seconds", "step_ms")
    runs = [dict(zip(keys, told, strict=True)) for told in ((0.8, 0.9, 4.0, 2.0), (0.7, 0.8, 2.0, 2.0))]
    static = [dict(zip(keys, told, strict=True)) for told in ((0.7, 0.9, 2.0, 1.0), (0.6, 0.8, 1.0, 1.0))]
    found = balancing.entry("famo", runs, static)
    assert found["auc_to_static"] == {"mean": 0.1, "std": 0.0}
    assert (found["auc"]["mean"], found["seconds_to_static"], found["step_ms_to_static"]) == (0.75, 2.0, 2.0)
    assert robustness.entry("features", "motet", [0.7, 0.7], [0.8, 0.9])["drop"] == {"mean": 0.15, "std": 0.0707}
    assert robustness.entry("features", "motet", [0.7], [0.8])["drop"]["std"] is None
