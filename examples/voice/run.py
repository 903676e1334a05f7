"""Answers to spoken requests: from nothing to the matrix of cells and what is answered to two intents."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import motet
from motet.data.sources.worlds import Size, write
from motet.serve.pipeline import popular_user
from motet.terminal import out, show, show_slate, steps

HERE = Path(__file__).resolve().parent


def main(size: Size | None = None, changes: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Each step uses what is there already; the report comes back."""
    write("voice", HERE / "data", size)
    config, prepared, run_folder = HERE / "motet.toml", HERE / "prepared", HERE / "runs" / "joint"
    with steps() as say:
        motet.prepare(config, prepared, changes=changes, say=say)
        run = motet.train(config, run_folder, prepared=prepared, changes=changes, say=say, progress=say.training)
        report = motet.evaluate(run, say=say)
    show(report)
    for intent in ("play something", "get me there"):
        out.print(f"\n[bold]{intent}[/]")
        for slate in motet.recommend(run, user=popular_user(run.data), context={"intent": intent}):
            show_slate(slate)
    return report


if __name__ == "__main__":
    main()
