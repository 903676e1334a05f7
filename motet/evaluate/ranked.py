"""The page's ranking table: by scenario and kind this run's slates beside those of the baselines; first their mean."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from motet.evaluate.words import Report, finite, label_of, plain, rows_of

_TOLD = {"name", "label", "scenario", "kind", "relevant_task", "users"}
_QUALITY = ("ndcg", "recall", "precision", "hit", "mrr")
"""Higher is better; coverage, diversity and novelty describe."""
Figures = Mapping[str, float | None]


@dataclass(frozen=True, slots=True)
class Slates:
    """One model's figures; `best` names those in which no other is better."""

    label: str
    figures: Figures
    best: frozenset[str]
    ours: bool


@dataclass(frozen=True, slots=True)
class Ranked:
    """What all models were asked for; `entry` is None for the mean of all."""

    entry: Report | None
    models: tuple[Slates, ...]


def metrics(report: Report) -> list[str]:
    """The names of the figures, in the report's order."""
    return list(dict.fromkeys(key for row in rows_of(report, "ranking") for key in row if key not in _TOLD))


def ranked(report: Report) -> list[Ranked]:
    """A group per entry of `ranking`; before several of them their unweighted mean."""
    names = metrics(report)
    asked = {_asked(entry): entry for entry in rows_of(report, "ranking")}
    found: dict[str, dict[tuple[str, str], Figures]] = {_ours(report): {}}
    for label, entry in [
        *((_ours(report), entry) for entry in rows_of(report, "ranking")),
        *((label_of(entry), entry) for entry in rows_of(report, "ranking_baselines")),
    ]:
        found.setdefault(label, {})[_asked(entry)] = {name: finite(entry.get(name)) for name in names}
    groups = [
        Ranked(entry, _judged({label: of_one[key] for label, of_one in found.items() if key in of_one}, _ours(report)))
        for key, entry in asked.items()
    ]
    if len(groups) < 2:
        return groups
    means = {
        label: {name: _mean([of_one[name] for of_one in by.values()]) for name in names} for label, by in found.items()
    }
    return [Ranked(None, _judged(means, _ours(report))), *groups]


def _judged(found: Mapping[str, Figures], ours: str) -> tuple[Slates, ...]:
    tops: dict[str, float] = {}
    for figures in found.values():
        for name, value in figures.items():
            if value is not None and name.partition("@")[0] in _QUALITY:
                tops[name] = max(value, tops.get(name, value))
    return tuple(
        Slates(label, figures, frozenset(name for name, top in tops.items() if figures.get(name) == top), label == ours)
        for label, figures in found.items()
    )


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _asked(entry: Report) -> tuple[str, str]:
    return plain(entry.get("scenario")), plain(entry.get("kind"))


def _ours(report: Report) -> str:
    return plain(report.get("preset") or "this run")
