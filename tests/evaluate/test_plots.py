"""Charts as inline SVG."""

import re
from xml.etree import ElementTree

from sample_report import sample_report

from motet.evaluate import plots

HOSTILE = "<script>alert('1')</script>&\"手机"


def models() -> list[dict[str, object]]:
    report = sample_report()
    ours = {"label": "motet", "group": "this run", "macro": report["macro"]}
    return [ours, *({"label": m["label"], "group": "baseline", "macro": m["macro"]} for m in report["baselines"])]


def test_a_chart_is_xml_with_one_accessible_name_and_no_outside_address() -> None:
    svg = plots.comparison(models(), "auc", "macro AUC")
    root = ElementTree.fromstring(svg)
    assert root.get("role") == "img"
    assert root.get("aria-label", "").startswith("macro AUC, best first: motet 0.742; gradient boosting 0.735")
    assert not re.search(r"(?:href|src)=", svg)
    assert set(re.findall(r"https?://[^\"' ]+", svg)) <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}


def test_lower_is_better_for_ne_and_a_bad_model_does_not_squeeze_the_rest() -> None:
    label = ElementTree.fromstring(plots.comparison(models(), "ne", "macro NE")).get("aria-label", "")
    assert label.index("motet") < label.index("gradient boosting") < label.index("item k-nearest neighbours 1.430 →")


def test_models_without_the_metric_are_left_out_and_none_at_all_is_no_chart() -> None:
    some = [*models()[:2], {"label": "absent", "group": "preset", "macro": {"auc": None}}]
    assert "absent" not in plots.comparison(some, "auc", "x")
    assert plots.comparison(some[2:], "auc", "x") == ""
    assert plots.learning([]) == plots.learning([{"epoch": None, "split": "train", "ne": 1.0}]) == ""
    assert plots.calibrations([{"scenario": "a", "task": "b", "curve": []}]) == []


def test_importance_shows_the_most_valuable_first_with_intervals_where_there_are_any() -> None:
    macro = [g for g in sample_report()["importance"]["macro"] if g["metric"] == "auc"]
    svg = plots.importance(macro, "AUC lost")
    label = ElementTree.fromstring(svg).get("aria-label", "")
    assert label.startswith("AUC lost, largest first: history 0.04")
    assert label.index("history") < label.index("counts of item") < label.index("user_id")
    bare = plots.importance([{**g, "low": None, "high": None} for g in macro], "AUC lost")
    assert bare.count("<path") < svg.count("<path") or bare.count("<line") < svg.count("<line")
    many = plots.importance([{"group": f"g{i}", "loss": i / 100} for i in range(99)], "x")
    assert ("g98" in many, "g79" in many, "g78" in many) == (True, True, False)
    assert plots.importance([{"group": "a", "loss": None}], "x") == plots.importance([], "x") == ""


def test_hostile_names_stay_text() -> None:
    curve = [{"probability": 0.1, "observed": 0.2, "rows": 5}]
    (calibration,) = plots.calibrations([{"scenario": HOSTILE, "task": HOSTILE, "curve": curve}])
    worth = plots.importance([{"group": HOSTILE, "loss": 0.1, "low": 0.0, "high": 0.2}], HOSTILE)
    named = plots.comparison([{"label": HOSTILE, "group": "this run", "macro": {"auc": 0.7}}], "auc", HOSTILE)
    for svg in (calibration, worth, named):
        assert not [e for e in ElementTree.fromstring(svg).iter() if e.tag.endswith("script")]
        assert HOSTILE[:20] in "".join(ElementTree.fromstring(svg).itertext())


def test_calibration_shows_two_cells_to_a_chart_up_to_its_limit() -> None:
    cell = sample_report()["calibration"][0]
    assert len(plots.calibrations([cell] * 3)) == 2
    assert len(plots.calibrations([cell] * 40)) == plots.MOST_CURVES // 2


def test_curves_with_zero_or_missing_points_are_drawn_without_them() -> None:
    curve = [{"probability": 0.0, "observed": 0.0, "rows": None}, {"probability": None, "observed": 0.5, "rows": 3}]
    (svg,) = plots.calibrations([{"scenario": "a", "task": "b", "curve": curve}])
    ElementTree.fromstring(svg)
    assert "nan" not in svg.lower()


def test_a_long_learning_curve_is_thinned() -> None:
    points = [{"epoch": i / 1000, "split": "train", "ne": 1 / (1 + i)} for i in range(5000)]
    assert 1_000 < len(plots.learning(points)) < 30_000


def test_every_colour_that_is_drawn_has_a_dark_twin() -> None:
    report = sample_report()
    drawn = [plots.comparison(models(), "auc", "x"), plots.learning(report["learning"])]
    drawn += [plots.importance(report["importance"]["macro"], "x")]
    drawn += plots.calibrations(report["calibration"][:2])
    colours = set(re.findall(r'(?:fill|stroke)="(#\w+|black|white)"', "".join(drawn)))
    assert colours
    assert colours <= set(plots.DARK)
    assert all(f'[fill="{light}"] {{ fill: {dark} }}' in plots.dark_css() for light, dark in plots.DARK.items())
