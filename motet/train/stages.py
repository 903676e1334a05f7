"""A network that is trained in stages: each by the one loop, with its own early stop and checkpoint.

The last stage writes into the run folder as a training of one stage does, earlier ones into `stages/1`, `stages/2` …
beside it. A training that was killed goes on exactly: finished stages are read back, the one at hand resumes.
"""

from dataclasses import replace
from pathlib import Path

import torch

from motet.batch import Rows
from motet.model.kinds import Trainable, WeightedKinds
from motet.train.loop import Judged, Outcome, Progress, Train, train


def train_stages(
    network: Trainable,
    data: Rows,
    how: Train,
    *,
    scenario: int | None = None,
    folder: Path | None = None,
    progress: Progress | None = None,
    judged: Judged | None = None,
) -> Outcome:
    """`train` for every stage of the network in turn; the outcome's seconds and epochs are those of all of them.

    `judged` hears of the last one, whose network is the whole.
    """
    if not isinstance(network, WeightedKinds):
        return train(network, data, how, scenario=scenario, folder=folder, progress=progress, judged=judged)
    stages, outcomes = network.stages(), list[Outcome]()
    for number, (name, part) in enumerate(stages, start=1):
        last = number == len(stages)
        into = folder if folder is None or last else folder / "stages" / str(number)
        told = progress and _of_stage(progress, number, len(stages), name)
        heard = judged if last else None
        outcomes.append(train(part, data, how, scenario=scenario, folder=into, progress=told, judged=heard))
        how = replace(how, threads=torch.get_num_threads())  # a training goes on with as many as it began with
    seconds = sum(outcome.seconds for outcome in outcomes)
    return replace(
        outcomes[-1],
        steps=sum(outcome.steps for outcome in outcomes),
        epochs=sum(outcome.epochs for outcome in outcomes),
        seconds=seconds,
        rows_per_second=sum(o.rows_per_second * o.seconds for o in outcomes) / max(seconds, 1e-9),
        parameters=network.parameter_count(),
    )


def _of_stage(progress: Progress, number: int, stages: int, name: str) -> Progress:
    """One bar for all stages; every stage has the same steps at most."""

    def told(done: int, total: int, note: str) -> None:
        progress((number - 1) * total + done, stages * total, f"{name} {note}".strip())

    return told
