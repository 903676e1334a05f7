"""Other packages' multi-task models, trained and scored on exported rows in an environment of their own.

    python -m benchmarks.peer_models DATA.npz SCORES.npz --model torch-rechub/mmoe [--seed N] [--dropout P] [--no-ids]

Runs in the environment that `make bench-peers` makes, without Motet. Inputs, sizes, batches and early stopping are the
same for all; layers, losses and optimizer steps are the package's. FuxiCTR's wheel has a multi-task trainer, blocks and
embeddings but none of its zoo's multi-task models: the mixture of experts is put together from its blocks here.
"""

import argparse
import contextlib
import importlib.metadata
import json
import logging
import resource
import sys
import tempfile
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.peer_rows import Batches, Floats, Ints, Peer, Peers, fit, loss_of, read

DIM, EXPERTS, WIDTHS, HEAD, BATCH = 16, 4, (64, 32), 16, 256
LEVELS, OWN, COMMON = 2, 2, 2
"""Of PLE: extraction levels, experts of each task, shared ones."""
BUCKETS = 20
EPOCHS, JUDGED, PATIENCE = 15, 2, 4


@dataclass(frozen=True)
class How:
    """What is tuned, and the seed."""

    seed: int
    lr: float
    dropout: float


class RecHub:
    """Torch-RecHub: its features and `MTLTrainer`."""

    def __init__(self, kind: str, data: Peers, how: How) -> None:
        import torch_rechub.trainers.mtl_trainer as trainer
        from torch_rechub.basic.features import DenseFeature, SequenceFeature, SparseFeature
        from torch_rechub.models.multi_task import ESMM, MMOE, PLE

        self.entire = kind == "esmm"
        self.data = data = data.in_buckets(BUCKETS) if self.entire and data.numbers else data  # it takes ids alone
        features: list[Any] = [
            SequenceFeature(c.name, c.size, DIM, pooling="mean", shared_with=c.shares, padding_idx=0)
            if c.length else SparseFeature(c.name, c.size, DIM) for c in data.ids
        ]  # fmt: skip
        features += [DenseFeature("numbers", data.numbers)] if data.numbers else []
        types = ["classification" if binary else "regression" for binary in data.binary]
        experts, head = {"dims": list(WIDTHS), "dropout": how.dropout}, {"dims": [HEAD], "dropout": how.dropout}
        heads = [head] * len(types)
        if kind == "mmoe":
            self.network: nn.Module = MMOE(features, types, EXPERTS, experts, heads)
        elif kind == "ple":
            self.network = PLE(features, types, LEVELS, OWN, COMMON, experts, heads)
        else:
            self.network, types = ESMM(features[:1], features[1:], experts, experts), ["classification"] * 3
        trainer.tqdm.tqdm = lambda batches, **_: batches
        params = {"lr": how.lr, "weight_decay": 1e-5}
        self.training = trainer.MTLTrainer(self.network, types, optimizer_params=params)
        self.training.loss_fns = [partial(loss_of, of == "classification") for of in types]

    def train(self, rows: Ints) -> None:
        labels_NT = self.data.labels["train"]
        if self.entire:  # it wants three columns, of which it does not learn from the first
            labels_NT = torch.cat([labels_NT[:, 1:], labels_NT], 1)
        self.training.train_one_epoch(Batches(self.data.inputs["train"], labels_NT, rows, BATCH))

    def predict(self, split: str) -> Floats:
        inputs = self.data.inputs[split]
        found = np.array(self.training.predict(self.network, Batches(inputs, None, _all(inputs), 4 * BATCH)))
        return found[:, 1:] if self.entire else found


