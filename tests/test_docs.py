"""The pages say what is true: generated blocks, links, commands, TOML, Python and the reference of keys."""

import re
import shlex
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import is_dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import polars as pl
import pytest
import typer
from contracts.ranker_contract import RankerContract
from contracts.toy import Toy

import motet
from motet import experiment
from motet.baselines import BASELINES
from motet.batch import Ranker
from motet.cli import app
from motet.data.sources import READERS
from motet.errors import InputError
from motet.evaluate.words import number
from motet.model.ranker import resolve
from motet.settings import parse

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "docs"))
import quality  # noqa: E402
import reference  # noqa: E402
import tables  # noqa: E402

PAGES = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in tables.pages()}
FENCE = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
COMMAND = typer.main.get_command(app)
SMALLEST: dict[str, Any] = {
    "tables": {"impressions": "log.csv"},
    "columns": {"user": "user_id", "item": "item_id"},
    "tasks": [{"name": name, "label": name} for name in ("click", "purchase", "bought")],
}


def fences(language: str) -> list[tuple[str, str]]:
    """(page, text) of every block in that language, without its indentation."""
    return [
        (page, re.sub(rf"^{indent}", "", body, flags=re.MULTILINE))
        for page, text in PAGES.items()
        for indent, told, body in FENCE.findall(text)
        if told == language
    ]


def commands() -> Iterator[tuple[str, str]]:
    """(page, command) in shell blocks and in code between backticks, comments cut off."""
    for page, body in fences("sh"):
        for line in body.splitlines():
            yield page, re.split(r"\s#|\s[|>&]", line)[0].strip()
    for page, text in PAGES.items():
        for code in re.findall(r"`([^`\n]+)`", FENCE.sub("", text)):
            if re.match(r"(motet|make|python) [\w.-]", code):
                yield page, code


COMMANDS = [(page, line) for page, line in commands() if line]
MOTET = sorted({(page, line) for page, line in COMMANDS if line.startswith("motet ")})


# Generated blocks.


def test_every_block_is_as_the_results_and_the_code_say() -> None:
    makers = tables.blocks()
    stale = [page for page, text in PAGES.items() if tables.rewritten(text, makers) != text]
    assert not stale, f"run `python docs/tables.py`; out of date: {stale}"


def test_every_block_has_a_maker_and_every_maker_a_block() -> None:
    named = [name for text in PAGES.values() for name in re.findall(r"<!-- table:([\w-]+) -->", text)]
    closed = [name for text in PAGES.values() for name in re.findall(r"<!-- /table:([\w-]+) -->", text)]
    assert named == closed
    assert sorted(named) == sorted([*tables.blocks(), "demo"])


def test_results_that_are_there_are_whole() -> None:
    for name, found in tables.results().items():
        assert found["benchmark"] == name
        assert tables.number(found["macro_auc"]) in tables.overview({name: found})


RESULT: dict[str, Any] = {
    "benchmark": "kuairand",
    "split": "valid",
    "seeds": 3,
    "rows": 4183,
    "macro_auc": 0.8004,
    "macro_ne": 0.8,
    "baselines": {"popularity": 0.7, "logistic": 0.8124},
    "controls": {"solo": 0.79, "pooled": 0.9},
    "baselines_ne": {"popularity": 0.99},
    "presets": {"ple": 0.78},
    "verdicts": {"gain": 1, "tie": 2, "loss": 1, "unclear": 12},
    "cells": [
        {"scenario": "night", "task": "click", "verdict": "loss", "metric": "auc", "value": 0.7, "low": 0.6,
         "high": 0.8, "delta": -0.02},
        {"scenario": "night", "task": "like", "verdict": None, "metric": "auc", "value": None, "low": None,
         "high": None, "delta": None},
    ],
    "machine": {"cores": 2},
    "seconds": 200.4,
}  # fmt: skip


