"""Takes what README.md shows of the demo from a finished one: its output, shortened, and the top of its report.

    motet demo --folder FOLDER && python docs/shots.py FOLDER

Needs chromium for the picture; without it only the text is taken.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path
from typing import Any

from tables import ROOT, rewritten

from motet import api
from motet.data.dataset import Dataset
from motet.serve.pipeline import popular_user
from motet.terminal import out, show, show_slate

WIDTH, HEIGHT = 1120, 960  # of the picture
COLUMNS = 112  # of the text
SCENARIO = "mobile"


def output(folder: Path) -> str:
    """The sentence, both tables, and one user's two slates in one scenario."""
    run = folder / "runs" / "demo"
    report: dict[str, Any] = json.loads((run / "report.json").read_text(encoding="utf-8"))
    user = popular_user(Dataset.open(folder / "prepared"))
    out.width = COLUMNS
    with out.capture() as captured:
        show(report)
        out.print(f"\nSlates for user {user}, one per scenario and kind:")
        for slate in api.recommend(run, user=user, scenarios=[SCENARIO], n=3):
            show_slate(slate)
        out.print("…\n\nThe whole report: motet-demo/runs/demo/report.html")
    lines = [part.rstrip() for line in captured.get().strip("\n").splitlines() for part in _wrapped(line)]
    return "```text\n" + "\n".join(lines) + "\n```"


def _wrapped(line: str) -> list[str]:
    """A sentence in lines; tables fit as they are."""
    return textwrap.wrap(line, COLUMNS) if len(line) > COLUMNS else [line]


def picture(report: Path, target: Path) -> bool:
    """The top of the page as a PNG; False without a browser."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        return False
    with tempfile.TemporaryDirectory() as profile:
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={profile}"]
        options += [f"--window-size={WIDTH},{HEIGHT}", f"--screenshot={target}"]
        subprocess.run([browser, *options, report.resolve().as_uri()], check=True, capture_output=True)
    return True


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder, readme = Path(sys.argv[1]), ROOT / "README.md"
    text = rewritten(readme.read_text(encoding="utf-8"), {"demo": lambda: output(folder)})
    readme.write_text(text, encoding="utf-8")
    drawn = picture(folder / "runs" / "demo" / "report.html", ROOT / "docs" / "report.png")
    print("README.md" + (" and docs/report.png" if drawn else "; no chromium, so no picture"))


if __name__ == "__main__":
    main()
