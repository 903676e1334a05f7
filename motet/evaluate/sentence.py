"""The result in words: a report's first sentence, with what speaks against it in the same breath."""

from collections.abc import Sequence
from dataclasses import dataclass

from motet.evaluate.words import (
    Report,
    count,
    finite,
    label_of,
    number,
    part_of,
    percent,
    plain,
    rows_of,
)

MOST_NAMED = 3  # cells that are named before "and n more"


@dataclass(frozen=True, slots=True)
class Headline:
    """The one number a run is known by."""

    key: str  # in a `macro`
    name: str
    sign: int  # 1: higher is better, -1: lower

    def of(self, model: Report) -> float | None:
        return finite(part_of(model, "macro").get(self.key))

    def best(self, models: Sequence[Report]) -> Report | None:
        """The model with the best number; None if none has one."""
        ranked = [(self.sign * value, -i) for i, m in enumerate(models) if (value := self.of(m)) is not None]
        return models[-max(ranked)[1]] if ranked else None


AUC = Headline("auc", "macro AUC", 1)
RMSE = Headline("rmse", "macro RMSE", -1)


def headline(report: Report) -> Headline:
    """Macro AUC, or macro RMSE where nothing is binary."""
    return RMSE if AUC.of(report) is None and RMSE.of(report) is not None else AUC


def sentence(report: Report) -> str:
    """What was reached, against the controls, the best baseline and the ceilings, and where sharing helped or hurt."""
    if not rows_of(report, "cells") and rows_of(report, "ranking"):
        return f"{_found(report)}. {_noise(report)}".strip()
    sentences = [f"{_reached(report)}; {_sharing(report)}.", _ceilings(report), _noise(report)]
    return " ".join(text for text in sentences if text)


def _reached(report: Report) -> str:
    head = headline(report)
    value = head.of(report)
    rows = finite(report.get("rows"))
    split = report.get("split") or "test"
    of = "held-out impressions" if split == "test" else f"impressions of the {plain(split)} split"
    opening = f"On {of}" if rows is None else f"On {count(rows)} {of}"
    if value is None:
        return f"{opening} no cell has enough positives and negatives for a macro average"
    beside, ahead = _others(report, head, value)
    return f"{opening} the joint model reaches a {head.name} of {number(value)}{beside}{ahead}"


def _found(report: Report) -> str:
    """Where there are no cells: how often the next item stands in the first ten, averaged over scenarios."""
    (_, ours), *rivals = [(label, mean) for label, mean in next_items(report) if mean is not None]
    split = report.get("split") or "test"
    which = "held-out rows" if split == "test" else f"rows of the {plain(split)} split"
    told = f"Of {count(report.get('rows'))} {which} the model has the item among its first ten in {_share(ours)}"
    if not rivals:
        return told
    label, best = max(rivals, key=lambda rival: rival[1])
    how = "the best baseline" if best <= ours else "the best baseline is ahead"
    return f"{told}; {how}, {label}, in {_share(best)}"


def next_items(report: Report) -> list[tuple[str, float | None]]:
    """Label and hit@10, averaged over scenarios: of the run, then of each baseline."""
    found: dict[str, list[float]] = {plain(report.get("preset")): []}
    for label, entry in [
        *((plain(report.get("preset")), entry) for entry in rows_of(report, "ranking")),
        *((label_of(entry), entry) for entry in rows_of(report, "ranking_baselines")),
    ]:
        if (hit := finite(entry.get("hit@10"))) is not None:
            found.setdefault(label, []).append(hit)
    return [(label, sum(hits) / len(hits) if hits else None) for label, hits in found.items()]


def _share(value: float) -> str:
    return f"{100 * value:.1f} %"


def _others(report: Report, head: Headline, value: float) -> tuple[str, str]:
    """The controls and the best baseline in brackets; a baseline that is better is said outright."""
    solo = next((head.of(c) for c in rows_of(report, "controls") if c.get("name") == "solo"), None)
    beside = [] if solo is None else [f"{number(solo)} for one model per cell"]
    best = head.best(rows_of(report, "baselines"))
    rival = None if best is None else head.of(best)
    ahead = ""
    if best is not None and rival is not None:
        if head.sign * (round(rival, 3) - round(value, 3)) > 0:
            ahead = f"; the best baseline, {label_of(best)}, is ahead with {number(rival)}"
        else:
            beside.append(f"{number(rival)} for the best baseline, {label_of(best)}")
    return (f" ({', '.join(beside)})" if beside else ""), ahead


def _sharing(report: Report) -> str:
    verdicts = {name: int(finite(n) or 0) for name, n in part_of(report, "verdicts").items()}
    total = sum(verdicts.values())
    if not total:
        return "there is no model per cell to compare with, so where sharing helps is not known"
    gain, loss, tie, unclear = (_or_none(verdicts.get(name, 0)) for name in ("gain", "loss", "tie", "unclear"))
    cells = "1 cell" if total == 1 else f"{total} cells"
    hurt = f"hurt in {loss}{_losers(report)}"
    return f"sharing helped in {gain} of {cells}, {hurt}, was a tie in {tie} and is unclear in {unclear}"


def _losers(report: Report) -> str:
    """The cells that lost, in brackets: they must not hide behind a count."""
    losers = [c for c in rows_of(report, "cells") if c.get("verdict") == "loss"]
    if not losers:
        return ""
    names = [f"{plain(c.get('scenario'))} × {plain(c.get('task'))}" for c in losers[:MOST_NAMED]]
    more = [f"{len(losers) - MOST_NAMED} more"] if len(losers) > MOST_NAMED else []
    return f" ({_listed([*names, *more])})"


def _ceilings(report: Report) -> str:
    ways = [
        (share, label_of(r))
        for r in rows_of(report, "references")
        if r.get("ceiling") and (share := finite(r.get("share"))) is not None
    ]
    if not ways:
        return ""
    (share, name), *others = sorted(ways, reverse=True)
    first = f"{percent(share)} of the way from the base rate to {name}"
    return f"It goes {_listed([first, *(f'{percent(share)} to {name}' for share, name in others)])}."


def _noise(report: Report) -> str:
    return "With one seed, training noise is not covered." if report.get("seeds") == 1 else ""


def _or_none(n: int) -> str:
    return str(n) if n else "none"


def _listed(parts: Sequence[str]) -> str:
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
