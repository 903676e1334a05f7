"""Settings: mistakes are named by file, line and key with a fix; files are written whole or not at all."""

import json
import os
import tomllib
from dataclasses import FrozenInstanceError, field
from pathlib import Path

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from motet.errors import InputError
from motet.settings import (
    atomic_file,
    defaults,
    fingerprint,
    line_of,
    nearest,
    parse,
    plain,
    read_toml,
    settings,
    write_json,
)


@settings
class Voice:
    name: str
    range: tuple[float, float] | None = None
    loud: bool = False


@settings
class Choir:
    place: str
    voices: tuple[Voice, ...] = ()
    parts: dict[str, str | Voice] = field(default_factory=dict)
    seats: int = 4


def written(folder: Path, text: str) -> Path:
    path = folder / "choir.toml"
    path.write_text(text, encoding="utf-8")
    return path


def mistake(path: Path) -> InputError:
    with pytest.raises(InputError) as caught:
        parse(Choir, read_toml(path), path=path)
    return caught.value


def test_a_good_file_is_read_and_a_frozen_object_results(tmp_path: Path) -> None:
    path = written(
        tmp_path, 'place = "Leipzig"\n[[voices]]\nname = "alto"\nrange = [1, 2]\n[parts]\na = "x"\nB = {name = "y"}\n'
    )
    choir = parse(Choir, read_toml(path), path=path)
    assert choir.voices[0].range == (1.0, 2.0)
    assert choir.parts == {"a": "x", "B": Voice(name="y")}
    with pytest.raises(FrozenInstanceError):
        choir.seats = 5  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "line", "key", "what", "fix"),
    [
        ('place = "L"\nseets = 3\n', 2, "seets", "unknown key 'seets'", "did you mean 'seats'?"),
        ('place = "L"\nseats = "many"\n', 2, "seats", "not 'many'", "--schema"),
        ('place = "L"\n\n[[voices]]\nname = "a"\n[[voices]]\nnam = "b"\n', 6, "voices.2.nam", "unknown key", "'name'"),
        ('place = "L"\n[[voices]]\nname = "a"\n[[voices]]\nloud = true\n', 4, "voices.2.name", "missing", "add `name"),
        ('place = "L"\n[parts]\n"Bass part" = 3\n', 3, "parts.Bass part", "not 3", "--schema"),
        ('place = "L"\n[parts."Bass.1"]\nnam = "x"\n', 3, "parts.Bass.1.nam", "unknown key", "'name'"),
        ('place = "L"\n[parts]\nint = {name = "x", lout = true}\n', 3, "parts.int.lout", "unknown key", "'loud'"),
        ('place = "L"\n[parts.Voice]\nloud = "?"\nname = "x"\n', 3, "parts.Voice.loud", "not '?'", "--schema"),
    ],
)
def test_a_mistake_names_line_key_and_fix(tmp_path: Path, text: str, line: int, key: str, what: str, fix: str) -> None:
    path = written(tmp_path, text)
    error = mistake(path)
    assert error.where == f"{path}:{line}: {key}"
    assert what in error.what
    assert fix in error.fix


def test_a_missing_top_key_names_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, "seats = 3\n")
    assert mistake(path).where == f"{path}: place"


def test_a_mistake_of_the_whole_file_names_the_file_without_an_empty_key() -> None:
    with pytest.raises(InputError) as caught:
        parse(Choir, 3, path=Path("absent.toml"))
    assert caught.value.where == "absent.toml"


def test_a_prefix_places_a_part_of_a_larger_file(tmp_path: Path) -> None:
    path = written(tmp_path, '[train]\nx = 1\n[choir]\nplace = "L"\nseats = "no"\n')
    with pytest.raises(InputError) as caught:
        parse(Choir, read_toml(path)["choir"], path=path, prefix=("choir",))
    assert caught.value.where == f"{path}:5: choir.seats"


def test_text_that_only_looks_like_toml_does_not_confuse_lines() -> None:
    text = 'place = "L"\nnote = """\n"\\q" = 1\nseats = 2 is no key\n"""\n[[voices]] # first\nname = "[x]"\n'
    assert line_of(text, ("voices", 0, "name")) == 7
    assert line_of(text, ("voices", 1, "name")) is None


@pytest.mark.parametrize("content", [b"a = \n", b"\xff\xfe", b"a = 1\na = 2\n"])
def test_a_broken_file_is_an_input_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.toml"
    path.write_bytes(content)
    with pytest.raises(InputError, match="not valid TOML"):
        read_toml(path)


def test_a_missing_file_says_how_to_write_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="motet init"):
        read_toml(tmp_path / "absent.toml")


keys = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=10)


@given(st.dictionaries(keys, st.dictionaries(keys, st.integers(), min_size=1, max_size=4), min_size=1, max_size=4))
def test_every_key_of_any_written_file_is_found_on_its_line(tables: dict[str, dict[str, int]]) -> None:
    text = tomli_w.dumps(tables)
    lines = text.split("\n")
    for table, content in tables.items():
        for key in content:
            line = line_of(text, (table, key))
            assert line
            assert tomllib.loads(lines[line - 1]) == {key: content[key]}


@given(st.lists(st.integers(0, 3), min_size=1, max_size=6))
def test_the_nth_entry_of_a_list_is_found(blank_lines: list[int]) -> None:
    text, expected = 'place = "L"\n', []
    for index, blanks in enumerate(blank_lines):
        text += "\n" * blanks + f'[[voices]]\nname = "{index}"\n'
        expected.append(text.count("\n"))
    assert [line_of(text, ("voices", index, "name")) for index in range(len(blank_lines))] == expected


def test_nearest_names_the_close_word_or_all() -> None:
    assert nearest("tiem", ["time", "user"]) == "did you mean 'time'?"
    assert nearest("zzz", ["time", "user"]) == "known: time, user"


def test_plain_leaves_out_none_and_reads_back() -> None:
    choir = Choir(place="L", voices=(Voice(name="a"),), parts={"b": Voice(name="c", range=(0, 1))})
    assert "range" not in plain(choir)["voices"][0]
    assert parse(Choir, tomllib.loads(tomli_w.dumps(plain(choir)))) == choir


def test_defaults_are_those_of_the_class() -> None:
    assert defaults(Choir) == {"voices": (), "parts": {}, "seats": 4}


def test_the_fingerprint_changes_with_any_value_and_not_with_the_order_of_keys() -> None:
    base = Choir(place="L")
    assert fingerprint(base) == fingerprint(Choir(seats=4, place="L"))
    assert len({fingerprint(c) for c in (base, Choir(place="M"), Choir(place="L", seats=5))}) == 3


def test_an_interrupted_write_leaves_the_old_file_and_no_rubbish(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "x.json"
    write_json(path, {"a": 1})

    def interrupted() -> None:
        with atomic_file(path, "w") as file:
            file.write("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert json.loads(path.read_text()) == {"a": 1}
    assert os.listdir(path.parent) == ["x.json"]


def test_json_with_a_nan_is_refused_and_nothing_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "x.json", {"a": float("nan")})
    assert os.listdir(tmp_path) == []
