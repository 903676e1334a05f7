"""The generated blocks of docs/results.md from what `benchmarks.quality` prints: one fair table for each data set."""

from collections.abc import Mapping, Sequence
from typing import Any

from motet.baselines import BASELINES
from motet.evaluate.words import count, number, percent, signed

Found = Mapping[str, Any]
DEFAULT = "motet"
NAMES = ("kuairand", "ml100k", "ml100k-time", "market-small", "market-medium", "market-large", "amazon3")
VERDICTS = ("gain", "tie", "unclear", "loss")
ORDER = ", ".join(VERDICTS)
CONTROLS = {"solo": "solo: one model per cell", "pooled": "pooled: the scenario is a feature only"}


def table(found: Found) -> str:
    """Every model by macro AUC, how far it is behind the default, and what it costs; then what was done."""
    if any(row["group"] == "ranking" for row in found["table"]):
        return _ranking(found)
    cells = max(max(row["cells"]) for row in found["table"])
    head = ["model", "macro AUC", "± seeds, windows", "behind the default", "log loss", "ECE", f"cells: {ORDER}"]
    head += ["seconds", "memory, MB"]
    lines = [
        [_label(row) + _partly(row, cells), number(row["macro_auc"], 4), number(row["std"], 4), _behind(row),
         number(row["log_loss"], 4), number(row["ece"], 4), _verdicts(row), number(row["seconds"], 1),
         count(row["peak_rss_mb"])]
        for row in found["table"]
    ]  # fmt: skip
    return "\n\n".join([_lines(head, lines), *_sentences(found), _cells(found), _how(found)])


def _cells(found: Found) -> str:
    """The default in every cell."""
    ours = next(row for row in found["table"] if row["model"] == DEFAULT)
    head = ["cell of the default", "metric", "value", "± seeds, windows", "Δ to solo", "verdict in each window"]
    lines = [
        [f"{cell['scenario']} × {cell['task']}", cell["metric"].replace("_", " "), number(cell["value"]),
         number(cell["std"]), signed(cell["delta"]), ", ".join(map(str, cell["verdicts"])) or "–"]
        for cell in ours["matrix"]
    ]  # fmt: skip
    return _lines(head, lines)


def _sentences(found: Found) -> list[str]:
    """Where the default stands, what the verdicts are; what speaks against it is said."""
    rows = {row["model"]: row for row in found["table"]}
    ours = rows[DEFAULT]
    full = [row for row in found["table"] if row is not ours and max(row["cells"]) == max(ours["cells"])]
    above = [_label(row) for row in full if row["macro_auc"] > ours["macro_auc"]]
    sure = [row for row in full if row["behind_default"] and row["behind_default"]["low"] > 0]
    first = f"The default is above all {len(full)} others" if not above else f"Above the default: {', '.join(above)}"
    told = [f"{first}; beyond chance above {len(sure)} of {len(full)} (the 95 % interval of users and seeds)."]
    if ours["verdicts"]:
        counts, total = ours["verdicts"], max(sum(ours["verdicts"].values()), 1)
        fine = percent((counts["gain"] + counts["tie"]) / total)
        windows = "; ".join(_counts(window["verdicts"]) for window in ours["by_window"])
        told[0] += f" Against solo {fine} of {total} cells are a gain or a tie ({ORDER} by window: {windows})."
    if found["macro_tasks"] and ours["macro_auc_all_tasks"] is not None:
        told[0] += (
            f" With the tasks that the macro leaves out its macro AUC is {number(ours['macro_auc_all_tasks'], 4)}."
        )
    if (share := ours["informed_share"]) is not None:
        best = max((row for row in full if row["informed_share"] is not None), key=lambda row: row["informed_share"])
        told[0] += (
            f" It goes {percent(share)} of the way to the informed oracle on the macro ne, the best other "
            f"{percent(best['informed_share'])} ({_label(best)})."
        )
    conflict = found["conflict_cell"]
    for cell in ours["matrix"] if conflict else []:
        if [cell["scenario"], cell["task"]] == conflict:
            verdicts = ", ".join(str(verdict) for verdict in cell["verdicts"])
            told[0] += f" The planted conflict, {' × '.join(conflict)}: {signed(cell['delta'])} to solo ({verdicts})."
    return told


def _how(found: Found) -> str:
    """What was done, in one paragraph."""
    windows = "; ".join(f"{percent(w['share'])} of the log, {w['judged']:,} rows judged" for w in found["windows"])
    failed = f" Failed: {', '.join(found['failed'])}." if found["failed"] else ""
    peers = f" Without other packages (`{found['peers_from']}`)." if found["peers_from"] else ""
    machine = ", ".join(f"{key} {value}" for key, value in found["machine"].items())
    return (
        f"The {found['split']} split (by {found['split_by']}), seeds of what is random: {found['seeds']}; windows: "
        f"{windows}. Budget: {found['budget']}. Stopped: {found['stopping']}. Inputs: {found['inputs']}."
        f"{failed}{peers} Measured in {number(found['seconds'], 0)} s; {machine}."
    )


def _ranking(found: Found) -> str:
    head = ["model", "hit@10", "ndcg@10", *(f"{one['scenario']}" for one in found["table"][0]["matrix"])]
    lines = [
        [row["model"], number(row["hit@10"], 4), number(row["ndcg@10"], 4),
         *(f"{number(one['hit@10'], 4)} / {number(one['ndcg@10'], 4)}" for one in row["matrix"])]
        for row in found["table"]
    ]  # fmt: skip
    return (
        _lines(head, lines)
        + f"\n\nMeans over the scenarios, then hit@10 / ndcg@10 of each; the {found['split']} split."
    )


def _label(row: Found) -> str:
    name, group = row["model"], row["group"]
    if name == DEFAULT:
        return "**Motet, the default**"
    label = {"baseline": lambda: BASELINES[name].label, "control": lambda: CONTROLS[name]}.get(group)
    if label is not None:
        return label()
    return f"preset `{name}`" if group == "preset" else f"{row['package']}: {name.split('/')[1]}"


def _partly(row: Found, cells: int) -> str:
    return "" if max(row["cells"]) == cells else f" ({max(row['cells'])} of {cells} cells)"


def _behind(row: Found) -> str:
    if (behind := row["behind_default"]) is None:
        return "–"
    return f"{number(behind['mean'], 4)} ({number(behind['low'], 4)} to {number(behind['high'], 4)})"


def _verdicts(row: Found) -> str:
    return _counts(row["verdicts"])


def _counts(verdicts: Mapping[str, int] | None) -> str:
    return "–" if verdicts is None else ", ".join(str(verdicts[name]) for name in VERDICTS)


def _lines(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rule = ["---", *("---:" for _ in head[1:])]
    return "\n".join("| " + " | ".join(line) + " |" for line in (head, rule, *lines))
