"""Networks on the toy: awake, and of any number of scenarios and tasks."""

from dataclasses import replace

import torch
from contracts.toy import toy

from motet.batch import Batch, Layout
from motet.model.kinds import Trainable, WeightedKinds, build
from motet.model.ranker import Model, Network
from motet.schema import Scenario, Task


def network(model: Model, tasks: list[int] | None = None, *, counts: int = 20) -> Trainable:
    """A network with weights far from their start, so that no slot is still identity."""
    torch.manual_seed(0)
    layout = toy().layout
    made = build(layout, torch.full((layout.table_rows,), counts), model, tasks)
    for parameter in made.parameters():
        parameter.data.add_(0.2 * torch.randn_like(parameter))
    for part in parts(made):
        part.inputs.table.weight.data[0] = 0
    return made


def parts(made: Trainable) -> list[Network]:
    """The network, or those of its kinds."""
    return [*made.parts()] if isinstance(made, WeightedKinds) else [made]


def of_cells(scenarios: int, tasks: int) -> tuple[Layout, Batch]:
    """The toy's layout with so many scenarios and tasks, and four requests with three candidates each."""
    layout = replace(
        toy().layout,
        scenarios=tuple(Scenario(name=f"scenario {s}") for s in range(scenarios)),
        tasks=tuple(Task(name=f"task {t}", label=f"label {t}") for t in range(tasks)),
        base_rates=tuple(tuple(0.1 + 0.01 * t for t in range(tasks)) for _ in range(scenarios)),
        label_scales=(1.0,) * tasks,
    )
    batch = toy().requests(toy().rows("test")[:4], 3)
    history = batch.history
    action_BLT = torch.zeros(*history.item_BL.shape, tasks)
    history = replace(history, action_BLT=action_BLT, scenario_BL=history.scenario_BL % scenarios)
    return layout, replace(batch, history=history, scenario_B=torch.arange(4) * scenarios // 4)
