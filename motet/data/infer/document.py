"""The decisions as a commented `motet.toml`: each section starts with a sentence, each line says why."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from motet.data.infer.choice import Choice, TaskChoice
from motet.schema import Task
from motet.settings import plain

_WIDE = 58
"""Where comments start if the setting is short enough."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """All lines, by section."""

    tables: Sequence[Choice]
    columns: Sequence[Choice]
    tasks: Sequence[TaskChoice]
    users: Sequence[Choice]
    items: Sequence[Choice]
    context: Sequence[Choice]
    split: Choice
    scenarios: Sequence[str]


def write(document: Document) -> str:
    """The text of the file."""
    parts = [
        _comment(
            "What this data means, as `motet init` understood it. Read the reasons, correct what is wrong, then run",
            "`motet check`. Lines that start with # are left out.",
        ),
        _section("tables", "Where the data is: paths from the folder of this file.", document.tables),
        _section("columns", "Which column plays which role.", document.columns),
        *_scenarios(document),
        _comment("What users did, to be predicted; every (scenario, task) pair is a cell of the report."),
        *(_task(choice) for choice in document.tasks),
        *_features(document),
        _section("split", "What the model is trained on, chosen by, and tested on.", [document.split]),
    ]
    return "\n\n".join(parts) + "\n"


def key_text(key: str) -> str:
    """A TOML key, quoted where it has to be."""
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else value_text(key)


def value_text(value: object) -> str:
    """A TOML value on one line."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key_text(str(key))} = {value_text(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(value_text(item) for item in value) + "]"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _section(name: str, sentence: str, choices: Iterable[Choice]) -> str:
    return "\n".join([f"[{name}]", _comment(sentence), *(_line(choice) for choice in choices)])


def _line(choice: Choice) -> str:
    why = f"warning: {choice.why}" if choice.warning else choice.why
    setting = (
        f"{key_text(choice.key)} = {value_text(choice.value)}" if choice.key is not None else value_text(choice.value)
    )
    return _commented(setting if choice.active else f"# {setting}", why)


def _commented(setting: str, why: str) -> str:
    return f"{setting.ljust(_WIDE - 2)}  # {_plain(why)}"


def _comment(*sentences: str) -> str:
    return "\n".join(f"# {sentence}" for sentence in sentences)


def _plain(text: str) -> str:
    """The text without control characters, which a comment must not hold."""
    return json.dumps(text, ensure_ascii=False)[1:-1].replace('\\"', '"').replace("\x7f", "\\u007f")


def _task(choice: TaskChoice) -> str:
    defaults = plain(Task(name="", label=""))
    given = {key: value for key, value in plain(choice.task).items() if value != defaults.get(key)}
    given = {key: given[key] for key in ("name", "label") if key in given} | {"form": choice.task.form} | given
    lines = ["[[tasks]]"]
    for key, value in given.items():
        setting = f"{key} = {value_text(value)}"
        why = choice.why if key == "label" else choice.reasons.get(key)
        lines.append(_commented(setting, why) if why else setting)
    return "\n".join(lines)


def _scenarios(document: Document) -> list[str]:
    """An example to fill in, as a comment: the scenarios themselves are found in the data."""
    if not document.scenarios:
        return []
    lines = [
        "The scenarios are found in the data. To describe one, which helps where it has few rows, uncomment:",
        "[[scenarios]]",
        f"name = {value_text(document.scenarios[0])}",
        'description = "…"           # for people; a later version reads it',
        'input = "touch"             # touch, pointer or speech',
        'screen = "small"            # none, small or large',
        "slate_size = 10",
    ]
    return [_comment(*lines)]


def _features(document: Document) -> list[str]:
    owners = (
        ("user", "What is known of a user, from the users table.", document.users),
        ("item", "What is known of an item, from the items table.", document.items),
        (
            "context",
            "What is known when a request comes, from the impressions; never what happened after.",
            document.context,
        ),
    )
    return [_section(f"features.{owner}", sentence, lines) for owner, sentence, lines in owners if lines]
