"""The commands, one after the other, as a person types them: what they say, where they say it, and what they leave."""

import io
import json
import re
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from command import contents, done, in_process, motet, refused
from rich.console import Console

from motet import demo, terminal
from motet.data.sources.market import Market
from motet.evaluate import jobs
from motet.model.presets import presets
from motet.version import VERSION

COMMANDS = [
    "init",
    "check",
    "prepare",
    "train",
    "tune",
    "evaluate",
    "predict",
    "recommend",
    "export",
    "serve",
    "demo",
    "doctor",
]


@pytest.fixture(scope="module")
def report(evaluated: Path) -> Any:
    return json.loads((evaluated / "report.json").read_text(encoding="utf-8"))


def test_help_lists_exactly_the_commands_that_work_in_the_order_of_the_work() -> None:
    text = done("--help").out
    assert re.findall(r"^│ ([a-z]+)  ", text, re.MULTILINE) == COMMANDS
    assert "One recommender for all of a product's scenarios and all of its tasks." in text
    assert "Start with motet demo, or with your own tables: motet init FILES…" in text
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_explains_itself_within_80_columns(command: str) -> None:
    answer = done(command, "--help")
    assert f"Usage: motet {command}" in answer.out
    assert "--json" in answer.out
    assert max(map(len, answer.out.splitlines())) <= 80


def test_the_help_of_train_names_every_preset() -> None:
    shown = done("train", "--help").out
    assert all(name in shown for name in presets())


def test_version_alone() -> None:
    assert done("--version").out == f"{VERSION}\n"


def test_a_wrong_option_is_the_persons_mistake() -> None:
    answer = motet("train", "--epochs", "3")
    assert (answer.code, answer.out) == (2, "")
    assert "No such option" in answer.err


