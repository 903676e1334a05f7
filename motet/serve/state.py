"""Events as they were told, kept in SQLite so that none is lost: each is on the disk before it is answered.

An event has an id of its own, so that telling it again changes nothing. One service uses a file at a time.
"""

import json
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from motet.errors import InputError

APPLICATION, FORMAT = 0x6D6F7465, 1  # "mote": what tells these files from other SQLite files
_BATCH = 10_000
_TABLE = """
CREATE TABLE IF NOT EXISTS events (
  number INTEGER PRIMARY KEY,
  event_id TEXT NOT NULL UNIQUE,
  user_id TEXT NOT NULL,
  item_id TEXT NOT NULL,
  scenario TEXT NOT NULL,
  time REAL NOT NULL,
  labels TEXT NOT NULL,   -- JSON, task to value
  bundle TEXT NOT NULL,   -- the bundle that was served when it was told
  received REAL NOT NULL  -- seconds since 1970
) STRICT
"""
_INSERT = "INSERT OR IGNORE INTO events (event_id, user_id, item_id, scenario, time, labels, bundle, received) " \
          "VALUES (?, ?, ?, ?, ?, ?, ?, ?)"  # fmt: skip


@dataclass(frozen=True, slots=True)
class Event:
    """An impression and what is known to have come of it."""

    event_id: str
    user_id: str
    item_id: str
    scenario: str
    time: float
    labels: Mapping[str, float]


class EventStore:
    """The file; not for several threads at once."""

    def __init__(self, path: Path, bundle: str) -> None:
        """`bundle` is the fingerprint of the bundle that is served."""
        self.path, self.bundle = path, bundle
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = sqlite3.connect(path, timeout=1.0, isolation_level=None, check_same_thread=False)
            self._open()
        except (sqlite3.Error, OSError) as error:
            fix = "stop the other service, or name another file with --events"
            raise InputError(f"events cannot be kept here: {error}", where=str(path), fix=fix) from None

    def add(self, events: Sequence[Event]) -> list[Event]:
        """Write those whose id is new, and give them back, in their order, once they are on the disk."""
        new, now = list[Event](), time.time()
        self._file.execute("BEGIN IMMEDIATE")
        try:
            for event in events:
                row = (event.event_id, event.user_id, event.item_id, event.scenario, event.time)
                labels = json.dumps(dict(event.labels))
                if self._file.execute(_INSERT, (*row, labels, self.bundle, now)).rowcount:
                    new.append(event)
            self._file.execute("COMMIT")
        except BaseException:
            if self._file.in_transaction:
                self._file.execute("ROLLBACK")
            raise
        return new

    def read(self, end: float) -> Iterator[list[Event]]:
        """Events of this bundle, and those of others from `end` on: what came before, its log holds."""
        found = self._file.execute(
            "SELECT event_id, user_id, item_id, scenario, time, labels FROM events WHERE bundle = ? OR time >= ? "
            "ORDER BY number",
            (self.bundle, end),
        )
        while rows := found.fetchmany(_BATCH):
            yield [
                Event(key, user, item, scenario, at, json.loads(labels))
                for key, user, item, scenario, at, labels in rows
            ]

    def count(self) -> int:
        """How many events there are."""
        return int(self._file.execute("SELECT count(*) FROM events").fetchone()[0])

    def close(self) -> None:
        self._file.close()

    def _open(self) -> None:
        run = self._file.execute
        run("PRAGMA locking_mode = EXCLUSIVE")
        used = run("PRAGMA application_id").fetchone()[0], run("PRAGMA user_version").fetchone()[0]
        empty = run("SELECT count(*) FROM sqlite_schema").fetchone()[0] == 0
        if not empty and used != (APPLICATION, FORMAT):
            raise sqlite3.DatabaseError("the file holds something else")
        run("PRAGMA journal_mode = WAL")
        run("PRAGMA synchronous = FULL")
        run("BEGIN EXCLUSIVE")
        run(_TABLE)
        run(f"PRAGMA application_id = {APPLICATION}")
        run(f"PRAGMA user_version = {FORMAT}")
        run("COMMIT")
