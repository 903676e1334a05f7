"""Tuning from Python: the functions behind `motet tune`. Optuna is imported when they are called: it is an extra."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from motet import experiment as stages
from motet import runtime
from motet.errors import InputError
from motet.settings import atomic_file
from motet.train.run import Run

Say = Callable[[str, float], None]
PathLike = Path | str


def _silent(what: str, share: float) -> None:
    """Tells nobody."""


def tune(
    config: PathLike = "motet.toml",
    study: PathLike = "runs/tune",
    *,
    prepared: PathLike = "prepared",
    output: PathLike | None = None,
    baseline: str | None = None,
    changes: Mapping[str, Any] | None = None,
    force: bool = False,
    say: Say = _silent,
) -> dict[str, Any]:
    """Search better settings on valid cells, as `[tune]` says, and write them as a motet.toml; what was found.

    Trials, the best ones with more seeds beside the settings as they are, and the importance of each setting are
    written into the folder `study` as `tune.json` and `tune.html`; a search that was stopped goes on there. `output` is
    by default beside `config`. With a `baseline` ("boosting", "logistic") its settings are searched instead.
    """
    _needs_tuning()
    from motet.tune import result
    from motet.tune.search import Search, search

    source, folder = Path(config), Path(study)
    into = Path(output) if output is not None else source.with_name(f"{source.stem}-tuned.toml")
    if into.resolve() == source.resolve():
        raise InputError("this would replace what is tuned", where=str(into), fix="name another --output")
    where = Search.of(source, dict(changes or {}), folder, Path(prepared), baseline, say)
    found = search(where, where.experiment.tune, force=force, say=say)
    given = {key: value for key, value in (changes or {}).items() if not key.startswith("tune.")}
    return result.write(found, folder, source, into, given)


def tune_blend(
    run: Run | PathLike = "runs/default",
    *,
    rewards: Mapping[str, float] | None = None,
    trials: int = 300,
    config: PathLike | None = None,
    output: PathLike | None = None,
    say: Say = _silent,
) -> dict[str, Any]:
    """Search the blend weights that order logged slates best, by what happened on them; what was found.

    `rewards` say what each task is worth when it happens, by default 1 for each binary task. With an `output` the file
    `config` is written there with the weights as its `[blend]`, where they are better on users not searched on.
    """
    _needs_tuning()
    from motet.tune.blend import tune_blend as search
    from motet.tune.result import blended

    say("opening the run", 0.0)
    opened, experiment = (run, stages.settings_of(run.folder)) if isinstance(run, Run) else stages.of_run(Path(run))
    runtime.use_threads(experiment.train.threads)
    binary = [task.name for task in opened.data.layout.tasks if task.form == "binary"]
    worth = dict(rewards) if rewards is not None else dict.fromkeys(binary, 1.0)
    found = search(opened, stages.blend_of(opened.data, experiment), worth, trials=trials,
                   seed=experiment.train.seed, say=say)  # fmt: skip
    written = output is not None and config is not None and found.better
    if written and config is not None and output is not None:
        text = blended(Path(config).read_text(encoding="utf-8"), found.weights)
        with atomic_file(Path(output), "w") as file:
            file.write(text)
    told = asdict(found) | {"better": found.better, "rewards": worth}
    return told | {"tuned": str(output) if written else None}


def _needs_tuning() -> None:
    try:
        import filelock  # noqa: F401
        import optuna  # noqa: F401
        import tomlkit  # noqa: F401
    except ImportError as error:
        fix = "pip install 'motet[tune]'"
        raise InputError(f"tuning needs the package {error.name}", where="motet tune", fix=fix) from None
