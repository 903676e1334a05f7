"""Rows arranged as scenarios × tasks."""

from motet.evaluate.matrix import matrix


def rows(**tasks_of: str) -> list[dict[str, str]]:
    return [{"scenario": s, "task": t} for s, tasks in tasks_of.items() for t in tasks.split()]


def test_a_task_that_the_first_scenario_lacks_keeps_its_place_in_the_schema() -> None:
    found = matrix(rows(desktop="click purchase", voice="click like purchase stars", mobile="open click"))
    assert found.tasks == ["open", "click", "like", "purchase", "stars"]
    assert found.scenarios == ["desktop", "voice", "mobile"]
    assert not found.complete


def test_a_pair_that_is_not_offered_is_empty_and_one_with_several_kinds_keeps_them_all() -> None:
    found = matrix([*rows(a="click like", b="click"), {"scenario": "b", "task": "click", "kind": "goods"}])
    assert found.at("b", "like") == []
    assert [row.get("kind") for row in found.at("b", "click")] == [None, "goods"]


def test_no_rows_make_an_empty_matrix() -> None:
    assert matrix([]).scenarios == matrix([]).tasks == []
    assert matrix(rows(a="x y", b="x y")).complete
