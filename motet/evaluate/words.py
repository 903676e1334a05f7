"""How numbers, names, verdicts and metrics are written: the same in the sentence, on the page and in the terminal.

A number that is null, NaN, infinite or absent is written "–"; nothing here raises on what a report may hold.
"""

import math
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

Report = Mapping[str, Any]
"""A parsed `report.json`, or a part of it. Any list in it may be empty or absent and any number null."""

MISSING = "–"
HUGE = 1e12  # from here on digits say nothing; a power of ten does
SIGNS: dict[str, str] = {"gain": "+", "loss": "−", "tie": "=", "unclear": "?"}
VERDICT_MEANINGS: dict[str, str] = {
    "gain": "the joint model is significantly better than the solo model",
    "loss": "the joint model is significantly worse than the solo model",
    "tie": "the whole interval of the difference lies inside ±0.01",
    "unclear": "the data cannot tell, or the cell is too small to be judged",
}
COMPARED: dict[str, str] = {
    "controls": "control",
    "baselines": "baseline",
    "presets": "preset",
    "references": "reference",
}
"""The report's lists of models that a run is compared with, and what one of each is called."""
_BIDI = set("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")

LABELS: dict[str, str] = {
    "auc": "AUC",
    "gauc": "GAUC",
    "log_loss": "log loss",
    "ne": "NE",
    "ece": "ECE",
    "accuracy": "accuracy",
    "majority": "majority",
    "rmse": "RMSE",
    "relative_rmse": "relative RMSE",
    "mrr": "MRR",
}
GLOSSARY: dict[str, str] = {
    "AUC": "Probability that a positive impression scores above a negative one. 0.5 is chance, 1 is perfect.",
    "GAUC": "AUC within each user, averaged by impressions: only the order inside one user's impressions counts.",
    "log loss": "Mean of −ln of the probability given to what happened, in nats. Lower is better.",
    "NE": "Normalised entropy: log loss divided by that of always saying the train base rate (for a regression: "
    "squared error divided by that of the train mean). 1 is the base rate; lower is better.",
    "ECE": "Expected calibration error: mean distance between what is promised and what happens. Lower is better.",
    "accuracy": "Share of impressions on the right side of 0.5; it has to beat “majority”.",
    "majority": "Accuracy of always saying the commoner class.",
    "RMSE": "Root mean squared error, in the label's own unit. Lower is better.",
    "relative RMSE": "1 − RMSE / RMSE of the train mean. 0 is no better than the mean, 1 is perfect.",
    "macro": "Unweighted mean over the cells with at least 50 positives and 50 negatives.",
    "solo": "One model per cell: the same parts and features, trained on that cell alone.",
    "pooled": "One model that knows the scenario only as a feature.",
    "Δ": "Joint model − solo model on the cell's metric; positive is better. Its interval holds for all cells at once.",
    "p (Holm)": "Two-sided p value of Δ, corrected for the number of cells by Holm's method; significant at 0.05.",
    "α": "Weight of each voice (shared, scenario, task, cell) in a cell's fused representation; the weights sum to 1.",
    "NDCG@K": "Relevant items in the first K, discounted by log2 of their place, relative to the best possible list.",
    "recall@K": "Relevant items in the first K / relevant items of the user.",
    "precision@K": "Relevant items in the first K / K.",
    "hit@K": "Share of users with at least one relevant item in the first K.",
    "MRR": "Mean of 1 / place of the first relevant item.",
    "coverage@K": "Share of the catalogue that appears in somebody's first K.",
    "diversity@K": "How unlike each other the items of one list are; higher is more varied.",
    "novelty@K": "How rare the shown items are in the train split; higher is less popular.",
    "importance": "What a cell's metric loses when a group of inputs is shuffled among the rows of each scenario.",
    "PSI": "Population stability index: Σ (judged share − train share) · ln(judged share / train share) over a "
    "feature's bins. Below 0.1 stable, from 0.25 on a large shift.",
    "share of the way": "(1 − NE of the model) / (1 − NE of the ceiling): 0 % is the base rate, 100 % the ceiling.",
}


