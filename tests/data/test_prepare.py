import errno
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import small_shop as shop

from motet.data import prepare as module
from motet.data import tables
from motet.data.dataset import Dataset
from motet.data.files import RawTables, source_file
from motet.data.history import HistorySettings
from motet.data.manifest import read_manifest
from motet.data.prepare import PrepareSettings, check_tables, prepare
from motet.data.running import Running
from motet.data.sources.reader import Reader
from motet.data.split import Split
from motet.errors import InputError
from motet.settings import plain

SETTINGS = PrepareSettings(history=HistorySettings(length=5))


@pytest.fixture
def base(tmp_path):
    shop.write(tmp_path)
    return tmp_path


def contents(folder: Path) -> dict[str, bytes]:
    files = {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
    return {name: data for name, data in files.items() if name != "manifest.json"}


def beside(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.parent.iterdir() if path.name.startswith("."))


def test_the_manifest_tells_what_the_folder_was_made_from_and_holds(base):
    told = []
    manifest = prepare(
        shop.schema(), SETTINGS, base, base / "p", progress=lambda what, share: told.append((what, share))
    )
    assert manifest == read_manifest(base / "p")
    assert manifest["format"] == "motet-prepared/1"
    assert sum(manifest["rows"].values()) == 600
    assert [file["path"] for file in manifest["files"]] == ["impressions.parquet", "users.parquet", "items.parquet"]
    assert [what for what, _ in told] == [*module.STAGES, "done"]
    assert set(manifest["seconds"]) == set(module.STAGES)
    cells = {(c["scenario"], c["task"], c["split"]): c for c in manifest["cells"]}
    frame = pl.read_parquet(base / "impressions.parquet")
    clicks = sum(cells["voice", "click", split]["positives"] for split in ("train", "valid", "test"))
    assert clicks == frame.filter(pl.col("surface") == "voice")["clicked"].sum()
    assert cells["voice", "stars", "train"]["positives"] is None
    assert beside(base / "p") == []


def test_a_fresh_folder_is_left_as_it_is_even_if_a_file_was_only_touched(base):
    prepare(shop.schema(), SETTINGS, base, base / "p")
    before = (base / "p" / "manifest.json").stat().st_mtime_ns
    (base / "users.parquet").touch()
    told = []
    prepare(shop.schema(), SETTINGS, base, base / "p", progress=lambda what, share: told.append(what))
    assert told == ["fresh"]
    assert (base / "p" / "manifest.json").stat().st_mtime_ns == before


def test_a_folder_from_another_schema_is_refused_by_the_key_that_differs_and_replaced_by_force(base):
    prepare(shop.schema(), SETTINGS, base, base / "p")
    before = contents(base / "p")
    other = replace(SETTINGS, running=Running(prior=3))
    with pytest.raises(InputError, match=r"settings.running.prior: 10.0 → 3.0"):
        prepare(shop.schema(), other, base, base / "p")
    assert contents(base / "p") == before
    prepare(shop.schema(), other, base, base / "p", force=True)
    assert contents(base / "p") != before


def test_other_data_is_refused_by_the_file_that_differs(base):
    prepare(shop.schema(), SETTINGS, base, base / "p")
    shop.write(base, seed=1)
    with pytest.raises(InputError, match=r"impressions.parquet has"):
        prepare(shop.schema(), SETTINGS, base, base / "p")


def test_a_new_file_of_a_glob_is_noticed(base):
    (base / "impressions.parquet").rename(base / "log-1.parquet")
    named = {"impressions": "log-*.parquet", "users": "users.parquet", "items": "items.parquet"}
    prepare(shop.schema(tables=named), SETTINGS, base, base / "p")
    (base / "log-2.parquet").write_bytes((base / "log-1.parquet").read_bytes())
    with pytest.raises(InputError, match=r"log-2\.parquet is new"):
        prepare(shop.schema(tables=named), SETTINGS, base, base / "p")


@pytest.mark.parametrize("force", [False, True])
def test_a_folder_of_something_else_is_never_replaced(base, force):
    (base / "p").mkdir()
    (base / "p" / "thesis.tex").write_text("ten years of work")
    with pytest.raises(InputError, match="holds something else"):
        prepare(shop.schema(), SETTINGS, base, base / "p", force=force)
    assert (base / "p" / "thesis.tex").read_text() == "ten years of work"


def test_two_runs_write_the_same_bytes(base):
    prepare(shop.schema(), SETTINGS, base, base / "a")
    prepare(shop.schema(), SETTINGS, base, base / "b")
    assert contents(base / "a") == contents(base / "b")


def test_a_bound_on_memory_changes_no_byte_and_an_absurd_one_is_refused(base, monkeypatch):
    prepare(shop.schema(), SETTINGS, base, base / "a")
    monkeypatch.setattr("motet.data.memory._LARGEST", 90)
    monkeypatch.setattr("motet.data.memory._SMALLEST", 70)
    monkeypatch.setattr("motet.data.before.CHUNK", 50)
    monkeypatch.setattr("motet.data.columns._BLOCK", 64)
    monkeypatch.setattr("motet.data.clean._COMPARED", 1)
    prepare(shop.schema(), SETTINGS, base, base / "b", memory="1GB")
    assert contents(base / "a") == contents(base / "b")
    with pytest.raises(InputError, match="less than starting takes"):
        prepare(shop.schema(), SETTINGS, base, base / "c", memory="1MB")
    assert not (base / "c").exists()


@pytest.mark.parametrize("stage", ["log_impressions", "look_back", "write_arrays"])
def test_a_killed_run_leaves_the_old_folder_and_goes_on_without_reading_again(base, monkeypatch, stage):
    prepare(shop.schema(), SETTINGS, base, base / "p")
    other = replace(SETTINGS, running=Running(prior=3))
    prepare(shop.schema(), other, base, base / "whole")
    before = contents(base / "p")
    with monkeypatch.context() as patch:
        patch.setattr(module, stage, _killed)
        with pytest.raises(KeyboardInterrupt):
            prepare(shop.schema(), other, base, base / "p", force=True)
    assert contents(base / "p") == before
    monkeypatch.setattr(module, "read_tables", _killed)
    prepare(shop.schema(), other, base, base / "p", force=True)
    assert contents(base / "p") == contents(base / "whole")
    assert beside(base / "p") == []


def test_what_a_killed_run_kept_is_not_used_when_the_data_has_changed(base, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(module, "write_arrays", _killed)
        with pytest.raises(KeyboardInterrupt):
            prepare(shop.schema(), SETTINGS, base, base / "p")
    shop.write(base, rows=500)
    assert sum(prepare(shop.schema(), SETTINGS, base, base / "p")["rows"].values()) == 500


def test_a_kill_between_the_two_renames_loses_nothing(base):
    prepare(shop.schema(), SETTINGS, base, base / "p")
    (base / "p").rename(base / ".p.old")
    told = []
    prepare(shop.schema(), SETTINGS, base, base / "p", progress=lambda what, share: told.append(what))
    assert told == ["fresh"]
    assert beside(base / "p") == []


def test_a_full_disk_is_told_and_leaves_nothing_behind(base, monkeypatch):
    prepare(shop.schema(), SETTINGS, base, base / "p")
    before = contents(base / "p")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("motet.data.write.save_array", full)
    with pytest.raises(InputError, match="disk is full"):
        prepare(shop.schema(), replace(SETTINGS, running=Running(prior=3)), base, base / "p", force=True)
    assert contents(base / "p") == before
    assert beside(base / "p") == []


def test_a_mistake_leaves_nothing_behind(base):
    with pytest.raises(InputError):
        prepare(shop.schema(), replace(SETTINGS, running=Running(keys=(("usr",),))), base, base / "p")
    assert not (base / "p").exists()
    assert beside(base / "p") == []


def test_nothing_is_pickled(base):
    prepare(shop.schema(), SETTINGS, base, base / "p")
    assert {path.suffix for path in (base / "p").rglob("*") if path.is_file()} == {".json", ".npy", ".parquet"}
    for path in (base / "p").rglob("*.npy"):
        np.load(path, allow_pickle=False)


def test_check_refuses_what_prepare_refuses_and_writes_nothing(base):
    found = check_tables(shop.schema(), SETTINGS, base)
    manifest = prepare(shop.schema(), SETTINGS, base, base / "p")
    assert found["cells"] == manifest["cells"]
    assert found["warnings"] == manifest["warnings"]
    shop.write(base)
    before = sorted(base.iterdir())
    with pytest.raises(InputError):
        check_tables(shop.schema(), replace(SETTINGS, running=Running(keys=(("usr",),))), base)
    assert sorted(base.iterdir()) == before


def test_an_empty_table_is_refused(base):
    pl.read_parquet(base / "impressions.parquet").head(0).write_parquet(base / "impressions.parquet")
    with pytest.raises(InputError, match="no rows"):
        prepare(shop.schema(), SETTINGS, base, base / "p")


def test_a_missing_column_is_named(base):
    pl.read_parquet(base / "items.parquet").drop("price").write_parquet(base / "items.parquet")
    with pytest.raises(InputError, match="'price'"):
        prepare(shop.schema(), SETTINGS, base, base / "p")


def test_an_outcome_posing_as_a_feature_is_refused_unless_promised(base):
    frame = pl.read_parquet(base / "impressions.parquet")
    frame.with_columns(stay=pl.col("clicked") * 30.0 + pl.col("queue").fill_null(0)).write_parquet(
        base / "impressions.parquet"
    )
    context = {"stay": {"form": "numeric"}}
    with pytest.raises(InputError, match="'stay' alone tells 'click'"):
        prepare(shop.schema(features={"context": context}), SETTINGS, base, base / "p")
    context = {"stay": {"form": "numeric", "known_before": True}}
    prepare(shop.schema(features={"context": context}), SETTINGS, base, base / "p")


def test_a_column_that_is_only_there_after_a_click_is_refused(base):
    frame = pl.read_parquet(base / "impressions.parquet")
    frame.with_columns(note=pl.when(pl.col("clicked") == 1).then("queue")).write_parquet(base / "impressions.parquet")
    with pytest.raises(InputError, match="'note' alone tells 'click'"):
        prepare(shop.schema(features={"context": {"note": "numeric"}}), SETTINGS, base, base / "p")


def test_all_positive_data_is_prepared_with_a_warning(base):
    frame = pl.read_parquet(base / "impressions.parquet")
    frame.with_columns(clicked=1).write_parquet(base / "impressions.parquet")
    tasks = [{"name": "click", "label": "clicked"}]
    manifest = prepare(shop.schema(tasks=tasks, references=[]), SETTINGS, base, base / "p")
    assert any("mobile × click has only positives in train" in warning for warning in manifest["warnings"])
    data = Dataset.open(base / "p")
    assert np.isfinite(data.batch(data.rows("train")).pair_numbers_BCN.numpy()).all()


def test_one_kind_only_needs_no_kind_column(base):
    columns = {"user": "user_id", "item": "item_id", "time": "at"}
    tasks = [{"name": "click", "label": "clicked"}]
    schema = shop.schema(columns=columns, scenarios=[], tasks=tasks)
    prepare(schema, SETTINGS, base, base / "p")
    layout = Dataset.open(base / "p").layout
    assert layout.kinds == ("item",)
    assert [scenario.name for scenario in layout.scenarios] == ["all"]
    assert not any("scenario" in name for name in layout.pair_numbers)
    assert {"scenario", "kind"}.isdisjoint(field.name for field in layout.fields)


def test_scenarios_are_found_in_the_data_the_commonest_first(base):
    prepare(shop.schema(scenarios=[]), SETTINGS, base, base / "p")
    assert [scenario.name for scenario in Dataset.open(base / "p").layout.scenarios] == ["mobile", "voice"]


def test_scenarios_without_a_column_are_refused(base):
    columns = {"user": "user_id", "item": "item_id", "time": "at"}
    with pytest.raises(InputError, match="no column says which"):
        prepare(shop.schema(columns=columns, tasks=[{"name": "click", "label": "clicked"}]), SETTINGS, base, base / "p")


def test_an_item_that_no_table_knows_is_of_the_commonest_kind_with_a_warning(base):
    items = pl.read_parquet(base / "items.parquet")
    items.filter(pl.col("item_id") != "i4").write_parquet(base / "items.parquet")
    manifest = prepare(shop.schema(), SETTINGS, base, base / "p")
    data = Dataset.open(base / "p")
    assert "1 items have no kind and are taken for 'goods'" in manifest["warnings"]
    assert data.layout.kinds[data.items.kind_I[data.item_row("i4")]] == "goods"


def test_vectors_of_different_lengths_are_refused(base):
    items = pl.read_parquet(base / "items.parquet")
    items.with_columns(photo=pl.Series([[1.0] * (1 + i % 2) for i in range(22)])).write_parquet(base / "items.parquet")
    with pytest.raises(InputError, match="one length, not 1, 2"):
        prepare(shop.schema(), SETTINGS, base, base / "p")


def test_a_named_readers_folder_is_fresh_until_a_file_of_it_changes(base, monkeypatch):
    def read(folder):
        frames = {name: pl.read_parquet(folder / f"{name}.parquet") for name in ("impressions", "users", "items")}
        files = tuple(source_file(folder / f"{name}.parquet", folder) for name in frames)
        return RawTables(**frames, edges=None, files=files)

    monkeypatch.setattr(tables, "READERS", {"shop": Reader("shop", "", "", lambda folder: "", read)})
    (base / "in").mkdir()
    shop.write(base / "in")
    schema = shop.schema(tables={"impressions": "in", "reader": "shop"})
    told = []
    for _ in range(2):
        prepare(schema, SETTINGS, base, base / "p", progress=lambda what, share: told.append(what))
    assert told[-2:] == ["done", "fresh"]
    shop.write(base / "in", rows=300)
    with pytest.raises(InputError, match=r"impressions\.parquet has"):
        prepare(schema, SETTINGS, base, base / "p")


def test_too_many_scenarios_are_refused(base):
    frame = pl.read_parquet(base / "impressions.parquet")
    frame.with_columns(surface=pl.int_range(600).cast(pl.String)).write_parquet(base / "impressions.parquet")
    with pytest.raises(InputError, match="at most 200 scenarios"):
        prepare(shop.schema(scenarios=[]), SETTINGS, base, base / "p")


def test_a_user_only_in_test_has_a_row_but_no_id_of_their_own(base):
    frame = pl.read_parquet(base / "impressions.parquet")
    last = pl.int_range(600) >= 595
    frame.with_columns(user_id=pl.when(last).then(pl.lit("late")).otherwise("user_id")).write_parquet(
        base / "impressions.parquet"
    )
    prepare(shop.schema(), SETTINGS, base, base / "p")
    data = Dataset.open(base / "p")
    row, field = data.user_row("late"), data.layout.fields[0]
    assert row > 1
    assert data.user_ids_UK[row, 0] == field.offset
    assert len(data.seen(row)) > 0


def test_labels_of_train_known_only_after_valid_begins_are_not_learnt_from(base):
    manifest = prepare(shop.schema(), SETTINGS, base, base / "p")
    data = Dataset.open(base / "p")
    valid = data.times(data.rows("valid")).min()
    rows = data.rows("train")
    late = data.times(rows) + 86_400 > valid
    goods = data.batch(rows).kind_BC[:, 0].numpy() == data.layout.kinds.index("goods")
    labels = data.labels(rows)
    assert np.isnan(labels[late, 1]).all()
    assert (np.isnan(labels[~late, 1]) == ~goods[~late]).all()
    assert not np.isnan(labels[:, 0]).any()
    assert any("'buy' in train become known only after valid begins" in warning for warning in manifest["warnings"])
    assert not np.isnan(data.running.log.labels_TN[1][rows][late & goods]).any()


@pytest.mark.parametrize(
    ("by", "whose"), [("user_last", "valid of a user"), ("leave_last_out", "valid of a user in a scenario")]
)
def test_in_a_split_by_user_what_is_known_only_after_their_valid_begins_is_not_learnt_from(by, whose, base):
    manifest = prepare(shop.schema(), replace(SETTINGS, split=Split(by=by)), base, base / "p")
    data = Dataset.open(base / "p")
    rows, after = data.rows("train"), np.concatenate([data.rows("valid"), data.rows("test")])

    def group(of):
        return list(zip(data.users(of), data.scenarios(of) if by == "leave_last_out" else data.users(of), strict=True))

    begins = {}
    for key, time in zip(group(after), data.times(after), strict=True):
        begins[key] = min(time, begins.get(key, np.inf))
    own = np.array([begins.get(key, np.inf) for key in group(rows)])
    late = data.times(rows) + 86_400 > own
    goods = data.batch(rows).kind_BC[:, 0].numpy() == data.layout.kinds.index("goods")
    assert 0 < (late & goods).sum() < goods.sum()
    assert (np.isnan(data.labels(rows)[:, 1]) == ~goods | late).all()
    assert not np.isnan(data.labels(rows)[:, 0]).any()
    assert any(f"'buy' in train become known only after {whose} begins" in told for told in manifest["warnings"])


def test_a_split_by_column_keeps_every_label(base):
    parts = pl.Series("part", ["train"] * 400 + ["valid"] * 100 + ["test"] * 100)
    pl.read_parquet(base / "impressions.parquet").with_columns(parts).write_parquet(base / "impressions.parquet")
    columns = shop.schema().columns
    prepare(shop.schema(columns=plain(replace(columns, split="part"))), replace(SETTINGS, split=Split(by="column")),
            base, base / "p")  # fmt: skip
    data = Dataset.open(base / "p")
    rows = data.rows("train")
    goods = data.batch(rows).kind_BC[:, 0].numpy() == data.layout.kinds.index("goods")
    assert (np.isnan(data.labels(rows)[:, 1]) == ~goods).all()


def test_without_times_the_order_of_the_rows_is_their_time(base):
    columns = {"user": "user_id", "item": "item_id", "scenario": "surface", "kind": "kind"}
    tasks = [{"name": "click", "label": "clicked"}]
    prepare(shop.schema(columns=columns, tasks=tasks), SETTINGS, base, base / "p")
    data = Dataset.open(base / "p")
    assert data.impressions.time.tolist() == list(range(600))
    assert not any("hour" in name for name in data.layout.context_numbers)


def test_the_fingerprint_changes_with_the_content_of_a_file(base):
    before = prepare(shop.schema(), SETTINGS, base, base / "p")["fingerprint"]
    assert prepare(shop.schema(), SETTINGS, base, base / "again")["fingerprint"] == before
    shop.write(base, seed=9)
    assert prepare(shop.schema(), SETTINGS, base, base / "p", force=True)["fingerprint"] != before


def test_each_impression_tells_which_row_of_the_file_it_was(base):
    frame = pl.read_parquet(base / "impressions.parquet")
    holes = pl.int_range(600) % 100 == 7
    frame = frame.with_columns(user_id=pl.when(holes).then(None).otherwise("user_id"))
    frame.write_parquet(base / "impressions.parquet")
    prepare(shop.schema(), SETTINGS, base, base / "p")
    data = Dataset.open(base / "p")
    users = data.user_keys(data.impressions.user.numpy())
    assert len(users) == 594
    assert frame["user_id"].gather(data.impressions.row.numpy()).to_list() == users


def test_json_holds_no_nan(base):
    tasks = [{"name": "click", "label": "clicked", "scenarios": ["voice"]}]
    prepare(shop.schema(tasks=tasks), SETTINGS, base, base / "p")
    text = (base / "p" / "manifest.json").read_text()
    assert json.loads(text, parse_constant=lambda word: pytest.fail(word))["layout"]["base_rates"][0] == [None]
    assert np.isnan(Dataset.open(base / "p").layout.base_rates[0][0])


def _killed(*_, **__):
    raise KeyboardInterrupt
