"""What evaluations keep: read back as written, never read for something else, and told when it is damaged."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from motet import experiment as stages
from motet.data.dataset import Dataset
from motet.errors import InputError
from motet.evaluate import evaluation, jobs, kept, slates
from motet.evaluate.kept import Kept, Scored, key_of
from motet.evaluate.slates import Contender
from motet.train.run import load_run

SCORED = Scored(np.ones((2, 1), np.float32), np.zeros((3, 1), np.float32), 1.5)


def test_logits_and_figures_come_back_as_they_were(tmp_path: Path) -> None:
    folder = Kept(tmp_path)
    assert not folder.has("a")
    assert folder.figures("a") is None
    found = folder.scored("a", lambda: SCORED)
    np.testing.assert_array_equal(found.of("valid"), SCORED.valid)
    np.testing.assert_array_equal(found.of("test"), SCORED.test)
    assert found.seconds == 1.5
    assert folder.scored("a", lambda: pytest.fail("computed again")).seconds == 1.5
    folder.write_figures("a", [{"users": 3, "mrr": None}])
    assert folder.figures("a") == [{"users": 3, "mrr": None}]


def test_a_key_is_of_the_parts_the_version_and_the_code(monkeypatch: pytest.MonkeyPatch) -> None:
    key = key_of(("data",), "one")
    assert key == key_of(("data",), "one")
    assert key != key_of(("data",), "two")
    assert key != key_of(("data", "model"), "one")
    monkeypatch.setattr(kept, "VERSION", "another")
    assert key != key_of(("data",), "one")


def test_a_single_entry_or_none_is_computed_once(tmp_path: Path) -> None:
    folder, entry = Kept(tmp_path), {"rows": 3}
    assert folder.one("a", lambda: entry) == entry
    assert folder.one("b", lambda: None) is None
    for key, expected in (("a", entry), ("b", None)):
        assert folder.one(key, lambda: pytest.fail("computed again")) == expected


@pytest.mark.parametrize(("name", "read"), [("a.safetensors", Kept.read), ("a.json", Kept.figures)])
def test_a_damaged_file_is_named(tmp_path: Path, name: str, read: Callable[[Kept, str], Any]) -> None:
    (tmp_path / name).write_bytes(b"{")
    with pytest.raises(InputError) as caught:
        read(Kept(tmp_path), "a")
    assert caught.value.where == str(tmp_path / name)
    assert "delete" in caught.value.fix


def test_a_second_evaluation_fits_and_ranks_nothing_and_says_the_same(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, experiment = stages.of_run(trained)
    how = stages.with_evaluate(experiment, seeds=1, controls=False, presets=(), resamples=20).evaluate
    blend = stages.blend_of(run.data, experiment)
    monkeypatch.setattr(Kept, "beside", lambda run: Kept(tmp_path))
    first = evaluation.evaluate(run, how, blend)
    monkeypatch.setattr(jobs, "ProcessPoolExecutor", lambda *_, **__: pytest.fail("fitted again"))
    asked: list[list[Contender]] = []

    def ranking(data: Dataset, rows: Any, contenders: list[Contender], *rest: Any, **more: Any) -> list[Any]:
        asked.append(contenders)
        return []

    monkeypatch.setattr(slates, "ranking", ranking)
    for name in ("importance", "drift"):
        monkeypatch.setattr(evaluation, name, lambda *_, **__: pytest.fail("computed again"))
    second = evaluation.evaluate(load_run(trained), how, blend)
    assert asked == [[]]
    assert {**second, "seconds": 0} == {**first, "seconds": 0}
    assert all(first[part] for part in ("ranking", "ranking_baselines", "baselines", "importance", "drift"))
