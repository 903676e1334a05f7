"""A run goes on with newer logs: known keys keep what they said, new ones get rows, what does not fit is refused."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small_log
import torch
from command import done, refused

from motet import experiment as stages
from motet.data.dataset import Dataset
from motet.data.extend import same_rows
from motet.errors import InputError
from motet.evaluate.jobs import Jobs
from motet.evaluate.plan import Evaluate
from motet.model.kinds import Trainable
from motet.train.carry import carry_over
from motet.train.run import Run, load_run, new_network


@pytest.fixture(scope="module")
def newer(good: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small log and its run, with more rows and a prepared folder that carries on the run's; only read."""
    folder = tmp_path_factory.mktemp("newer") / "shop"
    shutil.copytree(good, folder, ignore=shutil.ignore_patterns(".controls"))
    small_log.go_on(folder)
    done("prepare", folder / "motet.toml", "--prepared", folder / "next", "--from", folder / "run")
    return folder


@pytest.fixture(scope="module")
def before(newer: Path) -> Run:
    return load_run(newer / "run")


@pytest.fixture(scope="module")
def data(newer: Path) -> Dataset:
    return Dataset.open(newer / "next")


@pytest.fixture(scope="module")
def carried(newer: Path, before: Run, data: Dataset) -> Trainable:
    network = new_network(data, before.model, seed=3)
    carry_over(newer / "run", network, before.model, data)
    return network


def indices(data: Dataset, owner: str, keys: list[str]) -> list[int]:
    """Rows of the embedding table of users' or items' ids."""
    row = data.user_row if owner == "user" else data.item_row
    ids = data.user_ids_UK if owner == "user" else data.items.ids_IK
    return [int(ids[row(key), 0]) for key in keys]


def test_before_any_step_known_users_and_items_score_as_they_did(
    before: Run, data: Dataset, carried: Trainable
) -> None:
    users, items = [f"u{u}" for u in range(12)], [f"i{i}" for i in range(24)]
    for s in range(len(data.layout.scenarios)):
        logits = []
        for of, network in ((before.data, before.network), (data, carried)):
            rows = np.array([of.user_row(key) for key in users])
            batch = of.request(rows, np.full(12, s), np.array([of.item_row(i) for i in items]), time=before.data.end)
            logits.append(network.score(batch).logits_BCT)
        torch.testing.assert_close(logits[1], logits[0], rtol=1e-4, atol=1e-5)


def test_rows_are_carried_by_key_and_those_of_unchanged_counts_bit_for_bit(
    newer: Path, before: Run, data: Dataset, carried: Trainable
) -> None:
    (was,), table = [load_run(newer / "run").network.inputs.table], carried.inputs.table
    before_R, now_R = (torch.from_numpy(rows) for rows in same_rows(before.data.features, data.features))
    assert before_R.tolist() == list(range(before.data.layout.table_rows))
    assert now_R.tolist() != before_R.tolist()
    said, says = was([before_R])[0], table([now_R])[0]
    torch.testing.assert_close(says, said, rtol=1e-6, atol=1e-9)
    same = before.data.counts_V[before_R] == data.counts_V[now_R]
    assert 0 < int(same.sum()) < len(same)
    assert bool((says[same] == said[same]).all())
    (u3, i5), (u3_now, i5_now) = (
        (*indices(d, "user", ["u3"]), *indices(d, "item", ["i5"])) for d in (before.data, data)
    )
    assert dict(zip(before_R.tolist(), now_R.tolist(), strict=True))[u3] == u3_now
    assert dict(zip(before_R.tolist(), now_R.tolist(), strict=True))[i5] == i5_now != i5


def test_keys_of_the_newer_log_only_get_rows_as_in_a_new_network(
    before: Run, data: Dataset, carried: Trainable
) -> None:
    fresh, unknown = new_network(data, before.model, seed=3), [field.offset for field in data.layout.fields]
    rows = torch.tensor(indices(data, "user", ["u14", "u17"]) + indices(data, "item", ["i25", "i29"]))
    assert not set(rows.tolist()) & {*unknown, *same_rows(before.data.features, data.features)[1].tolist()}
    assert bool((carried.inputs.table.weight[rows] == fresh.inputs.table.weight[rows]).all())
    count = data.counts_V[rows]
    assert bool((count > 0).all())
    torch.testing.assert_close(carried.inputs.table.say_V[rows], count / (count + before.model.evidence))


def test_counts_are_the_same_whether_the_newer_log_repeats_the_earlier_one_or_not(data: Dataset, folder: Path) -> None:
    old = Dataset.open(folder / "prepared")
    small_log.go_on(folder, keep=False)
    done("prepare", folder / "motet.toml", "--prepared", folder / "next", "--from", folder / "run",
         "--set", "split.valid=0.05", "--set", "split.test=0.05")  # fmt: skip
    alone = Dataset.open(folder / "next")
    train = alone.rows("train")
    assert len(train) == 180
    was, now = same_rows(old.features, alone.features)
    counted = np.asarray(old.counts_V)[was] + np.asarray(alone.counts(train))[now]
    np.testing.assert_array_equal(np.asarray(alone.counts_V)[now], counted)
    assert alone.user_row("u2") == 1  # in no row and no table of users any more
    assert "u2" in alone.features.user.ids[0].vocab.keys.to_list()  # type: ignore[union-attr]
    # the whole log: what was train then is counted once, what was valid and test then is counted now
    was, now = same_rows(old.features, data.features)
    np.testing.assert_array_equal(np.asarray(data.counts_V)[now], np.asarray(data.counts(data.rows("train")))[now])


