"""The training loop: every-so-often blocks first, then the step.

Shapes: B rows, C = 1, T tasks.
"""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ValidationInfo, field_validator
from torch import Tensor

from motet import runtime
from motet.batch import Rows
from motet.errors import InputError
from motet.model.kinds import Trainable
from motet.settings import settings
from motet.train import checkpoint
from motet.train.balance import Balancer, balance_of
from motet.train.device import Device, Place, Precision
from motet.train.early_stop import EarlyStop, ValidCells
from motet.train.losses import CellSums, TaskLosses
from motet.train.optim import learning_rate
from motet.train.runlog import RunLog
from motet.train.score import score_rows
from motet.train.step import Step

SMALLEST_BATCH, STEPS_PER_EPOCH = 32, 64


@settings
class Train:
    """How a network is trained; the same budget for the joint model and every control."""

    seed: int = 0
    epochs: int = 6  # at most; early stopping usually ends sooner
    batch_size: int = 512  # rows, at most: a small log gets smaller batches (32 or more), so that an epoch has 64 steps
    lr: float = 0.004  # of AdamW, on everything but the table
    table_lr: float = 0.1  # of row-wise Adagrad, on the table
    weight_decay: float = 0.3
    table_weight_decay: float = 0.0
    warmup: float = 0.05  # share of all steps
    average: float = 0.98  # of the weights over steps, the share a step keeps of it; 0: the last weights are kept
    evaluations_per_epoch: int = 2
    patience: int = 3  # evaluations without a better macro ne before training stops
    task_weights: dict[str, float] = field(default_factory=dict)  # loss weights; 1 where not named
    balance: Balancer = "static"  # how the tasks' losses become one gradient; static: their sum, in base-rate units
    label_smoothing: float = 0.0  # so much of a binary label is its task's base rate instead: against wrong labels
    adversarial: float = 0.0  # ids are also learned from where moving them so far hurts most (APR); half the speed
    r_drop: float = 0.0  # weight of the difference between two passes with other dropout (R-Drop); half the speed
    checkpoint_every: int = 500  # steps; evaluations always write one
    threads: int = 0  # 0: one per core; a training that is resumed keeps those it began with
    device: Device = "auto"  # auto: a GPU where torch sees one
    precision: Precision = "auto"  # of products in training; auto: bf16 on a GPU that has it, else fp32

    @field_validator("label_smoothing", "adversarial", "r_drop", "average")
    @classmethod
    def _in_range(cls, value: float, info: ValidationInfo) -> float:
        if value < 0 or (value >= 1 and info.field_name in ("label_smoothing", "average")):
            raise ValueError(f"{value} is out of range: at least 0, a share below 1")
        return value


@dataclass(frozen=True)
class Outcome:
    """What a training was: for the report."""

    steps: int
    epochs: float
    best_step: int
    macro_ne: float
    seconds: float
    rows_per_second: float
    peak_rss_mb: float
    parameters: int
    log: list[dict[str, Any]]


Progress = Callable[[int, int, str], None]
"""Called with steps done, steps at most, and a word on how it goes."""
Judged = Callable[[int, float], None]
"""Called with the number of an evaluation of valid, from 1, and its macro `ne`; what it raises ends the training."""


