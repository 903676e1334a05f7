"""Groups of inputs, and rows with one group's values of other rows."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from contracts.toy import take, toy

from motet.baselines import BASELINES
from motet.batch import Batch, Field
from motet.evaluate.shuffled import Group, Shuffled, exchange, feature_of, groups, within
from motet.model.ranker import Model, Network
from motet.train.score import score_rows

ROWS = toy().rows("test")[:40]
GROUPS = groups(toy().layout)


@pytest.fixture(scope="module")
def network() -> Network:
    torch.manual_seed(0)
    made = Network(toy().layout, toy().counts_V, Model(evidence=0.0))
    for parameter in made.dense_parameters().values():
        torch.nn.init.normal_(parameter, std=0.3)
    made.inputs.table.weight.data[1:].normal_()
    return made.eval()


def halves() -> tuple[Batch, Batch]:
    return toy().batch(ROWS[:20]), toy().batch(ROWS[20:])


def test_every_input_but_the_scenario_is_in_one_group_with_a_name_of_its_own() -> None:
    names = [group.name for group in GROUPS]
    expected = ["user", "age", "item", "tags", "price", "hour", "counts of user", "counts of item", "history"]
    assert names == expected
    columns = [column for group in GROUPS for column in group.columns]
    batch = toy().batch(ROWS)
    widths = {f.name: getattr(batch, f.name).shape[-1] for f in fields(batch) if "_ids_" in f.name or "numb" in f.name}
    everything = {(name, place) for name, width in widths.items() for place in range(width)}
    assert len(columns) == len(set(columns))
    assert everything - set(columns) == {("context_ids_BK", 0)}  # the scenario


def test_keys_and_kinds_go_with_their_ids() -> None:
    layout = toy().layout
    kind = Field("kind", "item", layout.table_rows, 3)
    found = {group.name: group.whole for group in groups(replace(layout, fields=(*layout.fields, kind)))}
    assert {name: whole for name, whole in found.items() if whole} == {
        "user": ("user_B",), "kind": ("kind_BC",), "history": ("history",),
    }  # fmt: skip


def test_a_name_that_stands_twice_says_whose_it_is() -> None:
    layout = toy().layout
    again = Field("age", "item", layout.table_rows, 3)
    names = [group.name for group in groups(replace(layout, fields=(*layout.fields, again)))]
    assert {"age (user)", "age (item)"} <= set(names)
    assert len(set(names)) == len(names)


def test_a_value_and_its_indicator_are_one_feature_as_are_sine_and_cosine() -> None:
    names = ("price", "price missing", "is missing", "hour sin", "hour cos", "weekday cos")
    expected = ["price", "price", "is missing", "hour (UTC)", "hour (UTC)", "weekday (UTC)"]
    assert [feature_of(name, names) for name in names] == expected


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.name)
def test_only_that_group_changes_and_becomes_the_others(group: Group) -> None:
    own, other = halves()
    found = exchange(own, other, group)
    for f in fields(own):
        mine, theirs, now = (getattr(batch, f.name) for batch in (own, other, found))
        if f.name in {"history", "user_B", "kind_BC"}:
            assert now is (theirs if f.name in group.whole else mine)
        elif f.name == "position_BC":
            assert now is mine is None
        elif f.name != "item_BC":
            places = [place for tensor, place in group.columns if tensor == f.name]
            rest = [place for place in range(mine.shape[-1]) if place not in places]
            torch.testing.assert_close(now[..., places], theirs[..., places], rtol=0, atol=0, equal_nan=True)
            torch.testing.assert_close(now[..., rest], mine[..., rest], rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.name)
def test_a_row_does_not_depend_on_the_others_although_items_are_mixed(group: Group, network: Network) -> None:
    mixed = exchange(*halves(), group)
    whole = network.score(mixed).logits_BCT
    alone = torch.cat([network.score(take(mixed, [row])).logits_BCT for row in range(20)])
    torch.testing.assert_close(whole, alone, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(whole, network.score(halves()[0]).logits_BCT, atol=1e-3)  # each is read


def test_equal_numbers_of_items_mean_equal_ids() -> None:
    tags = next(group for group in GROUPS if group.name == "tags")
    mixed = exchange(*halves(), tags)
    ids_of: dict[int, list[int]] = {}
    for item, ids in zip(mixed.item_BC.flatten().tolist(), mixed.item_ids_BCK.flatten(0, 1).tolist(), strict=True):
        assert ids_of.setdefault(item, ids) == ids
    assert (mixed.item_BC != halves()[0].item_BC).any()
    price = next(group for group in GROUPS if group.name == "price")
    assert (exchange(*halves(), price).item_BC == halves()[0].item_BC).all()


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.name)
def test_rows_in_their_own_place_score_as_they_are(group: Group, network: Network) -> None:
    same = Shuffled(toy(), ROWS, ROWS, group)
    found = score_rows(network, same, np.arange(len(ROWS)), batch_size=16)
    np.testing.assert_array_equal(found, score_rows(network, toy(), ROWS, batch_size=16))


def test_a_shuffle_keeps_scenarios_and_every_row_once() -> None:
    scenario_N = np.random.default_rng(0).integers(3, size=500)
    moved = within(scenario_N, np.random.default_rng(1))
    assert (scenario_N[moved] == scenario_N).all()
    np.testing.assert_array_equal(np.sort(moved), np.arange(500))
    assert (moved != np.arange(500)).mean() > 0.9


@pytest.mark.parametrize("name", ["popularity", "item-knn", "target-encoding-static", "target-encoding-running"])
def test_rankers_that_know_keys_and_counts_score_shuffled_rows(name: str) -> None:
    ranker = BASELINES[name].fit(toy())
    plain, moved = score_rows(ranker, toy(), ROWS), within(toy().scenarios(ROWS), np.random.default_rng(2))
    changed = set()
    for group in GROUPS:
        found = score_rows(ranker, Shuffled(toy(), ROWS, ROWS[moved], group), np.arange(len(ROWS)))
        assert np.isfinite(found).all()
        changed |= {group.name} if (found != plain).any() else set()
    reads = {
        "popularity": {"item", "tags"},
        "item-knn": {"item", "tags", "history"},
        "target-encoding-static": {"user", "item", "tags"},
        "target-encoding-running": {"counts of user", "counts of item"},
    }
    assert changed == reads[name]  # an item of other tags is another item: unknown to those who know items by key
