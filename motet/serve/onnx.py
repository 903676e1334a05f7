"""The ranker as one ONNX file, for runtimes without Python: the network and its calibration, nothing around them.

Inputs are the tensors of a `motet.batch.Batch` that the network reads, by their names there (those of the history as
`history.length_B`), outputs the predictions of all tasks, `predictions_BCT`. Requests, candidates and the length of
histories are free. What makes a batch of a request (vocabularies, running counts, histories), what blends predictions
and what chooses candidates is not in the file.

Shapes: B requests, C candidates, T tasks, S scenarios.
"""

import json
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from motet.batch import Batch, History, Layout
from motet.errors import InputError
from motet.model.ranker import Network
from motet.scoring.calibrate import Calibration
from motet.settings import atomic_file
from motet.train.run import Run, fingerprint_of
from motet.version import VERSION

OUTPUT = "predictions_BCT"
NEEDED = ("onnx", "onnxscript")
_LARGEST = 2 * 10**9  # bytes that one file can hold
_UNREAD = {"user_B", "item_BC", "kind_BC", "position_BC", "labels_BCT", "history.item_BL"}  # keys and answers
_SIZES = {"B": 2, "C": 3, "L": 4}  # of the batch that is traced; others are answered as well


class Ranker(nn.Module):
    """The network with its calibration behind it: probabilities of binary tasks, values of regressions."""

    def __init__(self, network: Network, calibration: Calibration) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("slope_ST", torch.tensor(calibration.slopes_ST, dtype=torch.float32))
        self.register_buffer("intercept_ST", torch.tensor(calibration.intercepts_ST, dtype=torch.float32))
        self.register_buffer("binary_T", torch.tensor([form == "binary" for form in calibration.forms]))
        sampled = calibration.sampled
        self.parents = () if sampled is None else sampled.parents
        kept_ST = torch.ones(0) if sampled is None else torch.tensor(sampled.kept_ST, dtype=torch.float32)
        self.register_buffer("kept_ST", kept_ST)
        self.kept_ST: Tensor
        self.slope_ST: Tensor
        self.intercept_ST: Tensor
        self.binary_T: Tensor

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        """Predictions of every candidate and task, [B, C, T]."""
        batch = _batch(inputs)
        slope_BT, intercept_BT = (
            cell_ST.index_select(0, batch.scenario_B) for cell_ST in (self.slope_ST, self.intercept_ST)
        )
        line_BCT = slope_BT[:, None] * self.network(batch).logits_BCT + intercept_BT[:, None]
        told_BCT = torch.where(self.binary_T, line_BCT.sigmoid(), line_BCT)
        return self._undone(told_BCT, batch.scenario_B) if self.parents else told_BCT

    def _undone(self, told_BCT: Tensor, scenario_B: Tensor) -> Tensor:
        """As `motet.scoring.sampled.Sampled.undone`."""
        kept_BT, result = self.kept_ST.index_select(0, scenario_B), list(told_BCT.unbind(-1))
        for t, parent in enumerate(self.parents):
            share_B1, p_BC = kept_BT[:, t, None], told_BCT[..., t]
            lowered_BC = p_BC * share_B1 / (p_BC * share_B1 + 1 - p_BC)
            follows_BC = p_BC if parent is None else p_BC * result[parent] / told_BCT[..., parent].clamp(min=1e-30)
            result[t] = torch.where(share_B1 == 1, follows_BC, lowered_BC)
        return torch.stack(result, -1)


