"""What benchmarks of speed and memory are told, and how they tell what they found."""

import argparse
import json
from collections.abc import Callable
from typing import Any


def options(what: str | None, *, quick: str) -> argparse.ArgumentParser:
    """`--json`, and `--quick` with what it is of this benchmark."""
    parser = argparse.ArgumentParser(description=what, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object only")
    parser.add_argument("--quick", action="store_true", help=quick)
    return parser


def tell(found: dict[str, Any], show: Callable[[dict[str, Any]], None], *, as_json: bool) -> None:
    """One JSON object, or lines that `show` prints."""
    if as_json:
        print(json.dumps(found))
    else:
        show(found)
