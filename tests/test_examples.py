"""The examples run, at a small size, and show what they say."""

import importlib.util
import re
import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import polars as pl
import pytest

import motet
from motet.data.dataset import Dataset
from motet.data.sources.worlds import WORLDS, Size, voice

ROOT = Path(__file__).resolve().parents[1]
SMALL = Size(users=120, items=120, impressions=6_000)
QUICK = {
    "split.test": 0.2,
    "train.epochs": 2,
    "train.threads": 1,
    "evaluate.controls": False,
    "evaluate.baselines": ["popularity"],
    "evaluate.resamples": 50,
    "evaluate.ranking_users": 5,
    "evaluate.workers": 1,
}


def example(name: str, folder: Path) -> ModuleType:
    """A copy of the example in that folder, as a module."""
    shutil.copytree(ROOT / "examples" / name, folder, ignore=shutil.ignore_patterns("data", "prepared", "runs"))
    spec = importlib.util.spec_from_file_location(f"example_{name}", folder / "run.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def ran(name: str, folder: Path, **changes: Any) -> dict[str, Any]:
    report: dict[str, Any] = example(name, folder).main(SMALL, QUICK | changes)
    return report


def cells(report: dict[str, Any]) -> set[tuple[str, str]]:
    return {(cell["scenario"], cell["task"]) for cell in report["cells"] if cell["value"] is not None}


def is_above_popularity(report: dict[str, Any]) -> bool:
    (popularity,) = (model for model in report["baselines"] if model["name"] == "popularity")
    return bool(report["macro"]["auc"] > popularity["macro"]["auc"] + 0.02)


def test_ecommerce_judges_reviews_by_who_was_helped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = ran("ecommerce", tmp_path / "shop", **{"train.epochs": 5})
    assert {("product", "helpful"), ("home", "click"), ("app", "cart")} <= cells(report)
    assert is_above_popularity(report)
    data = Dataset.open(tmp_path / "shop" / "prepared")
    assert data.vectors("item", "photo").shape == (len(data.items.kind_I), 12)
    shown = capsys.readouterr().out
    assert all(f"app · {kind}" in shown for kind in ("goods", "content", "review"))
    (slate,) = motet.recommend(tmp_path / "shop" / "runs" / "joint", scenarios=["product"], kinds=["review"])
    assert set(slate["items"][0]["predictions"]) == {"helpful"}


def test_social_recommends_people_out_of_the_users_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "net"
    report = ran("social", folder)
    assert {("feed", "like"), ("people", "follow"), ("stories", "open")} <= cells(report)
    assert ("people", "like") not in cells(report)
    assert is_above_popularity(report)
    assert "people · friend" in capsys.readouterr().out
    (slate,) = motet.recommend(folder / "runs" / "joint", user="u00007", scenarios=["people"], kinds=["friend"])
    keys = {place["item"] for place in slate["items"]}
    assert keys <= set(pl.read_parquet(folder / "data" / "users.parquet")["user_id"]) - {"u00007"}
    assert set(slate["items"][0]["predictions"]) == {"open", "follow"}
    assert (folder / "prepared" / "edges.parquet").exists()


def test_voice_answers_by_what_was_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "voice"
    report = ran("voice", folder, **{"train.epochs": 3})
    assert cells(report) == {
        (place, task) for place in ("speaker", "car", "earbuds") for task in ("completion", "reask")
    }
    assert is_above_popularity(report)
    assert "get me there" in capsys.readouterr().out
    run = folder / "runs" / "joint"
    assert [len(slate["items"]) for slate in motet.recommend(run, context={"intent": "help me cook"})] == [3, 1, 2]
    services = pl.read_parquet(folder / "data" / "items.parquet").select("item_id", "category")
    asked = services.join(pl.DataFrame({"intent": list(voice.FITTING)}), how="cross")
    asked = asked.with_columns(user_id=pl.lit("u00007"), surface=pl.lit("speaker"))
    said = motet.predict(asked.drop("category"), run)
    places = [list(voice.FITTING).index(intent) for intent in asked["intent"]]
    fits = voice.fits()[places, [list(voice.SERVICES).index(category) for category in asked["category"]]]
    assert np.corrcoef(said["completion"], fits)[0, 1] > 0.2
    assert np.corrcoef(said["reask"], fits)[0, 1] < -0.2


def test_every_world_has_an_example_with_a_page_that_shows_its_command() -> None:
    make = (ROOT / "Makefile").read_text(encoding="utf-8")
    overview = (ROOT / "docs" / "examples.md").read_text(encoding="utf-8")
    for name in WORLDS:
        folder = ROOT / "examples" / name
        page = (folder / "README.md").read_text(encoding="utf-8")
        assert f"python examples/{name}/run.py" in page
        assert len((folder / "run.py").read_text(encoding="utf-8").splitlines()) <= 40
        assert f"../examples/{name}/README.md" in overview
        assert name in re.search(r"^EXAMPLES := (.*)$", make, re.MULTILINE)[1].split()  # type: ignore[index]
