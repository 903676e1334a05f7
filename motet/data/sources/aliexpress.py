"""AliExpress search: clicks and conversions in several countries (Li et al., HMoE, 2020), in the benchmarks' CSV form.

The scenario is the country, told by the folder (`AliExpress_NL/train.csv`); files in one folder are one scenario. The
data has neither user nor item ids: a search page (`search_id`) stands for its user, and each distinct set of item-side
values for an item, so nearly every row is its own item and no user of the test file was seen before. The numbering of
pages starts anew in each file. The last tenth of the train file's pages is the valid split.
"""

from pathlib import Path

import polars as pl

from motet.data.files import RawTables, join_files, read_file, source_file
from motet.data.sources.reader import Reader, feature_lines, find, header, missing

FILES = "AliExpress_*/train.csv and AliExpress_*/test.csv, or aliexpress_train*.csv and aliexpress_test*.csv"
ORIGIN = (
    "AliExpress Searching System Dataset by Alibaba, tianchi.aliyun.com/dataset/74690, research use; CSV of MTReclib."
)
USER_CATEGORIES = tuple(f"categorical_{n}" for n in (*range(1, 10), 16))
USER_NUMBERS = tuple(f"numerical_{n}" for n in (*range(1, 24), 58, 59, 60))
ITEM_CATEGORIES = tuple(f"categorical_{n}" for n in range(10, 16))
ITEM_NUMBERS = tuple(f"numerical_{n}" for n in (*range(24, 58), 61, 62, 63))
VALID_SHARE = 0.1


def read(folder: Path) -> RawTables:
    """The rows with `user`, `item`, `scenario` and `split`; one user row per page, one item row per distinct item."""
    files = _files(folder)
    log = join_files([(file, _rows(file, scenario, split)) for file, scenario, split in files])
    values = [*ITEM_CATEGORIES, *ITEM_NUMBERS]
    items = log.select(values).unique(maintain_order=True).with_row_index("item")
    log = log.join(items, on=values, how="left", maintain_order="left", nulls_equal=True)
    users = log.select("user", *USER_CATEGORIES, *USER_NUMBERS).unique("user", keep="first", maintain_order=True)
    sources = tuple(source_file(file, folder) for file, _, _ in files)
    return RawTables(impressions=log, users=users, items=items, edges=None, files=sources)


def schema_toml(folder: Path) -> str:
    """Tasks click and conversion after click; split by file."""
    comment = (
        "AliExpress search; the scenario is the country.\nA search page stands for its user: there are no user ids."
    )
    parts = [header("aliexpress", folder, comment), _BODY, "[features.user]"]
    parts += [feature_lines(USER_CATEGORIES, '"categorical"'), feature_lines(USER_NUMBERS, '"numeric"')]
    parts += ["\n[features.item]", feature_lines(ITEM_CATEGORIES, '"categorical"')]
    return "\n".join([*parts, feature_lines(ITEM_NUMBERS, '"numeric"'), "", '[split]\nby = "column"\n'])


def _files(folder: Path) -> list[tuple[Path, str, str]]:
    """Each file with its scenario and split."""
    found = []
    for split in ("train", "test"):
        paths = find(folder, f"AliExpress_*/{split}.csv", f"aliexpress_{split}*.csv", f"{split}*.csv")
        if not paths:
            raise missing("aliexpress", FILES, folder)
        found += [(path, _country(path.parent), split) for path in paths]
    return found


def _country(folder: Path) -> str:
    return folder.name.removeprefix("AliExpress_") if folder.name.startswith("AliExpress_") else "all"


def _rows(file: Path, scenario: str, split: str) -> pl.DataFrame:
    """A page is a run of rows with one search id: its number is unique within the file."""
    frame = read_file(file).with_columns(pl.col("search_id").rle_id().alias("page"))
    pages = int(frame["page"].max() or 0) + 1  # type: ignore[arg-type]
    first_valid = round(pages * (1 - VALID_SHARE)) if split == "train" else pages
    return frame.with_columns(
        pl.format("{}/{}/{}", pl.lit(scenario), pl.lit(split), "search_id").alias("user"),
        pl.lit(scenario).alias("scenario"),
        pl.when(pl.col("page") >= first_valid).then(pl.lit("valid")).otherwise(pl.lit(split)).alias("split"),
    ).drop("page")


_BODY = """[columns]
user = "user"
item = "item"
scenario = "scenario"
request = "user"
split = "split"

[[tasks]]
name = "click"
label = "click"
[[tasks]]
name = "conversion"
label = "conversion"
after = "click"
"""

READER = Reader(name="aliexpress", files=FILES, origin=ORIGIN, schema_toml=schema_toml, read=read)
