"""Two optimizers: row-wise Adagrad on the rows a batch touched, fused AdamW on everything dense."""

import torch
from torch import Tensor, nn

from motet.model.inputs import Table


class RowwiseAdagrad:
    """Adagrad (Duchi et al., 2011) with one accumulator per table row: G_r += mean(g_r²); w_r -= lr · g_r / √G_r.

    Only rows of the last batch are read or written, whatever the size of the table. Shapes: I ids of the batch, U
    different ones, V rows of the table, D embedding width.
    """

    def __init__(self, table: Table, lr: float, weight_decay: float = 0.0) -> None:
        self.table, self.lr, self.weight_decay = table, lr, weight_decay
        self.sum_V = torch.full((len(table.weight),), 1e-2 / table.weight.shape[1], device=table.weight.device)

    @torch.no_grad()
    def step(self, scale: float = 1.0) -> None:
        """One update with the gradient that backward left on the touched rows; `scale` multiplies the rate."""
        touched, self.table.touched = self.table.touched, None
        if touched is None or touched.embedded_ID.grad is None:
            return
        weight, rate = self.table.weight.data, self.lr * scale
        rows_U, gradient_UD = add_up(touched.ids_I, touched.embedded_ID.grad)
        gradient_UD *= self.table.say_V.index_select(0, rows_U)[:, None]
        sum_U = self.sum_V.index_select(0, rows_U) + gradient_UD.square().mean(1)
        self.sum_V.index_copy_(0, rows_U, sum_U)
        step_UD = gradient_UD.mul_((rate * sum_U.rsqrt())[:, None])
        if self.weight_decay:
            step_UD += weight.index_select(0, rows_U) * (self.weight_decay * rate)
        weight.index_add_(0, rows_U, step_UD.neg_())
        weight[0] = 0


def add_up(ids_I: Tensor, gradient_ID: Tensor) -> tuple[Tensor, Tensor]:
    """The different ids, ascending, and the sum of each one's gradients: a sort, then sums over stretches."""
    sorted_I, order_I = ids_I.sort(stable=True)
    rows_U, count_U = sorted_I.unique_consecutive(return_counts=True)
    start_U = count_U.cumsum(0) - count_U
    return rows_U.long(), nn.functional.embedding_bag(order_I, gradient_ID, start_U, mode="sum")


def dense_optimizer(model: nn.Module, lr: float, weight_decay: float) -> torch.optim.AdamW:
    """Fused AdamW (Loshchilov & Hutter, ICLR 2019) on all but the table; only weight matrices decay.

    Biases, norms, learned vectors, cell adapters and fusion weights do not: decay would pull α to equal shares.
    """
    trained = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    matrices = weight_matrices(model)
    groups = [
        {"params": [p for name, p in trained.items() if name in matrices], "weight_decay": weight_decay},
        {"params": [p for name, p in trained.items() if name not in matrices], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=lr, fused=True)


def weight_matrices(model: nn.Module) -> set[str]:
    """Names of the weights of linear and recurrent layers, of expert banks and of heads; not those that make α."""
    found = set()
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear | nn.LSTM) and name != "fusion.prior":
            found |= {f"{name}.{weight}" for weight, _ in module.named_parameters() if weight.startswith("weight")}
    banks = ("second_EHD", "first_TDH", "last_TH")
    return found | {name for name, _ in model.named_parameters() if name.rsplit(".", 1)[-1] in banks}


def learning_rate(step: int, steps: int, warmup: int) -> float:
    """Linear warm-up, then half a cosine down to a tenth: a factor in [0, 1]."""
    if step < warmup:
        return (step + 1) / warmup
    progress = min(1.0, (step - warmup) / max(1, steps - warmup))
    return 0.1 + 0.9 * 0.5 * (1 + float(torch.cos(torch.tensor(progress * torch.pi))))


def gradient_norm(model: nn.Module) -> Tensor:
    """The norm of all dense gradients, clipped to 10 in place; not read back to the host."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return nn.utils.clip_grad_norm_(trained, 10.0)
