"""The generated blocks of docs/performance.md, from what the benchmarks of speed and memory print."""

from collections.abc import Mapping, Sequence
from typing import Any

from motet.evaluate.words import number

Found = Mapping[str, Any]
WAYS = {"parquet": "Parquet", "csv": "CSV"}
MOST_PARTS = 12


def throughput(found: Found) -> str:
    """Rows a second of every package, and ratios."""
    peers = list(found["rows"][0]["peers"])
    head = ["batch", "ids a field", "Motet", *peers, "× best peer", "share of limit", "step, × with 1,000 ids"]
    lines = [
        [_count(row["batch"]), _count(row["ids_per_field"]), _count(row["ours"]),
         *(_count(row["peers"][name]) for name in peers), number(row["ratio_to_best_peer"], 2),
         number(row["limit_share"], 2), number(row["step_time_to_small_table"], 2)]
        for row in found["rows"]
    ]  # fmt: skip
    versions = ", ".join(f"{name} {version}" for name, version in found["rows"][0]["versions"].items() if version)
    told = f"Rows a second, medians of {found['rows'][0]['rounds']} rounds; {versions}"
    return _table(head, lines, f"{told}; {found['threads']} threads; {_machine(found)}.")


def profile(found: Found) -> str:
    """The parts that take longest, and the share of the limit."""
    parts = found["parts"]
    total = sum(part["forward_ms"] + part["backward_ms"] for part in parts)
    lines = [
        [f"`{part['part']}`", number(part["forward_ms"], 2), number(part["backward_ms"], 2),
         f"{100 * (part['forward_ms'] + part['backward_ms']) / total:.0f} %", str(part["operations"])]
        for part in parts[:MOST_PARTS]
    ]  # fmt: skip
    work = found["work"]
    return _table(
        ["part", "forward, ms", "backward, ms", "share", "operations"], lines,
        f"Batch {work['batch']}, history {work['history']}: {_count(found['rows_per_second'])} rows a second, "
        f"{number(found['limit_share'], 2)} of the limit of {_count(found['limit'])}; {found['threads']} threads; "
        f"{_machine(found)}.",
    )  # fmt: skip


def scaling(found: Found) -> str:
    """Every axis of cost, and what size buys."""
    axes = dict(found["axes"])
    quality = axes.pop("quality", None)
    lines = [
        [axis, _count(point["at"]), number(point["step_ms"], 2), number(point["to_first"], 2),
         _count(point["rows_per_second"]), _count(point["peak_rss_mb"])]
        for axis, points in axes.items() for point in points
    ]  # fmt: skip
    head = ["what grows", "to", "step, ms", "× the first", "rows a second", "memory, MB"]
    costs = _table(head, lines, f"{found['threads']} threads; {_machine(found)}.")
    if quality is None:
        return costs + "\n\nWhat size buys in quality is not measured yet."
    sizes: dict[str, list[Found]] = {}
    for point in quality["points"]:
        sizes.setdefault(point["size"], []).append(point)
    bought = [
        [
            size,
            _count(points[0]["dense_parameters"]),
            number(sum(p["ne"] for p in points) / len(points), 4),
            str(len(points)),
        ]
        for size, points in sizes.items()
    ]
    low, high = quality["interval"]
    told = (
        f"Valid `ne` ∝ (dense parameters)^{-quality['exponent']:.4f}, the 95 % interval of the exponent from "
        f"{-high:.4f} to {-low:.4f}, on a market of {_count(quality['impressions'])} impressions."
    )
    return costs + "\n\n" + _table(["size", "dense parameters", "macro ne", "seeds"], bought, told)


def prepare(found: Found) -> str:
    """Rows a minute and memory, and the usual script beside it."""
    lines = []
    for way, label in WAYS.items():
        ours, theirs = found[way], found[f"pandas_{way}"]
        lines.append([label, _count(ours["rows"]), number(ours["seconds"], 1), f"{ours['rows_per_minute'] / 1e6:.1f} M",
                      _count(ours["peak_rss_mb"]), f"{theirs['times_faster']} ×"])  # fmt: skip
    head = ["from", "rows", "seconds", "rows a minute", "peak memory, MB", "faster than pandas"]
    rows = _count(found["pandas_csv"]["rows"])
    return _table(head, lines, f"{found['columns']} columns, `--memory {found['memory']}`; pandas on {rows} rows.")


