"""The weights of a finished run: one file, written whole, and read with its tables as they are to be held."""

from pathlib import Path

from safetensors import safe_open
from safetensors.torch import load_file, save
from torch import Tensor

from motet.batch import Layout
from motet.model.held import HeldTable
from motet.model.inputs import InputLayer
from motet.model.kinds import Trainable, build
from motet.model.neighbour_share import NeighbourShare
from motet.model.next_item import NextItem, NextItemNetwork
from motet.model.ranker import Model
from motet.settings import atomic_file

FILE = "model.safetensors"
_ROWS = 1 << 16  # rows of a table that are read at a time


def write_weights(folder: Path, network: Trainable | NextItemNetwork) -> None:
    """The network's weights as a file of the run folder."""
    weights = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    with atomic_file(folder / FILE) as file:
        file.write(save(weights))


def read_network(folder: Path, layout: Layout, counts_V: Tensor, model: Model, table: str = "fp32") -> Trainable:
    """The network of a run folder, to be asked and not trained; its tables are never in memory as a whole but as held.

    A file that does not fit the layout and the model is a `RuntimeError`.
    """
    network = build(layout, counts_V.to("meta"), model)  # what counts lie on says where tables are: nowhere yet
    with safe_open(folder / FILE, "pt") as stored:
        names = set(stored.keys())
        for name, layer in list(network.named_modules()):
            if isinstance(layer, InputLayer):
                rows, dim = layer.table.weight.shape
                layer.add_module("table", _held(folder / FILE, f"{name}.table", rows, dim, table))
                names -= {f"{name}.table.weight", f"{name}.table.say_V"}
        network.load_state_dict({name: stored.get_tensor(name) for name in names})
    return network.eval()


def read_next_item(folder: Path, length: int, how: NextItem) -> NextItemNetwork:
    """The next-item network of a run folder, to be asked and not trained; catalogues lie with its weights."""
    found = load_file(folder / FILE)
    scenarios = range(sum(name.startswith("catalogue_") for name in found))
    catalogues = [(found[f"catalogue_{s}"], found[f"count_{s}"]) for s in scenarios]
    network = NextItemNetwork(catalogues, len(found["item.weight"]), length, how)
    if how.neighbours:
        network.neighbours = NeighbourShare(
            *(found[f"neighbours.{x}"] for x in ("item_IK", "similarity_IK", "share_S"))
        )
    network.load_state_dict(found)
    return network.eval()


def _held(file: Path, place: str, rows: int, dim: int, form: str) -> HeldTable:
    held = HeldTable(rows, dim, form)
    for start in range(0, rows, _ROWS):
        with safe_open(file, "pt") as stored:  # for each piece: what was read counts as memory until it is closed
            weight, say = stored.get_slice(f"{place}.weight"), stored.get_slice(f"{place}.say_V")
            if weight.get_shape() != [rows, dim]:
                raise RuntimeError(f"{place} has the shape {weight.get_shape()}, not {[rows, dim]}")
            held.put(start, weight[start : start + _ROWS], say[start : start + _ROWS])
    return held
