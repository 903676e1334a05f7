"""Charts as inline SVG, drawn by altair and vl-convert: no network, no JavaScript, dark mode by the page's CSS.

Charts are drawn in the light palette; `dark_css` maps each of its colours to a dark one: CSS outranks SVG attributes.
"""

import html
import re
from collections.abc import Sequence
from math import inf
from typing import TYPE_CHECKING, Any

from motet.evaluate.words import Report, finite, number, plain

if TYPE_CHECKING:
    import altair as alt

PAPER, INK, MUTED, GRID, RULE = "#fefefe", "#1d2733", "#5a6675", "#e4e8ed", "#9aa5b1"
BLUE, ORANGE, GREY, GREEN = "#0a63ad", "#b85400", "#7a8696", "#00745c"
GROUPS: dict[str, str] = {"this run": BLUE, "control": ORANGE, "baseline": GREY, "preset": GREEN, "reference": INK}
DARK: dict[str, str] = {
    PAPER: "#12171e",
    INK: "#e6ebf1",
    MUTED: "#a3afbd",
    GRID: "#2b3643",
    RULE: "#5d6a79",
    BLUE: "#5fb0f5",
    ORANGE: "#f5a04f",
    GREY: "#93a0af",
    GREEN: "#4fc4a4",
}
FONT = "Arial, Helvetica, Liberation Sans, Noto Sans, sans-serif"
MOST_POINTS = 300  # of one learning curve
MOST_GROUPS = 20  # bars of importance
MOST_CURVES = 24  # calibration plots on the page
LARGEST = 1e6
WORST_NE = 1.25  # a model beyond this is drawn at the edge; its number says how far it is


def comparison(models: Sequence[Report], metric: str, title: str) -> str:
    """Dots of one macro metric: each model a row, best on top, a line through this run; empty if no model has it.

    `models` have `label`, `group` (a key of GROUPS) and `macro`. For `ne` lower is better.
    """
    import altair as alt

    lower = metric in {"ne", "rmse", "log_loss", "ece"}
    worst = WORST_NE if metric == "ne" else inf
    rows = [
        {"label": plain(m["label"]), "group": m["group"], "value": min(value, worst), "text": _told(value, worst)}
        for m in models
        if (value := _drawable((m.get("macro") or {}).get(metric))) is not None
    ]
    if not rows:
        return ""
    for place, row in enumerate(sorted(rows, key=lambda r: r["value"] if lower else -r["value"])):
        row["place"] = place
    axis = alt.Axis(title=None, labelLimit=190, domain=False, ticks=False, grid=True, labelPadding=8)
    y = alt.Y("label:N", sort=alt.EncodingSortField("place", op="min"), axis=axis)
    scale = alt.Scale(domain=_domain([row["value"] for row in rows]), nice=False)
    x = alt.X("value:Q", title=title, scale=scale, axis=alt.Axis(tickCount=5, grid=False))
    color = alt.Color("group:N", scale=alt.Scale(domain=list(GROUPS), range=list(GROUPS.values())), legend=None)
    base = alt.Chart(alt.InlineData(values=rows)).encode(x=x, y=y)
    this = alt.Chart(alt.InlineData(values=[row for row in rows if row["group"] == "this run"]))
    ours = this.mark_rule(strokeDash=[3, 3], color=BLUE).encode(x=x)
    dots = base.mark_point(filled=True, size=95, opacity=1).encode(color=color)
    halo = base.mark_text(align="left", dx=9, fontSize=11, color=PAPER, stroke=PAPER, strokeWidth=4).encode(
        text="text:N"
    )
    texts = base.mark_text(align="left", dx=9, fontSize=11, color=INK).encode(text="text:N")
    chart = alt.layer(ours, halo, texts, dots).properties(width=250, height=alt.Step(24))
    said = "; ".join(f"{row['label']} {row['text']}" for row in sorted(rows, key=lambda r: r["place"]))
    return svg(chart, f"{title}, best first: {said}")


