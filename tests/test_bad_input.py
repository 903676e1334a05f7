"""What a person can get wrong: each is refused with file, place and fix, exit code 2, and nothing there changes."""

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from command import contents, done, refused
from small_log import change, edit

Break = Callable[[Path], None]


def toml(before: str, after: str) -> Break:
    return lambda folder: change(folder / "motet.toml", before, after)


def log(**columns: pl.Expr) -> Break:
    return lambda folder: edit(folder / "log.csv", **columns)


def items(**columns: pl.Expr) -> Break:
    return lambda folder: edit(folder / "items.csv", **columns)


ROW = pl.int_range(pl.len())
MISTAKES: dict[str, tuple[Break, tuple[str, ...]]] = {
    "no such file": (toml('"log.csv"', '"lag.csv"'), ("lag.csv", "no such file")),
    "a pattern without files": (toml('"log.csv"', '"logs-*.csv"'), ("no file matches the pattern 'logs-*.csv'",)),
    "a folder instead of a file": (toml('"log.csv"', '"prepared"'), ("is a folder, not a file",)),
    "no such column": (toml('user = "user"', 'user = "usr"'), ("no column 'usr'", "did you mean 'user'?")),
    "no such feature column": (toml("price =", "prize ="), ("no column 'prize'", "did you mean 'price'?")),
    "an empty table": (lambda f: (f / "log.csv").write_text("user,item\n"), ("log.csv",)),
    "a row that is too long": (
        lambda f: (f / "log.csv").write_text((f / "log.csv").read_text() + "u1,i1,1,web,1,5,9\n"),
        ("row 401 has 7 fields, the header has 6",),
    ),
    "a binary file": (lambda f: (f / "log.csv").write_bytes(b"\x89\xff\x00\n" * 9), ("log.csv", "UTF-8")),
    "a key twice": (toml('price = "numeric"', 'title = "numeric"'), ("motet.toml", "not valid TOML")),
    "a feature of the wrong type": (
        items(price=pl.lit("dear")),
        ("features.item.price", "'price' is declared numeric but holds 'dear'", 'declare it "categorical"'),
    ),
    "times that are none": (
        log(time=pl.lit("yesterday")),
        ("column 'time' holds 'yesterday' in row 1, which is no time", "give ISO times"),
    ),
    "labels out of range": (
        log(clicked=pl.when(ROW % 5 == 3).then(7).otherwise("clicked")),
        ("task 'click'", "'clicked' holds 7 (first in row 4)", "20%"),
    ),
    "a regression out of range": (
        log(rating=pl.col("rating") * 10),
        ("task 'stars'", "not a number from 1 to 5", "correct low and high"),
    ),
    "an empty split": (
        toml('by = "time"', 'by = "time"\nvalid_from = "2030-01-01"\ntest_from = "2031-01-01"'),
        ("split", "the valid split is empty", "move valid_from and test_from inside the log"),
    ),
    "shares that leave nothing": (
        toml('by = "time"', 'by = "time"\nvalid = 0.6\ntest = 0.5'),
        ("motet.toml:", "together below 1"),
    ),
    "an unknown key": (toml("epochs = 1", "epoch = 1"), (":32: train.epoch", "did you mean 'epochs'?")),
    "an unknown section": (toml("[train]", "[training]"), ("unknown key 'training'", "did you mean 'train'?")),
    "a value of the wrong type": (toml("epochs = 1", 'epochs = "two"'), (":32: train.epochs", "not 'two'")),
    "a number that makes no sense": (toml("epochs = 1", "epochs = 0"), (":32: train.epochs", "at least 1")),
    "solo as a preset": (
        toml("[train]", '[model]\npreset = "solo"\n\n[train]'),
        ("model.preset", "solo is not one network but one for every cell", "`motet evaluate` then trains solo models"),
    ),
    "solo as a preset to compare with": (
        toml("presets = []", 'presets = ["solo"]'),
        ("evaluate.presets", "solo is no preset"),
    ),
    "a condition that does not parse": (
        toml("clicked = 1", "clicked = "),
        (":22: tasks.2.observed_when", "at position 11: expected a number", "an example that parses"),
    ),
    "a condition on a column that is not there": (
        toml("clicked = 1", "klicked = 1"),
        ("no column 'klicked'", "did you mean 'clicked'?"),
    ),
    "a condition on a column of another type": (
        toml("clicked = 1", "clicked = 'yes'"),
        ("task 'stars': observed_when", "'clicked' holds Int64", "leave the quotes out"),
    ),
    "a scenario seen only in test": (
        log(surface=pl.when(ROW >= 390).then(pl.lit("voice")).otherwise("surface")),
        ("scenario 'voice' is seen only in test (10 rows)", "start valid later"),
    ),
    "a task that is observed nowhere": (
        toml("clicked = 1", "clicked = 2"),
        ("task 'stars'", "no label is observed: observed_when"),
    ),
    "a label column without a value": (
        log(clicked=pl.lit(None, pl.Int64)),
        ("task 'click'", "holds no value"),
    ),
    "a kind that no item has": (
        toml('label = "clicked"', 'label = "clicked"\nkinds = ["music"]'),
        ("task 'click'", "kinds"),
    ),
    "a task without a label": (toml('label = "clicked"\n', ""), ("key 'label' is missing", "tasks.1")),
    "no tasks": (
        lambda f: (f / "motet.toml").write_text('[tables]\nimpressions = "log.csv"\n[columns]\nuser = "u"\nitem = "i"'),
        ("key 'tasks' is missing",),
    ),
    "no TOML": (lambda f: (f / "motet.toml").write_text("tables = \n"), ("not valid TOML", "line 1")),
    "an outcome among the features": (
        toml("[split]", '[features.context]\nclicked = "categorical"\n[split]'),
        ("features.context.clicked", "it looks like an outcome", "known_before = true"),
    ),
    "an unknown baseline": (toml('["popularity"]', '["popular"]'), ("evaluate.baselines", "did you mean 'popularity'")),
    "an unknown preset to compare with": (toml("presets = []", 'presets = ["mmo"]'), ("did you mean 'mmoe'",)),
    "an unknown preset": (toml("[train]", '[model]\npreset = "plee"\n[train]'), (":32: model.preset", "'ple'")),
    "an unknown key of the model": (toml("[train]", "[model]\ndims = 3\n[train]"), (":32: model.dims", "'dim'")),
    "a loss weight of no task": (
        toml("epochs = 1", "epochs = 1\ntask_weights = { klick = 2.0 }"),
        ("train.task_weights", "unknown task 'klick'", "did you mean 'click'?"),
    ),
    "a blend weight of no task": (toml("[train]", "[blend]\nstar = 2.0\n[train]"), ("unknown task 'star'",)),
    "a task that is relevant to nobody": (
        toml("seeds = 1", 'seeds = 1\nrelevant_task = { goods = "buy" }'),
        ("evaluate.relevant_task.goods", "unknown task 'buy'"),
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
@pytest.mark.parametrize("command", ["check", "train"])
def test_a_mistake_is_named_with_its_fix_and_nothing_is_touched(name: str, command: str, folder: Path) -> None:
    breaks, told = MISTAKES[name]
    breaks(folder)
    before = contents(folder)
    options = () if command == "check" else ("--prepared", folder / "new", "--run", folder / "runs" / "new")
    said = refused(command, folder / "motet.toml", *options)
    assert all(part in said for part in told), said
    assert contents(folder) == before


def test_without_a_schema_the_way_to_one_is_told(tmp_path: Path) -> None:
    said = refused("prepare", tmp_path / "motet.toml", "--prepared", tmp_path / "p")
    assert "no such file" in said
    assert "motet init" in said
    assert "cannot be read" in refused("check", tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("pair", ["epochs", "=3", "tasks.name=x", "train.lr=fast"])
def test_a_setting_that_is_none_is_refused(pair: str, folder: Path) -> None:
    before = contents(folder)
    refused("train", folder / "motet.toml", "--prepared", folder / "prepared", "--run", folder / "b", "--set", pair)
    assert contents(folder) == before


def test_a_prepared_folder_of_another_schema_is_not_replaced_unless_forced(folder: Path) -> None:
    change(folder / "motet.toml", "low = 1\n", "low = 0\n")
    before = contents(folder)
    where = (folder / "motet.toml", "--prepared", folder / "prepared")
    for command in (("prepare", *where), ("train", *where, "--run", folder / "run")):
        said = refused(*command)
        assert "the folder was prepared from something else: schema.tasks.2.low: 1.0 → 0.0" in said
        assert contents(folder) == before
    done("prepare", *where, "--force")
    said = refused("train", *where, "--run", folder / "run")
    assert "this run was trained with other settings: [tasks]" in said
    said = refused("evaluate", folder / "run")
    assert "the prepared folder is not the one this run was trained on" in said


def test_a_run_on_files_of_other_content_is_told_apart(folder: Path) -> None:
    edit(folder / "log.csv", rating=6 - pl.col("rating"))
    where = (folder / "motet.toml", "--prepared", folder / "prepared")
    assert "log.csv" in refused("prepare", *where)
    done("prepare", *where, "--force")
    before = contents(folder)
    assert "this run was trained on other data" in refused("train", *where, "--run", folder / "run")
    assert "not the one this run was trained on" in refused("recommend", folder / "run")
    assert contents(folder) == before


def test_folders_of_something_else_are_never_written_to(folder: Path) -> None:
    (folder / "photos").mkdir()
    (folder / "photos" / "cat.jpg").write_bytes(b"cat")
    before = contents(folder)
    config, photos = folder / "motet.toml", folder / "photos"
    where = (config, "--prepared", folder / "prepared")
    assert "holds something else" in refused("prepare", config, "--prepared", photos, "--force")
    assert "holds something else" in refused("train", *where, "--run", photos, "--force")
    assert "holds something else" in refused("train", *where, "--run", folder, "--force")
    assert "holds something else" in refused("train", *where, "--run", folder / "log.csv")
    assert contents(folder) == before


@pytest.mark.parametrize("command", ["evaluate", "recommend"])
def test_a_run_that_is_none_unfinished_or_damaged(command: str, folder: Path) -> None:
    assert "no finished run here" in refused(command, folder / "nowhere")
    (folder / "run" / "model.safetensors").write_bytes(b"not weights")
    assert "this run cannot be read" in refused(command, folder / "run")
    (folder / "run" / "run.json").unlink()
    assert "this run is not finished" in refused(command, folder / "run")


def test_reports_that_are_not_there_or_damaged_are_not_compared(folder: Path) -> None:
    runs = (folder / "run", folder / "run")
    assert f"motet evaluate {folder}/run" in refused("evaluate", *runs, "--compare")
    (folder / "run" / "report.json").write_text("{")
    assert "this report cannot be read" in refused("evaluate", *runs, "--compare")


ASKED: dict[str, tuple[tuple[str, ...], str]] = {
    "scenario": (("--scenario", "wep"), "did you mean 'web'?"),
    "kind": (("--kind", "good"), "did you mean 'goods'?"),
    "item to leave out": (("--exclude", "i244"), "did you mean 'i"),
    "item of no likeness": (("--exclude", "zzz"), "items are known by column 'item'"),
    "weight of no task": (("--weight", "clicks=2"), "did you mean 'click'?"),
    "weight without a number": (("--weight", "click"), "write task=number"),
    "weight that is no number": (("--weight", "click=nan"), "finite"),
    "context of no feature": (("--context", "device=phone"), "[features.context] has no features"),
    "context without a value": (("--context", "device"), "write feature=value"),
    "context told twice": (("--context", "device=a", "--context", "device=b"), "tell each feature once"),
    "no weight at all": (("--weight", "click=0", "--weight", "stars=0"), "nothing to rank kind 'goods' by"),
}


@pytest.mark.parametrize("name", ASKED)
def test_a_request_for_what_is_not_known(name: str, good: Path) -> None:
    options, told = ASKED[name]
    assert told in refused("recommend", good / "run", *options)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "cannot read the history"),
        ('{"item": "i1"}', "not a list of events"),
        ('[{"click": 1}]', "not a list of events"),
        ('[{"item": "i1", "clik": 1}]', "did you mean 'click'?"),
        ('[{"item": "i1", "click": "yes"}]', "'click' should be a number"),
        ('[{"item": "i1", "scenario": "wep"}]', "did you mean 'web'?"),
        ('[{"item": "i1", "time": "noon"}]', "the time should be a number"),
    ],
)
def test_a_history_that_cannot_be_read(text: str, told: str, good: Path, tmp_path: Path) -> None:
    (tmp_path / "history.json").write_text(text)
    assert told in refused("recommend", good / "run", "--history", tmp_path / "history.json")
    assert "cannot read the history" in refused("recommend", good / "run", "--history", tmp_path / "none.json")