def test_a_baseline_that_is_ahead_is_said_and_controls_are_no_baselines() -> None:
    said = tables.standing("kuairand", RESULT)
    assert f"0.800 is **not** above the best baseline's 0.812 ({BASELINES['logistic'].label})" in said
    assert "a loss against solo in night × click" in said
    assert "4,183 rows, 3 seeds" in said


def test_what_looks_equal_is_called_equal_and_what_is_above_above() -> None:
    equal = RESULT | {"baselines": {"logistic": 0.80041}, "cells": []}
    assert "is equal to" in tables.standing("kuairand", equal)
    assert "is above the best baseline" in tables.standing("kuairand", equal | {"macro_auc": 0.81})
    assert "no cell is a loss" in tables.standing("kuairand", equal)


def test_the_overview_has_a_column_for_each_result_and_marks_the_best() -> None:
    shown = tables.overview({"kuairand": RESULT, "market": RESULT | {"informed_share": 0.81, "presets": {}}})
    assert "| macro AUC | kuairand | market |" in shown
    assert "| pooled: the scenario is a feature only | **0.900** | **0.900** |" in shown
    assert "| preset `ple` | 0.780 | – |" in shown
    assert "| cells: gain, tie, unclear, loss | 1, 2, 12, 1 | 1, 2, 12, 1 |" in shown
    assert shown.count("of the way from the base rate to the informed oracle") == 1


def test_a_benchmarks_own_table_shows_models_from_best_to_worst_and_cells_without_a_verdict() -> None:
    shown = tables.detail("kuairand", {"kuairand": RESULT})
    order = [shown.index(label) for label in ("pooled:", "Logistic", "the default", "solo:", "preset", "Popularity")]
    assert order == sorted(order)
    assert "| night × like | auc | – | – to – | – | – |" in shown
    assert tables.detail("market", {"kuairand": RESULT}) == tables.NOT_YET


def test_rankings_are_shown_by_scenario_and_model() -> None:
    figures = {"scenario": "Toys", "items": 11924, "users": 1412, "hit@10": 0.09018, "ndcg@10": 0.0556757, "mrr": 0.045}
    none = dict.fromkeys(("hit@10", "ndcg@10", "mrr"))
    found = {
        "split": "test", "machine": {"cores": 2}, "threads": 1, "trainings": [{"seconds": 85.8, "epochs": 12.0}],
        "ranking": [
            figures | {"model": "item-knn", "std": none},
            figures | {"model": "next-item", "std": {"hit@10": 0.001, "ndcg@10": 0.002, "mrr": 0.0031}},
        ],
        "published": [{"model": "SASRec", "scenario": "Toys", "recall@10": 0.0675, "ndcg@10": 0.0374}],
    }  # fmt: skip
    shown = tables.rankings(found)
    assert f"| Toys | {BASELINES['item-knn'].label} | 0.0902 | 0.0557 | 0.0450 |" in shown
    assert "| Toys | **Motet, next item** | 0.0902 ± 0.0010 | 0.0557 ± 0.0020 | 0.0450 ± 0.0031 |" in shown
    assert "| Toys | published: SASRec | 0.0675 | 0.0374 | – |" in shown
    assert "reaches 134 % of recall@10 and 149 % of ndcg@10 in Toys." in shown
    assert "Toys 1,412 and 11,924." in shown
    assert "with 1 thread: 12 epochs in 86 s; cores 2." in shown
    assert tables.rankings(None) == tables.NOT_YET


def fair(model: str, auc: float, **changes: Any) -> dict[str, Any]:
    """A row of the fair table."""
    verdicts = {"gain": 1, "tie": 2, "loss": 0, "unclear": 1}
    row = {"model": model, "group": "preset", "package": None, "macro_auc": auc, "std": 0.002, "log_loss": 0.41,
           "behind_default": {"mean": 0.8 - auc, "low": 0.79 - auc, "high": 0.81 - auc}, "macro_auc_all_tasks": 0.84,
           "ece": 0.03, "cells": [4], "informed_share": None, "verdicts": verdicts, "seconds": 8.0, "peak_rss_mb": 410,
           "by_window": [{"verdicts": verdicts}], "matrix": []}  # fmt: skip
    return row | changes


