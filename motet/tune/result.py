"""What a search leaves: `tune.json`, a page to look at, and a motet.toml with the best settings in it."""

from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.items import Table

from motet.settings import atomic_file, plain, write_json
from motet.tune.page import render
from motet.tune.search import Finalist, Tuned

FORMAT = "motet-tune/1"


def write(tuned: Tuned, folder: Path, config: Path, output: Path, given: dict[str, Any]) -> dict[str, Any]:
    """All three files; what `tune.json` says. `given` are changes to the file that the search was made with."""
    found = told(tuned, config, output)
    write_json(folder / "tune.json", found)
    with atomic_file(folder / "tune.html", "w") as file:
        file.write(render(found))
    with atomic_file(output, "w") as file:
        file.write(changed(config.read_text(encoding="utf-8"), given | tuned.best.changes))
    return found


def told(tuned: Tuned, config: Path, output: Path) -> dict[str, Any]:
    """The search as plain values."""
    trials = [
        {"number": one.number, "state": one.state, "value": one.value, "seconds": one.seconds, "why": one.why,
         "params": one.params}
        for one in tuned.trials
    ]  # fmt: skip
    return {
        "format": FORMAT,
        "config": str(config),
        "tuned": str(output),
        "metric": "macro ne of valid cells, lower is better",
        "space": plain(tuned.space),
        "trials": trials,
        "importance": tuned.importance,
        "finalists": [_finalist(one) for one in tuned.finalists],
        "best": _finalist(tuned.best),
        "untuned": _finalist(tuned.untuned),
    }


def _finalist(one: Finalist) -> dict[str, Any]:
    spread = {"mean": one.mean, "deviation": one.deviation, "error": one.error, "values": one.values}
    return {"trial": one.trial, "changes": one.changes} | spread


def changed(text: str, changes: dict[str, Any]) -> str:
    """A motet.toml with these settings; comments and order stay."""
    document = tomlkit.parse(text)
    for key, value in changes.items():
        section: Any = document
        *parents, last = key.split(".")
        for depth, name in enumerate(parents):
            if name not in section:
                section[name] = tomlkit.table(is_super_table=depth < len(parents) - 1)
            section = section[name]
        assert isinstance(section, Table) or section is document
        section[last] = value
    return tomlkit.dumps(document)


def blended(text: str, weights: dict[str, float]) -> str:
    """A motet.toml with these blend weights in all scenarios, instead of those that it has."""
    document = tomlkit.parse(text)
    document["blend"] = tomlkit.item(weights)
    return tomlkit.dumps(document)
