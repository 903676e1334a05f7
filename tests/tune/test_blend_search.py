"""Blend weights by what happened: found where a reward tells them, written only where they are better."""

import json
import tomllib
from pathlib import Path

from command import done, refused

import motet


def test_weights_follow_the_reward(market: Path, trained: Path, tmp_path: Path) -> None:
    into = tmp_path / "tuned.toml"
    given = ("--blend", trained, "--reward", "click=1", "--trials", 30, "-o", into)
    found = json.loads(done("tune", market / "motet.toml", *given, "--json").out)
    assert found["off_policy"] is True
    assert found["rewards"] == {"click": 1.0}
    assert set(found["weights"]) == {"click", "cart", "purchase", "like", "stars"}
    assert found["low"] <= found["difference"] <= found["high"]
    assert found["better"] == into.exists() == (found["tuned"] is not None)
    if found["better"]:
        assert tomllib.loads(into.read_text(encoding="utf-8"))["blend"] == found["weights"]


def test_a_search_of_more_trials_is_no_worse_where_it_searches(trained: Path) -> None:
    once, again = (motet.tune_blend(trained, trials=10) for _ in range(2))
    assert once == again  # the same seed finds the same


def test_mistakes_are_told(market: Path, trained: Path) -> None:
    config = market / "motet.toml"
    assert "unknown task 'clik'" in refused("tune", config, "--blend", trained, "--reward", "clik=1")
    assert "is no weight" in refused("tune", config, "--blend", trained, "--reward", "click")
    assert "nothing is worth anything" in refused("tune", config, "--blend", trained, "--reward", "click=0")
    assert "no finished run here" in refused("tune", config, "--blend", market / "nowhere")