class DeepCtr:
    """DeepCTR-Torch: its `fit`, an epoch at a time, or it would train later epochs without dropout."""

    def __init__(self, kind: str, data: Peers, how: How) -> None:
        from deepctr_torch.inputs import DenseFeat, SparseFeat, VarLenSparseFeat
        from deepctr_torch.models import ESMM, MMOE, PLE

        self.data = data
        columns: list[Any] = []
        for c in data.ids:
            column = SparseFeat(c.name, c.size, DIM, embedding_name=c.shares)
            columns.append(VarLenSparseFeat(column, c.length, "mean") if c.length else column)
        columns += [DenseFeat("numbers", data.numbers)] if data.numbers else []
        tasks = {
            "task_types": ["binary" if binary else "regression" for binary in data.binary],
            "task_names": [f"task {number}" for number in range(len(data.binary))],
        }
        common = {"seed": how.seed, "dnn_dropout": how.dropout, **tasks}
        towers = {"gate_dnn_hidden_units": (), "tower_dnn_hidden_units": (HEAD,), **common}
        if kind == "mmoe":
            model = MMOE(columns, num_experts=EXPERTS, expert_dnn_hidden_units=WIDTHS, **towers)
        elif kind == "ple":
            sizes = {"shared_expert_num": COMMON, "specific_expert_num": OWN, "num_levels": LEVELS}
            model = PLE(columns, expert_dnn_hidden_units=WIDTHS, **sizes, **towers)
        else:
            model = ESMM(columns, tower_dnn_hidden_units=WIDTHS, **common)
        model.compile(torch.optim.Adam(model.parameters(), lr=how.lr), loss=self._loss)
        self.network = model

    def train(self, rows: Ints) -> None:
        x = {name: column.numpy()[rows].astype(np.float32) for name, column in self.data.inputs["train"].items()}
        self.network.fit(x, self.data.labels["train"].numpy()[rows], batch_size=BATCH, epochs=1, verbose=0)

    def predict(self, split: str) -> Floats:
        x = {name: column.numpy().astype(np.float32) for name, column in self.data.inputs[split].items()}
        return np.asarray(self.network.predict(x, 4 * BATCH))

    def _loss(self, predicted_BT: torch.Tensor, labels_BT: torch.Tensor, reduction: str) -> torch.Tensor:
        losses = [loss_of(b, predicted_BT[:, t], labels_BT[:, t], reduction) for t, b in enumerate(self.data.binary)]
        return torch.stack(losses).sum()


class FuxiCtr:
    """FuxiCTR: `MultiTaskModel` with its embeddings and blocks; see above."""

    def __init__(self, kind: str, data: Peers, how: How) -> None:
        from fuxictr.features import FeatureMap

        assert kind == "mmoe"
        self.data, self.folder = data, tempfile.TemporaryDirectory()
        known = FeatureMap("rows", self.folder.name)
        for c in data.ids:
            spec: dict[str, Any] = {"type": "categorical", "source": "", "vocab_size": c.size, "padding_idx": 0}
            if c.length:
                pooled = {"max_len": c.length, "feature_encoder": "layers.MaskedAveragePooling()"}
                spec |= {"type": "sequence", **pooled} | ({"share_embedding": c.shares} if c.shares else {})
            known.features[c.name] = spec
        self.numbers = [f"number{place}" for place in range(data.numbers)]
        known.features |= OrderedDict((name, {"type": "numeric", "source": ""}) for name in self.numbers)
        known.labels = [f"label{number}" for number in range(len(data.binary))]
        known.num_fields = known.get_num_fields()
        self.labels, self.network = known.labels, _fuxi_mixture(known, data, how, self.folder.name)

    def train(self, rows: Ints) -> None:
        self.network.fit(_Named(self, "train", rows), epochs=1)

    def predict(self, split: str) -> Floats:
        found = self.network.predict(_Named(self, split, _all(self.data.inputs[split])))
        return np.stack([np.array(found[label]) for label in self.labels], 1)


class _Named:
    """Batches with every number and every label under a name of its own, as FuxiCTR's trainer wants them."""

    def __init__(self, peer: FuxiCtr, split: str, rows: Ints) -> None:
        labels = peer.data.labels["train"] if split == "train" else None
        self.batches, self.peer = Batches(peer.data.inputs[split], labels, rows, BATCH), peer

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Any:
        for batch in self.batches:
            x, labels_BT = batch if isinstance(batch, tuple) else (batch, None)
            named = {name: column for name, column in x.items() if name != "numbers"}
            named |= dict(zip(self.peer.numbers, x["numbers"].unbind(1), strict=True))
            yield named if labels_BT is None else named | dict(zip(self.peer.labels, labels_BT.unbind(1), strict=True))


