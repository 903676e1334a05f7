"""Other packages as workers: the same rows and the same MMoE, trained by each one's own loader and loop.

`python -m benchmarks.peers NAME` runs in the environment that `make bench-peers` makes, without Motet. Where a package
offers the choice it gets the faster one: no regularisation, no metrics, no progress bar, no batch norm.
"""

import argparse
import importlib.metadata
import logging

import numpy as np
import torch
from torch import nn

from benchmarks.workload import Run, Workload, of_arguments, serve, timed


def torch_rechub(work: Workload) -> Run:
    """Its `DataGenerator` and `MTLTrainer`; batch norm, which its layers always have, is taken out."""
    import torch_rechub.trainers.mtl_trainer as trainer
    from torch_rechub.basic.features import SparseFeature
    from torch_rechub.models.multi_task import MMOE
    from torch_rechub.utils.data import DataGenerator

    names, ids, labels = _names(work), work.ids(), work.labels()
    features = [SparseFeature(name, vocab_size=work.ids_per_field, embed_dim=work.dim) for name in names]
    heads = [{"dims": [work.head]} for _ in range(work.tasks)]
    task_types = ["classification"] * work.tasks
    model = MMOE(features, task_types, work.experts, {"dims": [work.hidden, work.width]}, heads)
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.BatchNorm1d):
                setattr(module, name, nn.Identity())
    trainer.tqdm.tqdm = lambda batches, **_: batches
    training = trainer.MTLTrainer(model, task_types, optimizer_params={"lr": 1e-3})

    def run(steps: int) -> None:
        rows = steps * work.batch
        x = {name: ids[:rows, column] for column, name in enumerate(names)}
        few = {name: column[:1] for name, column in x.items()}
        data = DataGenerator(x, labels[:rows])
        loader, _, _ = data.generate_dataloader(few, labels[:1], few, labels[:1], batch_size=work.batch)
        training.train_one_epoch(loader)

    return run


def deepctr_torch(work: Workload) -> Run:
    """Its `fit`, silent."""
    logging.disable(logging.WARNING)
    from deepctr_torch.inputs import SparseFeat
    from deepctr_torch.models import MMOE

    names, ids, labels = _names(work), work.ids(), work.labels()
    columns = [SparseFeat(name, vocabulary_size=work.ids_per_field, embedding_dim=work.dim) for name in names]
    model = MMOE(
        columns,
        num_experts=work.experts,
        expert_dnn_hidden_units=(work.hidden, work.width),
        gate_dnn_hidden_units=(),
        tower_dnn_hidden_units=(work.head,),
        l2_reg_linear=0,
        l2_reg_embedding=0,
        task_types=["binary"] * work.tasks,
        task_names=[f"task {task}" for task in range(work.tasks)],
    )
    model.compile("adam", loss=["binary_crossentropy"] * work.tasks)

    def run(steps: int) -> None:
        rows = steps * work.batch
        x = {name: ids[:rows, column] for column, name in enumerate(names)}
        model.fit(x, labels[:rows], batch_size=work.batch, epochs=1, verbose=0)

    return run


PEERS = {"torch-rechub": torch_rechub, "deepctr-torch": deepctr_torch}


def _names(work: Workload) -> list[str]:
    return [f"field{number}" for number in range(work.fields)]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=PEERS)
    work, args = of_arguments(parser)
    torch.set_num_threads(work.threads)
    torch.manual_seed(work.seed)
    np.random.seed(work.seed)  # noqa: NPY002  what the packages draw from
    serve(importlib.metadata.version(args.name), lambda: {"run": timed(PEERS[args.name](work))})
