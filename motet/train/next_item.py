"""The training of the next-item model: every-so-often blocks first, then the step, as in the loop of the ranker.

Judged on valid at the end of every epoch: NDCG@10 of a row's item among the catalogue of its scenario without what the
user had been shown before, averaged over scenarios. Lazy Adam (only touched rows of the table), AdamW on the rest.

Shapes: N rows of valid, B requests, K places, D width, E pairs that are left out.
"""

import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from motet import runtime
from motet.baselines.neighbours import Neighbours
from motet.batch import History
from motet.data.arrays import Ints
from motet.data.dataset import Dataset
from motet.data.windows import gather_history
from motet.errors import InputError
from motet.model.neighbour_share import COSINE, NeighbourShare
from motet.model.next_item import REQUESTS_AT_ONCE, NextItem, NextItemNetwork
from motet.scoring.top_k import top_products
from motet.train import checkpoint
from motet.train.early_stop import EarlyStop
from motet.train.loop import Outcome, Progress, Train, threads_of
from motet.train.optim import learning_rate
from motet.train.runlog import RunLog
from motet.train.windows import Windows, happened

BETAS = (0.9, 0.98)
TOP = 10
JUDGED = 5_000
"""Rows of each scenario's valid that a training is judged on, at most; always the same ones."""
SHARED = 2_000
"""Rows of each scenario's valid that the share of item neighbours is chosen on, at most."""
SHARES = (0.0, 0.2, 0.4, 0.6, 0.8)
_REQUESTS = 1024


def new_next_item(data: Dataset, how: NextItem, seed: int) -> NextItemNetwork:
    """A network with the weights of that seed."""
    torch.manual_seed(seed)
    catalogues = []
    for s in range(len(data.layout.scenarios)):
        item_I = data.catalogue(s)
        rows = data.rows("train", s)
        taken = data.item_rows(rows[happened(data, rows)])
        count_I = np.bincount(taken, minlength=int(item_I.max()) + 1)[item_I]
        catalogues.append((torch.from_numpy(item_I), torch.from_numpy(count_I.astype(np.float32))))
    return NextItemNetwork(catalogues, len(data.items.ids_IK), data.layout.history_length, how)


