"""Attention against its formula, and what padding and empty histories may not do."""

import torch

from motet.model.attention import CandidateAttention, CausalBlock, Packing


def by_hand(attend: CandidateAttention, query_CD: torch.Tensor, history_LD: torch.Tensor) -> torch.Tensor:
    """softmax(q kᵀ / √d) v, candidate by candidate and head by head."""
    width = attend.query.out_features
    key, value = attend.key_value(history_LD).split(width, -1)
    key, value = torch.cat([attend.null[:1], key]), torch.cat([attend.null[1:], value])
    size, rows = width // attend.heads, []
    for query in attend.query(query_CD):
        parts = []
        for head in range(attend.heads):
            at = slice(head * size, (head + 1) * size)
            weight = torch.softmax(key[:, at] @ query[at] / size**0.5, 0)
            parts.append(weight @ value[:, at])
        rows.append(torch.cat(parts))
    return attend.out(torch.stack(rows))


def test_candidate_attention_follows_its_formula_and_divides_by_root_d_once() -> None:
    torch.manual_seed(0)
    attend, query, history = CandidateAttention(6, 8, 2), torch.randn(1, 3, 6), torch.randn(1, 5, 8)
    found = attend(attend.query(query), history[0], Packing.of(torch.ones(1, 5, dtype=torch.bool)))[0]
    torch.testing.assert_close(found, by_hand(attend, query[0], history[0]))


def test_masked_events_do_not_change_what_a_candidate_finds() -> None:
    torch.manual_seed(1)
    attend, query, history = CandidateAttention(6, 8, 2), torch.randn(2, 3, 6), torch.randn(2, 7, 8)
    mask = torch.arange(7) < 4
    real = history[:, :4].flatten(0, 1)
    long = attend(attend.query(query), real, Packing.of(mask.expand(2, 7)))
    short = attend(attend.query(query), real, Packing.of(mask[:4].expand(2, 4)))
    torch.testing.assert_close(long, short)


def test_an_empty_history_gives_the_null_event_and_no_nan() -> None:
    torch.manual_seed(2)
    attend = CandidateAttention(6, 8, 2)
    found = attend(torch.randn(2, 3, 8), torch.randn(0, 8), Packing.of(torch.zeros(2, 0, dtype=torch.bool)))
    torch.testing.assert_close(found, attend.out(attend.null[1]).expand(2, 3, 8))


def test_self_attention_sees_no_later_event() -> None:
    torch.manual_seed(3)
    block, x, packing = CausalBlock(8, 2, 0.0).eval(), torch.randn(6, 8), Packing.of(torch.ones(1, 6, dtype=torch.bool))
    changed = x.clone()
    changed[4:] += torch.randn(2, 8)
    before, after = block(x, packing), block(changed, packing)
    torch.testing.assert_close(before[:4], after[:4])
    assert not torch.allclose(before[4:], after[4:])


def test_packing_drops_padding_and_puts_events_back_where_they_stood() -> None:
    mask = torch.tensor([[True, True, False], [False, False, False], [True, False, False]])
    x, packing = torch.randn(3, 3, 2), Packing.of(mask)
    assert packing.pack(x).shape == (3, 2)
    torch.testing.assert_close(packing.pad(packing.pack(x)), x * mask[..., None])
