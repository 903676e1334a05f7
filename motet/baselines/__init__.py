"""Simple models every table shows, behind the ranker's protocol. To add one: write its file, add its line here."""

from dataclasses import field
from typing import Protocol, Self

from motet.baselines.boosting import Boost, Boosting
from motet.baselines.item_knn import ItemKNN
from motet.baselines.logistic import Logistic, Ridge
from motet.baselines.popularity import Popularity
from motet.baselines.target_encoding import RunningTargetEncoding, StaticTargetEncoding
from motet.batch import Batch, CellOutput, Rows
from motet.settings import settings


class Baseline(Protocol):
    """A ranker that fits itself on train and tunes itself on valid: at most four settings a task, chosen by loss."""

    name: str
    label: str  # for people

    @classmethod
    def fit(cls, data: Rows, *, seed: int = 0) -> Self:
        """The fitted ranker; the same data and seed give the same scores."""
        ...

    def score(self, batch: Batch) -> CellOutput:
        """Logits for every candidate and task, [B, C, T]."""
        ...


BASELINES: dict[str, type[Baseline]] = {
    "popularity": Popularity,
    "item-knn": ItemKNN,
    "target-encoding-static": StaticTargetEncoding,
    "target-encoding-running": RunningTargetEncoding,
    "logistic": Logistic,
    "boosting": Boosting,
}
"""In the order of tables."""


@settings
class Baselines:
    """What of the baselines can be set; the others choose among a few settings of their own on valid."""

    boosting: Boost = field(default_factory=Boost)
    logistic: Ridge = field(default_factory=Ridge)


def fit(name: str, data: Rows, how: Baselines) -> Baseline:
    """The baseline of that name, fitted."""
    match name:
        case "boosting":
            return Boosting.fit(data, how=how.boosting)
        case "logistic":
            return Logistic.fit(data, how=how.logistic)
        case _:
            return BASELINES[name].fit(data)
