"""Tables as text: every number, every gap and every mark in the terminal, in Markdown and CSV."""

import copy
import csv
import dataclasses
import io
import re
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from support import records_factory
from support.records_factory import Made

from gradprom.reports.tables import filling, layout
from gradprom.reports.tables import text as text_forms
from gradprom.reports.tables.table import Table
from gradprom.runs.record import Record, Revision

FLOORS = {("table5", "σ = 0.1", "psnr"): 20.1}
"""SR-ResNet's published 19.478 dB lies below."""


@pytest.fixture(autouse=True)
def floors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filling, "degraded_inputs", lambda: FLOORS)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return records_factory.make(tmp_path_factory.mktemp("made"), ["table1", "table5"], rows=3)


@pytest.fixture
def made(whole: Made) -> Made:
    """Records that a test may change."""
    return dataclasses.replace(whole, records=copy.deepcopy(whole.records))


def words_of(record: Record) -> set[str]:
    return set(record.overrides)


def runs_of(made: Made, *words: str) -> list[dict]:
    """Records by what was typed, whatever the tables make of them."""
    return [r for r in made.records.values() if set(words) <= words_of(r)]


SUPERVISED = ("auxiliary=diagnosis", "strategy=gradprom", "supervision=supervised", "noise=0.1")
SHARED = (*SUPERVISED, "dataset=isic2018")


def gradprom_runs(made: Made) -> list[dict]:
    """Those of Table I's last row at σ = 0.1, which Table V shows too."""
    found = [r for r in runs_of(made, *SHARED) if "backbone=larger" not in r.overrides]
    assert len(found) == 3
    return found


def on_screen(table: Table, width: int) -> str:
    console = Console(width=width, file=io.StringIO(), record=True)
    console.print(text_forms.terminal(table))
    return console.export_text()


def as_rows(table: Table) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text_forms.as_csv(table))))


def test_csv_has_every_number_of_a_cell(made: Made) -> None:
    runs = gradprom_runs(made)
    values = [r.metrics["psnr"] for r in runs]
    table1, table5 = made.tables()
    wanted = {"row": "GradProm", "group": "Sup.", "column": "σ = 0.1", "metric": "psnr"}
    [line] = [r for r in as_rows(table1) if wanted.items() <= r.items()]
    assert float(line["mean"]) == pytest.approx(np.mean(values), abs=1e-9)
    assert float(line["std"]) == pytest.approx(np.std(values, ddof=1), abs=1e-9)
    assert line["n"] == "3" and line["states"] == ""
    assert (line["published_mean"], line["published_std"]) == ("34.646", "1.11")
    assert float(line["difference"]) == pytest.approx(np.mean(values) - 34.646, abs=1e-9)
    assert set(line["runs"].split()) == {f"{r.seed}:{r.id}" for r in runs}
    [same] = [
        r
        for r in as_rows(table5)
        if (r["row"], r["Backbone"]) == ("Ours (V_R dia)", "ResNet-50")
        and (r["column"], r["metric"]) == ("σ = 0.1", "psnr")
    ]
    assert same["runs"] == line["runs"]


def test_csv_flags_what_is_published_below_the_degraded_input(made: Made) -> None:
    flagged = [r for r in as_rows(made.tables()[1]) if r["below_degraded"] == "yes"]
    assert [(r["row"], r["column"], r["metric"]) for r in flagged] == [
        ("SR-ResNet", "σ = 0.1", "psnr")
    ]


def test_degraded_input_is_the_first_row_everywhere(made: Made) -> None:
    table = made.tables()[0]
    first = as_rows(table)[0]
    assert (first["row"], first["mean"], first["std"]) == ("degraded input", "19.7", "")
    assert "| degraded input | 19.700 | 0.410 |" in text_forms.markdown(table)
    assert re.search(r"─ *\n +degraded input +19\.700 +0\.410", on_screen(table, 120))


@pytest.mark.parametrize("width", [120, 200])
def test_terminal_fits_and_leaves_no_number_out(made: Made, width: int) -> None:
    for table in made.tables():
        text = on_screen(table, width)
        assert max(map(len, text.splitlines())) <= width
        assert "…" not in text
        for row in table.rows:
            for cell in row.cells.values():
                assert cell.published and f"{cell.published.mean:.3f}" in text
                if cell.value is not None:
                    assert f"{cell.value.mean:.3f}±{cell.value.std:.3f}" in text


def test_terminal_puts_columns_side_by_side_where_there_is_room(made: Made) -> None:
    def parts(width: int) -> int:
        return on_screen(made.tables()[0], width).count("degraded input")

    assert (parts(80), parts(120), parts(240)) == (4, 2, 1)