def scoring(found: Found) -> str:
    """The full ranker over a catalogue, and the best items by products."""
    full, best = found["ranker"], found["products"]
    return (
        f"- The full ranker, {full['users']} users a scenario and kind of the medium market: {_count(full['pairs'])} "
        f"pairs in {full['seconds']} s, {number(full['limit_share'], 2)} of its limit; "
        f"{_count(full['peak_rss_mb'])} MB.\n"
        f"- The {best['best']} best of {_count(best['items'])} items for {_count(best['users'])} users by products of "
        f"width {best['width']}, {best['left_out']} left out for each: {best['seconds']} s; "
        f"{_count(best['peak_rss_mb'])} MB.\n\n{found['threads']} threads; {_machine(found)}."
    )


def memory(found: Found) -> str:
    """Forms of a table."""
    lines = [
        [form, _count(of["table_mb"]), number(of["table_to_fp32"], 2), _count(of["resident_mb"]),
         f"{of['lookups_to_fp32']} ×", f"{of['macro_loss']:.5f}", f"{of['largest_loss']:.5f}"]
        for form, of in found["forms"].items()
    ]  # fmt: skip
    head = ["form", "table, MB", "× fp32", "process, MB", "lookups", "macro AUC lost", "in the worst cell"]
    return _table(head, lines, f"{_count(found['rows'])} rows of width {found['dim']}; {_machine(found)}.")


def metrics(found: Found) -> str:
    """A whole matrix of cells."""
    seconds = found["seconds"]
    return (
        f"{_count(found['rows'])} rows of {_count(found['users'])} users, {found['cells']} cells: all metrics in "
        f"{seconds['metrics']} s, with {_count(found['resamples'])} resamples over users in "
        f"{seconds['metrics_and_bootstrap']} s; {_count(found['peak_rss_mb'])} MB; {found['threads']} threads; "
        f"{_machine(found)}."
    )


def predict(found: Found) -> str:
    """Rows and slates in bulk."""
    rows, slates = found["predict"], found["recommend"]
    return (
        f"- `motet predict`: {_count(rows['rows'])} rows in {rows['seconds']} s, {_count(rows['rows_per_second'])} a "
        f"second; {_count(rows['peak_rss_mb'])} MB.\n"
        f"- `motet recommend --users all`: {_count(slates['slates'])} slates in {slates['seconds']} s, "
        f"{_count(slates['slates_per_second'])} a second; {_count(slates['peak_rss_mb'])} MB.\n\n"
        f"Whole commands, their start included; the log has {_count(found['market']['impressions'])} impressions, "
        f"histories are of {found['history']} events; {_machine(found)}."
    )


def serve(found: Found) -> str:
    """Requests over HTTP at a fixed rate."""
    given, catalogue = f"{found['given']} given candidates", f"a catalogue of {_count(found['ranked'])}"
    names = {"candidates": given, "catalogue": catalogue, "events": "one event told"}
    keys = ("p50_ms", "p90_ms", "p99_ms", "worst_ms", "processor_ms")
    lines = [[what, *(f"{found[name][key]:.1f}" for key in keys)] for name, what in names.items()]
    rate = (
        f"{_count(found['requests'])} requests of each sort at {found['per_second']:g} a second, {found['tasks']} tasks"
    )
    return _table(
        ["ms", "p50", "p90", "p99", "worst", "processor"], lines,
        f"{rate}, histories of {found['history']} events; from start to ready {found['ready_seconds']} s; a bundle of "
        f"{found['bundle_mb']} MB; {_machine(found)}.",
    )  # fmt: skip


def from_lightgbm(found: Found) -> str:
    """The usual script beside Motet."""
    both = ("script", "motet")
    lines = [[cell, *(number(found["cells"][name][cell], 3) for name in both)] for cell in found["cells"]["script"]]
    lines.append(["**macro AUC**", *(f"**{number(found['macro_auc'][name], 3)}**" for name in both)])
    lines += [[what, *(str(found[what][name]) for name in both)] for what in ("seconds", "lines")]
    told = f"A simulated market of {_count(found['impressions'])} impressions, judged on the last "
    return _table(
        ["cell", "LightGBM script", "Motet"], lines, f"{told}{_count(found['test_rows'])}; {_machine(found)}."
    )


BLOCKS = {
    maker.__name__: maker
    for maker in (throughput, profile, scaling, prepare, scoring, predict, serve, metrics, memory, from_lightgbm)
}


def _table(head: Sequence[str], lines: Sequence[Sequence[str]], below: str) -> str:
    rule = ["---", *("---:" for _ in head[1:])]
    return "\n".join("| " + " | ".join(line) + " |" for line in (head, rule, *lines)) + f"\n\n{below}"


def _count(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f}"


def _machine(found: Found) -> str:
    return ", ".join(f"{key} {value}" for key, value in found["machine"].items())
