"""The page in a real browser: nothing overflows on a phone or a desk, closed or open, light or dark."""

import html as markup
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from sample_report import sample_report

from motet.evaluate.report import render, sentence

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
WIDTHS = (360, 400, 1200)
MEASURE = """
<script>
addEventListener("load", () => {
  const told = [...document.querySelectorAll("iframe")].map((frame) => {
    const page = frame.contentDocument, root = page.documentElement;
    const closed = root.scrollWidth;
    page.querySelectorAll("details").forEach((details) => (details.open = true));
    const style = getComputedStyle.bind(frame.contentWindow);
    return {
      width: root.clientWidth, closed, open: root.scrollWidth, height: root.scrollHeight,
      sentence: page.getElementById("sentence").textContent,
      tiles: page.querySelectorAll(".tile").length,
      hidden: [...page.querySelectorAll(".chart svg")].filter((svg) => svg.getBoundingClientRect().width < 50).length,
      paper: style(page.body).backgroundColor,
      matrix: page.querySelector(".matrix").parentElement.scrollWidth,
    };
  });
  document.getElementById("told").textContent = JSON.stringify(told);
});
</script>
"""


@pytest.fixture(scope="module")
def browser() -> str:
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"no browser: none of {', '.join(BROWSERS)} is installed")
    return found


def measured(browser: str, folder: Path, page: str, *options: str) -> list[dict[str, object]]:
    """What frames of each width say about the page."""
    frames = "".join(f'<iframe width="{w}" height="800" srcdoc="{markup.escape(page)}"></iframe>' for w in WIDTHS)
    outer = folder / "outer.html"
    outer.write_text(f'<!DOCTYPE html><meta charset="utf-8"><pre id="told"></pre>{MEASURE}{frames}', encoding="utf-8")
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
    command += ["--disable-background-networking", "--disable-component-update", "--disable-sync", *options]
    command += [f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=5000", "--dump-dom", outer.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    told = re.search(r'<pre id="told">(.+?)</pre>', done.stdout, re.DOTALL)
    assert told, done.stderr[-2000:]
    found: list[dict[str, object]] = json.loads(markup.unescape(told[1]))
    assert len(found) == len(WIDTHS)
    return found


def test_no_page_overflows_and_the_sentence_stands(browser: str, tmp_path: Path) -> None:
    report = sample_report()
    for frame in measured(browser, tmp_path, render(report)):
        assert frame["closed"] == frame["open"] == frame["width"]
        assert frame["sentence"] == sentence(report)
        assert frame["tiles"] == 15
        assert frame["hidden"] == 0


def test_a_large_matrix_with_long_names_scrolls_inside_its_box(browser: str, tmp_path: Path) -> None:
    scenarios = tuple(f"scenario{i}" * 9 for i in range(30))
    report = sample_report(scenarios, tuple(f"a task with a long name {i} 点赞" for i in range(10)))
    for frame in measured(browser, tmp_path, render(report)):
        assert frame["closed"] == frame["open"] == frame["width"]
        assert frame["tiles"] == 300
    assert frame["matrix"] > 0


def test_the_page_follows_the_dark_scheme(browser: str, tmp_path: Path) -> None:
    page = render(sample_report(("mobile",), ("click", "stars")))
    light = measured(browser, tmp_path, page, "--blink-settings=preferredColorScheme=1")[0]["paper"]
    dark = measured(browser, tmp_path, page, "--blink-settings=preferredColorScheme=0")[0]["paper"]
    assert light == "rgb(255, 255, 255)"
    assert dark == "rgb(18, 23, 30)"
