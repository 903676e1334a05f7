"""A held table takes the memory it promises and says what the trained one says, to the exactness of its form."""

import pytest
import torch

from motet.errors import InputError
from motet.model.held import FORMS, HeldTable
from motet.model.inputs import Table

IDS = [torch.tensor([[0, 1, 2], [7, 7, 3]], dtype=torch.int32), torch.tensor([39])]


def trained() -> Table:
    torch.manual_seed(0)
    table = Table(torch.arange(40), 16, 10.0).eval()
    table.weight.data.mul_(torch.logspace(-3, 2, 40)[:, None])
    return table


def held(form: str, rows_at_once: int = 7) -> HeldTable:
    table = trained()
    found = HeldTable(40, 16, form)
    for start in range(0, 40, rows_at_once):
        rows = slice(start, start + rows_at_once)
        found.put(start, table.weight[rows], table.say_V[rows])
    return found


def test_fp32_answers_bit_for_bit() -> None:
    for found, wanted in zip(held("fp32")(IDS), trained()(IDS), strict=True):
        torch.testing.assert_close(found, wanted, rtol=0, atol=0)


def test_fp16_rounds_to_eleven_bits() -> None:
    for found, wanted in zip(held("fp16")(IDS), trained()(IDS), strict=True):
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, wanted, rtol=2**-11, atol=2**-24)


def test_int8_errs_by_half_a_step_of_its_own_row_at_most() -> None:
    for found, wanted in zip(held("int8")(IDS), trained()(IDS), strict=True):
        step = wanted.abs().amax(-1, keepdim=True) / 127
        assert found.dtype == torch.float32
        assert bool(((found - wanted).abs() <= 0.501 * step).all())


@pytest.mark.parametrize("form", list(FORMS))
def test_padding_stays_zero_and_nothing_depends_on_how_many_rows_come_at_once(form: str) -> None:
    assert held(form)([torch.tensor([0])])[0].count_nonzero() == 0
    torch.testing.assert_close(held(form, 3)(IDS), held(form, 40)(IDS), rtol=0, atol=0)


def test_the_memory_is_that_of_the_form() -> None:
    assert [held(form).bytes for form in FORMS] == [40 * 16 * 4, 40 * 16 * 2, 40 * (16 + 4)]


def test_another_form_is_refused_with_the_nearest() -> None:
    with pytest.raises(InputError, match="unknown form of a table 'int4'") as caught:
        HeldTable(4, 2, "int4")
    assert "int8" in caught.value.fix
