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
