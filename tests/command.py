"""Motet as a person runs it: a command in, exit code, stdout and stderr out; and what a folder holds, to compare."""

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from motet.cli import app

SHARED = Path(__file__).resolve().parents[1] / "../shared/data"


@dataclass(frozen=True)
class Answer:
    """What a command said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """stdout, which must be one JSON object and nothing else."""
        assert self.out.endswith("}\n"), self.out
        return json.loads(self.out, parse_constant=_no_json)


def motet(*arguments: object) -> Answer:
    """Run a command in this process; an exception that is no exit code is raised."""
    result = CliRunner().invoke(
        app, [str(argument) for argument in arguments], prog_name="motet", env={"COLUMNS": "80", "NO_COLOR": "1"}
    )
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Answer(result.exit_code, result.stdout, result.stderr)


def done(*arguments: object) -> Answer:
    """Run a command that must succeed."""
    answer = motet(*arguments)
    assert answer.code == 0, answer.out + answer.err
    return answer


def refused(*arguments: object) -> str:
    """Run a command that must be refused as a person's mistake; what it said, on stderr only."""
    answer = motet(*arguments)
    assert answer.code == 2, answer.out + answer.err
    assert answer.out == ""
    assert answer.err.startswith("error ")
    assert "\nfix " in answer.err
    assert "Traceback" not in answer.err
    return answer.err


def in_process(code: str, *arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Python code, then `motet` with these arguments, in a process of its own with one thread."""
    script = f"import sys\nsys.argv = ['motet', *sys.argv[1:]]\n{code}\nfrom motet.cli import main\nmain()\n"
    command = [sys.executable, "-c", script, *map(str, arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "NO_COLOR": "1", "COLUMNS": "80"}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=cwd, timeout=120)


def contents(folder: Path) -> dict[str, str]:
    """The hash of every file below a folder, hidden ones too."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def _no_json(word: str) -> None:
    raise ValueError(f"{word} is no JSON")
