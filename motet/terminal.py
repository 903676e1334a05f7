"""What a command shows: progress on stderr when it is a terminal, one JSON object on stdout when asked for."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from motet.errors import InputError, disk_is_full

__all__ = [
    "escape",
    "explained",
    "log",
    "out",
    "print_json",
    "say_line",
    "show",
    "show_blend",
    "show_search",
    "show_slate",
    "steps",
]

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


def say_line(text: str) -> None:
    """One line on stdout, as long as it is: paths can be copied and lines grepped."""
    out.print(text, soft_wrap=True)


def print_json(value: object) -> None:
    """One JSON object on stdout and nothing else."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, allow_nan=False, default=str) + "\n")
    sys.stdout.flush()  # whoever waits for it may read a pipe


@contextmanager
def explained(as_json: bool) -> Iterator[None]:
    """A person's mistake, a full disk or a closed folder ends the command with a message and exit code 2."""
    try:
        yield
    except InputError as error:
        _refuse(error, as_json)
    except KeyboardInterrupt:
        log.print("stopped; the same command goes on where it was")
        raise SystemExit(130) from None
    except Exception as error:
        if (mistake := _as_mistake(error)) is None:
            raise
        _refuse(mistake, as_json)


def _refuse(error: InputError, as_json: bool) -> NoReturn:
    if as_json:
        print_json({"error": error.what, "where": error.where, "fix": error.fix})
    place = f"[bold]{escape(error.where)}[/]: " if error.where else ""
    log.print(f"[red]error[/] {place}{escape(error.what)}", soft_wrap=True)
    if error.fix:
        log.print(f"[green]fix[/]   {escape(error.fix)}", soft_wrap=True)
    raise SystemExit(2) from None


def _as_mistake(error: Exception) -> InputError | None:
    """What a file system says, in words; None for an error of another sort."""
    where = os.fsdecode(name) if isinstance(name := getattr(error, "filename", None), str | bytes) else ""
    if disk_is_full(error):
        fix = "free some space and run the same command again; what was finished before is untouched"
        return InputError("the disk is full", where=where, fix=fix)
    if isinstance(error, OSError) and where:
        return InputError(os.strerror(error.errno or 0).lower(), where=where, fix="check the path and its permissions")
    return None


def show(report: dict[str, Any]) -> None:
    """A report on the terminal: the sentence, the matrix of cells, the comparison."""
    from motet.evaluate.console import baselines_table, cells_table, legend, ranking_table

    out.print(f"\n{escape(report['sentence'])}\n", soft_wrap=True)
    if not report["cells"] and report["ranking"]:
        out.print(ranking_table(report))
        return
    out.print(cells_table(report))
    out.print(escape(legend(report)))
    out.print(baselines_table(report))


def show_slate(slate: dict[str, Any]) -> None:
    """One slate as a table: place, item, what each task predicts, score."""
    known = "" if slate["known_user"] else " (unknown user)"
    title = f"{slate['scenario']} · {slate['kind']}{known}"
    table = Table(title=escape(title), title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("#", justify="right", min_width=2)
    widest = max((len(item["item"]) for item in slate["items"]), default=4)
    table.add_column("item", min_width=min(widest, 24))
    tasks = list(slate["items"][0]["predictions"]) if slate["items"] else []
    for name in [*tasks, "score"]:
        table.add_column(escape(name), justify="right", min_width=max(6, len(name)))
    table.add_column("what it is", overflow="ellipsis", no_wrap=True, max_width=48)
    for place, item in enumerate(slate["items"], start=1):
        values = [f"{item['predictions'][task]:.3f}" for task in tasks]
        score = f"{item['score']:.3f}"
        table.add_row(str(place), escape(item["item"]), *values, score, escape(item["text"] or ""))
    out.print(table if slate["items"] else f"[bold]{escape(title)}[/]: nothing left to show")


def show_search(found: dict[str, Any], study: Path) -> None:
    """A search on the terminal: the best settings beside those as they are, and what to run next."""
    table = Table(title="valid cells, macro NE: lower is better", title_justify="left", title_style="bold",
                  box=box.SIMPLE_HEAD, pad_edge=False)  # fmt: skip
    for name in ("settings", "NE", "± seeds", "better by"):
        table.add_column(name, justify="left" if name == "settings" else "right")
    for one in found["finalists"]:
        name = "as they are" if one["trial"] is None else f"trial {one['trial']}"
        spread = "" if one["deviation"] is None else f"{one['deviation']:.4f}"
        gained = "" if one["error"] is None else f"{found['untuned']['mean'] - one['mean']:+.4f} ± {one['error']:.4f}"
        table.add_row(name, f"{one['mean']:.4f}", spread, gained)
    out.print(table)
    first = next((one for one in found["finalists"] if one["trial"] is not None), None)
    if first is not None:
        say_line(f"trial {first['trial']}: {escape(', '.join(map(_change, first['changes'].items())))}")
    states = [one["state"] for one in found["trials"]]
    early, failed = states.count("stopped early"), states.count("failed")
    say_line(f"{len(states)} trials, {early} stopped early, {failed} failed: [bold]{escape(str(study))}/tune.html[/]")
    if found["importance"]:
        most = sorted(found["importance"].items(), key=lambda pair: -pair[1])[:3]
        say_line("what mattered most: " + ", ".join(f"{escape(key)} {share:.0%}" for key, share in most))
    if found["best"]["trial"] is None:
        say_line("no trial is better beyond chance: the settings as they are stay")
    else:
        say_line(f"next: motet train {escape(found['tuned'])} --run runs/tuned")


def show_blend(found: dict[str, Any]) -> None:
    """Blend weights on the terminal: what they are worth, and where they are written."""
    by = "off-policy value" if found["off_policy"] else "reward by place"
    interval = escape(f"[{found['low']:+.4f}, {found['high']:+.4f}]")
    said = f"{found['untuned']:.4f} → {found['value']:.4f}, {found['difference']:+.4f} {interval}"
    say_line(f"{by} of {found['slates']:,} slates, on users not searched on: {said}")
    if not found["better"]:
        say_line("no weights are better than those of the settings; nothing is written")
        return
    weights = " ".join(f"{escape(task)}={weight:g}" for task, weight in found["weights"].items())
    say_line(f"weights {weights}: [bold]{escape(found['tuned'])}[/]")


def _change(pair: tuple[str, Any]) -> str:
    key, value = pair
    return f"{key}={value:.4g}" if isinstance(value, float) else f"{key}={value}"
