"""Every format gives the same table, and every broken file a message that names it."""

import gzip
import hashlib
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from motet.data.files import format_of, read_columns, read_frame, source_file
from motet.errors import InputError

FRAME = pl.DataFrame({"user": ["a", "b", "c"], "price": [1.5, None, 3.0], "title": ["x, y", 'a "b"\nc', "音乐"]})


def write(frame: pl.DataFrame, path: Path) -> None:
    name = path.name.removesuffix(".gz").removesuffix(".zst")
    match name.rsplit(".", 1)[-1]:
        case "parquet":
            frame.write_parquet(path)
        case "arrow" | "feather":
            frame.write_ipc(path)
        case "jsonl":
            compress(path, frame.write_ndjson().encode())
        case "csv":
            compress(path, frame.write_csv().encode())
        case "tsv":
            compress(path, frame.write_csv(separator="\t").encode())


def compress(path: Path, data: bytes) -> None:
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


@pytest.mark.parametrize(
    "name",
    [
        "a.parquet",
        "a.arrow",
        "a.feather",
        "a.jsonl",
        "a.jsonl.gz",
        "a.csv",
        "a.csv.gz",
        "a.tsv",
        "a.tsv.gz",
        "a.b.CSV.gz",
    ],
)
def test_every_format_reads_as_the_same_table(tmp_path: Path, name: str) -> None:
    write(FRAME, tmp_path / name.replace("CSV", "csv"))
    if "CSV" in name:
        (tmp_path / name.replace("CSV", "csv")).rename(tmp_path / name)
    assert_frame_equal(read_frame(name, tmp_path), FRAME)


def test_zstd_csv_and_json_lines(tmp_path: Path) -> None:
    plain = FRAME.with_columns(pl.col("title").str.replace("\n", " "))
    plain.lazy().sink_csv(tmp_path / "a.csv.zst", compression="zstd")
    plain.lazy().sink_ndjson(tmp_path / "a.jsonl.zst", compression="zstd")
    assert_frame_equal(read_frame("a.csv.zst", tmp_path), plain)
    assert_frame_equal(read_frame("a.jsonl.zst", tmp_path), plain)


@pytest.mark.parametrize("separator", [",", ";", "|", "\t"])
def test_unknown_suffix_and_separator_are_told_by_the_content(tmp_path: Path, separator: str) -> None:
    FRAME.write_csv(tmp_path / "log.txt", separator=separator)
    FRAME.write_ndjson(tmp_path / "log.data")
    FRAME.write_parquet(tmp_path / "part-0")
    assert_frame_equal(read_frame("log.txt", tmp_path), FRAME)
    assert_frame_equal(read_frame("log.data", tmp_path), FRAME)
    assert format_of(tmp_path / "part-0") == "parquet"


def test_glob_joins_files_in_name_order_and_widens_types(tmp_path: Path) -> None:
    pl.DataFrame({"b": [2.5], "a": ["z"]}).write_csv(tmp_path / "part-2.csv")
    pl.DataFrame({"a": ["x", "y"], "b": [1, 2]}).write_csv(tmp_path / "part-1.csv")
    joined = pl.DataFrame({"a": ["x", "y", "z"], "b": [1.0, 2.0, 2.5]})
    assert_frame_equal(read_frame("part-*.csv", tmp_path), joined)
    assert_frame_equal(read_frame(["part-1.csv", "part-2.csv"], tmp_path), joined)
    assert_frame_equal(read_frame(str(tmp_path / "part-?.csv"), Path("elsewhere")), joined)