def importance(groups: Sequence[Report], title: str) -> str:
    """Bars of what each group of inputs is worth, with intervals, the most valuable on top; empty without any.

    At most MOST_GROUPS: the page's table has all.
    """
    import altair as alt

    worth = [(loss, g) for g in groups if (loss := _drawable(g.get("loss"))) is not None]
    worth = sorted(worth, key=lambda pair: -pair[0])[:MOST_GROUPS]
    if not worth:
        return ""
    order = [plain(g.get("group")) for _, g in worth]
    ends = [(_drawable(g.get("low")), _drawable(g.get("high"))) for _, g in worth]
    rows = [{"group": name, "loss": loss} for name, (loss, _) in zip(order, worth, strict=True)]
    known = [
        {"group": name, "low": low, "high": high}
        for name, (low, high) in zip(order, ends, strict=True)
        if low is not None and high is not None
    ]
    axis = alt.Axis(title=None, labelLimit=230, domain=False, ticks=False, labelPadding=8)
    y = alt.Y("group:N", sort=order, axis=axis)
    x = alt.X("loss:Q", title=title, axis=alt.Axis(tickCount=6, grid=True))
    base = alt.Chart(alt.InlineData(values=rows)).encode(y=y)
    bars = base.mark_bar(color=BLUE, opacity=0.6, height=11).encode(x=x)
    spans = alt.Chart(alt.InlineData(values=known)).encode(y=y, x=alt.X("low:Q", title=title), x2="high:Q")
    zero = alt.Chart(alt.InlineData(values=[{"loss": 0}])).mark_rule(color=RULE).encode(x=x)
    chart = alt.layer(bars, spans.mark_rule(color=INK, strokeWidth=1.5), zero)
    said = "; ".join(f"{name} {number(loss)}" for name, (loss, _) in zip(order, worth, strict=True))
    return svg(chart.properties(width=480, height=alt.Step(22)), f"{title}, largest first: {said}")