CELL = {"scenario": "night", "task": "click", "metric": "auc", "value": 0.81, "std": 0.01, "delta": -0.004,
        "verdicts": ["tie", "unclear"]}  # fmt: skip
FAIR: dict[str, Any] = {
    "table": [
        fair("torch-rechub/esmm", 0.9, group="peer", package="torch-rechub 0.9.0", cells=[2]),
        fair("motet", 0.8, behind_default=None, matrix=[CELL]),
        fair("boosting", 0.795, group="baseline", package="lightgbm 4", verdicts=None),
        fair("pooled", 0.7, group="control"),
    ],
    "split": "valid", "split_by": "time", "seeds": 3, "windows": [{"share": 0.9, "judged": 4170}],
    "macro_tasks": ["click"], "budget": "two settings", "stopping": "early", "inputs": "ids", "failed": [],
    "peers_from": None, "conflict_cell": None, "machine": {"cores": 2}, "seconds": 100.0,
}  # fmt: skip


def test_the_fair_table_marks_models_of_some_cells_and_does_not_compare_the_default_with_them() -> None:
    shown = quality.table(FAIR)
    assert "| torch-rechub 0.9.0: esmm (2 of 4 cells) | 0.9000 |" in shown
    assert "| **Motet, the default** | 0.8000 | 0.0020 | – | 0.4100 | 0.0300 | 1, 2, 1, 0 | 8.0 | 410 |" in shown
    assert "The default is above all 2 others; beyond chance above 1 of 2" in shown
    assert "75 % of 4 cells are a gain or a tie" in shown
    assert "90 % of the log, 4,170 rows judged" in shown
    assert "| night × click | auc | 0.810 | 0.010 | −0.004 | tie, unclear |" in shown


def test_the_fair_table_says_who_is_above_the_default_and_how_far_the_oracle_is() -> None:
    rows = [fair("ple", 0.81, informed_share=0.9), fair("motet", 0.8, informed_share=0.85, behind_default=None)]
    shown = quality.table(FAIR | {"table": rows, "failed": ["fuxictr/mmoe"], "peers_from": "make bench-peers"})
    assert "Above the default: preset `ple`" in shown
    assert "85 % of the way to the informed oracle on the macro ne, the best other 90 % (preset `ple`)" in shown
    assert "Failed: fuxictr/mmoe." in shown
    assert "Without other packages (`make bench-peers`)" in shown


# Links.


def anchors(text: str) -> set[str]:
    """The anchors that headings make on a repository's pages."""
    heads = re.findall(r"^#+ (.+)$", FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).strip().replace(" ", "-") for head in heads}


def links() -> list[tuple[str, str]]:
    found = [
        (page, link) for page, text in PAGES.items() for link in re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", text))
    ]
    return sorted({(page, link) for page, link in found if not re.match(r"[a-z]+:", link)})


@pytest.mark.parametrize(("page", "link"), links())
def test_links_and_anchors_lead_somewhere(page: str, link: str) -> None:
    path, _, anchor = link.partition("#")
    target = (ROOT / page).parent / path if path else ROOT / page
    assert target.exists(), f"{page} links to {path}, which is not there"
    if anchor:
        assert anchor in anchors(target.read_text(encoding="utf-8")), f"{page}: {path} has no heading #{anchor}"


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached, left = set(), ["README.md"]
    while left:
        page = left.pop()
        if page not in reached:
            reached.add(page)
            targets = [((ROOT / page).parent / link.partition("#")[0]).resolve() for at, link in links() if at == page]
            left += [t.relative_to(ROOT).as_posix() for t in targets if t.suffix == ".md" and t.is_file()]
    assert set(PAGES) <= reached


