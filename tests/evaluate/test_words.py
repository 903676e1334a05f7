"""Numbers, names and labels as they are written."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from motet.evaluate import words


@pytest.mark.parametrize("absent", [None, math.nan, math.inf, -math.inf, "0.7", True, [], {}])
def test_what_is_no_number_is_a_dash_in_every_writer(absent: object) -> None:
    writers = (
        words.number,
        words.signed,
        words.count,
        words.percent,
        words.probability,
        words.duration,
        words.size,
    )
    assert {write(absent) for write in writers} == {"–"}
    assert words.interval(absent, 0.5) == words.interval(0.5, absent) == "–"


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (0.7424, "0.742"),
        (0, "0.000"),
        (-0.5, "−0.500"),
        (123.456, "123.5"),
        (12_345.6, "12,346"),
        (0.00004, "4.0e-05"),
        (1e300, "1.0e+300"),
    ],
)
def test_numbers_keep_three_digits_and_small_ones_do_not_vanish(value: float, written: str) -> None:
    assert words.number(value) == written


@pytest.mark.parametrize(
    ("value", "written"), [(0.0114, "+0.011"), (-0.004, "−0.004"), (0.0001, "0.000"), (-0.0001, "0.000"), (0, "0.000")]
)
def test_a_difference_that_rounds_to_nothing_has_no_sign(value: float, written: str) -> None:
    assert words.signed(value) == written


def test_intervals_of_differences_carry_signs() -> None:
    assert words.interval(0.7, 0.75) == "[0.700, 0.750]"
    assert words.interval(-0.004, 0.01, sign=True) == "[−0.004, +0.010]"


@pytest.mark.parametrize(
    ("seconds", "written"), [(0.44, "0.4 s"), (12.4, "12 s"), (252, "4 min 12 s"), (7500, "2 h 5 min")]
)
def test_durations_use_the_unit_that_reads_best(seconds: float, written: str) -> None:
    assert words.duration(seconds) == written


def test_sizes_counts_shares_and_p_values() -> None:
    assert words.size(812) == "812 B"
    assert words.size(3_412_882) == "3.4 MB"
    assert words.count(6012) == "6,012"
    assert words.percent(0.856) == "86 %"
    assert words.probability(0.0002) == "<0.001"
    assert words.probability(0.0341) == "0.034"


def test_metric_names_are_written_in_full() -> None:
    assert [words.metric_label(m) for m in ("auc", "ndcg@10", "recall@5", "mrr", None)] == [
        "AUC",
        "NDCG@10",
        "recall@5",
        "MRR",
        "–",
    ]


@given(st.text())
def test_a_name_cannot_carry_control_or_direction_characters(name: str) -> None:
    written = words.plain(name)
    assert len(written) == len(name)
    assert not any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 or c in "\u202a\u202b\u202d\u202e\u2066\u2067" for c in written)


def test_a_terminal_escape_in_a_name_is_defused_and_chinese_is_kept() -> None:
    assert words.plain("\x1b[2Jmobile\n手机") == "�[2Jmobile�手机"