def test_projection_keeps_wanted_columns_and_text_as_written(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("user,x,y\n007,1,2\n8,3,4\n")
    frame, names, files = read_columns("a.csv", tmp_path, ["y", "user", "absent"], ["user", "absent"])
    assert frame.to_dict(as_series=False) == {"user": ["007", "8"], "y": [2, 4]}
    assert names == ["user", "x", "y"]
    assert [file.path for file in files] == ["a.csv"]


def test_source_file_says_what_was_read(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.csv").write_bytes(b"a\n1\n")
    found = source_file(tmp_path / "in" / "a.csv", tmp_path)
    assert (found.path, found.bytes, found.sha256) == ("in/a.csv", 4, hashlib.sha256(b"a\n1\n").hexdigest())


def test_whole_column_is_looked_at_before_its_type_is_decided(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b\n" + "1,2\n" * 20_000 + "x,2.5\n")
    assert read_frame("a.csv", tmp_path).schema == {"a": pl.String, "b": pl.Float64}


BROKEN = [
    ("absent.csv", None, "absent.csv", "no such file"),
    ("absent-*.csv", None, "", r"no file matches the pattern 'absent-\*.csv'"),
    ("short.csv", b"a,b,c\n1,2,3\n4,5\n", "short.csv", "row 2 has 2 fields, the header has 3"),
    ("long.csv", b"a,b\n1,2\n3,4\n5,6,7\n", "long.csv", "row 3 has 3 fields, the header has 2"),
    ("quoted.csv", b'a,b,c\n"1,1",2,3\n"4,4","5"\n', "quoted.csv", "row 2 has 2 fields, the header has 3"),
    ("empty.csv", b"", "empty.csv", "is empty"),
    ("empty.jsonl", b"\n", "empty.jsonl", "is empty"),
    ("latin.csv", "a,b\n1,é\n".encode("latin-1"), "latin.csv", "is not UTF-8 text"),
    ("bad.jsonl", b'{"a": 1}\n{"a": \n{"a": 3}\n', "bad.jsonl", "row 2 is no JSON object"),
    ("list.jsonl", b'{"a": 1}\n[2]\n', "list.jsonl", "row 2 is no JSON object"),
    ("array.json", b'[{"a": 1}]', "array.json", "is one JSON array"),
    ("junk.parquet", b"this is no parquet file at all", "junk.parquet", "cannot be read as parquet"),
    ("junk.arrow", b"this is no arrow file at all", "junk.arrow", "cannot be read as arrow"),
    ("cut.csv.gz", gzip.compress(b"a,b\n" + b"1,2\n" * 999)[:-20], "cut.csv.gz", "cannot be read as csv"),
    ("cut.parquet", b"PAR1", "cut.parquet", "cannot be read as parquet"),
]


@pytest.mark.parametrize(("name", "content", "where", "message"), BROKEN, ids=[case[0] for case in BROKEN])
def test_broken_file_is_named(tmp_path: Path, name: str, content: bytes | None, where: str, message: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        read_frame(name, tmp_path)
    assert caught.value.where.endswith(where)
    assert caught.value.fix


def test_folder_is_no_table(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    with pytest.raises(InputError, match="is a folder"):
        read_frame("logs", tmp_path)


def test_files_of_one_table_have_the_same_columns(tmp_path: Path) -> None:
    (tmp_path / "p1.csv").write_text("a,b\n1,2\n")
    (tmp_path / "p2.csv").write_text("a,c\n1,2\n")
    with pytest.raises(InputError, match="column 'b' is not in all files") as caught:
        read_frame("p*.csv", tmp_path)
    assert caught.value.where.endswith("p2.csv")


def test_files_of_one_table_have_joinable_types(tmp_path: Path) -> None:
    pl.DataFrame({"a": [[1, 2]]}).write_parquet(tmp_path / "p1.parquet")
    pl.DataFrame({"a": [1]}).write_parquet(tmp_path / "p2.parquet")
    with pytest.raises(InputError, match=r"other types than those of p1\.parquet"):
        read_frame("p*.parquet", tmp_path)


def test_blank_lines_and_inch_marks_are_no_ragged_rows(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text('a\tb\n12" disc\tx\n\n7\ty\n\n')
    assert read_frame("a.tsv", tmp_path).drop_nulls().rows() == [('12" disc', "x"), ("7", "y")]
    (tmp_path / "a.tsv").write_text('a\tb\n12" disc\tx\n7\n')
    with pytest.raises(InputError, match="row 2 has 1 fields, the header has 2"):
        read_frame("a.tsv", tmp_path)


def test_quote_that_never_closes_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('a,b\n"1,2\n3,4\n')
    with pytest.raises(InputError) as caught:
        read_frame("a.csv", tmp_path)
    assert "quote" in caught.value.fix


def test_byte_order_mark_is_not_part_of_the_first_name(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes("\ufeffuser,b\r\n1,2\r\n".encode())
    frame, names, _ = read_columns("a.csv", tmp_path, ["user"], ["user"])
    assert names == ["user", "b"]
    assert frame.rows() == [("1",)]
