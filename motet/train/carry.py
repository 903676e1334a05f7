"""The weights of an earlier run as the first ones of a new network, table rows by their keys.

A key that both know keeps what it said: its row is scaled so that row times say is as before, whatever its count and so
its say have become. A key that is new has a row as in any new network. The optimizers start anew.
"""

from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor

from motet.data.dataset import Dataset
from motet.data.extend import same_rows
from motet.errors import InputError
from motet.model.kinds import Trainable
from motet.model.ranker import Model
from motet.settings import plain
from motet.train.run import opened, readable
from motet.train.weights import FILE

FREE = ("dropout", "id_dropout")
"""Keys of `[model]` that may change: no weight and no score depends on them."""
_TABLE = "inputs.table"


def carry_over(run: Path, network: Trainable, model: Model, data: Dataset) -> None:
    """Give a new network the weights of that finished run; its data should carry on the run's."""
    _, before, earlier = opened(run)
    if data.manifest.get("extends") != before.manifest["fingerprint"]:
        what = f"this prepared folder does not carry on that of {run}"
        raise InputError(what, where=str(data.folder), fix=f"motet prepare --from {run} --prepared NEW")
    was, is_ = plain(earlier), plain(model)
    if changed := [key for key in was if key not in FREE and was[key] != is_[key]]:
        told = ", ".join(f"{key} was {was[key]!r} and is {is_[key]!r}" for key in changed)
        fix = "set it back: weights fit the network they were trained in; or train anew without --from"
        raise InputError(f"the run has another network: {told}", where=f"model.{changed[0]}", fix=fix)
    before_R, now_R = (torch.from_numpy(rows) for rows in same_rows(before.features, data.features))
    with readable(run), safe_open(run / FILE, "pt") as stored:
        for name, tensor in network.state_dict().items():
            if name.endswith(f"{_TABLE}.weight"):
                said_R = stored.get_tensor(name.replace("weight", "say_V"))[before_R]
                say_R = network.state_dict()[name.replace("weight", "say_V")][now_R]
                tensor[now_R] = stored.get_tensor(name)[before_R] * _ratio(said_R, say_R)[:, None]
            elif not name.endswith(f"{_TABLE}.say_V"):
                tensor.copy_(stored.get_tensor(name))


def _ratio(above: Tensor, below: Tensor) -> Tensor:
    """1 where both are equal, and where nothing is or was said."""
    return torch.where((above > 0) & (below > 0), above / below, 1.0)
