"""Ali-CCP: clicks and purchases in Taobao's recommender (Ma et al., ESMM, SIGIR 2018), in the benchmarks' CSV form.

Field 101 is the user, 205 the item, 301 the scenario. Fields 121–129 describe the user, 206–216 the item; 508–853, the
14-day behaviour fields and their `D` counts belong to user and item together and stay context. There is no time: the
order of the rows stands for it, and the files give the split.
"""

from pathlib import Path

import polars as pl

from motet.data.files import RawTables, join_files, read_file, source_file
from motet.data.sources.reader import Reader, feature_lines, find, header, missing

FILES = "ali_ccp_train*.csv, ali_ccp_val*.csv and ali_ccp_test*.csv"
ORIGIN = "Ali-CCP by Alibaba, tianchi.aliyun.com/dataset/408, research use; CSV form of Scenario-Wise-Rec (MIT)."
USER = ("121", "122", "124", "125", "126", "127", "128", "129")
ITEM = ("206", "207", "210", "216")
CONTEXT = ("508", "509", "702", "853", "109_14", "110_14", "127_14", "150_14")
COUNTS = ("D109_14", "D110_14", "D127_14", "D150_14", "D508", "D509", "D702", "D853")
_SPLITS = (("train", "train"), ("valid", "val"), ("test", "test"))


def read(folder: Path) -> RawTables:
    """The rows with a `split` column; users and items as first seen."""
    parts, sources = [], []
    for split, word in _SPLITS:
        for file in _files(folder, word):
            parts.append((file, read_file(file).with_columns(split=pl.lit(split))))
            sources.append(source_file(file, folder))
    log = join_files(parts)
    users = log.select("101", *USER).unique("101", keep="first", maintain_order=True)
    items = log.select("205", *ITEM).unique("205", keep="first", maintain_order=True)
    return RawTables(impressions=log, users=users, items=items, edges=None, files=tuple(sources))


def schema_toml(folder: Path) -> str:
    """Tasks click and purchase after click; split by file."""
    comment = "Ali-CCP; the scenario is field 301.\nThere is no time stamp: rows are in order."
    parts = [header("ali_ccp", folder, comment), _BODY, "[features.user]", feature_lines(USER, '"categorical"')]
    parts += ["\n[features.item]", feature_lines(ITEM, '"categorical"')]
    parts += ["\n[features.context]", feature_lines(CONTEXT, '"categorical"'), feature_lines(COUNTS, '"numeric"')]
    return "\n".join([*parts, "", '[split]\nby = "column"\n'])


def _files(folder: Path, word: str) -> list[Path]:
    found = find(folder, f"ali_ccp_{word}*.csv", f"ali-ccp_{word}*.csv", f"{word}*.csv")
    if not found:
        raise missing("ali_ccp", FILES, folder)
    return found


_BODY = """[columns]
user = "101"
item = "205"
scenario = "301"
split = "split"

[[tasks]]
name = "click"
label = "click"
[[tasks]]
name = "purchase"
label = "purchase"
after = "click"
"""

READER = Reader(name="ali_ccp", files=FILES, origin=ORIGIN, schema_toml=schema_toml, read=read)