def export(run: Run, file: Path, *, force: bool = False) -> dict[str, Any]:
    """Write the file, whole or not at all; what comes back is also in its metadata as JSON, under "motet"."""
    if file.exists() and not force:
        raise InputError("this file exists", where=str(file), fix="name another --onnx, or --force to replace it")
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise InputError(f"{missing[0]} is not installed", where="--onnx", fix="pip install 'motet[onnx]'")
    if not isinstance(run.network, Network) or run.model.history == "lstm":
        what, fix = "an LSTM is not exported, nor a network per kind", "export a bundle, or train with another preset"
        raise InputError(what, where=f"preset {run.model.preset}", fix=fix)
    network, layout = run.network, run.data.layout
    size = sum(tensor.numel() * tensor.element_size() for tensor in network.state_dict(keep_vars=True).values())
    if size > _LARGEST:
        fix = "export a bundle, or train with a smaller model.dim or fewer ids"
        raise InputError(f"weights of {size / 1e9:.1f} GB do not fit in one ONNX file", where=str(file), fix=fix)
    program = traced(Ranker(network, run.calibration), layout)
    facts = {
        "motet": VERSION,
        "run": run.name,
        "run_fingerprint": fingerprint_of(run.folder),
        "scenarios": [scenario.name for scenario in layout.scenarios],
        "tasks": [task.name for task in layout.tasks],
        "kinds": list(layout.kinds),
        "history_length": layout.history_length,
        "inputs": {name: shape for name, (_, shape) in inputs_of(layout).items()},
        "output": OUTPUT,
    }
    program.model.metadata_props["motet"] = json.dumps(facts)
    with atomic_file(file) as whole:
        whole.write(program.model_proto.SerializeToString())
    return facts


def feeds(batch: Batch) -> dict[str, NDArray[Any]]:
    """A batch as an ONNX runtime takes it."""
    told = {name: getattr(batch, name) for name in Batch.__slots__ if name != "history"}
    told |= {f"history.{name}": getattr(batch.history, name) for name in History.__slots__}
    read = {name: tensor for name, tensor in told.items() if name not in _UNREAD}
    return {name: np.ascontiguousarray(tensor.numpy()) for name, tensor in read.items()}


def inputs_of(layout: Layout) -> dict[str, tuple[torch.dtype, list[str | int]]]:
    """Type and shape of each input; letters are what is free."""
    user, item, context = (layout.columns(owner) for owner in ("user", "item", "context"))
    return {
        "scenario_B": (torch.int64, ["B"]),
        "user_ids_BK": (torch.int32, ["B", user]),
        "user_numbers_BN": (torch.float32, ["B", len(layout.user_numbers)]),
        "context_ids_BK": (torch.int32, ["B", context]),
        "context_numbers_BN": (torch.float32, ["B", len(layout.context_numbers)]),
        "item_ids_BCK": (torch.int32, ["B", "C", item]),
        "item_numbers_BCN": (torch.float32, ["B", "C", len(layout.item_numbers)]),
        "pair_numbers_BCN": (torch.float32, ["B", "C", len(layout.pair_numbers)]),
        "history.item_ids_BLK": (torch.int32, ["B", "L", item]),
        "history.kind_BL": (torch.int64, ["B", "L"]),
        "history.scenario_BL": (torch.int64, ["B", "L"]),
        "history.action_BLT": (torch.float32, ["B", "L", len(layout.tasks)]),
        "history.gap_BL": (torch.float32, ["B", "L"]),
        "history.length_B": (torch.int64, ["B"]),
    }


def traced(ranker: Ranker, layout: Layout) -> Any:
    """The ranker as torch's ONNX program, of any number of requests, candidates and events."""
    wanted = inputs_of(layout)
    inputs = {
        name: torch.zeros([_SIZES[size] if isinstance(size, str) else size for size in shape], dtype=type_)
        for name, (type_, shape) in wanted.items()
    }
    free = {
        name: {axis: torch.export.Dim.DYNAMIC for axis, size in enumerate(shape) if size in _SIZES}
        for name, (_, shape) in wanted.items()
    }
    ranker.eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch about torch
        return torch.onnx.export(
            ranker, kwargs={"inputs": inputs}, input_names=list(inputs), output_names=[OUTPUT],
            dynamic_shapes={"inputs": free}, dynamo=True, verbose=False,
        )  # fmt: skip


def _batch(inputs: dict[str, Tensor]) -> Batch:
    """The batch of those inputs; keys, which no network reads, are zero."""
    zero_BC, zero_BL = (inputs[name][..., 0] * 0 for name in ("item_ids_BCK", "history.item_ids_BLK"))
    past = {name.removeprefix("history."): tensor for name, tensor in inputs.items() if name.startswith("history.")}
    now = {name: tensor for name, tensor in inputs.items() if not name.startswith("history.")}
    history = History(item_BL=zero_BL, **past)
    return Batch(user_B=inputs["scenario_B"], item_BC=zero_BC, kind_BC=zero_BC, history=history, **now)
