"""The condition grammar: what it reads, and that whatever it refuses is refused with a position."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from motet.condition import (
    MOST_PARTS,
    Both,
    Compare,
    Condition,
    Either,
    IsIn,
    IsNull,
    Not,
    Value,
    columns_of,
    parse_condition,
)
from motet.errors import InputError


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("clicked = 1", Compare("clicked", "=", 1)),
        ("clicked == 1", Compare("clicked", "=", 1)),
        ("price<=-2.5e3", Compare("price", "<=", -2500.0)),
        ("surface != 'voice'", Compare("surface", "!=", "voice")),
        ('title = "it\'s"', Compare("title", "=", "it's")),
        ("new = TRUE", Compare("new", "=", True)),
        ("rating IS NOT NULL", Not(IsNull("rating"))),
        ("rating is null", IsNull("rating")),
        ("day not in (1, 'x', false)", Not(IsIn("day", (1, "x", False)))),
        ("`unit price` > 3", Compare("unit price", ">", 3)),
        ("`in` in (1)", IsIn("in", (1,))),
        ("价格 > 3", Compare("价格", ">", 3)),
        ("not not a = 1", Not(Not(Compare("a", "=", 1)))),
    ],
)
def test_each_form_parses_to_its_tree(text: str, tree: Condition) -> None:
    assert parse_condition(text) == tree


def test_and_binds_tighter_than_or_and_not_tighter_than_and() -> None:
    a, b, c = (Compare(name, "=", 1) for name in "abc")
    assert parse_condition("a = 1 or b = 1 and c = 1") == Either(a, Both(b, c))
    assert parse_condition("(a = 1 or b = 1) and c = 1") == Both(Either(a, b), c)
    assert parse_condition("not a = 1 and b = 1") == Both(Not(a), b)


def test_a_whole_number_beyond_the_reach_of_floats_stays_exact() -> None:
    tree = parse_condition("user_id = 9007199254740993")
    assert isinstance(tree, Compare)
    assert str(tree.value) == "9007199254740993"


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("", 1),
        ("clicked", 8),
        ("clicked = ", 11),
        ("clicked = null", 11),
        ("= 1", 1),
        ("a = 1 b = 2", 7),
        ("a = 1 and", 10),
        ("(a = 1", 7),
        ("a in ()", 7),
        ("a in 1", 6),
        ("a is 3", 6),
        ("a = 1;", 6),
        ("a = 12abc", 5),
        ("a = 1e999", 5),
        ('a = "open', 5),
    ],
)
def test_a_mistake_is_shown_at_its_position(text: str, position: int) -> None:
    with pytest.raises(InputError, match=f"position {position}:") as caught:
        parse_condition(text)
    assert caught.value.what.endswith("\n  " + " " * (position - 1) + "^")
    assert caught.value.fix


@pytest.mark.parametrize("text", ["(" * 5000, "not " * 5000 + "a = 1", "a = 1" + " or a = 1" * 5000, "a=" + "1" * 5000])
def test_hostile_depth_and_length_are_an_input_error_and_no_crash(text: str) -> None:
    with pytest.raises(InputError):
        parse_condition(text)


def test_the_longest_allowed_condition_can_be_walked() -> None:
    assert columns_of(parse_condition("a = 1" + " and b = 1" * MOST_PARTS)) == {"a", "b"}
    assert columns_of(parse_condition("not " * MOST_PARTS + "a = 1")) == {"a"}


def test_a_long_list_of_values_is_no_deep_condition() -> None:
    tree = parse_condition(f"item in ({', '.join(map(str, range(20_000)))})")
    assert isinstance(tree, IsIn)
    assert tree.values == tuple(range(20_000))


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=60))
def test_any_text_parses_or_is_refused_with_a_position_inside_it(text: str) -> None:
    try:
        columns = columns_of(parse_condition(text))
    except InputError as error:
        found = re.search(r"position (\d+):", error.what)
        assert found
        assert 1 <= int(found[1]) <= len(text) + 1
    else:
        assert columns
        assert all(column in text for column in columns)


names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="`"), min_size=1, max_size=8)
values: st.SearchStrategy[Value] = st.one_of(
    st.booleans(),
    st.integers(-(2**63), 2**63),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters='"'), max_size=8),
)
leaves: st.SearchStrategy[Condition] = st.one_of(
    st.builds(Compare, names, st.sampled_from(["=", "!=", "<", "<=", ">", ">="]), values),
    st.builds(IsNull, names),
    st.builds(IsIn, names, st.lists(values, min_size=1, max_size=3).map(tuple)),
)
trees: st.SearchStrategy[Condition] = st.recursive(
    leaves,
    lambda inner: st.one_of(st.builds(Not, inner), st.builds(Both, inner, inner), st.builds(Either, inner, inner)),
    max_leaves=8,
)


def _written(value: Value) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else repr(value)


def _text(tree: Condition) -> str:
    match tree:
        case Compare(column, operator, value):
            return f"`{column}` {operator} {_written(value)}"
        case IsNull(column):
            return f"`{column}` is null"
        case IsIn(column, values):
            return f"`{column}` in ({', '.join(map(_written, values))})"
        case Not(term):
            return f"not ({_text(term)})"
        case Both(left, right):
            return f"({_text(left)}) and ({_text(right)})"
        case Either(left, right):
            return f"({_text(left)}) or ({_text(right)})"


@given(trees)
def test_a_written_tree_parses_back_to_itself(tree: Condition) -> None:
    assert parse_condition(_text(tree)) == tree
