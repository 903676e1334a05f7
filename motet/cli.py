"""The command line, in the order one works: init, check, prepare, train, tune, evaluate, predict, recommend, export,
serve; demo shows most of them.

Every command is a few lines over the functions of `motet.api`. Heavy imports stand inside commands, so that
`motet --help` answers at once.
"""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from motet.errors import InputError
from motet.model.presets import presets
from motet.terminal import (
    escape,
    explained,
    log,
    out,
    print_json,
    say_line,
    show,
    show_blend,
    show_search,
    show_slate,
    steps,
)
from motet.version import VERSION

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="One recommender for all of a product's scenarios and all of its tasks.",
    epilog="Start with [bold]motet demo[/], or with your own tables: [bold]motet init FILES…[/]",
)

ConfigFile = Annotated[Path, typer.Argument(metavar="CONFIG", help="The motet.toml.", show_default=True)]
Prepared = Annotated[Path, typer.Option("--prepared", help="The prepared folder.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
Force = Annotated[bool, typer.Option("--force", help="Replace what is there.")]
From = Annotated[Path | None, typer.Option("--from", help="Go on with this run on newer logs; new ids get rows.")]
Set = Annotated[list[str], typer.Option("--set", help="Override one key, as in --set train.epochs=3.")]
Table = Annotated[str, typer.Option(help="How ids' embeddings are held in memory: fp32, fp16, int8.")]
Here = Path("motet.toml")


@app.command()
def init(
    files: Annotated[list[Path], typer.Argument(metavar="FILES", help="Your tables: Parquet, CSV, TSV, JSONL, Arrow.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Where to write it.")] = Here,
    reader: Annotated[str, typer.Option(help="A named reader for a public data set; FILES is then its folder.")] = "",
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Look at your tables and write a commented motet.toml that already runs."""
    with explained(as_json):
        from motet import api

        with steps() as say:
            findings = api.init(files, output, reader=reader or None, force=force, say=say)
        if as_json:
            print_json({"config": str(output), "findings": findings})
            return
        for finding in findings:
            mark = "[yellow]![/]" if finding["warning"] else "[green]·[/]"
            role, column, why = (escape(finding[key]) for key in ("role", "column", "why"))
            say_line(f"{mark} [bold]{role}[/]{f' {column}' if column else ''}: {why}")
        say_line(f"\nwrote [bold]{escape(str(output))}[/]. Read it, then: motet check {_named(output)}".rstrip())


@app.command()
def check(
    config: ConfigFile = Here,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON Schema of motet.toml for editors.")] = False,
    as_json: Json = False,
) -> None:
    """Check motet.toml against its tables: names, types, labels, leaks. Writes nothing."""
    with explained(as_json):
        from motet import api
        from motet.experiment import json_schema, shape_of

        if schema:
            print_json(json_schema())
            return
        with steps() as say:
            found = api.check(config, say=say)
        if as_json:
            print_json(found)
            return
        rows = sum(found["rows"].values())
        shape = shape_of(len(found["scenarios"]), len({cell["task"] for cell in found["cells"]}))
        who = f"{rows:,} impressions, {found['users']:,} users, {found['items']:,} items"
        say_line(f"{escape(str(config))} is right: {who}, {shape}")
        for removal in found["removed"]:
            rule, effect, why = (escape(removal[key]) for key in ("rule", "effect", "why"))
            say_line(f"[yellow]![/] {rule}: {removal['rows']:,} × {effect}, {why}")
        for warning in found["warnings"]:
            say_line(f"[yellow]![/] {escape(warning)}")
        say_line(f"next: motet prepare {_named(config)}".rstrip())


@app.command()
def prepare(
    config: ConfigFile = Here,
    prepared: Prepared = Path("prepared"),
    memory: Annotated[
        str | None, typer.Option(help="At most so much, as in 2GB; default: most of the machine's.")
    ] = None,
    start: From = None,
    set_: Set = [],  # noqa: B006
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Clean, split and pack the logs into a folder of arrays; skips what is fresh, resumes after a kill."""
    with explained(as_json):
        from motet import api
        from motet.experiment import describe
        from motet.settings import changes_of

        with steps() as say:
            data = api.prepare(
                config, prepared, changes=changes_of(set_), memory=memory, start=start, force=force, say=say
            )
        if as_json:
            print_json({"folder": str(prepared), "manifest": data.manifest})
            return
        say_line(escape(describe(data)))
        say_line(" ".join(["next: motet train", *_named(config).split(), *_going_on(start, prepared)]))


@app.command()
def train(
    config: ConfigFile = Here,
    prepared: Prepared = Path("prepared"),
    run: Annotated[Path, typer.Option(help="The run folder.")] = Path("runs/default"),
    preset: Annotated[str, typer.Option(help=f"{', '.join(presets())}.")] = "",
    seed: Annotated[int | None, typer.Option(help="Seed of weights, order and dropout.")] = None,
    start: From = None,
    set_: Set = [],  # noqa: B006
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Prepare if needed, then train one model for all cells; goes on exactly after a kill.

    With --force a prepared folder of other settings is made anew, and the run starts over. With --from it begins with
    the weights of an earlier run; --prepared and --run should then name new folders.
    """
    with explained(as_json):
        from motet import api
        from motet.settings import changes_of

        changes = changes_of(set_) | ({"model.preset": preset} if preset else {})
        changes |= {"train.seed": seed} if seed is not None else {}
        with steps() as say:
            done = api.train(
                config, run, prepared=prepared, changes=changes, start=start, force=force, say=say,
                progress=say.training,
            )  # fmt: skip
        if as_json:
            print_json(done.facts)
            return
        facts = done.facts["training"]
        speed = f"{facts['epochs']:.1f} epochs, {facts['rows_per_second']:,.0f} rows/s"
        say_line(f"trained [bold]{escape(str(run))}[/] in {facts['seconds']:.1f} s: {speed}")
        if "ndcg@10" in facts:
            say_line(f"valid ndcg@10 {facts['ndcg@10']:.4f}, the mean over scenarios of ranking their whole catalogues")
        if facts["macro_ne"] is not None:
            say_line(f"valid ne {facts['macro_ne']:.4f}, the mean loss of the cells; below 1 beats their base rates")
        say_line(f"next: motet evaluate {escape(str(run))}")


@app.command()
def tune(
    config: ConfigFile = Here,
    prepared: Prepared = Path("prepared"),
    study: Annotated[Path, typer.Option(help="The folder of the search; one that was stopped goes on.")] = Path(
        "runs/tune"
    ),
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The tuned motet.toml; default: beside CONFIG.")
    ] = None,
    trials: Annotated[int | None, typer.Option(min=1, help="How many, earlier ones of the search included.")] = None,
    timeout: Annotated[str | None, typer.Option(help="No trial begins later, as in 30m.")] = None,
    baseline: Annotated[str | None, typer.Option(help="Tune boosting or logistic instead of the model.")] = None,
    blend: Annotated[Path | None, typer.Option(help="Tune the blend weights of this run instead.")] = None,
    reward: Annotated[
        list[str], typer.Option(help="What a task is worth to --blend, as in --reward purchase=5; default: 1 each.")
    ] = [],  # noqa: B006
    set_: Set = [],  # noqa: B006
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Search better settings on valid cells alone, and write them as a motet.toml; needs the extra `tune`."""
    with explained(as_json):
        from motet import api
        from motet.settings import changes_of

        if blend is not None:
            _tune_blend(blend, config, output, trials, reward, as_json)
            return
        changes = changes_of(set_)
        changes |= {f"tune.{key}": value for key, value in (("trials", trials), ("timeout", timeout)) if value}
        with steps() as say:
            found = api.tune(
                config,
                study,
                prepared=prepared,
                output=output,
                baseline=baseline,
                changes=changes,
                force=force,
                say=say,
            )
        if as_json:
            print_json(found)
            return
        show_search(found, study)


@app.command()
def evaluate(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN", help="The run folder; several with --compare.")],
    compare: Annotated[bool, typer.Option("--compare", help="Put evaluated runs side by side.")] = False,
    split: Annotated[str | None, typer.Option(help="test (default) or valid.")] = None,
    seeds: Annotated[int | None, typer.Option(help="Paired seeds of the model and its controls.")] = None,
    controls: Annotated[bool | None, typer.Option(help="Train solo and pooled models to compare with.")] = None,
    set_: Set = [],  # noqa: B006
    as_json: Json = False,
) -> None:
    """The matrix of cells with verdicts, against solo, pooled and baselines; writes report.html."""
    with explained(as_json):
        from motet import api
        from motet.settings import changes_of

        if compare:
            _compare(runs, as_json)
            return
        if len(runs) > 1:
            raise InputError("several runs are named", where="RUNS", fix="evaluate one at a time, or add --compare")
        with steps() as say:
            report = api.evaluate(
                runs[0], split=split, seeds=seeds, controls=controls, changes=changes_of(set_), say=say
            )
        if as_json:
            print_json(report)
            return
        show(report)
        say_line(f"\nreport: [bold]{escape(str(runs[0] / 'report.html'))}[/]")


@app.command()
def predict(
    files: Annotated[list[Path], typer.Argument(metavar="FILES", help="Rows: the log's columns, without labels.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The Parquet file to write.")] = Path("scores.parquet"),
    run: Annotated[Path, typer.Option(help="The run folder.")] = Path("runs/default"),
    at: Annotated[
        str | None, typer.Option(help="The time of rows without one, as 2024-05-01 12:00; default: the log's end.")
    ] = None,
    table: Table = "fp32",
    force: Force = False,
    as_json: Json = False,
) -> None:
    """What each task predicts of given rows, by what the log knew before each; goes on after a kill."""
    with explained(as_json):
        from motet import api

        with steps() as say:
            found = api.predict_to(output, files, run, at=at, table=table, force=force, say=say)
        if as_json:
            print_json({"output": str(output), **asdict(found)})
            return
        say_line(f"scored {found.rows:,} rows: [bold]{escape(str(output))}[/]")
        for count, who in ((found.unknown_users, "users"), (found.unknown_items, "items")):
            if count:
                say_line(f"[yellow]![/] {count:,} rows are of {who} who are not in the log")
        if found.missing_columns:
            say_line(f"[yellow]![/] the rows do not tell {', '.join(map(escape, found.missing_columns))}, which then "
                     "count as missing")  # fmt: skip


@app.command()
def recommend(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The run folder.")] = Path("runs/default"),
    user: Annotated[str | None, typer.Option(help="A user's key; left out or never seen: an unknown user.")] = None,
    scenario: Annotated[list[str], typer.Option(help="One or more; default: all.")] = [],  # noqa: B006
    kind: Annotated[list[str], typer.Option(help="One or more; default: all.")] = [],  # noqa: B006
    n: Annotated[int | None, typer.Option("-n", min=1, help="Items per slate; default: the scenario's.")] = None,
    weight: Annotated[list[str], typer.Option(help="Blend weight of a task, as in --weight purchase=3.")] = [],  # noqa: B006
    history: Annotated[Path | None, typer.Option(help="JSON list of events standing for the user's own.")] = None,
    seen: Annotated[bool, typer.Option("--seen", help="Keep items the user has seen.")] = False,
    exclude: Annotated[list[str], typer.Option(help="Item keys to leave out.")] = [],  # noqa: B006
    context: Annotated[list[str], typer.Option(help="A context feature, as in --context device=phone.")] = [],  # noqa: B006
    users: Annotated[str, typer.Option(help='Slates of many: "all", or a file with the column of users.')] = "",
    output: Annotated[Path, typer.Option("--output", "-o", help="The Parquet file of --users.")] = Path(
        "slates.parquet"
    ),
    table: Table = "fp32",
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Slates for one user, or of many into a file: items with their tasks' probabilities and blended score."""
    with explained(as_json):
        from motet import api

        if users:
            if user is not None or history is not None:
                what = "--user and --history are of one request, --users of many"
                raise InputError(what, where="--users", fix="leave one of them out")
            with steps() as say:
                made = api.recommend_to(
                    output, run, users=users, scenarios=scenario, kinds=kind, n=n, weights=_weights(weight), seen=seen,
                    exclude=exclude, context=_context(context), table=table, force=force, say=say,
                )  # fmt: skip
            if as_json:
                print_json({"output": str(output), **asdict(made)})
            else:
                say_line(f"{made.slates:,} slates of {made.users:,} users: [bold]{escape(str(output))}[/]")
            return
        with steps() as say:
            slates = api.recommend(
                run, user=user, scenarios=scenario, kinds=kind, n=n, weights=_weights(weight), history=history,
                seen=seen, exclude=exclude, context=_context(context), table=table, say=say,
            )  # fmt: skip
        if as_json:
            print_json({"user": user, "slates": slates})
            return
        if user is not None and not all(slate["known_user"] for slate in slates):
            log.print(f"user {escape(repr(user))} is not in the log: answered as an unknown user")
        for slate in slates:
            show_slate(slate)


@app.command()
def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The run folder.")] = Path("runs/default"),
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder to write.")] = Path("bundle"),
    onnx: Annotated[
        Path | None, typer.Option(help="Write the ranker as this ONNX file instead; needs the extra `onnx`.")
    ] = None,
    set_: Annotated[list[str], typer.Option("--set", help="Its weights, as in --set blend.purchase=3.")] = [],  # noqa: B006
    force: Force = False,
    as_json: Json = False,
) -> None:
    """One immutable folder that answers alone: weights, vocabularies, histories, a hash of every file."""
    with explained(as_json):
        from motet import api
        from motet.settings import changes_of

        if onnx is not None:
            _export_onnx(run, onnx, set_, force, as_json)
            return
        with steps() as say:
            made = api.export(run, output, changes=changes_of(set_), force=force, say=say)
        if as_json:
            print_json({"folder": str(output), "manifest": made.manifest})
            return
        megabytes = sum(file["bytes"] for file in made.manifest["files"].values()) / 1e6
        who = f"{made.manifest['users']:,} users, {made.manifest['items']:,} items"
        say_line(f"wrote [bold]{escape(str(output))}[/]: {who}, {megabytes:,.1f} MB")
        say_line(f"next: motet serve {escape(str(output))}")


@app.command()
def serve(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="What motet export wrote.")] = Path("bundle"),
    host: Annotated[str, typer.Option(help="Whom it listens to; default: this machine alone.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: a free one.")] = 8000,
    events: Annotated[Path | None, typer.Option(help="Where events are kept; default: BUNDLE.events.sqlite.")] = None,
    patience: Annotated[
        float, typer.Option(min=0.0, max=60.0, help="Seconds to wait for the ranker before popular items are answered.")
    ] = 0.5,
    as_json: Json = False,
) -> None:
    """Answer over HTTP: slates, and events that count at once; /docs shows the routes."""
    with explained(as_json):
        from motet.serve.app import LOOPBACK, serve

        def ready(url: str, bundle: str) -> None:
            if as_json:
                print_json({"url": url, "bundle": bundle})
                return
            say_line(f"serving [bold]{escape(url)}[/], routes at {escape(url)}/docs; stop with Ctrl-C")
            if host not in LOOPBACK:
                log.print("[yellow]![/] others can reach it, and it asks nobody who they are: put it behind a proxy")

        serve(bundle, host=host, port=port, events=events, patience=patience, ready=ready)


@app.command()
def demo(
    data: Annotated[str, typer.Option(help="market (a simulated shop) or movielens (extra `movielens`).")] = "market",
    folder: Annotated[Path | None, typer.Option(help="Where everything is written; default: motet-demo.")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Paired seeds; 3 covers training noise but takes longer.")] = 1,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Everything in two minutes: data, training, the matrix of cells, slates, a report."""
    with explained(as_json):
        from motet.demo import run_demo

        run_demo(data, folder, seeds=seeds, force=force, as_json=as_json)


@app.command()
def doctor(as_json: Json = False) -> None:
    """Is this machine ready? Versions, cores, memory, disk, extras."""
    with explained(as_json):
        from motet.doctor import examine, ready

        findings = examine()
        if as_json:
            print_json({"ok": ready(findings), "findings": [asdict(finding) for finding in findings]})
        else:
            for finding in findings:
                mark = "[green]ok[/]  " if finding.ok else "[red]bad[/] " if finding.needed else "[yellow]none[/]"
                fix = f"  → {finding.fix}" if finding.fix else ""
                say_line(f"{mark} {finding.name}: {escape(finding.found + fix)}")
        if not ready(findings):
            raise SystemExit(1)


def _version(value: bool) -> None:
    if value:
        typer.echo(VERSION)
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None:
    """One recommender for all of a product's scenarios and all of its tasks."""


def _compare(runs: list[Path], as_json: bool) -> None:
    from motet import api
    from motet.evaluate.compare import cells_table, macro_table

    comparison = api.compare(runs)
    if as_json:
        print_json(comparison)
    else:
        out.print(macro_table(comparison))
        out.print(cells_table(comparison))


def _export_onnx(run: Path, file: Path, set_: list[str], force: bool, as_json: bool) -> None:
    from motet import api

    if set_:
        raise InputError("blend weights are not in an ONNX file", where="--set", fix="leave it out with --onnx")
    with steps() as say:
        facts = api.export_onnx(run, file, force=force, say=say)
    if as_json:
        print_json({"file": str(file), **facts})
        return
    say_line(f"wrote [bold]{escape(str(file))}[/]: {file.stat().st_size / 1e6:,.1f} MB, {len(facts['inputs'])} inputs")


def _tune_blend(
    run: Path, config: Path, output: Path | None, trials: int | None, reward: list[str], as_json: bool
) -> None:
    from motet import api

    into = output or config.with_name(f"{config.stem}-tuned.toml")
    with steps() as say:
        found = api.tune_blend(
            run, rewards=_weights(reward, "--reward") or None, trials=trials or 300, config=config, output=into, say=say
        )
    if as_json:
        print_json(found)
        return
    show_blend(found)


def _weights(given: list[str], option: str = "--weight") -> dict[str, float]:
    weights = {}
    for pair in given:
        task, _, value = pair.partition("=")
        try:
            weights[task] = float(value)
        except ValueError:
            raise InputError(f"{pair!r} is no weight", where=option, fix="write task=number") from None
    return weights


def _context(given: list[str]) -> dict[str, str]:
    told: dict[str, str] = {}
    for pair in given:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise InputError(f"{pair!r} is no context", where="--context", fix="write feature=value")
        if name in told:
            raise InputError(f"{name!r} is told twice", where="--context", fix="tell each feature once")
        told[name] = value
    return told


def _named(config: Path) -> str:
    """The config's name when it is not the default."""
    return "" if config == Here else str(config)


def _going_on(start: Path | None, prepared: Path) -> list[str]:
    """What the next command needs to go on with a run."""
    return [] if start is None else ["--from", escape(str(start)), "--prepared", escape(str(prepared)), "--run", "NEW"]


def main() -> None:
    """The entry point."""
    app(prog_name="motet")
