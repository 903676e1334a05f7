"""Row-wise Adagrad against its definition; what decays; the learning rate."""

import pytest
import torch
from contracts.toy import toy

from motet.model.inputs import Table
from motet.model.ranker import Network, resolve
from motet.train.optim import DenseAdamW, RowwiseAdagrad, add_up, learning_rate, weight_matrices


def test_rowwise_adagrad_updates_touched_rows_by_its_definition_and_no_other() -> None:
    torch.manual_seed(0)
    table = Table(torch.full((6,), 9), 3, evidence=0)
    optimizer, before = RowwiseAdagrad(table, lr=0.1), table.weight.detach().clone()
    start = optimizer.sum_V.clone()
    (found,) = table([torch.tensor([2, 4, 2])])
    (found * torch.tensor([1.0, 2.0, 3.0])[:, None]).sum().backward()
    optimizer.step()
    gradient = {2: 4.0, 4: 2.0}  # the two uses of row 2 add up
    for row in range(6):
        if row in gradient:
            total = start[row] + gradient[row] ** 2
            torch.testing.assert_close(table.weight[row], before[row] - 0.1 * gradient[row] / total.sqrt())
            torch.testing.assert_close(optimizer.sum_V[row], total)
        else:
            assert torch.equal(table.weight[row], before[row])
            assert torch.equal(optimizer.sum_V[row], start[row])


def test_gradients_of_the_same_id_add_up_whatever_their_order() -> None:
    torch.manual_seed(0)
    ids, gradient = torch.randint(9, (40,), dtype=torch.int32), torch.randn(40, 3)
    rows, summed = add_up(ids, gradient)
    assert rows.tolist() == sorted(set(ids.tolist()))
    torch.testing.assert_close(summed, torch.stack([gradient[ids == row].sum(0) for row in rows]))


def test_decay_shrinks_the_rows_of_the_batch_alone() -> None:
    table = Table(torch.full((4,), 9), 3, evidence=0)
    optimizer, before = RowwiseAdagrad(table, lr=0.1, weight_decay=0.5), table.weight.detach().clone()
    (found,) = table([torch.tensor([2, 2])])
    (found * 0).sum().backward()
    optimizer.step(scale=0.5)
    torch.testing.assert_close(table.weight[2], before[2] * (1 - 0.5 * 0.1 * 0.5))
    assert torch.equal(table.weight[[1, 3]], before[[1, 3]])


def test_padding_stays_zero_through_training() -> None:
    table = Table(torch.full((4,), 9), 3, evidence=0)
    optimizer = RowwiseAdagrad(table, lr=1.0)
    table.say_V[0] = 1.0
    (found,) = table([torch.tensor([0, 1])])
    found.sum().backward()
    optimizer.step()
    assert torch.equal(table.weight[0], torch.zeros(3))


def test_the_learning_rate_warms_up_then_falls_to_a_tenth() -> None:
    rates = [learning_rate(step, 100, 10) for step in range(101)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[9] == rates[10] == pytest.approx(1.0)
    assert rates[100] == pytest.approx(0.1)
    assert rates[10:] == sorted(rates[10:], reverse=True)


def test_dense_updates_are_those_of_adamw_on_clipped_gradients() -> None:
    layout = toy().layout
    ours, theirs = (Network(layout, torch.full((layout.table_rows,), 20), resolve({})) for _ in range(2))
    theirs.load_state_dict(ours.state_dict())
    optimizer, matrices = DenseAdamW(ours, 0.1, 0.3), weight_matrices(theirs)
    groups: dict[bool, list[torch.nn.Parameter]] = {True: [], False: []}
    for name, parameter in theirs.dense_parameters().items():
        groups[name in matrices].append(parameter)
    expected = torch.optim.AdamW(
        [{"params": groups[True], "weight_decay": 0.3}, {"params": groups[False], "weight_decay": 0.0}], lr=0.1
    )
    for scale, size in ((1.0, 0.001), (0.5, 5.0)):  # the second is longer than what is let through
        for a, b in zip(ours.dense_parameters().values(), theirs.dense_parameters().values(), strict=True):
            a.grad = torch.randn_like(a) * size
            b.grad = a.grad.clone()
        optimizer.step(scale)
        torch.nn.utils.clip_grad_norm_(list(theirs.dense_parameters().values()), 10.0)
        for group in expected.param_groups:
            group["lr"] = 0.1 * scale
        expected.step()
        assert all(parameter.grad is None for parameter in ours.dense_parameters().values())
    for name, tensor in theirs.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], tensor, msg=name)


def test_weights_decay_but_fusion_weights_biases_and_adapters_do_not() -> None:
    layout = toy().layout
    network = Network(layout, torch.full((layout.table_rows,), 20), resolve({}))
    decayed = {id(p) for p in DenseAdamW(network, 0.1, 0.3).decayed}
    names = {name for name, parameter in network.named_parameters() if id(parameter) in decayed}
    assert {"experts.bank.second_EHD", "heads.first_TDH", "experts.bank.first.user.weight"} <= names
    spared = {"fusion.task_TV", "fusion.cell_STV", "fusion.prior.weight", "fusion.adapter.core_STR"}
    spared |= {"heads.bias_ST", "experts.bank.bias_ED", "prior.learned_SP", "inputs.table.weight"}
    assert not spared & names
    assert not any(name.endswith("bias") for name in names)


@pytest.mark.parametrize(
    ("slots", "matrices", "others"),
    [
        ({"preset": "star"}, {"auxiliary.last.weight"}, {"condition.user_SX", "layers.scale_SU", "layers.shift_SU"}),
        ({"preset": "pepnet"}, {"layers.out.weight"}, {"layers.out.bias"}),
        ({"preset": "m3oe"}, {"experts.gates.user.weight"}, {"experts.share_SE", "experts.balance_STM"}),
        ({"preset": "stem"}, {"experts.bank.first.user.ids_GIO", "experts.gates.candidate.other_RO"}, set()),
        ({"preset": "token"}, {"experts.user.map_FID"}, {"experts.special_ZD", "experts.user.name_KD"}),
        ({"fusion": "attention"}, set(), {"fusion.key.weight", "fusion.prior.weight", "fusion.task_TR"}),
    ],
)
def test_matrices_of_every_slot_decay_and_its_scales_and_weights_of_voices_do_not(
    slots: dict[str, str], matrices: set[str], others: set[str]
) -> None:
    network = Network(toy().layout, toy().counts_V, resolve(slots))
    found, named = weight_matrices(network), {name for name, _ in network.named_parameters()}
    assert matrices | others <= named
    assert matrices <= found
    assert not others & found
