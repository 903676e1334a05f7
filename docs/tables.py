"""Fills the generated blocks of README.md and docs/*.md, each between `<!-- table:NAME -->` and `<!-- /table:NAME -->`.

    python docs/tables.py            rewrite them
    python docs/tables.py --check    change nothing; name the files that are out of date and exit with 1

Figures come from benchmarks/results/NAME.json as the benchmarks print them, keys and defaults of motet.toml from the
dataclasses (`reference.py` beside this file). No figure in the documentation is typed by hand.
"""

import argparse
import json
import re
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from motet.baselines import BASELINES
from motet.evaluate.words import SIGNS, number, percent

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
BENCHMARKS = ("kuairand", "ml100k", "market-small", "market")
RANKING = "amazon3"
"""The benchmark of which rankings are all there is."""
GROUPS = ("baselines", "presets", "controls")
CONTROLS = {"solo": "solo: one model per cell", "pooled": "pooled: the scenario is a feature only"}
DEFAULT = "**Motet, the default**"
NOT_YET = "*Not measured yet.*"

Found = Mapping[str, Any]
"""What one benchmark printed."""
BLOCK = re.compile(r"(<!-- table:([\w-]+) -->\n).*?(<!-- /table:\2 -->)", re.DOTALL)


def results() -> dict[str, Found]:
    """The benchmarks that have been measured, by name."""
    return {name: found for name in BENCHMARKS if (found := result(name)) is not None}


def result(name: str) -> Found | None:
    """What one benchmark printed; None before it is measured."""
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def overview(found: Mapping[str, Found]) -> str:
    """The table of models, and what it says in words."""
    said = [f"- {standing(name, result)}" for name, result in found.items()]
    return "\n".join([models_table(found), "", *said]) if found else NOT_YET


def models_table(found: Mapping[str, Found]) -> str:
    """Models × benchmarks by macro AUC, the best of each column in bold."""
    if not found:
        return NOT_YET
    columns = {name: _models(result) for name, result in found.items()}
    labels = list(dict.fromkeys(label for models in columns.values() for label in models))
    best = {name: max(_rounded(v) for v in models.values()) for name, models in columns.items()}
    lines = [_row("macro AUC", *columns), _row("---", *("---:" for _ in columns))]
    for label in labels:
        values = [columns[name].get(label) for name in columns]
        cells = [_bold(number(v), _rounded(v) == best[name]) for v, name in zip(values, columns, strict=True)]
        lines.append(_row(label, *cells))
    lines.append(_row("cells: gain, tie, unclear, loss", *(_verdicts(result) for result in found.values())))
    return "\n".join(lines)


def standing(name: str, found: Found) -> str:
    """Whether the default is above the best baseline, and where it lost a cell; what speaks against it is said."""
    ours, rivals = found["macro_auc"], _baselines(found)
    label, best = max(rivals.items(), key=lambda pair: _rounded(pair[1]))
    ahead = _rounded(ours) - _rounded(best)
    how = "is above" if ahead > 0 else "is equal to" if ahead == 0 else "is **not** above"
    seeds = "1 seed" if found["seeds"] == 1 else f"{found['seeds']} seeds"
    sentence = (
        f"{name} ({found['split']} split, {found['rows']:,} rows, {seeds}): the default's macro AUC of {number(ours)} "
        f"{how} the best baseline's {number(best)} ({label}); {_losses(found)}."
    )
    if (share := found.get("informed_share")) is not None:
        sentence += f" It goes {percent(share)} of the way from the base rate to the informed oracle."
    return sentence


def detail(name: str, found: Mapping[str, Found]) -> str:
    """One benchmark: every model by macro AUC and macro ne, and every cell."""
    if name not in found:
        return NOT_YET
    result = found[name]
    told = {key: ne for group in GROUPS for key, ne in result.get(f"{group}_ne", {}).items()}
    ne = {label: told.get(key) for key, label in _labels(result).items()}
    ne[DEFAULT] = result["macro_ne"]
    models = sorted(_models(result).items(), key=lambda pair: -_rounded(pair[1]))
    lines = [_row("model", "macro AUC", "macro ne"), _row("---", "---:", "---:")]
    lines += [_row(label, number(value), number(ne.get(label))) for label, value in models]
    lines += ["", standing(name, result), "", _row("cell", "metric", "value", "interval", "Δ to solo", "verdict")]
    lines += [_row("---", "---", "---:", "---:", "---:", "---"), *map(_cell, result["cells"])]
    facts = ", ".join(f"{key} {value}" for key, value in result["machine"].items())
    seconds = result["seconds"]
    timed = "Not timed, other work ran beside it" if seconds is None else f"Evaluated in {number(seconds, 0)} s"
    return "\n".join([*lines, "", f"{timed}; {facts}."])