# Commands.


@pytest.mark.parametrize(("page", "line"), MOTET)
def test_motets_commands_exist_with_those_options(page: str, line: str) -> None:
    name, *given = shlex.split(line)[1:]
    if name.startswith("-"):
        assert name in {"--help", "--version"}
        return
    assert name in COMMAND.commands, f"{page} shows `motet {name}`"
    command = COMMAND.commands[name]
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    assert {word for word in given if word.startswith("-")} <= known, f"{page}: {line}"
    if given:
        command.make_context(name, given)


def test_other_commands_exist() -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    shared = "".join((ROOT / "benchmarks" / f"{name}.py").read_text("utf-8") for name in ("common", "output", "judged"))
    for page, line in COMMANDS:
        match shlex.split(line):
            case ["make", target, *_]:
                assert target in targets, f"{page}: {line}"
            case ["python", "-m", module, *given]:
                path = ROOT / f"{module.replace('.', '/')}.py"
                assert path.exists(), f"{page}: {line}"
                options = shared + path.read_text(encoding="utf-8")
                assert all(f'"{word}"' in options for word in given if word.startswith("--")), f"{page}: {line}"
            case ["python", script, *_]:
                assert (ROOT / script).exists(), f"{page}: {line}"
            case [program, *_]:
                assert program in {"motet", "pip"}, f"{page}: {line}"


def test_the_pages_show_every_command() -> None:
    assert set(COMMAND.commands) <= {shlex.split(line)[1] for _, line in MOTET}


# TOML and the reference of keys.


@pytest.mark.parametrize(("page", "body"), fences("toml"))
def test_toml_blocks_parse_against_the_schema(page: str, body: str) -> None:
    given = tomllib.loads(body)
    named = {task["name"] for task in given.get("tasks", [])}
    tasks = [task for task in SMALLEST["tasks"] if task["name"] not in named] + given.get("tasks", [])
    tables_ = SMALLEST["tables"] | given.get("tables", {})
    checked = parse(experiment.Experiment, SMALLEST | given | {"tasks": tasks, "tables": tables_})
    resolve(checked.model)


def test_a_wrong_key_in_a_page_would_be_found() -> None:
    with pytest.raises(InputError, match="lable"):
        test_toml_blocks_parse_against_the_schema("x", '[[tasks]]\nname = "a"\nlable = "a"')


def test_the_reference_lists_exactly_the_keys_of_the_file() -> None:
    schema = experiment.json_schema()
    listed: dict[str, set[str]] = {}
    for section in re.split(r"^## ", PAGES["docs/schema.md"], flags=re.MULTILINE)[1:]:
        listed[section.split("\n", 1)[0]] = set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE))
    classes = {key: cls for _, key, cls in reference.SECTIONS}
    keys = {name: set(found["properties"]) for name, found in schema["$defs"].items()}
    assert {key.split(".")[0] for key in listed} == set(schema["properties"])
    assert listed.pop("model") == set(schema["properties"]["model"]["properties"])
    assert listed.pop("blend") == set()
    for key, found in listed.items():
        assert found == keys[classes[key].__name__], key
    assert set(keys) == {cls.__name__ for key, cls in classes.items() if key != "model"} | {
        "FeatureTable", "Baselines", "Range"
    }  # fmt: skip


def test_every_key_is_explained_in_one_place_only() -> None:
    for _, key, cls in reference.SECTIONS:
        assert is_dataclass(cls)
        said = reference.comments(cls)
        for name in cls.__dataclass_fields__:
            assert (name in said) != ((key, name) in reference.UNCOMMENTED), f"{key}.{name}"
    fields = {(key, name) for _, key, cls in reference.SECTIONS for name in cls.__dataclass_fields__}
    assert set(reference.UNCOMMENTED) <= fields