def finite(value: object) -> float | None:
    """The number, or None for null, NaN, infinity and anything that is no number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def number(value: object, digits: int = 3) -> str:
    """0.742, 1,234, 4.1e-05, or – where there is none; a real minus sign."""
    if (x := finite(value)) is None:
        return MISSING
    if abs(x) >= HUGE or 0 < abs(x) < 0.5 * 10**-digits:
        text = f"{x:.1e}"
    elif abs(x) >= 1000:
        text = f"{x:,.0f}"
    else:
        text = f"{x:.{1 if abs(x) >= 100 else digits}f}"
    return _minus(text)


def signed(value: object, digits: int = 3) -> str:
    """+0.011, −0.004, 0.000 or –."""
    if (x := finite(value)) is None:
        return MISSING
    if abs(x) >= HUGE:
        return f"{x:+.1e}"
    text = _minus(f"{x:+.{digits}f}")
    return text if text.strip("+−0.") else text[1:]


def count(value: object) -> str:
    """6,012 or –."""
    x = finite(value)
    return MISSING if x is None else f"{x:.1e}" if abs(x) >= HUGE else _minus(f"{x:,.0f}")


def percent(value: object) -> str:
    """0.861 as 86 %, or –."""
    return MISSING if (x := finite(value)) is None else f"{count(100 * x)} %"


def probability(value: object) -> str:
    """A p value: 0.034, <0.001 or –."""
    x = finite(value)
    return MISSING if x is None else "<0.001" if x < 0.001 else f"{x:.3f}"


def interval(low: object, high: object, *, sign: bool = False) -> str:
    """[0.731, 0.753], with signs if it is a difference; – if either end is missing."""
    if finite(low) is None or finite(high) is None:
        return MISSING
    write = signed if sign else number
    return f"[{write(low)}, {write(high)}]"


def duration(seconds: object) -> str:
    """0.4 s, 12 s, 4 min 12 s, 2 h 5 min or –."""
    if (x := finite(seconds)) is None or abs(x) >= HUGE:
        return MISSING
    if x < 9.95:
        return f"{x:.1f} s"
    minutes, rest = divmod(round(x), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if minutes else f"{rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def size(value: object) -> str:
    """Bytes as 12.3 MB, or –."""
    if (x := finite(value)) is None or abs(x) >= HUGE**2:
        return MISSING
    for unit in ("B", "kB", "MB", "GB"):
        if abs(x) < 1000:
            return f"{x:.0f} {unit}" if unit == "B" else f"{x:.1f} {unit}"
        x /= 1000
    return f"{x:,.1f} TB"


def plain(name: object) -> str:
    """A name fit to print: control and text-direction characters, which could rewrite a line, show as �."""
    text = MISSING if name is None or (isinstance(name, float) and not math.isfinite(name)) else str(name)
    return "".join("�" if unicodedata.category(c) in {"Cc", "Cs"} or c in _BIDI else c for c in text)


def metric_label(metric: object) -> str:
    """The written name of a metric: `auc` is AUC, `ndcg@10` NDCG@10."""
    name = plain(metric)
    head, at, cutoff = name.partition("@")
    return LABELS.get(name) or ("NDCG" + at + cutoff if head == "ndcg" else name)


def label_of(model: Report) -> str:
    """What a baseline, control, preset or reference is called."""
    return plain(model.get("label") or model.get("name"))


def rows_of(report: Report, key: str) -> Sequence[Report]:
    """A list of the report, empty when it is absent or null."""
    return report.get(key) or ()


def part_of(report: Report, key: str) -> Report:
    """An object of the report, empty when it is absent or null."""
    return report.get(key) or {}


def _minus(text: str) -> str:
    return text.replace("-", "−") if "e" not in text else text
