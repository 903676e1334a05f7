"""`metrics.jsonl`: one JSON object per line, appended while training; cut back to the checkpoint on resume."""

import json
import os
from pathlib import Path
from typing import Any

from motet.settings import atomic_file


class RunLog:
    """Appends to a file, or keeps rows in memory only when there is no run folder."""

    def __init__(self, path: Path | None, *, up_to_step: int = -1) -> None:
        """Rows after `up_to_step` belong to a training that was killed before its next checkpoint: they are dropped."""
        self.path = path
        self.rows = [row for row in read(path) if row["step"] <= up_to_step] if path else []
        if path:
            with atomic_file(path, "w") as file:
                file.writelines(json.dumps(row) + "\n" for row in self.rows)

    def add(self, **row: Any) -> None:
        """One more line, on the disk when this returns: a checkpoint that is written after it may count on it."""
        self.rows.append(row)
        if self.path:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
                file.flush()
                os.fsync(file.fileno())


def read(path: Path) -> list[dict[str, Any]]:
    """All whole lines; a line cut by a crash is left out."""
    if not path.exists():
        return []
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return rows
