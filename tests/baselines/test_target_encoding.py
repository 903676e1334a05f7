"""Target encodings: honest on train, and reading exactly the columns that are the task's."""

from dataclasses import replace

import numpy as np
import torch
from contracts.toy import Toy, toy
from numpy.testing import assert_allclose

from motet.baselines.linear import losses
from motet.baselines.matrix import number_names
from motet.baselines.popularity import Popularity
from motet.baselines.target_encoding import RunningTargetEncoding, StaticTargetEncoding, rate_columns
from motet.schema import Task
from motet.scoring.metrics import auc


def click_scores(ranker: StaticTargetEncoding | RunningTargetEncoding | Popularity, data: Toy) -> torch.Tensor:
    return ranker.score(data.batch(data.rows("test"))).logits_BCT[:, 0, 0]


def test_users_and_items_together_beat_items_alone() -> None:
    data = Toy(rows=4000)
    clicks = data.labels_NT[data.rows("test"), 0]
    static = auc(clicks, click_scores(StaticTargetEncoding.fit(data), data))
    assert static > auc(clicks, click_scores(Popularity.fit(data), data)) + 0.03
    assert static > 0.8


def test_noise_is_not_believed() -> None:
    """Of forty users and items with few rows each, in-sample rates would promise an AUC far from one half."""
    data = toy()
    noise = (np.random.default_rng(5).random(data.labels_NT.shape) < 0.5).astype(float)
    data = data.relabelled(noise)
    scores = click_scores(StaticTargetEncoding.fit(data), data)[:, None].numpy()
    assert losses(scores, data.labels_NT[data.rows("test"), :1], ["binary"])[0] < np.log(2) * 1.02


def test_folds_keep_a_row_from_its_own_label() -> None:
    """Every user is seen once: what a row could know of its user is only its own label, which must not leak."""
    data = Toy(rows=600, users=600)
    data.user_N = 2 + np.arange(600)
    noise = (np.random.default_rng(1).random(data.labels_NT.shape) < 0.5).astype(float)
    ranker = StaticTargetEncoding.fit(data.relabelled(noise))
    assert np.abs(ranker.models[0].weights_WT[2]) < 1e-3


def test_rates_are_found_by_their_task_and_nothing_else() -> None:
    tasks = (Task(name="like", label="x"), Task(name="dislike", label="y"))
    names = ("user: impressions", "user: like", "user: dislike", "user × scenario: like", "user: like observed")
    layout = replace(toy().layout, tasks=tasks, pair_numbers=names)
    chosen = rate_columns(layout, tasks[0])
    assert [number_names(layout)[column] for column in chosen] == ["user: like", "user × scenario: like"]


def test_running_rates_are_used() -> None:
    assert auc(toy().labels_NT[toy().rows("test"), 0], click_scores(RunningTargetEncoding.fit(toy()), toy())) > 0.75


def test_without_running_rates_only_the_cell_is_left() -> None:
    class Bare(Toy):
        pass

    data = Bare()
    data.layout = replace(data.layout, pair_numbers=tuple(f"n{i}" for i in range(7)))
    logits = RunningTargetEncoding.fit(data).score(data.batch(data.rows("train"))).logits_BCT[:, 0]
    for scenario in range(2):
        mine = data.scenario_N[data.rows("train")] == scenario
        assert_allclose(logits[mine], logits[mine][:1].expand_as(logits[mine]), rtol=1e-5)
        assert_allclose(logits[mine][0, 0].sigmoid(), data.layout.base_rates[scenario][0], atol=0.02)


def test_regressions_come_in_the_unit_of_their_label() -> None:
    data = Toy(rows=4000)
    rows = data.rows("test")
    seen = np.isfinite(data.labels_NT[rows, 2])
    stars = StaticTargetEncoding.fit(data).score(data.batch(rows)).logits_BCT[:, 0, 2].numpy()[seen]
    truth = data.labels_NT[rows, 2][seen]
    assert np.mean((stars - truth) ** 2) < 0.6 * np.var(truth)
