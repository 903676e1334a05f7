"""How a verdict is made: is the joint model better than the solo one in a cell, and could luck have told us so?

Given: each cell's delta (joint − solo, positive = better) and its standard error. p = 2 (1 − Φ(|delta| / SE)),
corrected for the number of tests by Holm (1979) over the table's testable cells at 5 %. Then

`gain`, `loss`  significant, by the sign of delta;
`tie`           not significant, and the simultaneous (Bonferroni) interval of delta lies inside ±0.01;
`unclear`       anything else, and every cell that is too small to be tested. It never counts as success.

C cells, R seeds, B resamples.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from motet.scoring.metrics import Floats

Verdict = Literal["gain", "tie", "loss", "unclear"]
VERDICTS: tuple[Verdict, ...] = ("gain", "tie", "loss", "unclear")
LEVEL = 0.05
MARGIN = 0.01  # a difference inside ± this is no difference
FEWEST_USERS = 30


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A cell's delta, its simultaneous interval (it decides a tie) and Holm-corrected p (NaN: not testable)."""

    delta: float
    low: float
    high: float
    p_holm: float
    verdict: Verdict


def standard_error(delta_R: Floats, delta_RB: Floats) -> float:
    """√(bootstrap variance of the mean over seeds + variance between seeds / R): users' noise and training's.

    With one seed the second is not covered.
    """
    mean_B = delta_RB.mean(0)
    mean_B = mean_B[np.isfinite(mean_B)]
    if len(mean_B) < 2:
        return math.nan
    between = float(np.var(delta_R, ddof=1)) / len(delta_R) if len(delta_R) >= 2 else 0.0
    return math.sqrt(float(np.var(mean_B, ddof=1)) + between)


def judge(delta_C: Sequence[float], error_C: Sequence[float], testable_C: Sequence[bool]) -> list[Judged]:
    """The verdicts of a whole table; a delta or error that is NaN makes its cell untestable."""
    delta, error = np.asarray(delta_C, np.float64), np.asarray(error_C, np.float64)
    testable = np.asarray(testable_C, np.bool_) & np.isfinite(delta) & np.isfinite(error)
    p_holm = np.full(len(delta), np.nan)
    p_holm[testable] = holm(np.array([_two_sided(d, e) for d, e in zip(delta[testable], error[testable], strict=True)]))
    width = NormalDist().inv_cdf(1 - LEVEL / 2 / max(1, int(testable.sum()))) * error
    return [
        Judged(delta=d, low=d - w, high=d + w, p_holm=p, verdict=_verdict(d, w, p) if tested else "unclear")
        for d, w, p, tested in zip(delta.tolist(), width.tolist(), p_holm.tolist(), testable.tolist(), strict=True)
    ]


def holm(p: Floats) -> Floats:
    """Step-down adjusted p values, max over j ≤ i of min(1, (m − j + 1) p_(j)), p ascending; reject if ≤ the level."""
    order: NDArray[np.int64] = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.maximum.accumulate(np.minimum(1, p[order] * np.arange(len(p), 0, -1)))
    return adjusted


def _two_sided(delta: float, error: float) -> float:
    if error == 0:
        return 1.0 if delta == 0 else 0.0
    return math.erfc(abs(delta) / error / math.sqrt(2))


def _verdict(delta: float, width: float, p_holm: float) -> Verdict:
    if p_holm <= LEVEL:
        return "gain" if delta > 0 else "loss"
    return "tie" if abs(delta) + width < MARGIN else "unclear"
