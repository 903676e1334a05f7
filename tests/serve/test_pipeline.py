"""Slates: what is in them, what is not, in which order, for whom."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from motet import experiment as stages
from motet.errors import InputError
from motet.scoring.blend import Blend
from motet.serve.pipeline import Slate, popular_user, recommend
from motet.train.run import Run, load_run

USER = "u00003"


@pytest.fixture(scope="module")
def run(trained: Path) -> Run:
    return load_run(trained)


@pytest.fixture(scope="module")
def blend(run: Run) -> Blend:
    return stages.blend_of(run.data, stages.of_run(run.folder)[1])


def ask(run: Run, blend: Blend, user: str | None = USER, scenario: str = "mobile", **request: Any) -> list[Slate]:
    return recommend(run, blend, user=user, scenario=scenario, **request)


def keys(slate: Slate) -> list[str]:
    return [place.item for place in slate.items]


def test_a_slate_for_each_kind_of_the_scenarios_size(run: Run, blend: Blend) -> None:
    assert [(slate.kind, len(slate.items)) for slate in ask(run, blend)] == [
        (kind, 6) for kind in run.data.layout.kinds
    ]
    assert [len(slate.items) for slate in ask(run, blend, scenario="voice")] == [3, 3]
    assert [(slate.kind, len(slate.items)) for slate in ask(run, blend, kinds=["content"], n=4)] == [("content", 4)]


def test_items_are_of_the_kind_and_carry_what_its_tasks_predict(run: Run, blend: Blend) -> None:
    for slate in ask(run, blend):
        letter, tasks = {"goods": ("g", {"click", "cart", "purchase", "stars"}), "content": ("c", {"click", "like"})}[
            slate.kind
        ]
        assert all(place.item.startswith(letter) for place in slate.items)
        assert all(set(place.predictions) == tasks for place in slate.items)
        assert all(0 < place.predictions["click"] < 1 and place.text for place in slate.items)


def test_the_score_orders_and_is_the_blend_of_the_predictions(run: Run, blend: Blend) -> None:
    (slate,) = ask(run, blend, kinds=["content"])
    scores = [place.score for place in slate.items]
    assert scores == sorted(scores, reverse=True)
    first = slate.items[0].predictions
    assert scores[0] == pytest.approx((np.log(first["click"]) + np.log(first["like"])) / 2)


def test_seen_items_are_left_out_unless_asked_for(run: Run, blend: Blend) -> None:
    row = run.data.user_row(USER)
    seen = set(run.data.item_keys(run.data.seen(row)))
    catalogue = set(run.data.item_keys(run.data.catalogue(1)))
    assert seen & catalogue
    fresh = {key for slate in ask(run, blend, n=1000) for key in keys(slate)}
    assert fresh == catalogue - seen
    every = {key for slate in ask(run, blend, n=1000, seen=True) for key in keys(slate)}
    assert every == catalogue


def test_what_is_excluded_is_left_out_and_the_next_moves_up(run: Run, blend: Blend) -> None:
    (whole,) = ask(run, blend, kinds=["goods"], n=5)
    (rest,) = ask(run, blend, kinds=["goods"], n=4, exclude=[keys(whole)[0]])
    assert keys(rest) == keys(whole)[1:]


def test_nothing_left_is_an_empty_slate(run: Run, blend: Blend) -> None:
    catalogue = run.data.item_keys(run.data.catalogue(1, kind=run.data.layout.kinds.index("content")))
    (slate,) = ask(run, blend, kinds=["content"], exclude=catalogue)
    assert slate.items == ()


def test_weights_change_the_order(run: Run, blend: Blend) -> None:
    def order(task: str) -> list[str]:
        only = blend.reweighted({name: float(name == task) for name in ("click", "cart", "purchase", "like", "stars")})
        (slate,) = ask(run, only, kinds=["goods"], n=30)
        values = [place.predictions[task] for place in slate.items]
        assert values == sorted(values, reverse=True)
        return keys(slate)

    assert order("purchase") != order("stars")


def test_a_kind_without_a_weighed_task_is_left_out_unless_asked_for(run: Run, blend: Blend) -> None:
    goods_only = blend.reweighted({"click": 0.0, "like": 0.0})
    assert [slate.kind for slate in ask(run, goods_only)] == ["goods"]
    with pytest.raises(InputError, match="nothing to rank kind 'content' by"):
        ask(run, goods_only, kinds=["content"])


def test_an_unknown_user_is_answered_and_nothing_is_seen(run: Run, blend: Blend) -> None:
    for user in (None, "nobody"):
        slates = ask(run, blend, user=user, n=1000)
        assert not any(slate.known_user for slate in slates)
        assert sum(len(slate.items) for slate in slates) == len(run.data.catalogue(1))
    assert all(slate.known_user for slate in ask(run, blend))


def test_a_history_stands_for_the_users_own(run: Run, blend: Blend) -> None:
    (stranger,) = ask(run, blend, user=None, kinds=["goods"], n=1000)
    liked = keys(stranger)[:3]
    events = [{"item": item, "scenario": "mobile", "click": 1, "purchase": 1} for item in liked]
    (told,) = ask(run, blend, user=None, kinds=["goods"], n=1000, history=events)
    assert told.known_user
    assert set(keys(told)) == set(keys(stranger)) - set(liked)
    before = {place.item: place.score for place in stranger.items}
    assert any(place.score != before[place.item] for place in told.items)
    (again,) = ask(run, blend, user=None, kinds=["goods"], n=1000, history=events, seen=True)
    assert set(liked) <= set(keys(again))


def test_context_that_is_told_is_what_is_scored(run: Run, blend: Blend) -> None:
    def predicted(**request: Any) -> list[float]:
        (slate,) = ask(run, blend, kinds=["goods"], n=1000, **request)
        return [place.predictions["click"] for place in sorted(slate.items, key=lambda place: place.item)]

    untold = predicted()
    assert predicted(context={}) == predicted(context={"position": "1", "connection": ""}) == untold
    assert predicted(context={"connection": "cellular"}) != untold
    assert predicted(context={"position": "6"}) != untold
    with pytest.raises(InputError, match="conection"):
        predicted(context={"conection": "wifi"})


def test_the_share_that_is_done_is_told_slate_by_slate(run: Run, blend: Blend) -> None:
    told: list[float] = []
    ask(run, blend, say=told.append)
    assert told == [0.0, 0.5]


def test_an_empty_history_is_that_of_a_newcomer(run: Run, blend: Blend) -> None:
    (stranger,) = ask(run, blend, user=None, kinds=["goods"])
    (newcomer,) = ask(run, blend, user=None, kinds=["goods"], history=[])
    assert keys(newcomer) == keys(stranger)


def test_the_same_request_gets_the_same_answer(run: Run, blend: Blend) -> None:
    assert ask(run, blend) == ask(run, blend)


@pytest.mark.parametrize(
    ("request_", "told"),
    [
        ({"scenario": "mobil"}, "did you mean 'mobile'?"),
        ({"kinds": ["contents"]}, "did you mean 'content'?"),
        ({"exclude": ["g00010"]}, "did you mean 'g00"),
    ],
)
def test_a_name_that_is_not_known_is_told_the_nearest(
    request_: dict[str, Any], told: str, run: Run, blend: Blend
) -> None:
    with pytest.raises(InputError) as caught:
        ask(run, blend, **request_)
    assert told in caught.value.fix


def test_the_popular_user_has_the_most_rows_in_train(run: Run) -> None:
    data = run.data
    users = data.user_keys(data.users(data.rows("train")))
    assert users.count(popular_user(data)) == max(map(users.count, set(users)))
