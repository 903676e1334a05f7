"""Motet from Python: frames of either library and files give the same, and a mistake says where it is."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import small_log
from command import done

import motet
from motet.train.run import Run

ROWS = pl.DataFrame({"user": ["u1", "u2", "u99"], "item": ["i3", "i4", "i5"], "surface": ["web", "app", "web"]})


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, pl.DataFrame]:
    folder = tmp_path_factory.mktemp("tables")
    small_log.write(folder)
    return {"impressions": pl.read_csv(folder / "log.csv"), "items": pl.read_csv(folder / "items.csv")}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_whole_way_from_frames_to_slates(tables: dict[str, pl.DataFrame], here: Path) -> None:
    findings = motet.init(tables, "shop/motet.toml")
    assert {"user", "item", "time", "scenario"} <= {finding["role"] for finding in findings}
    assert motet.check("shop/motet.toml")["users"] == 12
    changes = {"train.epochs": 1, "train.threads": 1, "evaluate.presets": [], "evaluate.resamples": 50}
    changes |= {"evaluate.baselines": ["popularity"]}
    run = motet.train("shop/motet.toml", "shop/run", prepared="shop/prepared", changes=changes)
    report = motet.evaluate(run, seeds=1, controls=False)
    assert Path("shop/run/report.html").exists()
    assert {cell["scenario"] for cell in report["cells"]} == {"web", "app"}
    tasks = [task.name for task in run.data.layout.tasks]
    scores = motet.predict(ROWS, run)
    assert scores.columns == ["user", "item", "surface", *tasks]
    slates = motet.recommend(run, user="u1", scenarios=["web"], n=2)
    assert all(len(slate["items"]) == 2 for slate in slates)


def test_pandas_and_polars_frames_make_the_same_log(tables: dict[str, pl.DataFrame], here: Path) -> None:
    motet.init(tables, "polars/motet.toml")
    motet.init({name: frame.to_pandas() for name, frame in tables.items()}, "pandas/motet.toml")
    assert Path("pandas/motet.toml").read_text() == Path("polars/motet.toml").read_text()
    prints = [motet.prepare(f"{name}/motet.toml", f"{name}/p").counts_V.numpy() for name in ("polars", "pandas")]
    assert np.array_equal(*prints)


def test_unsorted_rows_make_the_same_data(tables: dict[str, pl.DataFrame], here: Path) -> None:
    shuffled = tables["impressions"].sample(fraction=1.0, shuffle=True, seed=3)
    for name, log in (("sorted", tables["impressions"]), ("shuffled", shuffled)):
        motet.init(tables | {"impressions": log}, f"{name}/motet.toml")
        motet.prepare(f"{name}/motet.toml", f"{name}/p")
    one, other = (np.load(f"{name}/p/impressions/time.npy") for name in ("sorted", "shuffled"))
    assert np.array_equal(one, other)


def test_scores_come_back_in_the_library_of_the_rows(good: Path) -> None:
    wanted = motet.predict(ROWS, good / "run")
    found = motet.predict(ROWS.to_pandas(), good / "run")
    assert isinstance(found, pd.DataFrame)
    assert found["click"].to_numpy() == pytest.approx(wanted["click"].to_numpy())
    table = motet.predict(ROWS.to_arrow(), good / "run")
    assert table.column_names == wanted.columns


def test_files_and_frames_and_the_command_line_say_the_same(good: Path, tmp_path: Path) -> None:
    ROWS.write_csv(tmp_path / "rows.csv")
    wanted = motet.predict(ROWS, good / "run")
    assert motet.predict(tmp_path / "rows.csv", good / "run").equals(wanted)
    done("predict", tmp_path / "rows.csv", "--run", good / "run", "-o", tmp_path / "scores.parquet")
    assert pl.read_parquet(tmp_path / "scores.parquet").equals(wanted)


def test_a_run_and_its_folder_are_the_same_to_every_function(good: Path) -> None:
    from motet.train.run import load_run

    run: Run = load_run(good / "run")
    assert motet.predict(ROWS, run).equals(motet.predict(ROWS, good / "run"))
    assert motet.recommend(run, user="u1") == motet.recommend(good / "run", user="u1")


def test_an_inline_history_may_be_a_list_or_a_file(good: Path, tmp_path: Path) -> None:
    events = [{"item": "i2", "click": 1}]
    (tmp_path / "events.json").write_text('[{"item": "i2", "click": 1}]', encoding="utf-8")
    ask: dict[str, Any] = {"scenarios": ["web"], "n": 3}
    one, other = (motet.recommend(good / "run", history=h, **ask) for h in (events, tmp_path / "events.json"))
    assert one == other != motet.recommend(good / "run", **ask)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (ROWS.drop("item"), ("'item'",)),
        (ROWS.clear(), ("no rows",)),
        (ROWS.with_columns(surface=pl.lit("moon")), ("moon", "row 1")),
        (ROWS.with_columns(user=pl.lit([1, 2])), ("user",)),
        ([1, 2], ("1",)),
        ({"user": ["u1"]}, ("user",)),
        (pd.DataFrame([[1, 2]], columns=[0, 0]), ("names",)),
        (pd.DataFrame({"user": ["u1", 3, b"x"], "item": "i1", "surface": "web"}), ("type",)),
    ],
)
def test_rows_that_are_no_rows_are_named(good: Path, rows: Any, words: tuple[str, ...]) -> None:
    with pytest.raises(motet.InputError) as caught:
        motet.predict(rows, good / "run")
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_extra_columns_and_values_never_seen_do_no_harm(good: Path) -> None:
    more = ROWS.with_columns(extra=pl.lit(1), clicked=pl.lit(1), rating=pl.lit(None))
    assert motet.predict(more, good / "run").equals(motet.predict(ROWS, good / "run"))


@pytest.mark.parametrize(
    ("tables", "words"),
    [
        ({"impression": ROWS}, ("'impression'", "impressions")),
        ({"impressions": 3}, ("frame",)),
    ],
)
def test_tables_that_are_none_are_named_and_nothing_is_written(
    here: Path, tables: dict[str, Any], words: tuple[str, ...]
) -> None:
    with pytest.raises(motet.InputError) as caught:
        motet.init(tables, "shop/motet.toml")
    assert all(word in str(caught.value) for word in words)
    assert not list(here.rglob("*.parquet"))
    assert not list(here.rglob("*.toml"))


def test_frames_that_are_refused_leave_no_file_and_may_be_given_again(
    tables: dict[str, pl.DataFrame], here: Path
) -> None:
    with pytest.raises(motet.InputError):
        motet.init({"impressions": tables["impressions"].select("user", "time")}, "shop/motet.toml")
    assert not list(here.rglob("*.*"))
    motet.init(tables, "shop/motet.toml")


def test_a_table_that_lies_there_is_not_replaced(tables: dict[str, pl.DataFrame], here: Path) -> None:
    Path("items.parquet").write_text("mine", encoding="utf-8")
    with pytest.raises(motet.InputError, match=r"items\.parquet"):
        motet.init(tables)
    assert Path("items.parquet").read_text(encoding="utf-8") == "mine"
    assert not Path("impressions.parquet").exists()


def test_every_name_of_the_package_is_there_and_documented() -> None:
    for name in motet.__all__:
        found = getattr(motet, name)
        assert name == "__version__" or found.__doc__
    assert set(dir(motet)) == set(motet.__all__)
    with pytest.raises(AttributeError, match="no attribute 'fit'"):
        _ = motet.fit


def test_a_script_that_does_not_guard_its_main_part_may_train_controls(folder: Path) -> None:
    script = folder / "script.py"
    script.write_text("import motet\nprint(motet.evaluate('run', seeds=1)['verdicts'])\n", encoding="utf-8")
    told = subprocess.run([sys.executable, str(script)], cwd=folder, capture_output=True, text=True)
    assert told.returncode == 0, told.stderr
    assert told.stdout.count("unclear") == 1


def test_a_package_and_the_function_of_its_name_live_together() -> None:
    code = """
import motet.train.loop as loop
from motet.evaluate import verdict
import motet
for stage, module in ((motet.train, loop), (motet.evaluate, verdict)):
    try:
        stage("nothing-here")
    except motet.InputError as error:
        print(error, module.__name__)
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert told.stderr == ""
    assert told.stdout.count("nothing-here: no") == 2


def test_importing_motet_imports_neither_torch_nor_polars() -> None:
    code = "import sys, motet; print({'torch', 'polars'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "set()"
