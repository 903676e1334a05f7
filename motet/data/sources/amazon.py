"""Amazon reviews 2014, 5-core, as sequences per category (the S3-Rec, P5, TIGER benchmark; McAuley et al., SIGIR 2015).

`NAME.user_sequence.txt` has one user a line, the items in time order; `NAME.item_keywords.txt` one item a line with
keyword tokens. The category is the scenario. There are no time stamps: the time of an event is its position in the
user's sequence of that category, an order index that means nothing across users or categories. Every event is a
positive, so there are no tasks: what is learnt and measured is the next item.
"""

from pathlib import Path

import polars as pl

from motet.data.delimited import text_bytes
from motet.data.files import RawTables, source_file
from motet.data.sources.reader import Reader, find, header, missing

FILES = "NAME.user_sequence.txt and NAME.item_keywords.txt for each category NAME, plain or .gz"
ORIGIN = "Amazon product data 2014 by McAuley et al., research use; sequences and keywords of the GRAM repository."
_WORD_START = "▁"


def read(folder: Path) -> RawTables:
    """Events of all categories; items with keyword tags, the keywords as text, and the categories they occur in."""
    sequences = find(folder, "*.user_sequence.txt")
    keywords = find(folder, "*.item_keywords.txt")
    if not sequences:
        raise missing("amazon", FILES, folder)
    log = pl.concat([_events(file) for file in sequences])
    categories = log.group_by("item_id", maintain_order=True).agg(pl.col("category").unique(maintain_order=True))
    items = categories.with_columns(pl.col("category").list.join("|"))
    if keywords:
        items = items.join(_keywords(keywords), on="item_id", how="left", maintain_order="left")
    else:
        items = items.with_columns(keywords=pl.lit(None, pl.String), title=pl.lit(None, pl.String))
    sources = tuple(source_file(file, folder) for file in [*sequences, *keywords])
    return RawTables(impressions=log, users=None, items=items, edges=None, files=sources)


def schema_toml(folder: Path) -> str:
    """No tasks; leave-last-out per user and category."""
    comment = (
        "Amazon 2014 5-core sequences; the scenario is the category.\nTime is the position in the user's sequence."
        "\nAll rows are positives: the next item is what is learnt."
    )
    return header("amazon", folder, comment, "tasks = []") + _BODY


def _events(file: Path) -> pl.DataFrame:
    words = _lines(file).str.split(" ").list.eval(pl.element().filter(pl.element() != ""))
    frame = pl.DataFrame({"user_id": words.list.first(), "item_id": words.list.slice(1)})
    frame = frame.with_columns(position=pl.int_ranges(0, pl.col("item_id").list.len()))
    name = file.name.split(".", 1)[0]
    frame = frame.filter(pl.col("item_id").list.len() > 0).explode("item_id", "position")
    return frame.with_columns(category=pl.lit(name))


def _keywords(files: list[Path]) -> pl.DataFrame:
    """Tokens without the mark of a word's start; the first spelling of an item that stands in several files."""
    lines = pl.concat([_lines(file) for file in files])
    parts = lines.str.splitn(" ", 2).struct
    tokens = parts.field("field_1").str.strip_chars("|").str.replace_all(_WORD_START, "", literal=True)
    frame = pl.DataFrame({"item_id": parts.field("field_0"), "keywords": tokens})
    frame = frame.unique("item_id", keep="first", maintain_order=True)
    return frame.with_columns(title=pl.col("keywords").str.replace_all("|", " ", literal=True))


def _lines(file: Path) -> pl.Series:
    lines = pl.Series("line", text_bytes(file).decode("utf-8").splitlines(), dtype=pl.String)
    return lines.filter(lines.str.len_bytes() > 0)


_BODY = """
[columns]
user = "user_id"
item = "item_id"
time = "position"
scenario = "category"

[features.item]
keywords = { form = "tags", separator = "|" }
category = { form = "tags", separator = "|" }
title = "text"

[split]
by = "leave_last_out"

[history]
length = 50
per_scenario = true  # the order index of one category says nothing about another's

[running]
keys = []  # nor about other users': what they did "before" a position is unknown
"""

READER = Reader(name="amazon", files=FILES, origin=ORIGIN, schema_toml=schema_toml, read=read)
