"""Two optimizers: row-wise Adagrad on the rows a batch touched, fused AdamW on everything dense."""

import torch
from torch import Tensor, nn

from motet.model.inputs import Table
from motet.model.kinds import Trainable

LONGEST = 10.0  # norm of all dense gradients together; longer ones are clipped to it
ALIGNED = 16  # floats of a cache line


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
        if touched is None or touched.row_ID.grad is None:
            return
        weight, rate = self.table.weight.data, self.lr * scale
        rows_U, gradient_UD = add_up(touched.ids_I, touched.row_ID.grad)
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


class DenseAdamW:
    """AdamW (Loshchilov & Hutter, ICLR 2019) on all but the table; only weight matrices decay.

    Biases, norms, learned vectors, cell adapters and fusion weights do not: decay would pull α to equal shares. The
    network's parameters become stretches of two long vectors, so that clipping and the update are a few operations
    however many parameters there are.
    """

    def __init__(self, network: Trainable, lr: float, weight_decay: float) -> None:
        matrices, trained = weight_matrices(network), network.dense_parameters()
        self.lr = lr
        self.decayed = [parameter for name, parameter in trained.items() if name in matrices]
        spared = [parameter for name, parameter in trained.items() if name not in matrices]
        kinds = [(_Stretches(some), decay) for some, decay in ((self.decayed, weight_decay), (spared, 0.0)) if some]
        self.stretches = [stretches for stretches, _ in kinds]
        groups = [{"params": [stretches.whole], "weight_decay": decay} for stretches, decay in kinds]
        self.adamw = torch.optim.AdamW(groups, lr=lr, fused=True)

    @torch.no_grad()
    def step(self, scale: float = 1.0) -> None:
        """One update with the gradients that backward left, clipped to a norm of 10; `scale` multiplies the rate.

        Nothing is read back to the host. The gradients are taken: the next backward begins without any.
        """
        gradients = [stretches.take() for stretches in self.stretches]
        norm = torch.stack([gradient.norm() for gradient in gradients]).norm()
        factor = (LONGEST / (norm + 1e-6)).clamp(max=1.0)
        for gradient in gradients:
            gradient *= factor
        for group in self.adamw.param_groups:
            group["lr"] = self.lr * scale
        self.adamw.step()


class _Stretches:
    """Parameters as views of one vector, each beginning where memory is aligned, and their gradients likewise."""

    def __init__(self, parameters: list[nn.Parameter]) -> None:
        self.parameters = parameters
        sizes = [-(-parameter.numel() // ALIGNED) * ALIGNED for parameter in parameters]
        self.whole = nn.Parameter(torch.zeros(sum(sizes), device=parameters[0].device))
        self.whole.grad = torch.zeros_like(self.whole)
        weights, self.gradients = _views(self.whole.data, sizes, parameters), _views(self.whole.grad, sizes, parameters)
        for parameter, weight in zip(parameters, weights, strict=True):
            parameter.data = weight.copy_(parameter.data)

    def take(self) -> Tensor:
        """The gradients of all as one vector; a parameter without one has zero."""
        into, found, missing = [], [], []
        for parameter, view in zip(self.parameters, self.gradients, strict=True):
            if parameter.grad is None:
                missing.append(view)
            else:
                into.append(view)
                found.append(parameter.grad)
                parameter.grad = None
        torch._foreach_copy_(into, found)
        if missing:
            torch._foreach_zero_(missing)
        assert self.whole.grad is not None
        return self.whole.grad


def _views(whole: Tensor, sizes: list[int], like: list[nn.Parameter]) -> list[Tensor]:
    return [part[: p.numel()].view_as(p) for part, p in zip(whole.split(sizes), like, strict=True)]


def weight_matrices(model: nn.Module) -> set[str]:
    """Names of the weights of linear and recurrent layers, of expert banks and of heads; not those that make α."""
    found = set()
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear | nn.LSTM) and name not in ("fusion.prior", "fusion.key"):
            found |= {f"{name}.{weight}" for weight, _ in module.named_parameters() if weight.startswith("weight")}
    banks = (
        "second_EHD",
        "first_TDH",
        "last_TH",
        "ids_GIO",
        "other_RO",
        "map_FID",
        "map_NJW",
        "first_KDD",
        "second_KDD",
    )
    return found | {name for name, _ in model.named_parameters() if name.rsplit(".", 1)[-1] in banks}


def learning_rate(step: int, steps: int, warmup: int) -> float:
    """Linear warm-up, then half a cosine down to a tenth: a factor in [0, 1]."""
    if step < warmup:
        return (step + 1) / warmup
    progress = min(1.0, (step - warmup) / max(1, steps - warmup))
    return 0.1 + 0.9 * 0.5 * (1 + float(torch.cos(torch.tensor(progress * torch.pi))))
