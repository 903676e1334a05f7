"""A report's rows arranged as scenarios × tasks, in the order in which the schema lists them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from motet.evaluate.words import Report

Names = list[str]


@dataclass(frozen=True, slots=True)
class Matrix:
    """Rows by (scenario, task); a pair may have none (not offered there) or several (one per kind)."""

    scenarios: Names
    tasks: Names
    entries: dict[tuple[str, str], list[Report]]

    def at(self, scenario: str, task: str) -> list[Report]:
        return self.entries.get((scenario, task), [])

    @property
    def complete(self) -> bool:
        """Whether every scenario offers every task: only then is the order of the names beyond doubt."""
        return len(self.entries) == len(self.scenarios) * len(self.tasks)


def matrix(rows: Sequence[Report]) -> Matrix:
    """Rows with a `scenario` and a `task`, grouped; a task that some scenarios lack stands after its neighbour."""
    entries: dict[tuple[str, str], list[Report]] = {}
    tasks_of: dict[str, Names] = {}
    for row in rows:
        scenario, task = pair(row)
        entries.setdefault((scenario, task), []).append(row)
        tasks_of.setdefault(scenario, []).append(task)
    return Matrix(scenarios=list(tasks_of), tasks=_merged(tasks_of.values()), entries=entries)


def pair(row: Report) -> tuple[str, str]:
    """The (scenario, task) of a row."""
    return str(row.get("scenario")), str(row.get("task"))


def _merged(lists: Iterable[Names]) -> Names:
    """One list that keeps the order of each: an unseen name goes right behind the one it followed."""
    merged: Names = []
    for names in lists:
        place = 0
        for name in names:
            if name not in merged:
                merged.insert(place, name)
            place = merged.index(name) + 1
    return merged
