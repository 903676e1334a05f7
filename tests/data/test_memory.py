"""A bound on memory is understood, and refused where nothing can keep it."""

import pytest

from motet.data.memory import Memory, told
from motet.errors import InputError


@pytest.mark.parametrize(
    ("text", "size"),
    [("2GB", 2 * 10**9), ("1.5 gb", 15 * 10**8), ("800M", 8 * 10**8), ("2GiB", 2**31), ("3000000000", 3 * 10**9)],
)
def test_sizes_are_read_as_people_write_them(text: str, size: int) -> None:
    assert Memory.of(text).bytes == size


@pytest.mark.parametrize(
    ("text", "message"), [("much", "no size"), ("-2GB", "no size"), ("10MB", "less than starting")]
)
def test_what_is_no_size_or_absurd_is_refused(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        Memory.of(text)
    assert caught.value.where == "--memory"


def test_more_memory_takes_larger_batches_and_more_tasks_at_a_time() -> None:
    small, large = Memory.of("1GB"), Memory.of("8GB")
    assert small.batch_rows < large.batch_rows
    assert 1 == small.threads(4_000_000, 4, 0) <= large.threads(4_000_000, 4, 0)


def test_more_rows_than_fit_are_refused_with_what_they_need() -> None:
    with pytest.raises(InputError, match=r"1,000,000,000 impressions need more than 2GB") as caught:
        Memory.of("2GB").threads(1_000_000_000, 4, 0)
    need = caught.value.fix.split("--memory ")[1].split(",")[0]
    assert Memory.of(need).threads(1_000_000_000, 4, 0) == 1


def test_a_size_is_told_rounded_up() -> None:
    assert (told(2 * 10**9), told(2_010_000_000), told(600_000_000), told(7)) == ("2GB", "2.1GB", "600MB", "7B")