def test_transforms_and_moments_stay_as_they_were(before: Run, data: Dataset) -> None:
    was, now = before.data, data
    assert now.features.item.numbers == was.features.item.numbers
    assert now.running.fit == was.running.fit
    assert now.layout.label_scales == was.layout.label_scales
    assert [s.name for s in now.layout.scenarios] == [s.name for s in was.layout.scenarios]
    assert now.layout.kinds == was.layout.kinds
    first = np.arange(100)
    np.testing.assert_array_equal(now.impressions.pair_numbers[first], was.impressions.pair_numbers[first])
    assert now.schema == was.schema


def test_a_fine_tune_is_a_run_that_knows_where_it_comes_from(newer: Path, tmp_path: Path) -> None:
    run, command = tmp_path / "run-2", ("train", newer / "motet.toml", "--prepared", newer / "next", "--run")
    done(*command, run, "--from", newer / "run", "--set", "train.epochs=2")
    found = load_run(run)
    assert found.start is not None
    assert found.start.resolve() == (newer / "run").resolve()
    assert (found.train.epochs, found.scratch.epochs) == (2, 1)
    how = Evaluate(seeds=2, presets=())
    needed = Jobs.of(found.data, found.model, found.train, how, start=found.start, scratch=found.scratch)
    assert [(job.start, job.train.epochs, job.train.seed) for job in needed.seeds] == [(found.start, 2, 1)]
    assert {(job.start, job.train.epochs) for jobs in needed.solo for job in jobs} == {(None, 1)}
    again = done(*command, run, "--from", newer / "run", "--set", "train.epochs=2", "--json").json
    assert again == found.facts
    told = refused(*command, run, "--set", "train.epochs=2")
    assert "prepared from something else: extends" in told
    assert done("recommend", run, "--user", "u14", "--json").json["slates"][0]["known_user"] is True


def test_other_seeds_of_a_fine_tune_begin_with_the_same_weights(newer: Path, tmp_path: Path) -> None:
    done("train", newer / "motet.toml", "--prepared", newer / "next", "--run", tmp_path / "run-2", "--from",
         newer / "run")  # fmt: skip
    ask = ("evaluate", tmp_path / "run-2", "--seeds", "2", "--set", "evaluate.controls=false", "--json")
    assert done(*ask).json["seeds"] == 2


def prepared_again(folder: Path, *options: Any) -> str:
    return refused("prepare", folder / "motet.toml", "--prepared", folder / "next", "--from", folder / "run", *options)


@pytest.mark.parametrize(
    ("before_", "after", "told"),
    [
        ('name = "click"', 'name = "tap"', "the tasks are others than those of the earlier run"),
        ('price = "numeric"', 'price = "numeric"\nheight = "numeric"', "height is new"),
        ('price = "numeric"', 'price = "categorical"', "categorical 'price' is new"),
        ('[split]', '[running]\nprior = 3.0\n[split]', "running.prior: 10.0 → 3.0"),
        ('[split]', '[history]\nlength = 7\n[split]', "history.length"),
    ],
)  # fmt: skip
def test_what_a_network_cannot_read_is_refused(folder: Path, before_: str, after: str, told: str) -> None:
    small_log.go_on(folder)
    items = (folder / "items.csv").read_text().splitlines()
    (folder / "items.csv").write_text("\n".join([f"{items[0]},height", *(f"{line},1" for line in items[1:])]) + "\n")
    small_log.change(folder / "motet.toml", before_, after)
    message = prepared_again(folder)
    assert told in message
    assert "train anew without --from" in message
    assert not (folder / "next").exists()


def test_a_new_scenario_and_a_new_kind_are_refused(folder: Path) -> None:
    small_log.go_on(folder)
    log = folder / "log.csv"
    text = log.read_text()
    lines = text.splitlines()
    log.write_text("\n".join([*lines[:400], *(line.replace("web", "car") for line in lines[400:])]) + "\n")
    assert "scenario 'car' is new; the earlier run knows" in prepared_again(folder)
    log.write_text(text)
    items = folder / "items.csv"
    text = items.read_text()
    items.write_text(text[: text.rindex("goods")] + "films" + text[text.rindex("goods") + 5 :])
    assert "kind 'films' is new; the earlier run knows" in prepared_again(folder)


def test_folders_that_do_not_belong_together_are_refused(
    newer: Path, before: Run, data: Dataset, tmp_path: Path
) -> None:
    config, run = newer / "motet.toml", newer / "run"
    assert "which it would replace" in refused("train", config, "--prepared", newer / "prepared", "--from", run)
    told = refused("train", config, "--prepared", newer / "next", "--from", run, "--run", run)
    assert "cannot begin with its own weights" in told
    assert "no finished run here" in refused("prepare", config, "--prepared", tmp_path / "p", "--from", tmp_path)
    with pytest.raises(InputError, match="does not carry on that of"):
        carry_over(run, new_network(before.data, before.model, 0), before.model, before.data)
    wider = replace(before.model, dim=before.model.dim * 2, dropout=0.1)
    with pytest.raises(InputError, match="has another network: dim was 16 and is 32") as caught:
        carry_over(run, new_network(data, wider, 0), wider, data)
    assert caught.value.where == "model.dim"


def test_the_manifest_says_what_it_carries_on(newer: Path) -> None:
    manifests = [json.loads((newer / name / "manifest.json").read_text()) for name in ("prepared", "next")]
    assert [manifest["extends"] for manifest in manifests] == [None, manifests[0]["fingerprint"]]
    assert stages.read(newer / "motet.toml").schema == Dataset.open(newer / "next").schema
