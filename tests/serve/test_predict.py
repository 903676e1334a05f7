"""Scores of given rows: those that evaluation sees, in the rows' order, whole after a kill."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from command import done, refused

from motet.errors import InputError
from motet.serve import predict as module
from motet.serve.predict import predict_files, predict_frame
from motet.train.run import Run, load_run
from motet.train.score import score_rows


@pytest.fixture(scope="module")
def run(trained: Path) -> Run:
    return load_run(trained)


@pytest.fixture(scope="module")
def rows(market: Path, run: Run) -> pl.DataFrame:
    """The test split as it stands in the log."""
    test = run.data.rows("test")
    return pl.read_parquet(market / "impressions.parquet")[run.data.impressions.row.numpy()[test]]


def test_they_are_what_evaluation_measures(run: Run, rows: pl.DataFrame) -> None:
    data, test = run.data, run.data.rows("test")
    wanted_NT = run.calibration.apply(score_rows(run.network, data, test), data.scenarios(test))
    scores, facts = predict_frame(run, rows)
    assert (facts.rows, facts.unknown_users, facts.unknown_items, facts.missing_columns) == (len(test), 0, 0, ())
    assert scores.columns == ["user_id", "item_id", "surface", "time", *(task.name for task in data.layout.tasks)]
    assert scores["item_id"].equals(rows["item_id"])
    for t, task in enumerate(data.layout.tasks):
        found = scores[task.name].to_numpy()
        told = ~np.isnan(found)
        assert told.sum() > 100
        assert np.allclose(found[told], wanted_NT[told, t], rtol=1e-5)


def test_a_task_of_one_kind_says_nothing_of_the_other(run: Run, rows: pl.DataFrame) -> None:
    scores, _ = predict_frame(run, rows)
    goods = scores["item_id"].str.starts_with("g")
    assert scores["like"].is_null().equals(goods)
    assert scores["cart"].is_null().equals(~goods)
    assert scores["click"].null_count() == 0


def test_of_an_unknown_item_every_task_says_something(run: Run, rows: pl.DataFrame) -> None:
    scores, facts = predict_frame(run, rows.head(2).with_columns(item_id=pl.lit("new"), user_id=pl.lit("new")))
    assert scores.null_count().sum_horizontal().item() == 0
    assert (facts.unknown_items, facts.unknown_users) == (2, 2)


@pytest.mark.parametrize("suffix", ["csv", "parquet", "jsonl"])
def test_files_of_any_format_give_the_scores_of_the_frame(
    run: Run, rows: pl.DataFrame, tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ROWS", 100)
    wanted, _ = predict_frame(run, rows)
    file, output = tmp_path / f"rows.{suffix}", tmp_path / "scores.parquet"
    {"csv": rows.write_csv, "parquet": rows.write_parquet, "jsonl": rows.write_ndjson}[suffix](file)
    facts = predict_files(run, [file], output)
    assert facts.rows == len(rows)
    found = pl.read_parquet(output)
    assert found["item_id"].equals(wanted["item_id"])
    for task in run.data.layout.tasks:
        assert np.allclose(found[task.name].to_numpy(), wanted[task.name].to_numpy(), rtol=1e-5, equal_nan=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([file.name, "scores.parquet"])


def test_after_a_kill_it_goes_on_behind_the_last_part(
    run: Run, rows: pl.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ROWS", 100)
    file, output, scored = tmp_path / "rows.parquet", tmp_path / "scores.parquet", list[int]()
    rows.write_parquet(file)

    def killed(*arguments, first, **how):
        scored.append(first)
        if len(scored) == 3:
            raise KeyboardInterrupt
        return predict_frame(*arguments, first=first, **how)

    monkeypatch.setattr(module, "predict_frame", killed)
    with pytest.raises(KeyboardInterrupt):
        predict_files(run, [file], output)
    assert not output.exists()
    facts = predict_files(run, [file], output)
    assert scored[:4] == [0, 100, 200, 200]
    assert len(scored) == 1 + -(-len(rows) // 100)
    assert facts.rows == len(rows) == len(pl.read_parquet(output))
    monkeypatch.undo()
    assert pl.read_parquet(output)["item_id"].equals(rows["item_id"])


def test_other_rows_do_not_go_on_with_the_parts_of_these(
    run: Run, rows: pl.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    file, output = tmp_path / "rows.csv", tmp_path / "scores.parquet"
    rows.head(10).write_csv(file)
    monkeypatch.setattr(pl, "scan_parquet", killed)
    with pytest.raises(KeyboardInterrupt):
        predict_files(run, [file], output)
    monkeypatch.undo()
    other = rows.head(20).reverse()
    other.write_csv(file)
    assert predict_files(run, [file], output).rows == 20
    assert pl.read_parquet(output)["item_id"].equals(other["item_id"])


def test_the_command_tells_what_it_did_not_know(trained: Path, rows: pl.DataFrame, tmp_path: Path) -> None:
    file, output = tmp_path / "rows.csv", tmp_path / "out.parquet"
    few = rows.head(4).select("user_id", "item_id", "surface").with_columns(user_id=pl.lit("stranger"))
    few.write_csv(file)
    told = done("predict", file, "--run", trained, "-o", output).out
    assert "scored 4 rows" in told
    assert "4 rows are of users who are not in the log" in told
    assert "connection" in told
    again = refused("predict", file, "--run", trained, "-o", output)
    assert "--force" in again
    found = done("predict", file, "--run", trained, "-o", output, "--force", "--json").json
    assert (found["rows"], found["unknown_users"], found["unknown_items"]) == (4, 4, 0)
    assert json.dumps(found)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("user_id,item_id\nu1,g0001\n", ("surface",)),
        ("user_id,item_id,surface\nu1,g0001,moon\n", ("row 1", "moon")),
        ("user_id,item_id,surface,time\nu1,g0001,voice,soon\n", ("soon",)),
        ("user_id,item_id,surface\n", ("no rows",)),
    ],
)
def test_rows_that_cannot_be_scored_leave_no_file(
    trained: Path, tmp_path: Path, text: str, words: tuple[str, ...]
) -> None:
    file, output = tmp_path / "rows.csv", tmp_path / "scores.parquet"
    file.write_text(text, encoding="utf-8")
    said = refused("predict", file, "--run", trained, "-o", output)
    assert all(word in said for word in words)
    assert list(tmp_path.iterdir()) == [file]


def test_files_whose_columns_differ_in_type_are_joined_and_other_columns_are_refused(
    run: Run, rows: pl.DataFrame, tmp_path: Path
) -> None:
    keys = rows.select("user_id", "item_id", "surface", "time").head(6)
    keys.head(3).write_parquet(tmp_path / "a.parquet")
    keys.tail(3).with_columns(pl.col("time").cast(pl.Float32)).write_parquet(tmp_path / "b.parquet")
    keys.drop("time").write_parquet(tmp_path / "c.parquet")
    files = [tmp_path / f"{name}.parquet" for name in "abc"]
    predict_files(run, files[:2], tmp_path / "scores.parquet")
    found = pl.read_parquet(tmp_path / "scores.parquet")
    assert found["item_id"].equals(keys["item_id"])
    assert found["time"].dtype == keys["time"].dtype
    with pytest.raises(InputError, match="'time' is not in all files"):
        predict_files(run, files, tmp_path / "other.parquet")


def test_progress_is_told_within_a_part(run: Run, rows: pl.DataFrame, tmp_path: Path) -> None:
    rows.write_parquet(tmp_path / "rows.parquet")
    told: list[float] = []
    predict_files(
        run, [tmp_path / "rows.parquet"], tmp_path / "scores.parquet", say=lambda what, share: told.append(share)
    )
    assert told == sorted(told)
    assert told[-1] == 1.0


def test_another_format_of_the_output_is_refused(run: Run, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Parquet"):
        predict_files(run, [tmp_path / "rows.csv"], tmp_path / "scores.csv")