def test_init_refuses_what_it_cannot_use(folder: Path) -> None:
    before = contents(folder)
    assert "this file exists" in refused("init", folder / "log.csv", "-o", folder / "motet.toml")
    assert "no such file" in refused("init", folder / "nothing.csv", "-o", folder / "new.toml")
    assert "did you mean 'kuairand'?" in refused("init", folder, "--reader", "kuairandom", "-o", folder / "new.toml")
    assert "no file that reader 'kuairand' knows" in refused("init", folder, "--reader", "kuairand", "-o", folder / "n")
    assert "one folder" in refused("init", folder, folder, "--reader", "amazon", "-o", folder / "new.toml")
    assert contents(folder) == before


def test_positives_alone_can_be_prepared_but_not_trained_on(folder: Path) -> None:
    edit(folder / "log.csv", clicked=pl.lit(1), rating=pl.lit(5))
    where = (folder / "motet.toml", "--prepared", folder / "sequences")
    done("prepare", *where)
    before = contents(folder)
    said = refused("train", *where, "--run", folder / "run2")
    assert "nothing to tell apart" in said
    assert "click: always 1, stars: always 5" in said
    assert "rows with label 0" in said
    assert contents(folder) == before
    assert "nothing to tell apart" in refused("train", *where, "--run", folder / "run", "--force")
    assert contents(folder) == before