# Python in the pages.


def module(page: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The page's Python as a module."""
    made = ModuleType(f"page_{Path(page).stem.replace('-', '_')}")
    monkeypatch.setitem(sys.modules, made.__name__, made)
    for where, body in fences("python"):
        if where == page:
            exec(compile(body, page, "exec"), made.__dict__)
    return made


@pytest.mark.parametrize("page", sorted({page for page, _ in fences("python")}))
def test_python_in_the_pages_runs(page: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    module(page, monkeypatch)


class TestTheBaselineOfTheGuide(RankerContract):
    def make(self, data: Toy) -> Ranker:
        with pytest.MonkeyPatch.context() as monkeypatch:
            baseline: Ranker = module("docs/add-a-baseline.md", monkeypatch).Generosity.fit(data)
        return baseline


def test_the_guide_to_a_new_model_shows_a_scheme_that_is_there_whole_and_its_whole_battery() -> None:
    (shown,) = [body for page, body in fences("python") if page == "docs/add-a-model.md"]
    assert shown == (ROOT / "motet/model/m3oe.py").read_text(encoding="utf-8")
    assert shown.count("\n") <= 100
    (battery,) = [body for page, body in fences("text") if page == "docs/add-a-model.md"]
    assert battery in (ROOT / "tests/model/test_schemes.py").read_text(encoding="utf-8")
    assert battery.count("\n") <= 6


def test_the_reader_of_the_guide_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(READERS, "plays", module("docs/add-a-dataset.md", monkeypatch).READER)
    rows = 400
    log = {
        "listener": [f"u{i % 20}" for i in range(rows)],
        "song": [f"s{i % 7}" for i in range(rows)],
        "artist": [f"a{i % 7 // 2}" for i in range(rows)],
        "device": [("phone", "speaker")[i % 2] for i in range(rows)],
        "time": [1_700_000_000 + 60 * i for i in range(rows)],
        "seconds": [(i * 37) % 61 for i in range(rows)],
    }
    (tmp_path / "data").mkdir()
    pl.DataFrame(log).write_csv(tmp_path / "data" / "plays_2024.csv")
    motet.init(tmp_path / "data", tmp_path / "motet.toml", reader="plays")
    found = motet.check(tmp_path / "motet.toml")
    assert (found["users"], found["items"], sorted(found["scenarios"])) == (20, 7, ["phone", "speaker"])
    assert found["rows"]["train"] > 300


# The worked example of a verdict.


def test_the_table_of_the_worked_example_is_what_the_verdict_says() -> None:
    from motet.evaluate.verdict import judge

    rows = re.findall(r"^\| (\w+ × \w+) \| ([+−][\d.]+) \| ([\d.]+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \| (\w+)",
                      PAGES["docs/concepts.md"], re.MULTILINE)  # fmt: skip
    assert len(rows) == 5
    deltas, errors = [float(row[1].replace("−", "-")) for row in rows], [float(row[2]) for row in rows]
    judged = judge(deltas, errors, [row[3].strip() != "–" for row in rows])
    for row, found in zip(rows, judged, strict=True):
        assert found.verdict == row[6]
        if row[3].strip() != "–":
            shown = "< 0.001" if found.p_holm < 0.001 else number(found.p_holm)
            assert row[4].strip() == shown
            ends = [float(end.replace("−", "-")) for end in row[5].strip().split(" to ")]
            assert ends == [pytest.approx(found.low, abs=6e-4), pytest.approx(found.high, abs=6e-4)]


# The picture.


def test_pictures_are_small_and_draw_nothing_from_elsewhere() -> None:
    for path in (ROOT / "docs").glob("*.png"):
        assert path.stat().st_size < 300_000, path.name
    for path in (ROOT / "docs").glob("*.svg"):
        told = path.read_text(encoding="utf-8")
        assert not re.search(r"<script|<image|href=", told), path.name