def test_gaps_are_named(made: Made) -> None:
    first, second, third = gradprom_runs(made)
    made.records[first.id] = records_factory.failed(first, "loss became NaN")
    made.change(second, git=Revision(revision="f" * 40, dirty=False))
    del made.records[runs_of(made, "strategy=frozen", "supervision=unsupervised")[0].id]
    table = made.tables()[0]
    told = {(r["group"], r["row"], r["column"]): r["states"] for r in as_rows(table)}
    assert told["Sup.", "GradProm", "σ = 0.1"] == "2/3 seeds, 1 failed, mixed revisions"
    assert told["Unsup.", "Frozen-params.", "σ = 0.05"] == "2/3 seeds"
    for text in (on_screen(table, 120), text_forms.markdown(table)):
        for state in ("2/3 seeds", "1 failed", "mixed revisions"):
            assert state in text


def test_rows_without_a_method_say_what_they_wait_for(made: Made) -> None:
    table = made.tables()[1]
    row = next(row for row in table.rows if row.declared.title == "U-SAID")
    row.problems.append("waits for method U-SAID")
    for cell in row.cells.values():
        cell.value, cell.finished, cell.states = None, {}, ["not run"]
    for text in (on_screen(table, 200), text_forms.markdown(table)):
        assert "U-SAID: waits for method U-SAID" in text.replace("\\", "")
    line = next(r for r in as_rows(table) if r["row"] == "U-SAID")
    assert (line["mean"], line["n"], line["states"]) == ("", "0", "not run")
    assert line["published_mean"] == "33.835"


def cells_of(text: str, number: int = 0) -> list[list[str]]:
    """The cells of one of the pipe tables in a text."""
    blocks = [block for block in text.split("\n\n") if block.startswith("|")]
    return [re.split(r"(?<!\\)\|", line)[1:-1] for line in blocks[number].splitlines()]


def test_markdown_marks_the_best(made: Made) -> None:
    table = made.tables()[0]
    rows = cells_of(text_forms.markdown(table))
    assert len({len(row) for row in rows}) == 1
    column = rows[0].index(" σ = 0.1<br>PSNR ")
    numbers = {}
    for row in rows[3:]:
        found = re.match(r" (\*\*|)(\d+\.\d{3})", row[column])
        if found:
            numbers[float(found[2])] = found[1]
    ordered = sorted(numbers, reverse=True)
    # no other of the published numbers is within a margin of the best
    assert [numbers[value] for value in ordered] == ["**", *[""] * (len(ordered) - 1)]


def test_markdown_prints_the_paper_beside_ours(made: Made) -> None:
    values = [r.metrics["psnr"] for r in gradprom_runs(made)]
    mean, std = np.mean(values), np.std(values, ddof=1)
    told = f"{mean - 34.646:+.3f}".replace("-", "−")
    wanted = f"{mean:.3f} ± {std:.3f} (3)**<br><sub>34.646 ± 1.11; {told}</sub>"
    assert wanted in text_forms.markdown(made.tables()[0])


def test_slips_stand_below_their_table(made: Made) -> None:
    table = made.tables()[1]
    below = text_forms.markdown(table).split("Slips in the paper's table:")[1]
    assert below.count("\n- ") == len(table.experiment.slips) == 3
    assert "VGG-22 is no part of SR-ResNet" in on_screen(table, 200)


def test_numbers_of_other_data_have_no_difference(tmp_path: Path) -> None:
    [table] = records_factory.make(
        tmp_path, ["table1"], "dataset=phantom", "seed=0", rows=3
    ).tables()
    lines = as_rows(table)
    assert {line["comparable"] for line in lines[2:]} == {"no"}
    assert {line["difference"] for line in lines} == {""}
    assert {line["std"] for line in lines} == {""}
    for text in (on_screen(table, 200), text_forms.markdown(table)):
        assert "The published numbers are of isic2018" in text
        assert "dataset phantom 256×256" in text
        assert "34.646" in text
    assert "dataset=phantom seed=0" in on_screen(table, 200)


def nasty(table: Table) -> Table:
    name = "a|b *c* <img> `d` [e]"
    experiment = dataclasses.replace(table.experiment, title=name)
    for row in table.rows:
        row.declared = dataclasses.replace(
            row.declared, title=name, group=name, details={name: name}
        )
    return dataclasses.replace(table, experiment=experiment)


def test_names_cannot_break_the_forms(made: Made) -> None:
    table = nasty(made.tables()[0])
    rows = cells_of(text_forms.markdown(table))
    assert len({len(row) for row in rows}) == 1
    assert "<img>" not in text_forms.markdown(table)
    assert as_rows(table)[-1]["row"] == "a|b *c* <img> `d` [e]"
    assert "a|b *c* <img> `d` [e]" in on_screen(table, 200)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.1114, "+0.111"), (-2.3349, "−2.335"), (-0.0004, "0.000"), (0.0, "0.000")],
)
def test_differences_are_signed(value: float, text: str) -> None:
    assert layout.signed(value, "psnr") == text
