"""The report in a terminal."""

import io

from rich.console import Console
from sample_report import sample_report

from motet.evaluate.console import baselines_table, cells_table, legend


def printed(table: object, *, terminal: bool = False, width: int = 140) -> str:
    out = io.StringIO()
    Console(file=out, width=width, force_terminal=terminal, color_system="truecolor" if terminal else None).print(table)
    return out.getvalue()


def test_every_cell_shows_value_sign_interval_and_delta() -> None:
    report = sample_report(("mobile",), ("click", "stars"))
    report["cells"][0] |= {"value": 0.7424, "low": 0.731, "high": 0.753, "delta": 0.0114, "verdict": "gain"}
    text = printed(cells_table(report))
    assert "0.742 +" in text
    assert "[0.731, 0.753]" in text
    assert "Δ +0.011" in text
    assert "– ?" in text  # the cell with one class


def test_without_a_terminal_there_is_no_colour_and_the_signs_remain() -> None:
    table = cells_table(sample_report())
    assert "\x1b" not in printed(table)
    assert "\x1b[" in printed(table, terminal=True)
    assert "+ gain 5" in printed(table)


def test_names_are_neither_markup_nor_terminal_codes() -> None:
    text = printed(cells_table(sample_report(("[red]手机[/red]", "\x1b[2J"), ("[bold]x", "y"))))
    assert "[red]手机[/red]" in text
    assert "[bold]x" in text
    assert "\x1b" not in text


def test_a_wide_matrix_fits_by_leaving_out_the_intervals() -> None:
    report = sample_report(tuple(f"s{i}" for i in range(30)), tuple(f"t{i}" for i in range(10)))
    lines = printed(cells_table(report), width=120).splitlines()
    assert max(map(len, lines)) <= 120
    assert not any("[" in line for line in lines)
    assert sum(line.lstrip().startswith("s") and "0." in line for line in lines) == 30


def test_baselines_stand_best_first_under_this_run() -> None:
    lines = printed(baselines_table(sample_report())).splitlines()
    order = [
        "motet",
        "pooled ",
        "one model per cell",
        "gradient boosting",
        "pooled logistic",
        "popularity",
        "lstm-fusion",
    ]
    places = [next(i for i, line in enumerate(lines) if line.lstrip().startswith(name)) for name in order]
    assert places == sorted(places)


def test_the_legend_explains_the_verdicts_that_occur_and_no_other() -> None:
    report = sample_report() | {"verdicts": {"gain": 0, "loss": 0, "tie": 1, "unclear": 3}}
    text = legend(report)
    assert "= the whole interval" in text
    assert "? the data cannot tell" in text
    assert "significantly" not in text
    assert legend({}) == ""


def test_an_empty_report_prints_tables_without_numbers() -> None:
    assert "no verdicts" in printed(cells_table({}))
    assert "this run" in printed(baselines_table({}))