def test_from_tables_to_a_checked_schema(market: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("impressions", "users", "items"):
        frame = pl.read_parquet(market / f"{name}.parquet")
        frame.drop([c for c in frame.columns if c.startswith(("informed", "oracle"))]).write_parquet(
            tmp_path / f"{name}.parquet"
        )
    monkeypatch.chdir(tmp_path)
    said = done("init", "impressions.parquet", "users.parquet", "items.parquet")
    assert said.out.endswith("wrote motet.toml. Read it, then: motet check\n")
    assert "· user user_id: " in said.out
    checked = done("check").out
    assert checked.startswith("motet.toml is right: 8,000 impressions, 150 users, 140 items, 3 scenarios × ")
    assert checked.endswith("next: motet prepare\n")
    done("init", "impressions.parquet", "-o", "other/motet.toml")
    assert done("check", "other/motet.toml").code == 0
    assert "this file exists" in refused("init", "impressions.parquet")


def test_init_in_json_tells_every_decision(market: Path, tmp_path: Path) -> None:
    told = done("init", market / "impressions.parquet", "-o", tmp_path / "motet.toml", "--json").json
    assert told["config"] == str(tmp_path / "motet.toml")
    assert {"role", "column", "why", "warning"} == set(told["findings"][0])


def test_check_writes_nothing(market: Path, tmp_path: Path) -> None:
    copied = tmp_path / "copy"
    shutil.copytree(market, copied, ignore=shutil.ignore_patterns("prepared", "runs"))
    before = contents(copied)
    told = done("check", copied / "motet.toml", "--json").json
    assert contents(copied) == before
    assert sum(told["rows"].values()) == 8_000
    assert told["scenarios"] == ["desktop", "mobile", "voice"]
    assert len(told["cells"]) == 3 * 5 * 3


def test_prepare_skips_what_is_fresh_and_says_what_it_holds(market: Path, tmp_path: Path) -> None:
    first = done("prepare", market / "motet.toml", "--prepared", tmp_path / "p")
    assert first.err == ""
    assert re.match(
        r"prepared .*/p: train 6,\d+, valid \d+, test \d+ impressions, 3 scenarios × 5 tasks; cleaning removed 0 rows\n"
        r"next: motet train .*motet.toml\n",
        first.out,
    )
    before = contents(tmp_path)
    told = done("prepare", market / "motet.toml", "--prepared", tmp_path / "p", "--json").json
    assert told["folder"] == str(tmp_path / "p")
    assert told["manifest"]["users"] == 150
    assert contents(tmp_path) == before


def test_a_finished_run_is_read_back_and_not_trained_again(trained: Path, market: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("motet.experiment.train_stages", lambda *_, **__: pytest.fail("trained again"))
    before = contents(trained)
    answer = done("train", market / "motet.toml", "--prepared", market / "prepared", "--run", trained, "--json")
    facts = answer.json
    assert contents(trained) == before
    assert facts["format"] == "motet-run/1"
    assert facts["training"]["epochs"] == 2.0
    assert answer.err == ""


def test_a_run_keeps_its_settings_unless_it_is_started_over(market: Path, tmp_path: Path) -> None:
    where = ("train", market / "motet.toml", "--prepared", market / "prepared", "--run", tmp_path / "run")
    quick = ("--set", "train.epochs=1")
    done(*where, *quick)
    before = contents(tmp_path)
    said = refused(*where, *quick, "--seed", "7", "--preset", "mmoe")
    assert "trained with other settings: [model], [train]" in said
    assert "--force" in said
    assert contents(tmp_path) == before
    facts = done(*where, *quick, "--seed", "7", "--preset", "mmoe", "--force", "--json").json
    assert (facts["train"]["seed"], facts["model"]["preset"]) == (7, "mmoe")
    assert contents(tmp_path)["run/model.safetensors"] != before["run/model.safetensors"]


def test_changed_tasks_need_force_which_makes_the_prepared_folder_and_the_run_anew(folder: Path) -> None:
    where = ("train", folder / "motet.toml", "--prepared", folder / "prepared", "--run", folder / "run")
    config = folder / "motet.toml"
    text = config.read_text(encoding="utf-8")
    config.write_text(text.replace('name = "click"', 'name = "tap"'), encoding="utf-8")
    before = contents(folder)
    said = refused(*where)
    assert "the folder was prepared from something else" in said
    assert "--force" in said
    assert contents(folder) == before
    done(*where, "--force")
    tasks = json.loads((folder / "prepared" / "manifest.json").read_text(encoding="utf-8"))["schema"]["tasks"]
    assert [task["name"] for task in tasks] == ["tap", "stars"]
    assert 'name = "tap"' in (folder / "run" / "config.toml").read_text(encoding="utf-8")
    done(*where)


def test_lines_are_as_long_as_they_are_where_nobody_looks(folder: Path) -> None:
    config, prepared = folder / "motet.toml", folder / ("a" * 90)
    checked, made = done("check", config).out, done("prepare", config, "--prepared", prepared).out
    assert checked.splitlines()[0].endswith("400 impressions, 12 users, 24 items, 2 scenarios × 2 tasks")
    assert made.splitlines()[0].endswith("2 scenarios × 2 tasks; cleaning removed 0 rows")
    assert len(made.splitlines()) == 2
    init = done("init", folder / "log.csv", folder / "items.csv", "-o", folder / "other.toml").out
    assert "· split: " in init
    assert max(map(len, init.splitlines())) > 80


def test_how_a_run_is_judged_may_change_after_training(trained: Path, market: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    where = ("train", market / "motet.toml", "--prepared", market / "prepared", "--run", run)
    done(*where, "--set", "evaluate.seeds=5", "--set", "blend.click=2.0")
    assert "seeds = 5" in (run / "config.toml").read_text(encoding="utf-8")
    assert contents(run)["model.safetensors"] == contents(trained)["model.safetensors"]


def test_the_page_stands_beside_the_report(evaluated: Path, report: Any) -> None:
    page = (evaluated / "report.html").read_text(encoding="utf-8")
    assert page.lstrip().lower().startswith("<!doctype html>")
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert report["sentence"].split(";")[0] in page


def test_a_second_evaluation_trains_nothing_and_says_the_same(evaluated: Path, report: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(jobs, "ProcessPoolExecutor", lambda *_, **__: pytest.fail("trained again"))
    answer = done("evaluate", evaluated, "--json")
    again = answer.json
    assert answer.err == ""
    timed = {"seconds", "baselines", "machine"}
    assert {k: v for k, v in again.items() if k not in timed} == {k: v for k, v in report.items() if k not in timed}


def test_evaluate_shows_the_sentence_the_matrix_and_where_the_page_is(evaluated: Path, report: Any) -> None:
    text = done("evaluate", evaluated).out
    assert report["sentence"] in text
    assert all(name in text for name in ("desktop", "mobile", "voice", "click", "purchase", "Gradient boosting"))
    assert text.endswith(f"report: {evaluated}/report.html\n")


def test_without_controls_there_is_no_verdict(trained: Path, tmp_path: Path) -> None:
    run = tmp_path / "runs" / "small"
    shutil.copytree(trained.parents[1] / "prepared", tmp_path / "prepared")
    shutil.copytree(trained, run)
    shutil.copytree(trained.parent / ".controls", run.parent / ".controls")
    answer = done("evaluate", run, "--no-controls", "--set", "evaluate.baselines=[]", "--split", "valid", "--json")
    report = answer.json
    assert report["split"] == "valid"
    assert {cell["verdict"] for cell in report["cells"]} == {None}
    assert sum(report["verdicts"].values()) == 0
    assert report["controls"] == report["baselines"] == []


def test_runs_side_by_side(evaluated: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(evaluated, other)
    told = done("evaluate", evaluated, other, "--compare", "--json").json
    assert set(told) == {"runs", "notes", "macro", "verdicts", "cells"}
    assert all(cell["differences"][1] in (0.0, None) for cell in told["cells"])
    text = done("evaluate", evaluated, other, "--compare").out
    assert "desktop" in text
    assert "small" in text


def test_several_runs_without_compare_are_refused(evaluated: Path) -> None:
    assert "add --compare" in refused("evaluate", evaluated, evaluated)


def test_a_slate_for_each_scenario_and_kind(trained: Path) -> None:
    text = done("recommend", trained, "--user", "u00003", "-n", "2").out
    titles = re.findall(r"^(desktop|mobile|voice) · (goods|content)", text, re.MULTILINE)
    assert titles == [(s, k) for s in ("desktop", "mobile", "voice") for k in ("goods", "content")]
    assert max(map(len, text.splitlines())) <= 81
    assert "…" not in "".join(line[:60] for line in text.splitlines()), "a number or key is cut"


def test_a_slate_in_json(trained: Path) -> None:
    told = done("recommend", trained, "--user", "u00003", "--scenario", "voice", "--kind", "goods", "--json").json
    (slate,) = told["slates"]
    assert told["user"] == "u00003"
    assert set(slate) == {"scenario", "kind", "known_user", "items"}
    assert (slate["scenario"], slate["kind"], slate["known_user"], len(slate["items"])) == ("voice", "goods", True, 3)
    assert set(slate["items"][0]) == {"item", "score", "predictions", "text"}
    assert set(slate["items"][0]["predictions"]) == {"click", "cart", "purchase", "stars"}


def test_a_table_in_less_memory_answers_nearly_the_same_and_an_unknown_form_is_refused(trained: Path) -> None:
    ask = ("recommend", trained, "--user", "u00003", "--scenario", "voice", "--kind", "goods", "--json", "--table")
    exact, small = (done(*ask, form).json["slates"][0]["items"] for form in ("fp32", "int8"))
    assert small != exact
    assert [place["score"] for place in small] == pytest.approx([place["score"] for place in exact], abs=0.1)
    assert "fp16" in refused("recommend", trained, "--table", "fp15")


def test_what_takes_long_shows_its_progress_on_a_terminal_only(
    trained: Path, market: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = {
        ("recommend", trained, "--json"): ("opening the run", "scoring the catalogue"),
        ("init", *sorted(market.glob("*.parquet")), "-o", tmp_path / "motet.toml", "--force", "--json"): (
            "reading the tables", "looking at their columns", "finding out what they mean",
        ),
    }  # fmt: skip
    for command, shown in commands.items():
        quiet = done(*command)
        assert quiet.err == ""
        with monkeypatch.context() as on_terminal:
            on_terminal.setattr(terminal, "log", Console(file=(screen := io.StringIO()), force_terminal=True))
            assert done(*command).json == quiet.json
        assert [name for name in shown if name not in screen.getvalue()] == []


def test_an_unknown_user_is_answered_and_told_so(trained: Path) -> None:
    answer = done("recommend", trained, "--user", "nobody", "--scenario", "mobile")
    assert answer.err == "user 'nobody' is not in the log: answered as an unknown user\n"
    assert "mobile · goods (unknown user)" in answer.out


def test_the_demo_goes_the_whole_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size = Market(users=60, goods=60, content=40, impressions=1500)
    monkeypatch.setattr(demo, "Market", lambda: size)
    monkeypatch.setattr("motet.runtime.cores", lambda: 1)
    folder = tmp_path / "demo"
    told = done("demo", "--folder", folder, "--json")
    assert set(told.json) == {"report", "user", "slates", "seconds"}
    assert [(s["scenario"], s["kind"]) for s in told.json["slates"]] == [
        (scenario, kind) for scenario in ("desktop", "mobile", "voice") for kind in ("goods", "content")
    ]
    assert all(len(slate["items"]) == 3 for slate in told.json["slates"])
    assert told.err.startswith("prepared ")
    assert {"motet.toml", "impressions.parquet", "prepared", "runs"} <= {path.name for path in folder.iterdir()}
    again = done("demo", "--folder", folder).out
    assert "Slates for user" in again
    assert f"{folder}/runs/demo/report.html" in again
    assert "motet init YOUR_FILES" in again


def test_a_demo_of_other_data_does_not_pass_off_what_lies_there_as_its_own(market: Path) -> None:
    before = contents(market)
    assert "something else than 'movielens'" in refused("demo", "--data", "movielens", "--folder", market)
    assert contents(market) == before
    assert "did you mean 'movielens'" in refused("demo", "--data", "movielense", "--folder", market)


def test_doctor_finds_this_machine_ready() -> None:
    told = done("doctor", "--json").json
    assert told["ok"] is True
    assert {"python", "torch", "polars", "cores", "disk"} <= {finding["name"] for finding in told["findings"]}
    assert re.search(r"^ok\s+torch: \d", done("doctor").out, re.MULTILINE)


def test_a_mistake_in_json_is_one_object_too(tmp_path: Path) -> None:
    answer = motet("check", tmp_path / "motet.toml", "--json")
    assert answer.code == 2
    assert answer.json == {
        "error": "no such file",
        "where": str(tmp_path / "motet.toml"),
        "fix": "run `motet init FILES…` to write one",
    }


def test_in_a_process_of_its_own_stdout_holds_the_answer_and_stderr_nothing(trained: Path) -> None:
    answer = in_process("", "recommend", trained, "--scenario", "voice", "--json")
    assert (answer.returncode, answer.stderr) == (0, "")
    assert json.loads(answer.stdout)["user"] is None


def test_importing_motet_and_asking_for_help_load_nothing_heavy() -> None:
    code = "import motet, motet.cli\nheavy = {'torch', 'polars', 'numpy', 'pydantic', 'sklearn'} & set(sys.modules)\n"
    answer = in_process(code + "assert not heavy, heavy\n", "--help")
    assert (answer.returncode, answer.stderr) == (0, "")
