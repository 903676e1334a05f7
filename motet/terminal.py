"""What a command shows: progress on stderr when it is a terminal, one JSON object on stdout when asked for."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from motet.errors import InputError

out = Console(highlight=False)
log = Console(stderr=True, highlight=False)


class Steps:
    """A bar for the step at hand; called with what is being done and the share done, 0 … 1."""

    def __init__(self, progress: Progress | None) -> None:
        self.progress, self.what = progress, ""
        self.bar: TaskID | None = None

    def __call__(self, what: str, share: float) -> None:
        if self.progress is None:
            return
        if what != self.what or self.bar is None:
            if self.bar is not None:
                self.progress.update(self.bar, completed=1.0)
            self.what, self.bar = what, self.progress.add_task(what, total=1.0)
        self.progress.update(self.bar, completed=share)

    def training(self, done: int, total: int, note: str) -> None:
        """Progress of a training loop: one bar, its note changing."""
        if self.progress is None:
            return
        self("training", done / max(total, 1))
        if self.bar is not None:
            self.progress.update(self.bar, description=f"training {note}".strip())


@contextmanager
def steps() -> Iterator[Steps]:
    """Bars on a terminal, silence elsewhere."""
    if not log.is_terminal:
        yield Steps(None)
        return
    columns = (SpinnerColumn(), TextColumn("{task.description:<34}"), BarColumn(28), TimeElapsedColumn())
    with Progress(*columns, console=log, transient=True) as progress:
        yield Steps(progress)


def print_json(value: object) -> None:
    """One JSON object on stdout and nothing else."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, allow_nan=False, default=str) + "\n")


@contextmanager
def explained(as_json: bool) -> Iterator[None]:
    """A person's mistake ends the command with its message and exit code 2."""
    try:
        yield
    except InputError as error:
        if as_json:
            print_json({"error": error.what, "where": error.where, "fix": error.fix})
        place = f"[bold]{_plain(error.where)}[/]: " if error.where else ""
        log.print(f"[red]error[/] {place}{_plain(error.what)}", soft_wrap=True)
        if error.fix:
            log.print(f"[green]fix[/]   {_plain(error.fix)}", soft_wrap=True)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        log.print("stopped; the same command goes on where it was")
        raise SystemExit(130) from None


def _plain(text: str) -> str:
    """Text in which brackets are no markup."""
    return text.replace("[", r"\[")


def show(report: dict[str, Any]) -> None:
    """A report on the terminal: the sentence, the matrix of cells, the comparison."""
    from motet.evaluate.console import baselines_table, cells_table

    out.print(f"\n{report['sentence']}\n", soft_wrap=True)
    out.print(cells_table(report))
    out.print(baselines_table(report))


def show_slate(slate: dict[str, Any]) -> None:
    """One slate as a table: place, item, what each task predicts, score."""
    known = "" if slate["known_user"] else " (unknown user)"
    title = f"{slate['scenario']} · {slate['kind']}{known}"
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("#", justify="right")
    table.add_column("item")
    tasks = list(slate["items"][0]["predictions"]) if slate["items"] else []
    for task in tasks:
        table.add_column(task, justify="right")
    table.add_column("score", justify="right")
    table.add_column("what it is", overflow="ellipsis", no_wrap=True, max_width=48)
    for place, item in enumerate(slate["items"], start=1):
        values = [f"{item['predictions'][task]:.3f}" for task in tasks]
        table.add_row(str(place), item["item"], *values, f"{item['score']:.3f}", item["text"] or "")
    out.print(table)
