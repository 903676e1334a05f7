"""The HTML report: complete, self-contained, and safe with any name and any missing number."""

import copy
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from sample_report import sample_report

from motet.evaluate import report as report_module
from motet.evaluate.report import render, sentence

VOID = {"meta", "br", "hr", "img", "input", "link"}
HOSTILE = "<script>alert(1)</script>"


class Page(HTMLParser):
    """Every tag, attribute and text; raises where tags do not close in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(html)
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def having(self, name: str) -> list[str]:
        """All values of one attribute."""
        return [value for _, attributes in self.tags if (value := attributes.get(name)) is not None]


@pytest.fixture(scope="module")
def html() -> str:
    return render(sample_report())


def numbers(value: Any) -> Iterator[tuple[Any, Any]]:
    """(container, key) of every number in a nested report."""
    for key, item in list(value.items() if isinstance(value, dict) else enumerate(value)):
        if isinstance(item, dict | list):
            yield from numbers(item)
        elif isinstance(item, int | float) and not isinstance(item, bool):
            yield value, key


def test_the_page_loads_and_runs_nothing(html: str) -> None:
    page = Page(html)
    assert not {"script", "link", "iframe", "img", "object", "embed", "base", "form"} & {tag for tag, _ in page.tags}
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    assert all(address.startswith("#") for address in page.having("href"))
    assert not page.having("src")
    assert set(re.findall(r"https?://[^\s\"'<)]+", html)) <= {"http://www.w3.org/2000/svg"}
    assert "url(" not in html
    assert "@import" not in html
    assert any("default-src 'none'" in content for content in page.having("content"))


def test_the_sections_stand_in_reading_order_behind_the_sentence(html: str) -> None:
    ids = [
        "sentence",
        "cells",
        "compare",
        "ceiling",
        "fusion",
        "calibration",
        "learning",
        "ranking",
        "slices",
        "importance",
        "drift",
        "data",
        "run",
        "glossary",
    ]
    places = [html.index(f'id="{name}"') for name in ids]
    assert places == sorted(places)
    assert sentence(sample_report()) in Page(html).text
    assert {address[1:] for address in Page(html).having("href")} <= set(Page(html).having("id"))


def test_each_cell_has_its_verdict_as_a_word_a_sign_and_a_colour(html: str) -> None:
    report = sample_report()
    matrix = html[html.index('<table class="matrix') : html.index("</table>")]
    for verdict, sign in {"gain": "+", "loss": "−", "tie": "=", "unclear": "?"}.items():
        expected = report["verdicts"][verdict]
        assert matrix.count(f'<span class="badge {verdict}">{sign} {verdict}</span>') == expected > 0
        assert matrix.count(f'<div class="tile {"hatch" if verdict == "unclear" else verdict}"') == expected


def test_a_cell_shows_value_intervals_and_everything_else_on_hover() -> None:
    report = sample_report(("mobile",), ("click", "stars"))
    report["cells"][0] |= {
        "value": 0.7424, "low": 0.731, "high": 0.753, "solo": 0.731, "delta": 0.0114, "delta_low": 0.004,
        "delta_high": 0.0188, "p_holm": 0.0002, "verdict": "gain", "rows": 1200, "users": 321, "positives": 99,
    }  # fmt: skip
    page = Page(render(report))
    assert "0.742 + gain [0.731, 0.753] Δ +0.011 [+0.004, +0.019]" in page.text
    tooltip = next(title for title in page.having("title") if title.startswith("mobile × click"))
    assert "solo 0.731" in tooltip
    assert "p (Holm) <0.001" in tooltip
    assert "1,200 rows, 321 users, 99 positives" in tooltip


def test_a_pair_that_is_not_offered_and_a_cell_per_kind_both_have_a_place() -> None:
    report = sample_report(("mobile", "voice"), ("click", "like"))
    voice_like = report["cells"].pop()
    report["cells"][0] |= {"kind": "goods"}
    report["cells"].insert(1, {**report["cells"][0], "kind": "content", "value": 0.6543})
    page = render(report)
    assert f"{voice_like['scenario']} does not offer like" in page
    assert "goods" in page
    assert "0.654" in page


def test_where_a_baseline_is_above_this_run_is_counted_and_marked() -> None:
    report = sample_report(("mobile",), ("click", "stars"))
    report["cells"][0]["value"], report["cells"][1]["value"] = 0.70, 0.10
    cells = [{"scenario": "mobile", "task": task, "value": v} for task, v in (("click", 0.71), ("stars", 0.05))]
    macro = {"auc": 0.7, "ne": 0.9}
    report["baselines"] = [{"name": "b", "label": "boosting", "macro": macro, "seconds": 1.0, "cells": cells}]
    page = Page(render(report))
    assert re.search(r"boosting baseline 0\.700 – – 0\.900 – – 1 of 2 1\.0 s", page.text)
    assert "▲\u00a00.710" in " ".join(page.texts)
    assert "▲\u00a00.050" not in " ".join(page.texts)


def test_the_way_to_the_ceiling_is_shared_only_when_there_is_one(html: str) -> None:
    assert "to the informed oracle motet 86 % one model per cell 74 %" in Page(html).text
    assert 'id="ceiling"' not in render({**sample_report(("a",), ("b", "c")), "references": []})


def test_one_seed_and_no_solo_are_said_on_the_page() -> None:
    report = sample_report(("mobile",), ("click", "stars"), seeds=1)
    assert "One seed:" in render(report)
    bare = {"delta": None, "delta_low": None, "delta_high": None, "solo": None, "p_holm": None, "verdict": None}
    report["cells"] = [{**cell, **bare} for cell in report["cells"]]
    report |= {"controls": [], "verdicts": dict.fromkeys(report["verdicts"], 0)}
    assert "there are no verdicts" in render(report)


def test_weights_of_voices_and_weights_of_kinds_are_explained_as_what_they_are(html: str) -> None:
    report = sample_report()
    for entry in report["fusion"]:
        entry["weights"] = {"goods": 0.25, "content": 0.75}
    page = render(report)
    assert ("a network of its own" in page, "a network of its own" in html) == (True, False)
    assert ("what all cells share" in page, "what all cells share" in html) == (False, True)
    assert 'aria-label="goods 0.25, content 0.75"' in page


def test_importance_lists_groups_by_worth_and_marks_what_is_sure() -> None:
    report = sample_report(("mobile", "voice"), ("click", "stars"))
    cell = report["importance"]["cells"][0]
    cell["value"] = 0.742
    next(e for e in cell["losses"] if e["group"] == "price").update(loss=0.0217, low=0.0111, high=0.0323)
    html = render(report)
    section = html[html.index('<section id="importance"') : html.index('<section id="drift"')]
    text = Page(section).text
    places = [
        section.index(f'scope="row">{name}<') for name in ("history", "counts of item", "price", "age", "user_id")
    ]
    assert places == sorted(places)
    assert "AUC 0.742 loses +0.022 [+0.011, +0.032]" in section
    assert re.search(r'class="best" style="--s:\d+%"[^>]*>\+0\.022<', section)
    assert "on 2,500 judged rows" in text
    nothing = re.search(r'scope="row">user_id<.*?</tr>', section, re.DOTALL)
    assert nothing
    assert 'class="best"' not in nothing[0]
    assert nothing[0].count("<td") == 1 + 4 + 4  # of; macro and interval of two metrics; four cells, one of them null
    assert ">–</td>" in nothing[0]


def test_drift_flags_what_shifted_and_keeps_running_counts_apart() -> None:
    html = render(sample_report(("mobile",), ("click", "stars")))
    section = html[html.index('<section id="drift"') : html.index('<section id="data"')]
    text = Page(section).text
    assert re.search(r"price item large shift 0\.410", text)
    assert re.search(r"age item – 0\.010", text)
    assert re.search(r"item_id item some shift 0\.120 0\.004 – – 0 % 11 % 10 %", text)
    assert (
        text.index("item_id") < text.index("Running counts, which grow with the log") < text.index("item: impressions")
    )
    assert re.search(r"mobile × click moved 0\.100 0\.200 <0\.001", text)


def test_a_report_without_importance_and_drift_says_so() -> None:
    page = Page(render({**sample_report(("a",), ("b", "c")), "importance": None, "drift": None}))
    assert "– No inputs were shuffled." in page.text


def test_hostile_and_foreign_names_are_text_everywhere() -> None:
    names = (HOSTILE, '"><img src=x onerror=alert(1)>', "手机应用", "{{ 7 * 7 }}", "</style><b>")
    report = sample_report(names, (HOSTILE, "点赞", "' onmouseover='alert(1)"))
    report |= {"title": HOSTILE, "run": HOSTILE, "machine": {HOSTILE: HOSTILE}, "folder": HOSTILE, "preset": HOSTILE}
    report["data"]["warnings"] = report["data"]["warnings"] + [HOSTILE]
    report["baselines"][0]["label"] = HOSTILE
    report["importance"]["macro"][0]["group"] = report["importance"]["cells"][0]["losses"][0]["group"] = HOSTILE
    report["drift"]["features"][0]["feature"] = HOSTILE
    page = Page(render(report))
    assert not {"script", "img"} & {tag for tag, _ in page.tags}
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    for name in names:
        assert name in page.text
    assert "点赞" in page.text


@pytest.mark.parametrize("key", sorted(sample_report(("a",), ("b", "c"))))
def test_any_part_may_be_absent_null_or_empty(key: str) -> None:
    report = sample_report(("a",), ("b", "c"))
    empty = type(report[key])()
    for changed in ({k: v for k, v in report.items() if k != key}, {**report, key: None}, {**report, key: empty}):
        text = Page(render(changed)).text
        assert "None" not in text
        assert "Undefined" not in text


def test_an_empty_report_is_a_page_of_dashes() -> None:
    text = Page(render({})).text
    assert "– No cells were evaluated." in text
    assert "None" not in text


@settings(max_examples=12, deadline=None, phases=(Phase.explicit, Phase.generate))
@given(st.integers(0, 10**6), st.sampled_from([None, float("nan"), float("inf"), 0, -1.0, 1e300, 1e-300]))
def test_any_number_may_be_null_or_absurd(seed: int, value: float | None) -> None:
    report, lots = sample_report(("a", "b"), ("c", "d")), Random(seed)
    for container, key in numbers(report):
        if lots.random() < 0.5:
            container[key] = value
    text = Page(render(report)).text
    assert not re.search(r"\b(None|nan|NaN|inf|Infinity)\b", text)


def test_each_scenario_and_kind_ranks_the_model_beside_the_baselines_and_marks_the_best() -> None:
    report = sample_report(("a", "b"), ("c", "d"))
    for ours, theirs in zip(report["ranking"], report["ranking_baselines"], strict=True):
        ours |= {"ndcg@10": 0.25, "coverage@10": 0.75}
        theirs |= {"ndcg@10": 0.5, "coverage@10": 0.5}
    report["ranking_baselines"][1]["ndcg@10"] = 0.125
    html = render(report)
    table = html[html.index('id="ranking"') : html.index('id="slices"')]
    parts = [part.split("</tbody>")[0] for part in table.split("<tbody>")[1:]]
    groups = [Page(part).text for part in parts]
    assert groups[0].startswith("mean of all below motet 0.250")
    assert groups[1].startswith("a · goods: relevant is purchase, 412 users motet 0.250")
    assert ["Popularity, counted 0.500" in group for group in groups] == [False, True, False, True, True]
    best = [re.search(r'motet</th><td( class="best")?>', part) for part in parts]
    assert [bool(found and found[1]) for found in best] == [False, False, True, False, False]
    assert not any('<td class="best">0.750' in part for part in parts)  # coverage only describes


def test_a_report_from_json_looks_the_same() -> None:
    report = sample_report(("a",), ("b", "c"))
    before = copy.deepcopy(report)
    assert render(json.loads(json.dumps(report))) == render(report)
    assert report == before


def test_a_large_matrix_is_compact_and_keeps_every_cell() -> None:
    scenarios, tasks = tuple(f"scenario {i} 场景" for i in range(30)), tuple(f"task {i}" for i in range(10))
    page = render(sample_report(scenarios, tasks))
    assert '<table class="matrix compact">' in page
    assert page.count('<div class="tile ') == 300
    assert "The first 24 of 270 cells" in page
    assert "All 5 groups in the first 60 of 300 cells" in page
    assert len(page) < 2_000_000


def test_tables_are_accessible(html: str) -> None:
    page = Page(html)
    assert {attributes.get("scope") for tag, attributes in page.tags if tag == "th"} == {"col", "row", "rowgroup"}
    assert all(a.get("aria-label") or a.get("aria-hidden") for tag, a in page.tags if tag == "svg")
    boxes = [a for tag, a in page.tags if tag == "div" and str(a.get("class")).startswith("box")]
    assert boxes
    assert all(a["tabindex"] == "0" and a["role"] == "region" and a["aria-label"] for a in boxes)
    assert len(page.having("id")) == len(set(page.having("id")))


def test_what_cleaning_removed_stands_apart_from_what_it_hid_and_what_it_kept() -> None:
    report = sample_report()
    kept = {"rule": "unknown users", "rows": 9, "why": "no row in the users table", "effect": "kept"}
    report["data"]["removed"].append(kept)
    text = Page(render(report)).text
    parts = [
        *("Rows removed: 2 rules", "exact duplicates 214", "missing keys 37"),
        *("Values made missing, rows kept: 1 rule", "label out of range 3"),
        *("Kept as it is: 1 rule", "unknown users 9", "Positives in the train split"),
    ]
    places = [text.index(part) for part in parts]
    assert places == sorted(places)
    report["data"]["removed"] = [kept]
    alone = Page(render(report)).text
    assert "Kept as it is: 1 rule" in alone
    assert "Rows removed:" not in alone


def test_a_page_is_rendered_within_three_seconds_of_work_and_only_then_draws() -> None:
    code = (
        "import sys, time\n"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from motet.evaluate.report import render\n"
        "assert not {'altair', 'vl_convert', 'torch'} & set(sys.modules), 'imported before it is needed'\n"
        "from sample_report import sample_report\n"
        "report = sample_report()\n"
        "start = time.process_time()\n"
        "render(report)\n"
        "print(time.process_time() - start)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert float(done.stdout) < 3
    assert done.stderr == ""


def test_template_and_style_travel_with_the_package() -> None:
    folder = Path(report_module.__file__).parent
    assert {"report.html.jinja", "report.css"} <= {file.name for file in folder.iterdir()}