def rankings(found: Found | None) -> str:
    """Scenario × model by the quality of full-catalogue ranking."""
    if found is None:
        return NOT_YET
    lines = [_row("scenario", "model", "recall@10", "ndcg@10", "mrr@10")]
    lines += [_row("---", "---", *["---:"] * 3)]
    for scenario in dict.fromkeys(entry["scenario"] for entry in found["ranking"]):
        lines += [_ranked(entry) for entry in found["ranking"] if entry["scenario"] == scenario]
        lines += [_published(entry) for entry in found["published"] if entry["scenario"] == scenario]
    lines += ["", f"Of the best published figure the model reaches {_shares(found)}."]
    counts = {e["scenario"]: f"{e['scenario']} {e['users']:,} and {e['items']:,}" for e in found["ranking"]}
    facts = ", ".join(f"{key} {value}" for key, value in found["machine"].items())
    took = [f"{t['epochs']:.0f} epochs in {number(t['seconds'], 0)} s" for t in found["trainings"]]
    threads = f"{found['threads']} thread{'s' * (found['threads'] != 1)}"
    return "\n".join([
        *lines, "", f"The {found['split']} split. Users and items: {', '.join(counts.values())}. "
        f"Trainings, one for each seed, with {threads}: {', '.join(took)}; {facts}.",
    ])  # fmt: skip


def balancers(found: Found | None) -> str:
    """Balancers by what they change against static, and what they cost."""
    if found is None:
        return NOT_YET
    lines = [_row("balance", "macro AUC", "Δ to static", "macro ne", "Δ to static", "× seconds", "× a step")]
    lines.append(_row("---", *["---:"] * 6))
    for row in found["balancers"]:
        parts = (
            _spread(row[key], signed=key.endswith("static")) for key in ("auc", "auc_to_static", "ne", "ne_to_static")
        )
        lines.append(
            _row(
                f"`{row['balance']}`", *parts, number(row["seconds_to_static"], 2), number(row["step_ms_to_static"], 2)
            )
        )
    return "\n".join([*lines, "", _compared(found)])


def damages(found: Found | None) -> str:
    """What damage to train costs the default and gradient boosting."""
    if found is None:
        return NOT_YET
    rows = {(row["condition"], row["model"]): row for row in found["conditions"]}
    lines = [
        _row("train", "Motet, the default", "drop", BASELINES["boosting"].label, "drop"),
        _row("---", *["---:"] * 4),
    ]
    for condition in dict.fromkeys(row["condition"] for row in found["conditions"]):
        both = (rows[condition, model] for model in ("motet", "boosting"))
        lines.append(_row(condition, *(_spread(row[key]) for row in both for key in ("auc", "drop"))))
    return "\n".join([*lines, "", _compared(found)])


def _spread(told: Found, *, signed: bool = False) -> str:
    """Mean ± deviation over seeds."""
    mean = f"{told['mean']:+.4f}".replace("-", "−") if signed else number(told["mean"], 4)
    return mean if told["std"] is None else f"{mean} ± {number(told['std'], 4)}"


def _compared(found: Found) -> str:
    facts = ", ".join(f"{key} {value}" for key, value in found["machine"].items())
    seeds = "1 seed" if found["seeds"] == 1 else f"{found['seeds']} seeds"
    return f"{found['data']}, {found['split']} split, {found['rows']:,} rows, {seeds}; {facts}."


def _ranked(entry: Found) -> str:
    name = "**Motet, next item**" if entry["model"] == "next-item" else BASELINES[entry["model"]].label
    figures = [number(entry[key], 4) for key in ("hit@10", "ndcg@10", "mrr")]
    spread = [entry["std"][key] for key in ("hit@10", "ndcg@10", "mrr")]
    told = (
        f"{value} ± {number(std, 4)}" if std is not None else value for value, std in zip(figures, spread, strict=True)
    )
    return _row(entry["scenario"], name, *told)