def train(
    network: Trainable,
    data: Rows,
    how: Train,
    *,
    scenario: int | None = None,
    folder: Path | None = None,
    progress: Progress | None = None,
    judged: Judged | None = None,
) -> Outcome:
    """Train in place and leave the best weights loaded; on one scenario's rows only when it is given.

    With a `folder`, checkpoints and `metrics.jsonl` are written there and a training that was killed goes on exactly:
    the same weights, bit for bit, at the number of threads it began with.
    """
    saved = checkpoint.load(folder / "checkpoint") if folder else None
    threads = runtime.use_threads(threads_of(how, saved))
    place = _place(how, saved)
    network.to(place.device)
    index = network.task_index
    rows = _observed(data, data.rows("train", scenario), index)
    valid = _observed(data, data.rows("valid", scenario), index)
    if not len(rows):
        raise InputError("no train row has a label", fix="check the split and the labels' columns")
    losses, weights_T = losses_of(network, data, rows, how, place.device)
    rates = {"lr": how.lr, "table_lr": how.table_lr}
    decays = {"weight_decay": how.weight_decay, "table_weight_decay": how.table_weight_decay}
    balance = balance_of(how.balance, network, losses.divisor_T.isfinite())
    harder = {"adversarial": how.adversarial, "r_drop": how.r_drop, "average": how.average}
    update = Step(network, losses, weights_T, place, **rates, **decays, **harder, balance=balance)
    batch_size = batch_size_of(len(rows), how)
    per_epoch = -(-len(rows) // batch_size)
    total, warmup = per_epoch * how.epochs, max(1, int(per_epoch * how.epochs * how.warmup))
    cells = ValidCells(network.layout, data.labels(valid)[:, index.numpy()], data.scenarios(valid))
    stop, step, best, sums = EarlyStop(how.patience), 0, _copy(network), CellSums(network.layout, place.device)
    started = time.monotonic()
    runtime.seed_everything(how.seed)
    if saved:
        step, best = saved.step, saved.best
        stop = _restore(saved, network, update, sums, how)
        started -= saved.state["seconds"]
        if progress:
            progress(step, total, f"goes on with {threads} thread{'s' * (threads != 1)}, as it began")
    log = RunLog(folder / "metrics.jsonl" if folder else None, up_to_step=step)
    trained_from, order, epoch = step, rows, -1
    network.train()

    while True:
        # Judge on valid twice an epoch and at the end, keep the best weights, stop when they stop getting better.
        if step > stop.judged and _is_due(step, per_epoch, how.evaluations_per_epoch):
            with update.average.in_place():
                ne_ST, train_ne_ST = cells.ne_ST(score_rows(network, data, valid)), sums.take()
                if stop.update(macro := cells.macro(ne_ST), step):
                    best = _copy(network)
            log.add(step=step, epoch=step / per_epoch, train_ne=_number(cells.macro(train_ne_ST)),
                    valid_ne=_number(macro), cells=[[_number(v) for v in row] for row in ne_ST.tolist()],
                    seconds=round(time.monotonic() - started, 3), threads=threads)  # fmt: skip
            if judged and macro is not None:
                judged(len(log.rows), macro)
        finished = step >= total or stop.done

        # Write a checkpoint from which training can go on exactly.
        if folder and step > trained_from and (finished or step % how.checkpoint_every == 0 or step == stop.judged):
            facts = {
                "train": asdict(how),
                "threads": threads,
                "place": str(place),
                "seconds": time.monotonic() - started,
            }
            checkpoint.save(folder / "checkpoint", _snapshot(step, network, best, update, sums, stop, facts))
        if finished:
            break

        # A new epoch has a new order, which follows from the seed and the epoch alone.
        if step // per_epoch != epoch:
            epoch = step // per_epoch
            order = rows[np.random.default_rng([how.seed, epoch]).permutation(len(rows))]

        # The step.
        at = (step % per_epoch) * batch_size
        batch = data.batch(order[at : at + batch_size]).to(place.device)
        loss_BCT, labels_BCT = update(batch, learning_rate(step, total, warmup))
        update.average.add(step)
        sums.add(loss_BCT, labels_BCT, batch.scenario_B)
        step += 1
        if progress and step % 10 == 0:
            progress(step, total, f"valid ne {stop.best:.4f}" if np.isfinite(stop.best) else "")

    network.load_state_dict(best)
    network.to("cpu").eval()
    seconds, epochs = time.monotonic() - started, step / per_epoch
    seen = step // per_epoch * len(rows) + step % per_epoch * batch_size
    return Outcome(step, epochs, stop.best_step, stop.best, seconds, seen / max(seconds, 1e-9),
                   runtime.peak_rss_mb(), network.parameter_count(), log.rows)  # fmt: skip


def batch_size_of(rows: int, how: Train) -> int:
    """The batch size for so many rows: a small cell's solo model gets as many steps an epoch as a large one's."""
    return min(how.batch_size, max(SMALLEST_BATCH, rows // STEPS_PER_EPOCH))


def _is_due(step: int, per_epoch: int, evaluations: int) -> bool:
    """Evenly over an epoch and always at its end, so that the last step of a training is judged too."""
    return step * evaluations // per_epoch > (step - 1) * evaluations // per_epoch


def threads_of(how: Train, saved: checkpoint.Checkpoint | None) -> int:
    """As many as asked for; a training that goes on keeps the number it began with: its sums depend on it."""
    if saved is None:
        return how.threads
    began, cores = int(saved.state["threads"]), runtime.cores()
    if how.threads not in (0, began):
        fix = f"set it to {began}, or start over with --force"
    elif how.threads == 0 and began > cores:
        fix = f"go on where there are {began} cores, not {cores}, or start over with --force"
    else:
        return began
    what = f"this training began with {began} threads and goes on exactly only with as many"
    raise InputError(what, where="train.threads", fix=fix)


def _place(how: Train, saved: checkpoint.Checkpoint | None) -> Place:
    """What is asked for; a training that goes on does so only where it began."""
    place = Place.of(how.device, how.precision)
    if saved is not None and saved.state["place"] != str(place):
        what = f"this training began on {saved.state['place']} and goes on exactly only there, not on {place}"
        raise InputError(what, where="train.device", fix="go on where it began, or start over with --force")
    return place


def _observed(data: Rows, rows: NDArray[np.int64], index: Tensor) -> NDArray[np.int64]:
    """Rows where at least one of the network's tasks has a label."""
    return rows[~np.isnan(data.labels(rows)[:, index.numpy()]).all(1)]


def losses_of(
    network: Trainable, data: Rows, rows: NDArray[np.int64], how: Train, device: torch.device
) -> tuple[TaskLosses, Tensor]:
    """Losses in units of these rows' base rates, and the tasks' loss weights."""
    tasks = network.layout.tasks
    if unknown := set(how.task_weights) - {task.name for task in network.layout.tasks}:
        raise InputError(f"unknown task {sorted(unknown)[0]!r}", where="train.task_weights",
                         fix=f"tasks: {', '.join(task.name for task in tasks)}")  # fmt: skip
    labels = data.labels(rows)[:, network.task_index.numpy()].astype(np.float64)
    observed = ~np.isnan(labels)
    rates = np.where(observed, labels, 0).sum(0) / np.maximum(observed.sum(0), 1)
    binary = np.array([task.form == "binary" for task in tasks])
    one_class = binary & ((rates <= 0) | (rates >= 1))  # nothing to tell apart, and no entropy to divide by
    shares = np.where(one_class, 0.0, observed.mean(0))
    units = rates.tolist(), list(network.layout.label_scales), shares.tolist()
    losses = TaskLosses(tasks, *units, how.label_smoothing).to(device)
    return losses, torch.tensor([how.task_weights.get(task.name, 1.0) for task in tasks], device=device)


def _copy(network: Trainable) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}


def _snapshot(
    step: int, network: Trainable, best: dict[str, Tensor], update: Step, sums: CellSums, stop: EarlyStop,
    facts: dict[str, Any],
) -> checkpoint.Checkpoint:  # fmt: skip
    optimizer = {"adagrad.sum_V": update.sparse.sum_V, "sums_STX": sums.sums_STX} | update.place.random_state()
    optimizer |= {f"balance.{name}": tensor for name, tensor in update.balance.tensors().items()}
    optimizer |= update.average.tensors()
    optimizer |= checkpoint.adamw_tensors(update.dense.adamw)
    return checkpoint.Checkpoint(step, _copy(network), best, optimizer, {"early_stop": asdict(stop)} | facts)


def _restore(
    saved: checkpoint.Checkpoint, network: Trainable, update: Step, sums: CellSums, how: Train
) -> EarlyStop:  # fmt: skip
    before, asked = saved.state["train"], asdict(how)
    if changed := sorted(key for key in asked if key != "threads" and before.get(key) != asked[key]):
        raise InputError(f"the checkpoint was trained with other settings: {', '.join(changed)}",
                         fix="train into a new run folder, or set them back")  # fmt: skip
    network.load_state_dict(saved.weights)
    update.sparse.sum_V.copy_(saved.optimizer["adagrad.sum_V"])
    sums.sums_STX.copy_(saved.optimizer["sums_STX"])
    for name, tensor in update.balance.tensors().items():
        tensor.copy_(saved.optimizer[f"balance.{name}"])
    for name, tensor in update.average.tensors().items():
        tensor.copy_(saved.optimizer[name])
    checkpoint.load_adamw(update.dense.adamw, saved.optimizer)
    update.place.restore_random_state(saved.optimizer)
    return EarlyStop(**saved.state["early_stop"])


def _number(value: float | None) -> float | None:
    """What JSON can hold."""
    return value if value is not None and np.isfinite(value) else None
