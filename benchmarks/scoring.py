"""Scoring whole catalogues: the full ranker beside its arithmetic limit, and the best items by products of vectors.

    python -m benchmarks.scoring [--json] [--quick] [--rounds N] [--threads N]

The full ranker: on a generated market 200 users in every scenario ask for every item of a kind, as `motet evaluate`
ranks them, from the request to the figures of the slates, with a new network of the default's sizes. The limit is the
time of the network's matrix products alone, at the shapes they have on the way, every thread multiplying on its own;
rounds alternate between the two. Products: 20,000 users × 40,000 items of width 64, the 100 best of each user without
50 that are left out. Either is measured in a process of its own.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks import limit
from benchmarks.market import SIZES
from benchmarks.output import options, tell
from benchmarks.prepare import measured
from motet import experiment as stages
from motet import runtime
from motet.batch import Batch, CellOutput
from motet.data.dataset import Dataset
from motet.data.sources.market import Market, write
from motet.evaluate.plan import Evaluate
from motet.evaluate.slates import Model, ranking
from motet.model.ranker import resolve
from motet.scoring.blend import Blend
from motet.scoring.calibrate import Calibration
from motet.scoring.top_k import top_products
from motet.train.run import new_network

USERS = 200
ALL_PAIRS = 1 << 40
QUICK = Market(users=800, goods=600, content=400, impressions=30_000)
WIDTH, ITEMS, BEST, LEFT_OUT = 64, 40_000, 100, 50


@dataclass
class Asked:
    """A ranker that counts the pairs of user and item it is asked about."""

    score_batch: Callable[[Batch], CellOutput]
    pairs: int = 0
    name: str = "motet"

    def score(self, batch: Batch) -> CellOutput:
        self.pairs += batch.item_BC.numel()
        return self.score_batch(batch)


def prepared(folder: Path, *, quick: bool) -> dict[str, Any]:
    """A market in that folder, as `motet prepare` leaves it."""
    market = QUICK if quick else SIZES["medium"]
    config = write(market, folder)
    stages.prepare(stages.read(config), folder, folder / "prepared", force=True)
    return {"impressions": market.impressions}


def ranker(folder: Path, rounds: int, threads: int) -> dict[str, Any]:
    """Pairs a second of the full ranker and of its products alone."""
    data = Dataset.open(folder / "prepared")
    network, layout = new_network(data, resolve({}), 0).eval(), data.layout
    blend = Blend.of(layout.tasks, [scenario.name for scenario in layout.scenarios])
    lines = Calibration.identity(len(layout.scenarios), [task.form for task in layout.tasks])

    def rank(score: Callable[[Batch], CellOutput]) -> int:
        asked = Asked(score)
        model = Model("motet", "motet", lambda: asked, lambda logits, scenario, user: lines.apply(logits, scenario))
        ranking(data, data.rows("test"), [model], blend, Evaluate(ranking_users=USERS, ranking_pairs=ALL_PAIRS))
        return asked.pairs

    torch.set_num_threads(1)
    found = limit.products(lambda: rank(torch.no_grad()(network)))
    pairs = rank(network.score)
    torch.set_num_threads(threads)
    ours, limits, flops = [], [], 0.0
    for _ in range(rounds):
        alone = runtime.in_threads(lambda _: limit.measure(found, pairs, 3), range(threads))
        limits.append(sum(of["rows_per_second"] for of in alone))
        flops = alone[0]["flops_per_row"]
        started = time.perf_counter()
        rank(network.score)
        ours.append(pairs / (time.perf_counter() - started))
    shares = [one / most for one, most in zip(ours, limits, strict=True)]
    return {
        "users": USERS,
        "pairs": pairs,
        "seconds": round(pairs / statistics.median(ours), 3),
        "pairs_per_second": round(statistics.median(ours)),
        "limit": round(statistics.median(limits)),
        "limit_share": round(statistics.median(shares), 3),
        "flops_per_pair": round(flops),
        "gflops_of_limit": round(statistics.median(limits) * flops / 1e9, 1),
        "peak_rss_mb": round(runtime.peak_rss_mb()),
    }


def products(users: int, rounds: int) -> dict[str, Any]:
    """Seconds for the best items of all users."""
    generator = torch.Generator().manual_seed(0)
    user_UD, item_ID = (torch.randn(rows, WIDTH, generator=generator) for rows in (users, ITEMS))
    owner_E = torch.arange(users).repeat_interleave(LEFT_OUT)
    left_out_E = owner_E, torch.randint(ITEMS, (len(owner_E),), generator=generator)
    taken = []
    for _ in range(rounds):
        started = time.perf_counter()
        top_products(user_UD, item_ID, BEST, left_out_E)
        taken.append(time.perf_counter() - started)
    seconds = statistics.median(taken)
    sizes = {"users": users, "items": ITEMS, "width": WIDTH, "best": BEST, "left_out": LEFT_OUT}
    measures = {"seconds": round(seconds, 2), "users_per_second": round(users / seconds)}
    return sizes | measures | {"peak_rss_mb": round(runtime.peak_rss_mb())}


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Every part in a process of its own."""
    options = ["--rounds", str(args.rounds), "--threads", str(args.threads), "--work", str(args.work)]
    options += ["--quick"] if args.quick else []
    found = {}
    for step in ("market", "ranker", "products"):
        found[step], _, _ = measured("benchmarks.scoring", "--step", step, *options)
    threads = args.threads or runtime.cores()
    return {"benchmark": "scoring", **found, "rounds": args.rounds, "threads": threads, "machine": runtime.machine()}


def show(found: dict[str, Any]) -> None:
    full, best = found["ranker"], found["products"]
    print(
        f"full ranker: {full['pairs']:,} pairs in {full['seconds']} s, {full['pairs_per_second']:,} a second, "
        f"{full['limit_share']} of the limit {full['limit']:,}; peak {full['peak_rss_mb']:,} MB\n"
        f"best {best['best']} of {best['items']:,} items for {best['users']:,} users by products of width "
        f"{best['width']}: {best['seconds']} s; peak {best['peak_rss_mb']:,} MB"
    )


def main() -> None:
    parser = options(__doc__, quick="a small market and fewer users, in less than a minute")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=0, help="0: one per core")
    parser.add_argument(
        "--work", type=Path, default=Path("benchmarks/.work/scoring"), help="where the market is written"
    )
    parser.add_argument("--step", choices=["market", "ranker", "products"], help=argparse.SUPPRESS)
    args = parser.parse_args()
    folder = args.work / ("market-quick" if args.quick else "market")
    threads = runtime.use_threads(args.threads)
    match args.step:
        case "market":
            folder.mkdir(parents=True, exist_ok=True)
            print(json.dumps(prepared(folder, quick=args.quick)))
        case "ranker":
            print(json.dumps(ranker(folder, args.rounds, threads)))
        case "products":
            print(json.dumps(products(2_000 if args.quick else 20_000, args.rounds)))
        case _:
            found = run(args)
            tell(found, show, as_json=args.json)


if __name__ == "__main__":
    main()