def _shares(found: Found) -> str:
    """Of each scenario, how much of the best published recall and ndcg the model has."""
    told = []
    for ours in (entry for entry in found["ranking"] if entry["model"] == "next-item"):
        rivals = [entry for entry in found["published"] if entry["scenario"] == ours["scenario"]]
        shares = [
            ours[key] / max(e[name] for e in rivals) for key, name in (("hit@10", "recall@10"), ("ndcg@10", "ndcg@10"))
        ]
        told.append(f"{percent(shares[0])} of recall@10 and {percent(shares[1])} of ndcg@10 in {ours['scenario']}")
    return ", ".join(told)


def _published(entry: Found) -> str:
    figures = (number(entry[key], 4) for key in ("recall@10", "ndcg@10"))
    return _row(entry["scenario"], f"published: {entry['model']}", *figures, "–")


def _cell(cell: Found) -> str:
    verdict = cell["verdict"]
    return _row(
        f"{cell['scenario']} × {cell['task']}",
        cell["metric"].replace("_", " "),
        number(cell["value"]),
        f"{number(cell['low'])} to {number(cell['high'])}",
        number(cell["delta"]),
        f"{SIGNS[verdict]} {verdict}" if verdict else "–",
    )


def _models(found: Found) -> dict[str, float | None]:
    """Label to macro AUC: the default, baselines, presets, controls."""
    labels, values = _labels(found), {key: auc for group in GROUPS for key, auc in found[group].items()}
    return {DEFAULT: found["macro_auc"]} | {label: values[key] for key, label in labels.items()}


def _labels(found: Found) -> dict[str, str]:
    """Name in the results to label, in the order of tables; controls last."""
    known = {name: kind.label for name, kind in BASELINES.items() if name in found["baselines"]}
    controls = {name: label for name, label in CONTROLS.items() if name in found["controls"]}
    return known | {name: f"preset `{name}`" for name in found["presets"]} | controls


def _baselines(found: Found) -> dict[str, float | None]:
    return {BASELINES[name].label: auc for name, auc in found["baselines"].items()}


def _losses(found: Found) -> str:
    lost = [f"{cell['scenario']} × {cell['task']}" for cell in found["cells"] if cell["verdict"] == "loss"]
    return f"a loss against solo in {', '.join(lost)}" if lost else "no cell is a loss against solo"


def _verdicts(found: Found) -> str:
    return ", ".join(str(found["verdicts"][verdict]) for verdict in ("gain", "tie", "unclear", "loss"))


def _rounded(value: float | None) -> float:
    """As it is printed, so that what looks equal is called equal."""
    return float("-inf") if value is None else round(value, 3)


def _bold(text: str, best: bool) -> str:
    return f"**{text}**" if best else text


def _row(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"


def blocks() -> dict[str, Callable[[], str]]:
    """Every generated block by name."""
    import quality
    from reference import reference
    from speed import BLOCKS

    found = results()
    figures = {name: partial(detail, name, found) for name in BENCHMARKS}
    figures |= {name: partial(_told, maker, name) for name, maker in BLOCKS.items()}
    figures |= {name: partial(_told, quality.table, name) for name in map("quality-{}".format, quality.NAMES)}
    return {
        "results": partial(overview, found),
        "results-table": partial(models_table, found),
        "schema": reference,
        RANKING: partial(rankings, result(RANKING)),
        "balancing": partial(balancers, result("balancing")),
        "robustness": partial(damages, result("robustness")),
        **figures,
    }


def _told(maker: Callable[[Found], str], name: str) -> str:
    return NOT_YET if (found := result(name)) is None else maker(found)


def rewritten(text: str, makers: Mapping[str, Callable[[], str]]) -> str:
    """The text with the blocks of those names made anew."""

    def made(block: re.Match[str]) -> str:
        return f"{block[1]}\n{makers[block[2]]()}\n\n{block[3]}" if block[2] in makers else block[0]

    return BLOCK.sub(made, text)


def pages() -> list[Path]:
    """Every page a person reads."""
    found = (sorted(ROOT.glob(pattern)) for pattern in ("*.md", "docs/**/*.md", "examples/*/*.md"))
    return [path for some in found for path in some]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="change nothing, exit with 1 if anything would change")
    check, makers, stale = parser.parse_args().check, blocks(), []
    for path in pages():
        before = path.read_text(encoding="utf-8")
        if (after := rewritten(before, makers)) != before:
            stale.append(path.relative_to(ROOT).as_posix())
            if not check:
                path.write_text(after, encoding="utf-8")
    done = "out of date" if check else "rewritten"
    print("\n".join(f"{done}: {name}" for name in stale) or "every block is up to date")
    sys.exit(1 if check and stale else 0)


if __name__ == "__main__":
    main()
