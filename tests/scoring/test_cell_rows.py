"""Which rows are a cell's, and when a cell counts."""

import numpy as np

from motet.schema import Task
from motet.scoring.cell_rows import cell_rows, enough_labels


def test_thresholds_of_labels():
    assert enough_labels(100, 50)
    assert not enough_labels(99, 50)
    assert not enough_labels(1000, 49)
    assert enough_labels(50, None)
    assert not enough_labels(49, None)


def test_a_cell_has_its_observed_rows_in_their_order_and_a_task_not_offered_has_no_cell():
    tasks = (Task(name="click", label="c"), Task(name="buy", label="b", scenarios=("voice",)))
    labels = np.array([[0, 1], [np.nan, 0], [1, np.nan], [0, 0]])
    found = {(s, t): rows.tolist() for s, t, rows in cell_rows(["web", "voice"], tasks, np.array([1, 0, 0, 1]), labels)}
    assert found == {(0, 0): [2], (1, 0): [0, 3], (1, 1): [0, 3]}