def learning(points: Sequence[Report]) -> str:
    """Mean NE of the cells against epochs, a line for each split (mean over seeds at equal epochs); or nothing."""
    import altair as alt

    rows = []
    for split in ("train", "valid"):
        line = [
            {"epoch": epoch, "ne": ne, "split": split}
            for p in points
            if p.get("split") == split
            and (epoch := _drawable(p.get("epoch"))) is not None
            and (ne := _drawable(p.get("ne"))) is not None
        ]
        rows += line[:: max(1, -(-len(line) // MOST_POINTS))]
    if not rows:
        return ""
    color = alt.Color(
        "split:N",
        scale=alt.Scale(domain=["train", "valid"], range=[GREY, BLUE]),
        legend=alt.Legend(orient="top", title=None, symbolType="stroke", symbolStrokeWidth=3),
    )
    dash = alt.StrokeDash("split:N", scale=alt.Scale(domain=["train", "valid"], range=[[5, 3], [1, 0]]), legend=None)
    chart = (
        alt.Chart(alt.InlineData(values=rows))
        .mark_line(strokeWidth=2, point=alt.OverlayMarkDef(size=28) if len(rows) <= 60 else False)
        .encode(
            x=alt.X("epoch:Q", title="epoch", axis=alt.Axis(grid=False, tickCount=6)),
            y=alt.Y("mean(ne):Q", title="mean NE of the cells (lower is better)", scale=alt.Scale(zero=False)),
            color=color,
            strokeDash=dash,
        )
        .properties(width=560, height=220)
    )
    best = min((row["ne"] for row in rows if row["split"] == "valid"), default=None)
    return svg(chart, f"Learning curve: mean NE of the cells by epoch; lowest on valid {number(best)}")


def calibrations(cells: Sequence[Report]) -> list[str]:
    """Promised against observed rates, two cells to a chart so that a narrow page stacks them; at most MOST_CURVES."""
    import altair as alt

    drawn = [cell for cell in cells if any(_points(cell))][:MOST_CURVES]
    charts = []
    for two in (drawn[i : i + 2] for i in range(0, len(drawn), 2)):
        names = " and ".join(f"{plain(c.get('scenario'))} × {plain(c.get('task'))}" for c in two)
        chart = alt.hconcat(*[_calibration(cell) for cell in two], spacing=56, bounds="flush")
        charts.append(svg(chart, f"Calibration of {names}: observed rate against promised probability"))
    return charts


def dark_css() -> str:
    """Rules that give each colour of the charts its dark twin."""
    return "\n".join(
        f'svg [fill="{light}"] {{ fill: {dark} }} svg [stroke="{light}"] {{ stroke: {dark} }}'
        for light, dark in DARK.items()
    )


def _calibration(cell: Report) -> "alt.LayerChart | alt.FacetChart":
    import altair as alt

    points = _points(cell)
    top = 1.05 * max(max(p["probability"], p["observed"]) for p in points) or 1.0
    scale = alt.Scale(domain=[0, top], nice=False)
    axis = alt.Axis(tickCount=3, grid=False, format="~%")
    x = alt.X("probability:Q", title="promised", scale=scale, axis=axis)
    y = alt.Y("observed:Q", title="observed", scale=scale, axis=axis)
    ends = [{"probability": v, "observed": v} for v in (0, top)]
    ideal = alt.Chart(alt.InlineData(values=ends)).mark_line(color=RULE, strokeDash=[4, 3]).encode(x=x, y=y)
    base = alt.Chart(alt.InlineData(values=points)).encode(x=x, y=y)
    most = max(p["rows"] for p in points) or 1
    area = alt.Size("rows:Q", scale=alt.Scale(domain=[0, most], range=[6, 60]), legend=None)
    line = base.mark_line(color=BLUE, strokeWidth=1.5)
    dots = base.mark_point(filled=True, color=BLUE, opacity=1).encode(size=area)
    title = alt.TitleParams([plain(cell.get("scenario")), plain(cell.get("task"))], limit=150, frame="group", offset=8)
    return alt.layer(ideal, line, dots).properties(width=108, height=108, title=title)


def _points(cell: Report) -> list[dict[str, float]]:
    """The points that are probabilities."""
    given = [{k: _drawable(p.get(k)) for k in ("probability", "observed", "rows")} for p in cell.get("curve") or ()]
    return [
        {"probability": promised, "observed": observed, "rows": max(0.0, p["rows"] or 0.0)}
        for p in given
        if (promised := p["probability"]) is not None
        and (observed := p["observed"]) is not None
        and 0 <= min(promised, observed) <= max(promised, observed) <= 1
    ]


def _drawable(value: object) -> float | None:
    """A number that an axis can hold: a diverged run's 1e30 would leave everything else at one end."""
    x = finite(value)
    return x if x is not None and abs(x) < LARGEST else None


def _told(value: float, worst: float) -> str:
    return number(value) if value <= worst else f"{number(value)} →"


def _domain(values: Sequence[float]) -> list[float]:
    """Room for the dots and, to the right, for their numbers."""
    low, high = min(values), max(values)
    room = (high - low) or max(abs(high), 1e-3) * 0.1
    return [low - 0.06 * room, high + 0.22 * room]


def svg(chart: "alt.TopLevelMixin", label: str) -> str:
    """The chart as an <svg> that scales down with its box and has one accessible name."""
    import vl_convert

    spec: dict[str, Any] = chart.to_dict(validate=False)
    spec["config"], spec["background"] = _config(), "transparent"
    text = vl_convert.vegalite_to_svg(spec, allowed_base_urls=[])
    opening = re.match(r'<svg[^>]*?width="([\d.]+)"[^>]*?viewBox="([\d. -]+)"[^>]*>', text)
    if opening is None:
        raise RuntimeError(f"vl-convert wrote no SVG: {text[:80]!r}")
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{html.escape(label)}" '
        f'viewBox="{opening[2]}" width="{opening[1]}">'
    )
    return head + text[opening.end() :]


def _config() -> dict[str, Any]:
    words = {"labelFont": FONT, "titleFont": FONT, "labelFontSize": 11, "titleFontSize": 11, "labelColor": MUTED}
    lines = {"gridColor": GRID, "domainColor": RULE, "tickColor": RULE}
    axis = {**words, **lines, "titleColor": MUTED, "titleFontWeight": "normal"}
    return {
        "aria": False,
        "view": {"stroke": None},
        "axis": axis,
        "legend": {**words, "labelColor": INK},
        "text": {"font": FONT},
        "title": {"font": FONT, "fontSize": 11.5, "fontWeight": 600, "color": INK, "anchor": "start", "lineHeight": 14},
    }
