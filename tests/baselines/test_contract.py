"""Every baseline keeps the ranker's contract, and its part of the data set's API is enough."""

from contracts.ranker_contract import RankerContract
from contracts.toy import Toy

from motet.baselines import BASELINES
from motet.batch import Ranker


class TestPopularity(RankerContract):
    def make(self, data: Toy) -> Ranker:
        return BASELINES["popularity"].fit(data)


class TestItemKNN(RankerContract):
    def make(self, data: Toy) -> Ranker:
        return BASELINES["item-knn"].fit(data)


class TestStaticTargetEncoding(RankerContract):
    def make(self, data: Toy) -> Ranker:
        return BASELINES["target-encoding-static"].fit(data)


class TestRunningTargetEncoding(RankerContract):
    def make(self, data: Toy) -> Ranker:
        return BASELINES["target-encoding-running"].fit(data)


class TestLogistic(RankerContract):
    def make(self, data: Toy) -> Ranker:
        return BASELINES["logistic"].fit(data)


class TestBoosting(RankerContract):
    def make(self, data: Toy) -> Ranker:
        return BASELINES["boosting"].fit(data)


def test_baselines_stand_under_their_own_names_and_have_a_label_for_people() -> None:
    assert list(BASELINES) == [kind.name for kind in BASELINES.values()]
    assert len({kind.label for kind in BASELINES.values()}) == len(BASELINES)