def train_next_item(
    network: NextItemNetwork,
    data: Dataset,
    how: NextItem,
    base: Train,
    *,
    folder: Path | None = None,
    progress: Progress | None = None,
) -> tuple[Outcome, float]:
    """Train in place, leave the best weights loaded; what it was, and NDCG@10 on valid of those weights.

    With a `folder` a training that was killed goes on exactly, as that of a ranker does.
    """
    saved = checkpoint.load(folder / "checkpoint") if folder else None
    threads = runtime.use_threads(threads_of(base, saved))
    windows, valid = Windows.of(data), HeldOut.of(data, data.rows("valid"))
    if not len(windows):
        raise InputError("no train row has a past to learn from", where="history", fix="check times and the split")
    update = _Step(network, how)
    per_epoch = -(-len(windows) // how.batch_size)
    total = per_epoch * how.epochs
    warmup = max(1, int(total * base.warmup))
    stop, step, best = EarlyStop(how.patience), 0, _copy(network)
    lost, started = torch.zeros(2), time.monotonic()
    runtime.seed_everything(base.seed)
    if saved:
        step, best, started = saved.step, saved.best, started - saved.state["seconds"]
        stop, lost = _restore(saved, network, update, how)
    log = RunLog(folder / "metrics.jsonl" if folder else None, up_to_step=step)
    began, batches, epoch = step, list[Ints](), -1
    network.train()

    while True:
        # Judge on valid at the end of an epoch, keep the best weights, stop when they stop getting better.
        if step > stop.judged and step % per_epoch == 0:
            found = valid.ndcg(network)
            if stop.update(-found, step):
                best = _copy(network)
            log.add(step=step, epoch=step / per_epoch, train_loss=float(lost[0] / lost[1].clamp(min=1)),
                    valid_ndcg=found, seconds=round(time.monotonic() - started, 3), threads=threads)  # fmt: skip
            lost.zero_()
        finished = step >= total or stop.done

        # Write a checkpoint from which training can go on exactly.
        if folder and step > began and (finished or step % base.checkpoint_every == 0 or step == stop.judged):
            facts = {"next_item": asdict(how), "threads": threads, "seconds": time.monotonic() - started}
            facts |= {"early_stop": asdict(stop)}
            state = update.state() | {"rng": torch.get_rng_state(), "lost": lost}
            checkpoint.save(folder / "checkpoint", checkpoint.Checkpoint(step, _copy(network), best, state, facts))
        if finished:
            break

        # A new epoch has new batches, which follow from the seed and the epoch alone.
        if step // per_epoch != epoch:
            epoch = step // per_epoch
            batches = windows.batches(how.batch_size, base.seed, epoch)

        # The step.
        lesson = windows.lesson(batches[step % per_epoch])
        loss = network.loss(lesson.history, lesson.place_Q, lesson.item_Q, lesson.scenario_Q)
        update(loss, how.lr * learning_rate(step, total, warmup))
        lost += torch.tensor([1.0, 0.0]) * loss.detach() + torch.tensor([0.0, 1.0])
        step += 1
        if progress and step % 10 == 0:
            progress(step, total, f"valid ndcg@10 {-stop.best:.4f}" if np.isfinite(stop.best) else "")

    network.load_state_dict(best)
    network.eval()
    if how.neighbours:
        network.neighbours = neighbours_of(data, network, valid)
    seconds, epochs = time.monotonic() - started, step / per_epoch
    rows = epochs * len(windows.item_Q)
    return Outcome(step, epochs, stop.best_step, float("inf"), seconds, rows / max(seconds, 1e-9),
                   runtime.peak_rss_mb(), network.parameter_count(), log.rows), -stop.best  # fmt: skip


def neighbours_of(data: Dataset, network: NextItemNetwork, valid: "HeldOut") -> NeighbourShare:
    """The item neighbours of train, with the share that is best on some rows of each scenario's valid."""
    rows = data.rows("train")
    rows = rows[happened(data, rows)]
    neighbours = NeighbourShare.of(Neighbours.of(data.users(rows), data.item_rows(rows), COSINE), network.scenarios)
    for s in range(network.scenarios):
        ndcg_W = valid.ndcg_of_shares(network, neighbours, s)
        neighbours.share_S[s] = SHARES[int(ndcg_W.argmax())]
    return neighbours


class _Step:
    """What one batch changes."""

    def __init__(self, network: NextItemNetwork, how: NextItem) -> None:
        dense = [parameter for parameter in network.parameters() if parameter is not network.item.weight]
        self.table = torch.optim.SparseAdam([network.item.weight], lr=how.lr, betas=BETAS)
        self.dense = torch.optim.AdamW(dense, lr=how.lr, betas=BETAS, weight_decay=0.0, fused=True)

    def __call__(self, loss: Tensor, lr: float) -> None:
        loss.backward()
        for optimizer in (self.table, self.dense):
            for group in optimizer.param_groups:
                group["lr"] = lr
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    def state(self) -> dict[str, Tensor]:
        """Moments of both, to go on with."""
        table = self.table.state_dict()["state"].get(0, {})
        sparse = {f"table.{name}": torch.as_tensor(value) for name, value in table.items()}
        return sparse | checkpoint.adamw_tensors(self.dense)

    def load(self, tensors: dict[str, Tensor]) -> None:
        """Put them back."""
        checkpoint.load_adamw(self.dense, tensors)
        found = {key.removeprefix("table."): value for key, value in tensors.items() if key.startswith("table.")}
        if found:
            state = {0: found | {"step": int(found["step"])}}
            self.table.load_state_dict({"state": state, "param_groups": self.table.state_dict()["param_groups"]})


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Rows whose items are sought, by scenario."""

    data: Dataset
    of_scenario: tuple[tuple[Ints, Tensor, tuple[Tensor, Tensor]], ...]  # rows, places of their items, left out

    @classmethod
    def of(cls, data: Dataset, rows: Ints, most: int = JUDGED) -> "HeldOut":
        """At most so many of each scenario, in random order."""
        rows = rows[happened(data, rows)]
        parts = []
        for s in range(len(data.layout.scenarios)):
            of_s, item_I = rows[data.scenarios(rows) == s], data.catalogue(s)
            of_s = np.random.default_rng(s).permutation(of_s)[:most]
            user_E, item_E = data.shown.to(data.users(of_s), data.times(of_s), s if data.events.scenarios else None)
            here_E = np.isin(item_E, item_I)
            left_out = torch.from_numpy(user_E[here_E]), torch.from_numpy(np.searchsorted(item_I, item_E[here_E]))
            parts.append((of_s, torch.from_numpy(np.searchsorted(item_I, data.item_rows(of_s))), left_out))
        return cls(data, tuple(parts))

    def ndcg(self, network: NextItemNetwork) -> float:
        """Mean NDCG@10 over scenarios that have rows."""
        learning, found = network.training, []
        network.eval()
        for s, (rows, place_N, left_out) in enumerate(self.of_scenario):
            if not len(rows):
                continue
            with torch.inference_mode():
                item_ID = network.item(network.catalogue(s))
            top_NK, _ = top_products(self._queries(network, rows, s), item_ID, TOP, left_out)
            hit_NK = (top_NK == place_N[:, None]).double()
            found.append(float((hit_NK / torch.log2(torch.arange(2.0, top_NK.shape[1] + 2))).sum(1).mean()))
        network.train(learning)
        return float(np.mean(found)) if found else 0.0

    def ndcg_of_shares(self, network: NextItemNetwork, neighbours: NeighbourShare, s: int) -> Tensor:
        """NDCG@10 of each of `SHARES` on some rows of a scenario, [W]."""
        rows, place_N, (user_E, item_E) = self.of_scenario[s]
        rows = rows[:SHARED]
        item_I, total_W = network.catalogue(s), torch.zeros(len(SHARES), dtype=torch.float64)
        for some in torch.arange(len(rows)).split(REQUESTS_AT_ONCE):
            history = self._histories(torch.from_numpy(rows[some.numpy()]))
            p_BI, near_BI = network.probabilities(history, s), neighbours.probabilities(history, item_I)
            here_E = (user_E >= some[0]) & (user_E <= some[-1])
            left_out_E = user_E[here_E] - some[0], item_E[here_E]
            for w, share in enumerate(SHARES):
                mixed_BI = neighbours.mixed(p_BI, near_BI, share, history, item_I)
                mixed_BI[left_out_E] = -1.0
                own_B1 = mixed_BI.gather(1, place_N[some, None])
                above_B = (mixed_BI > own_B1).sum(1)
                total_W[w] += torch.where(above_B < TOP, 1 / torch.log2(above_B + 2.0), 0.0).sum()
        return total_W / max(len(rows), 1)

    def _histories(self, at: Tensor) -> History:
        """Of those rows."""
        im, data = self.data.impressions, self.data
        start_B, end_B, time_B = (x.index_select(0, at) for x in (im.history_start, im.history_end, im.time))
        return gather_history(data.stored_events, data.items, start_B, end_B, time_B, data.layout.history_length)

    def _queries(self, network: NextItemNetwork, rows: Ints, s: int) -> Tensor:
        """Of all rows, those with equally long histories together, [N, D]."""
        im, at = self.data.impressions, torch.from_numpy(rows)
        order_N = (im.history_end - im.history_start).index_select(0, at).argsort(stable=True)
        query_ND = torch.cat([
            network.requests(self._histories(at[some]), torch.full((len(some),), s))
            for some in order_N.split(_REQUESTS)
        ])  # fmt: skip
        return torch.empty_like(query_ND).index_copy_(0, order_N, query_ND)


def _copy(network: NextItemNetwork) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}


def _restore(
    saved: checkpoint.Checkpoint, network: NextItemNetwork, update: _Step, how: NextItem
) -> tuple[EarlyStop, Tensor]:
    if saved.state.get("next_item") != asdict(how):
        fix = "train into a new run folder, or set them back"
        raise InputError("the checkpoint was trained with other settings of [next_item]", fix=fix)
    network.load_state_dict(saved.weights)
    update.load(saved.optimizer)
    torch.set_rng_state(saved.optimizer["rng"])
    return EarlyStop(**saved.state["early_stop"]), saved.optimizer["lost"].clone()
