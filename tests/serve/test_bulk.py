"""Slates of many users: the very ones that are given one by one, whole after a kill."""

from pathlib import Path

import polars as pl
import pytest
from command import done, refused

import motet
from motet.serve import bulk
from motet.train.run import Run, load_run


@pytest.fixture(scope="module")
def run(trained: Path) -> Run:
    return load_run(trained)


def test_every_slate_is_the_one_that_a_request_gets(run: Run, tmp_path: Path) -> None:
    output, context = tmp_path / "slates.parquet", {"connection": "wifi"}
    ask = {"scenarios": ["mobile", "voice"], "weights": {"like": 2.0}, "exclude": ["g0001"]}
    made = motet.recommend_to(output, run, users=["u00003", "u00007", "stranger"], context=context, **ask)
    found = pl.read_parquet(output)
    assert (made.users, made.slates, made.rows) == (2, 8, found.height)
    for user in ("u00003", "u00007"):
        for slate in motet.recommend(run, user=user, context=context, **ask):
            rows = found.filter(user_id=user, scenario=slate["scenario"], kind=slate["kind"])
            assert rows["place"].to_list() == list(range(1, len(rows) + 1))
            assert rows["item_id"].to_list() == [place["item"] for place in slate["items"]]
            assert rows["score"].to_list() == pytest.approx([place["score"] for place in slate["items"]], abs=1e-5)
            for task in run.data.layout.tasks:
                values = [place["predictions"].get(task.name) for place in slate["items"]]
                assert rows[task.name].to_list() == pytest.approx(values, abs=1e-5)


def test_seen_items_are_left_out_unless_asked_for(run: Run, tmp_path: Path) -> None:
    ask = {"users": ["u00003"], "scenarios": ["mobile"], "kinds": ["goods"], "n": 500}
    fresh = motet.recommend_to(tmp_path / "fresh.parquet", run, **ask).rows
    every = motet.recommend_to(tmp_path / "every.parquet", run, seen=True, **ask).rows
    s = next(s for s, scenario in enumerate(run.data.layout.scenarios) if scenario.name == "mobile")
    assert every == len(run.data.catalogue(s, kind=run.data.layout.kinds.index("goods"))) > fresh
    shown = set(run.data.item_keys(run.data.seen(run.data.user_row("u00003"))))
    assert not shown & set(pl.read_parquet(tmp_path / "fresh.parquet")["item_id"])


def test_after_a_kill_it_goes_on_behind_the_last_part(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "USERS", 40)
    ask = {"scenarios": ["voice"], "kinds": ["content"]}
    motet.recommend_to(tmp_path / "whole.parquet", run, **ask)
    real, blocks = bulk._slates, list[int]()

    def killed(*arguments):
        blocks.append(int(arguments[2][0]))
        if len(blocks) == 2:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(bulk, "_slates", killed)
    with pytest.raises(KeyboardInterrupt):
        motet.recommend_to(tmp_path / "slates.parquet", run, **ask)
    made = motet.recommend_to(tmp_path / "slates.parquet", run, **ask)
    assert blocks == [2, 42, 42, 82, 122]
    assert made.users == len(run.data.user_ids_UK) - 2
    assert pl.read_parquet(tmp_path / "slates.parquet").equals(pl.read_parquet(tmp_path / "whole.parquet"))


def test_the_command_takes_all_users_or_a_file_of_them(trained: Path, tmp_path: Path) -> None:
    file, output = tmp_path / "users.csv", tmp_path / "slates.parquet"
    file.write_text("user_id\nu00003\nu00004\nu00003\n", encoding="utf-8")
    ask = ("recommend", trained, "--scenario", "voice", "-o", output)
    assert "4 slates of 2 users" in done(*ask, "--users", file).out
    assert "--force" in refused(*ask, "--users", "all")
    found = done(*ask, "--users", "all", "--force", "--json").json
    assert found["slates"] == 2 * found["users"] > 4
    assert set(pl.read_parquet(output)["scenario"]) == {"voice"}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (("--users", "nobody.csv"), ("no such file",)),
        (("--users", "all", "--user", "u00003"), ("--user", "--users")),
        (("--users", "all", "--scenario", "moon"), ("moon",)),
        (("--users", "strangers.csv"), ("none of these users",)),
        (("--users", "columns.csv"), ("'user_id'",)),
    ],
)
def test_what_cannot_be_answered_is_named_and_writes_nothing(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: tuple[str, ...], words: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("strangers.csv").write_text("user_id\nx\n", encoding="utf-8")
    Path("columns.csv").write_text("person\nu00003\n", encoding="utf-8")
    before = sorted(path.name for path in tmp_path.iterdir())
    said = refused("recommend", trained, *given)
    assert all(word in said for word in words)
    assert sorted(path.name for path in tmp_path.iterdir()) == before
