"""Long work in stages: told while it runs, timed, resumed after a kill, and never visible half done."""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from motet.errors import InputError, disk_is_full

Progress = Callable[[str, float], None]
"""Called with the name of the stage that begins and the share of stages done."""


@dataclass
class Stages:
    """Names the stage at work and keeps the seconds of each."""

    names: tuple[str, ...]
    progress: Progress | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    _began: float = field(default_factory=time.monotonic)
    _current: str | None = None

    def begin(self, name: str) -> None:
        """The stage `name` begins, which ends the one before it."""
        self.end()
        self._current, self._began = name, time.monotonic()
        if self.progress is not None:
            self.progress(name, self.names.index(name) / len(self.names))

    def end(self) -> None:
        if self._current is not None:
            self.seconds[self._current] = round(time.monotonic() - self._began, 3)
        self._current = None


@dataclass(frozen=True, slots=True)
class Building:
    """Two folders beside the final one: `made` becomes it, `kept` survives a kill for the next attempt."""

    made: Path
    kept: Path


@contextmanager
def building(folder: Path) -> Iterator[Building]:
    """Folders to build in; `made` replaces `folder` when the block ends well.

    After a crash or a kill `folder` is what it was and `kept` is found again; after an `InputError` or on a full disk
    (which becomes one) nothing is left beside `folder`.
    """
    work = folder.parent / f".{folder.name}.part"
    try:
        shutil.rmtree(work / "made", ignore_errors=True)
        for path in (work / "made", work / "kept"):
            path.mkdir(parents=True, exist_ok=True)
        yield Building(work / "made", work / "kept")
        _replace(work / "made", folder)
        shutil.rmtree(work)
    except InputError:
        shutil.rmtree(work, ignore_errors=True)
        raise
    except Exception as error:
        if not disk_is_full(error):
            raise
        shutil.rmtree(work, ignore_errors=True)
        fix = "free some space, or prepare into a folder on another disk; what was there before is untouched"
        raise InputError("the disk is full", where=str(folder), fix=fix) from error


def recover(folder: Path) -> None:
    """Put back the old folder after a kill between the two renames that replace it."""
    old = folder.parent / f".{folder.name}.old"
    if old.exists() and not folder.exists():
        old.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def _replace(made: Path, folder: Path) -> None:
    old = folder.parent / f".{folder.name}.old"
    if folder.exists():
        folder.rename(old)
    made.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
