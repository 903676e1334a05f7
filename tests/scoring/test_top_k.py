"""The best items by products, against a sort of all scores."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from motet.errors import InputError
from motet.scoring import top_k
from motet.scoring.top_k import top_products


@pytest.fixture(params=[1, 2])
def _small_blocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Many blocks of either side, by one thread and by two."""
    monkeypatch.setattr(top_k, "USERS", 4)
    monkeypatch.setattr(top_k, "ITEMS", 29)
    monkeypatch.setattr(top_k, "GROUP", 3)
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield
    torch.set_num_threads(before)


def drawn(users: int, items: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(users, 5, generator=generator), torch.randn(items, 5, generator=generator)


def ranked(users: Tensor, items: Tensor, k: int, left_out: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    scores = users @ items.t()
    scores[left_out] = -torch.inf
    score, item = scores.sort(1, descending=True)
    return item[:, :k], score[:, :k]


@pytest.mark.usefixtures("_small_blocks")
@pytest.mark.parametrize(("users", "items", "k"), [(11, 100, 5), (4, 29, 9), (4, 29, 7), (1, 58, 3), (9, 70, 60)])
def test_lists_are_those_of_a_whole_sort(users: int, items: int, k: int) -> None:
    user_UD, item_ID = drawn(users, items)
    seen = torch.rand(users, items, generator=torch.Generator().manual_seed(1)).argsort(1)[:, : items // 4]
    pairs = torch.arange(users).repeat_interleave(items // 4), seen.flatten()
    mixed = torch.randperm(len(pairs[0]), generator=torch.Generator().manual_seed(2))
    kept = min(k, items - items // 4)
    item, score = top_products(user_UD, item_ID, k, (pairs[0][mixed], pairs[1][mixed]))
    expected_item, expected_score = ranked(user_UD, item_ID, kept, pairs)
    assert torch.equal(item[:, :kept], expected_item)
    torch.testing.assert_close(score[:, :kept], expected_score)
    assert (item[:, kept:] == -1).all()
    assert score[:, kept:].isneginf().all()


@pytest.mark.usefixtures("_small_blocks")
def test_equal_scores_stand_by_item_and_short_catalogues_leave_places_empty() -> None:
    item, score = top_products(torch.ones(5, 2), torch.ones(9, 2), 12)
    assert item.tolist() == [[*range(9), -1, -1, -1]] * 5
    assert score[:, :9].eq(2).all()


def test_no_users_and_no_items_are_answered() -> None:
    assert top_products(torch.ones(0, 2), torch.ones(3, 2), 2)[0].shape == (0, 2)
    assert top_products(torch.ones(3, 2), torch.ones(0, 2), 2)[0].eq(-1).all()


def test_what_is_no_number_is_refused() -> None:
    with pytest.raises(InputError, match="not finite"):
        top_products(torch.full((1, 2), torch.nan), torch.ones(3, 2), 1)
