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
from torch import Tensor

from motet import runtime
from motet.batch import Rows
from motet.errors import InputError
from motet.model.kinds import Trainable
from motet.settings import settings
from motet.train import checkpoint
from motet.train.early_stop import EarlyStop, cell_loss
from motet.train.losses import TaskLosses
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
    evaluations_per_epoch: int = 2
    patience: int = 3  # evaluations without a better macro ne before training stops
    task_weights: dict[str, float] = field(default_factory=dict)  # loss weights; 1 where not named
    checkpoint_every: int = 500  # steps; evaluations always write one
    threads: int = 0  # 0: one per core


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


def train(
    network: Trainable,
    data: Rows,
    how: Train,
    *,
    scenario: int | None = None,
    folder: Path | None = None,
    progress: Progress | None = None,
) -> Outcome:
    """Train in place and leave the best weights loaded; on one scenario's rows only when it is given.

    With a `folder`, checkpoints and `metrics.jsonl` are written there and a training that was killed goes on exactly:
    the same weights, bit for bit, at the same number of threads.
    """
    threads = runtime.use_threads(how.threads)
    device = next(network.parameters()).device
    tasks, index = network.layout.tasks, network.task_index
    rows = _observed(data, data.rows("train", scenario), index)
    valid = _observed(data, data.rows("valid", scenario), index)
    if not len(rows):
        raise InputError("no train row has a label", fix="check the split and the labels' columns")
    losses, weights_T = losses_of(network, data, rows, how, device)
    rates = {"lr": how.lr, "table_lr": how.table_lr}
    decays = {"weight_decay": how.weight_decay, "table_weight_decay": how.table_weight_decay}
    update = Step(network, losses, weights_T, **rates, **decays)
    batch_size = batch_size_of(len(rows), how)
    per_epoch = -(-len(rows) // batch_size)
    total, warmup = per_epoch * how.epochs, max(1, int(per_epoch * how.epochs * how.warmup))
    evaluate_every = max(1, per_epoch // how.evaluations_per_epoch)
    stop, step, best = EarlyStop(how.patience), 0, _copy(network)
    running_T = torch.zeros(len(tasks), device=device)  # losses since the last evaluation
    runtime.seed_everything(how.seed)
    if folder and (saved := checkpoint.load(folder / "checkpoint")):
        step, best = saved.step, saved.best
        stop = _restore(saved, network, update, how)
        running_T.copy_(saved.optimizer["running_T"])
    log = RunLog(folder / "metrics.jsonl" if folder else None, up_to_step=step)
    labels_valid, scenario_valid = data.labels(valid)[:, index.numpy()], data.scenarios(valid)
    started, trained_from, order, epoch = time.monotonic(), step, rows, -1
    network.train()

    while True:
        # Judge on valid twice an epoch, keep the best weights, stop when they stop getting better.
        if step and step % evaluate_every == 0 and (not log.rows or log.rows[-1]["step"] < step):
            found = cell_loss(
                tasks, len(network.layout.scenarios), score_rows(network, data, valid), labels_valid, scenario_valid
            )
            if stop.update(found.macro, step):
                best = _copy(network)
            log.add(step=step, epoch=step / per_epoch, train_ne=float((running_T / evaluate_every).mean()),
                    valid_ne=_null(found.macro), cells=[[_null(v) for v in row] for row in found.ne_ST.tolist()],
                    seconds=round(time.monotonic() - started, 3), threads=threads)  # fmt: skip
            running_T = torch.zeros_like(running_T)
            network.train()
        finished = step >= total or stop.done

        # Write a checkpoint from which training can go on exactly.
        if (
            folder
            and step > trained_from
            and (finished or step % how.checkpoint_every == 0 or step % evaluate_every == 0)
        ):
            checkpoint.save(folder / "checkpoint", _snapshot(step, network, best, update, running_T, stop, how))
        if finished:
            break

        # A new epoch has a new order, which follows from the seed and the epoch alone.
        if step // per_epoch != epoch:
            epoch = step // per_epoch
            order = rows[np.random.default_rng([how.seed, epoch]).permutation(len(rows))]

        # The step.
        at = (step % per_epoch) * batch_size
        batch = data.batch(order[at : at + batch_size]).to(device)
        running_T += update(batch, learning_rate(step, total, warmup))
        step += 1
        if progress and step % 10 == 0:
            progress(step, total, f"valid ne {stop.best:.4f}" if stop.best_step > 0 else "")

    network.load_state_dict(best)
    network.eval()
    seconds = time.monotonic() - started
    done = (step - trained_from) * batch_size
    return Outcome(step, step / per_epoch, stop.best_step, stop.best, seconds, done / max(seconds, 1e-9),
                   runtime.peak_rss_mb(), network.parameter_count(), log.rows)  # fmt: skip


def batch_size_of(rows: int, how: Train) -> int:
    """The batch size for so many rows: a small cell's solo model gets as many steps an epoch as a large one's."""
    return min(how.batch_size, max(SMALLEST_BATCH, rows // STEPS_PER_EPOCH))


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
    losses = TaskLosses(tasks, rates.tolist(), list(network.layout.label_scales), shares.tolist()).to(device)
    return losses, torch.tensor([how.task_weights.get(task.name, 1.0) for task in tasks], device=device)


def _copy(network: Trainable) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}


def _snapshot(
    step: int, network: Trainable, best: dict[str, Tensor], update: Step, running_T: Tensor, stop: EarlyStop, how: Train
) -> checkpoint.Checkpoint:
    optimizer = {"adagrad.sum_V": update.sparse.sum_V, "rng": torch.get_rng_state(), "running_T": running_T}
    optimizer |= checkpoint.adamw_tensors(update.dense)
    state = {"early_stop": asdict(stop), "train": asdict(how)}
    return checkpoint.Checkpoint(step, _copy(network), best, optimizer, state)


def _restore(saved: checkpoint.Checkpoint, network: Trainable, update: Step, how: Train) -> EarlyStop:
    if saved.state["train"] != (asked := asdict(how)):
        changed = sorted(key for key in asked if saved.state["train"].get(key) != asked[key])
        raise InputError(f"the checkpoint was trained with other settings: {', '.join(changed)}",
                         fix="train into a new run folder, or set them back")  # fmt: skip
    network.load_state_dict(saved.weights)
    update.sparse.sum_V.copy_(saved.optimizer["adagrad.sum_V"])
    checkpoint.load_adamw(update.dense, saved.optimizer)
    torch.set_rng_state(saved.optimizer["rng"])
    return EarlyStop(**saved.state["early_stop"])


def _null(value: float) -> float | None:
    return None if np.isnan(value) else value
