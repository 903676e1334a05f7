"""Searches end to end: the best is found and written, a stopped one goes on, two at once are refused."""

import json
import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import done
from command import motet as command
from filelock import FileLock
from small_log import write

import motet
from motet import experiment as stages
from motet.errors import InputError
from motet.tune import search as searching
from motet.tune.attempt import attempt
from motet.tune.search import Finalist, Search, Tuned
from motet.tune.study import STARTUP_EVALUATIONS, opened

SPACE = """
# how long a step is
[tune]
trials = 3
workers = 1
startup = 2
finalists = 1
seeds = 1

[tune.space]
"train.lr" = [0.0000001, 0.02]
"""


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A search among a hopeless learning rate and a good one, from a hopeless one."""
    folder = tmp_path_factory.mktemp("tuned")
    config = write(folder, rows=2000)
    config.write_text(config.read_text(encoding="utf-8").replace("epochs = 1", "epochs = 3\nlr = 0.0000001  # slow")
                      + SPACE, encoding="utf-8")  # fmt: skip
    return folder, json.loads(done("tune", config, *places(folder), "--json").out)


def places(folder: Path) -> list[str]:
    return ["--prepared", str(folder / "prepared"), "--study", str(folder / "study")]


def test_it_finds_the_better_setting_and_says_by_how_much(tuned: tuple[Path, dict[str, Any]]) -> None:
    _, found = tuned
    assert found["best"]["changes"] == {"train.lr": 0.02}
    assert found["best"]["mean"] < found["untuned"]["mean"] - 0.01
    assert found["untuned"]["changes"] == {}
    assert [one["number"] for one in found["trials"]] == [0, 1, 2]
    assert found["trials"][0]["params"] == {"train.lr": 0.0000001}  # the settings as they are come first


def test_the_tuned_file_keeps_comments_and_trains(tuned: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    folder, _ = tuned
    text = (folder / "motet-tuned.toml").read_text(encoding="utf-8")
    assert tomllib.loads(text)["train"]["lr"] == 0.02
    assert "# how long a step is" in text
    done("train", folder / "motet-tuned.toml", "--prepared", folder / "prepared", "--run", tmp_path / "run")


def test_the_page_shows_every_trial(tuned: tuple[Path, dict[str, Any]]) -> None:
    page = (tuned[0] / "study" / "tune.html").read_text(encoding="utf-8")
    assert page.count("<svg") >= 1
    assert "Test rows were not looked at" in page
    assert page.count('<th scope="row">') == 2 + 3
    assert "http://" not in page.replace("http://www.w3.org", "")


def test_a_finished_search_trains_nothing_again(
    tuned: tuple[Path, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, found = tuned
    monkeypatch.setattr(searching, "ProcessPoolExecutor", lambda *_, **__: pytest.fail("trained again"))
    again = motet.tune(folder / "motet.toml", folder / "study", prepared=folder / "prepared")
    assert again["trials"] == found["trials"]
    assert again["best"] == found["best"]


def test_another_space_is_another_study(tuned: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = tuned
    answer = command("tune", folder / "motet.toml", *places(folder), "--set", "train.epochs=2")
    assert answer.code == 2
    assert "this study is of another space" in answer.err
    assert "--force" in answer.err


def test_two_searches_in_one_folder_are_refused(tuned: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = tuned
    with FileLock(folder / "study" / "lock"):
        answer = command("tune", folder / "motet.toml", *places(folder))
    assert answer.code == 2
    assert "another search is at work" in answer.err


def test_a_trial_that_was_at_work_when_its_search_was_killed_is_tried_again(tmp_path: Path) -> None:
    from optuna.distributions import FloatDistribution

    space: Any = {"train.lr": FloatDistribution(0.0, 1.0)}
    how: dict[str, Any] = {"of": "x", "seed": 0, "startup": 2, "workers": 1}
    with opened(tmp_path, space, **how) as study:
        lost = study.ask().params
    with opened(tmp_path, space, **how) as study:
        assert study.trials == []
        again = study.ask()
        assert again.params == lost
        study.finish(again, 0.5)
        assert [one.state for one in study.trials] == ["finished"]


def test_a_trial_worse_than_the_others_is_stopped_early(tmp_path: Path) -> None:
    from optuna.distributions import FloatDistribution

    config = write(tmp_path)
    where = Search.of(config, {}, tmp_path / "s", tmp_path / "prepared", None, lambda what, share: None)
    work, prepared = where.work({"train.epochs": 6, "train.patience": 20})
    space: Any = {"train.lr": FloatDistribution(0.0, 1.0)}
    with opened(tmp_path / "s", space, of="x", seed=0, startup=2, workers=1) as study:
        for _ in range(2):
            good = study.ask()
            for evaluation in range(1, 13):
                good.report(0.1, evaluation)
            study.finish(good, 0.1)
        bad = study.ask()
        assert attempt(work, prepared, where.kept, study.journal, bad._trial_id, 2) is None
        study.stop(bad)
        stopped = study.trials[-1]
        assert (stopped.state, stopped.value is not None) == ("stopped early", True)
        assert len(study.study.trials[-1].intermediate_values) == STARTUP_EVALUATIONS
    assert not work.done(where.kept)


def test_a_trial_wins_only_beyond_chance() -> None:
    untuned = Finalist(None, {}, [0.9, 0.9])
    near, clear = Finalist(1, {}, [0.88, 0.88], error=0.02), Finalist(2, {}, [0.89, 0.89], error=0.005)
    assert Tuned({}, [], [near, clear, untuned], {}).best == clear
    assert Tuned({}, [], [near, untuned], {}).best == untuned


def test_the_error_covers_users_and_seeds() -> None:
    alike = np.array([[0.1, 0.1, 0.1, 0.1]])  # no user differs, one seed: no error to be seen
    assert searching._error(alike) == pytest.approx(0.0, abs=1e-12)
    users = np.array([[0.0, 0.2, 0.0, 0.2]] * 2)
    assert searching._error(users) == pytest.approx(np.sqrt(4 * np.var([0, 0.2, 0, 0.2], ddof=1)))
    seeds = np.array([[0.1] * 4, [0.3] * 4])
    assert searching._error(seeds) == pytest.approx(np.sqrt(np.var([0.4, 1.2], ddof=1) / 2))


def test_a_setting_that_is_prepared_has_its_own_folder_and_a_mistake_fails_one_trial(tmp_path: Path) -> None:
    config = write(tmp_path)
    where = Search.of(config, {}, tmp_path / "study", tmp_path / "prepared", None, lambda what, share: None)
    _, same = where.work({"train.lr": 0.1})
    work, other = where.work({"history.length": 3})
    assert same == where.data.folder
    assert other.parent == tmp_path / "study" / "prepared"
    assert stages.Dataset.open(other).layout.history_length == 3
    assert work.key != where.work({})[0].key


def test_baselines_are_tuned_by_the_same_command(tmp_path: Path) -> None:
    config = write(tmp_path)
    flags = [*places(tmp_path), "--set", "tune.workers=1", "--set", "tune.finalists=1", "--trials", "2"]
    found = json.loads(done("tune", config, *flags, "--baseline", "logistic", "--json").out)
    assert set(found["space"]) == {"baselines.logistic.ridges"}
    assert len(found["trials"]) == 2
    tuned = stages.read(tmp_path / "motet-tuned.toml")
    assert plain_of(found["best"]["changes"]) == ({} if found["best"]["trial"] is None else {
        "baselines.logistic.ridges": list(tuned.baselines.logistic.ridges)})  # fmt: skip


def plain_of(changes: dict[str, Any]) -> dict[str, Any]:
    return {key: list(value) for key, value in changes.items()}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["--baseline", "popularity"], "chooses its settings itself"),
        (["--baseline", "bosting"], "boosting"),
        (["--set", 'tune.space={"baselines.boosting.leaves"=[[3],[5]]}'], "a setting of a baseline"),
        (["--set", 'tune.space={"model.preset"=["motet","mmoo"]}'], "mmoe"),
        (["--set", 'tune.space={"model.dimm"=[3,4]}'], "dim"),
        (["--timeout", "soon"], "no duration"),
        (["-o", "motet.toml"], "replace what is tuned"),
    ],
)
def test_mistakes_are_told_before_anything_is_trained(
    folder: Path, monkeypatch: pytest.MonkeyPatch, given: list[str], told: str
) -> None:
    monkeypatch.chdir(folder)
    answer = command("tune", "motet.toml", "--study", "study", "--prepared", "prepared", *given)
    assert answer.code == 2
    assert told in answer.err
    assert not Path("study/journal.jsonl").exists()


def test_no_time_at_all_is_told(folder: Path) -> None:
    answer = command("tune", folder / "motet.toml", *places(folder), "--timeout", "0s")
    assert answer.code == 2
    assert "no trial came to its end" in answer.err
    with pytest.raises(InputError):
        motet.tune(folder / "motet.toml", folder / "study", prepared=folder / "prepared",
                   changes={"tune.timeout": "0s"})  # fmt: skip


def test_force_forgets_the_search_and_nothing_else(tmp_path: Path) -> None:
    from optuna.distributions import FloatDistribution

    space: Any = {"train.lr": FloatDistribution(0.0, 1.0)}
    how: dict[str, Any] = {"seed": 0, "startup": 2, "workers": 1}
    (tmp_path / "mine.txt").write_text("kept", encoding="utf-8")
    with opened(tmp_path, space, of="x", **how) as study:
        study.finish(study.ask(), 0.5)
    with opened(tmp_path, space, of="y", force=True, **how) as study:
        assert study.trials == []
    assert (tmp_path / "mine.txt").exists()


def test_a_mistake_beside_force_keeps_the_earlier_search(tuned: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = tuned
    before = (folder / "study" / "journal.jsonl").read_bytes()
    wrong = ("--set", 'tune.space={"model.dimm"=[3,4]}', "--force")
    assert command("tune", folder / "motet.toml", *places(folder), *wrong).code == 2
    with FileLock(folder / "study" / "lock"):
        assert command("tune", folder / "motet.toml", *places(folder), "--force").code == 2
    assert (folder / "study" / "journal.jsonl").read_bytes() == before


def test_the_tuned_file_holds_the_changes_it_was_searched_with(tmp_path: Path) -> None:
    config = write(tmp_path)
    flags = [*places(tmp_path), "--set", "train.batch_size=64", "--set", "tune.finalists=1", "--set", "tune.seeds=1"]
    space = 'tune.space={"model.dropout"=[0.1,0.2]}'
    done("tune", config, *flags, "--set", space, "--set", "tune.workers=1", "--trials", "1")
    found = tomllib.loads((tmp_path / "motet-tuned.toml").read_text(encoding="utf-8"))
    assert found["train"]["batch_size"] == 64
    assert "tune" not in found


def test_without_the_extra_it_says_what_to_install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    answer = command("tune", folder / "motet.toml", *places(folder))
    assert answer.code == 2
    assert "pip install 'motet[tune]'" in answer.err
