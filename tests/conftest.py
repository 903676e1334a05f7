"""What all tests share: property tests without a clock; a small market and a small log, each trained once."""

import shutil
from pathlib import Path

import pytest
import small_log
from command import done
from hypothesis import settings

settings.register_profile("motet", deadline=None, max_examples=60)
settings.load_profile("motet")

SMALL = """
[train]
epochs = 2
batch_size = 256
threads = 1

[evaluate]
seeds = 1
resamples = 200
ranking_users = 10
workers = 2
"""


@pytest.fixture(scope="session")
def market(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the tables and the motet.toml of a small market; tests only read it."""
    from motet.data.sources.market import Market, write

    folder = tmp_path_factory.mktemp("market")
    config = write(Market(users=150, goods=80, content=60, impressions=8_000), folder)
    config.write_text(config.read_text(encoding="utf-8") + SMALL, encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def trained(market: Path) -> Path:
    """A run trained on the market, its prepared folder beside it as `../../prepared`; tests only read it."""
    run = market / "runs" / "small"
    done("train", market / "motet.toml", "--prepared", market / "prepared", "--run", run)
    return run


@pytest.fixture(scope="session")
def evaluated(trained: Path) -> Path:
    """That run with its report."""
    done("evaluate", trained)
    return trained


@pytest.fixture(scope="session")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small log with its schema, prepared folder and run; tests only read it."""
    folder = tmp_path_factory.mktemp("good")
    small_log.write(folder)
    done("train", folder / "motet.toml", "--prepared", folder / "prepared", "--run", folder / "run")
    return folder


@pytest.fixture
def folder(good: Path, tmp_path: Path) -> Path:
    """A copy of the small log to break."""
    shutil.copytree(good, tmp_path / "shop", ignore=shutil.ignore_patterns(".controls"))
    return tmp_path / "shop"
