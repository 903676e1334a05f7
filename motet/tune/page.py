"""A search to look at: trials in their order, what mattered, where good values lie; one file, no JavaScript."""

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup

from motet.evaluate import plots, words
from motet.evaluate.plots import BLUE, GREY, INK, ORANGE

MOST_DRAWN = 6  # settings whose values are drawn, the most important first


def render(found: dict[str, Any]) -> str:
    """The page of a `tune.json`."""
    trials = sorted((one for one in found["trials"] if one["value"] is not None), key=lambda one: one["value"])
    charts = [_course(found), _importance(found["importance"]), *_slices(found)]
    return (
        _environment()
        .get_template("tune.html.jinja")
        .render(
            found=found,
            trials=trials,
            failed=[one for one in found["trials"] if one["state"] == "failed"],
            keys=_keys(found),
            charts=[Markup(svg) for svg in charts if svg],
            dark_css=Markup(plots.dark_css()),
        )
    )


def _keys(found: dict[str, Any]) -> list[str]:
    """The settings searched, the most important first."""
    weights = found["importance"]
    return sorted(found["space"], key=lambda key: -weights.get(key, 0.0))


def _course(found: dict[str, Any]) -> str:
    """Each trial's value, and the best so far."""
    import altair as alt

    rows, best = [], float("inf")
    for one in found["trials"]:
        if one["value"] is None:
            continue
        if one["state"] == "finished":
            best = min(best, one["value"])
        shown = {"trial": one["number"], "value": one["value"], "state": one["state"]}
        rows.append(shown | {"best": best if best < float("inf") else None})
    if not rows:
        return ""
    top = sorted(row["value"] for row in rows)[int(0.8 * (len(rows) - 1))]
    low = min(row["value"] for row in rows)
    scale = alt.Scale(domain=[low - 0.1 * (top - low or 0.01), top + 0.3 * (top - low or 0.01)], clamp=True)
    base = alt.Chart(alt.InlineData(values=rows)).encode(
        x=alt.X("trial:Q", title="trial", axis=alt.Axis(grid=False, tickMinStep=1))
    )
    y = alt.Y("value:Q", title="macro NE of valid cells (lower is better)", scale=scale)
    colour = alt.Color(
        "state:N", scale=alt.Scale(domain=["finished", "stopped early"], range=[BLUE, GREY]),
        legend=alt.Legend(orient="top", title=None),
    )  # fmt: skip
    dots = base.mark_point(filled=True, size=60, opacity=1).encode(y=y, color=colour)
    line = base.mark_line(color=ORANGE, interpolate="step-after").encode(y=alt.Y("best:Q", scale=scale))
    return plots.svg(alt.layer(line, dots).properties(width=560, height=220),
                     f"Trials in their order; the best of {len(rows)} has NE {words.number(best)}")  # fmt: skip


def _importance(weights: dict[str, float]) -> str:
    """A bar for each setting."""
    import altair as alt

    if not weights:
        return ""
    rows = [{"key": key, "share": share, "text": f"{share:.0%}"} for key, share in weights.items()]
    axis = alt.Axis(title=None, labelLimit=220, domain=False, ticks=False)
    base = alt.Chart(alt.InlineData(values=rows)).encode(
        y=alt.Y("key:N", sort="-x", axis=axis),
        x=alt.X("share:Q", title="share of what tells good trials apart", axis=alt.Axis(format="%", grid=False)),
    )
    bars = base.mark_bar(color=BLUE, height=12)
    texts = base.mark_text(align="left", dx=4, fontSize=11, color=INK).encode(text="text:N")
    said = ", ".join(f"{row['key']} {row['text']}" for row in rows)
    return plots.svg(alt.layer(bars, texts).properties(width=280, height=alt.Step(20)), f"Importance: {said}")


def _slices(found: dict[str, Any]) -> list[str]:
    """The value of trials against one setting each, in twos."""
    import altair as alt

    panels = []
    for key in _keys(found)[:MOST_DRAWN]:
        rows = [
            {"x": one["params"][key], "value": one["value"]}
            for one in found["trials"]
            if one["state"] == "finished" and key in one["params"]
        ]
        if not rows:
            continue
        dimension = found["space"][key]
        numeric = isinstance(dimension, dict)
        scale = alt.Scale(type="log") if numeric and dimension["log"] else alt.Scale(zero=False)
        x = (
            alt.X("x:Q", title=key, scale=scale, axis=alt.Axis(tickCount=4, grid=False))
            if numeric
            else alt.X("x:N", title=key, sort=None, axis=alt.Axis(labelAngle=0))
        )
        y = alt.Y("value:Q", title="NE", scale=alt.Scale(zero=False), axis=alt.Axis(tickCount=4))
        dots = alt.Chart(alt.InlineData(values=rows)).mark_point(filled=True, size=45, color=BLUE, opacity=0.8)
        panels.append(dots.encode(x=x, y=y).properties(width=200, height=120))
    return [
        plots.svg(alt.hconcat(*panels[at : at + 2], spacing=40), "NE of finished trials by the value of a setting")
        for at in range(0, len(panels), 2)
    ]


@cache
def _environment() -> Environment:
    folders = [Path(__file__).parent, Path(plots.__file__).parent]  # the style is the report's
    environment = Environment(loader=FileSystemLoader(folders), autoescape=True, trim_blocks=True, lstrip_blocks=True)
    for write in (words.number, words.signed, words.duration):
        environment.filters[write.__name__] = write
    return environment