def _fuxi_mixture(known: Any, data: Peers, how: How, folder: str) -> Any:
    """Experts and towers of `MLP_Block`, a linear gate for each task."""
    from fuxictr.pytorch.layers import FeatureEmbedding, MLP_Block
    from fuxictr.pytorch.models import MultiTaskModel

    class Mixture(MultiTaskModel):  # type: ignore[misc]
        def __init__(self) -> None:
            kinds = ["binary_classification" if binary else "regression" for binary in data.binary]
            super().__init__(known, "mmoe", kinds, len(kinds), verbose=0, model_root=folder, metrics=[],
                             eval_steps=sys.maxsize)  # fmt: skip
            width, blocks = known.num_fields * DIM, {"dropout_rates": how.dropout}
            self.embedding = FeatureEmbedding(known, DIM)
            self.experts = nn.ModuleList(MLP_Block(width, list(WIDTHS), **blocks) for _ in range(EXPERTS))
            self.gates = nn.ModuleList(nn.Linear(width, EXPERTS) for _ in kinds)
            self.towers = nn.ModuleList(MLP_Block(WIDTHS[-1], [HEAD], output_dim=1, **blocks) for _ in kinds)
            self.compile("adam", "binary_crossentropy", how.lr)
            self.loss_fn = [partial(loss_of, binary) for binary in data.binary]
            self.reset_parameters()

        def forward(self, inputs: Any) -> Any:
            x_BX = self.embedding(self.get_inputs(inputs), flatten_emb=True)
            experts_BED = torch.stack([expert(x_BX) for expert in self.experts], 1)
            told = {}
            for t, label in enumerate(known.labels):
                mixed_BD = (self.gates[t](x_BX).softmax(1)[:, :, None] * experts_BED).sum(1)
                told[f"{label}_pred"] = self.output_activation[t](self.towers[t](mixed_BD))
            return told

        def load_weights(self, checkpoint: str) -> None:
            """Its `fit` ends with the best weights of a checkpoint; here the loop around it keeps them."""

    return Mixture()


def _all(inputs: Any) -> Ints:
    return np.arange(len(next(iter(inputs.values()))))


PEERS: dict[str, tuple[Callable[[str, Peers, How], Peer], tuple[str, ...]]] = {
    "torch-rechub": (RecHub, ("mmoe", "ple", "esmm")),
    "deepctr-torch": (DeepCtr, ("mmoe", "ple", "esmm")),
    "fuxictr": (FuxiCtr, ("mmoe",)),
}


def versions() -> dict[str, str]:
    """What of it is installed here."""
    found = {}
    for package in PEERS:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return found


def run(args: argparse.Namespace) -> None:
    """Train one model and write its scores of valid and test, with what it cost."""
    torch.set_num_threads(1)
    torch.manual_seed(args.seed)
    np.random.seed(args.seed)  # noqa: NPY002  what the packages draw from
    package, kind = args.model.split("/")
    data = read(args.data)
    data = data.of_tasks(args.tasks or range(len(data.binary)))
    data = data.without(data.large) if args.no_ids else data
    peer = PEERS[package][0](kind, data, How(args.seed, args.lr, args.dropout))
    started = time.monotonic()
    epochs = fit(peer, data, seed=args.seed, epochs=args.epochs, judged=JUDGED, patience=PATIENCE)
    seconds = time.monotonic() - started
    scores = {split: peer.predict(split).astype(np.float32) for split in ("valid", "test")}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)
    np.savez(args.scores, seconds=seconds, epochs=epochs, peak_rss_mb=peak, **scores)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?", help="what `exported.py` wrote")
    parser.add_argument("scores", type=Path, nargs="?")
    parser.add_argument(
        "--model", choices=[f"{package}/{kind}" for package, (_, kinds) in PEERS.items() for kind in kinds]
    )
    parser.add_argument(
        "--tasks", type=int, nargs="*", default=[], help="which of the tasks, in this order; default: all"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--dropout", type=float, default=0.0)
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="at most")
    parser.add_argument("--no-ids", action="store_true", help="without users, items and other fields of many values")
    arguments = parser.parse_args()
    if arguments.data is None:
        print(json.dumps(versions()))
    else:
        logging.disable(logging.WARNING)
        with contextlib.redirect_stdout(sys.stderr):
            run(arguments)
