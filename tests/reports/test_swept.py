"""Tables of sweeps: states, degraded inputs and logged values, in every form and on the page."""

import csv
import io
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from support import hand_made, records_factory
from support.hand_made import Record, record, strategy

from gradprom.experiments import on_the_fly
from gradprom.experiments.expansion import Expansion
from gradprom.experiments.on_the_fly import Point, experiment_of
from gradprom.reports import report, swept, unplanned
from gradprom.reports.statistics.estimate import Estimate
from gradprom.reports.tables import layout, text
from gradprom.reports.tables.table import Row, Table
from gradprom.runs.records import Study
from gradprom.storage.files import write_json
from gradprom.sweeps import run_ids


def build(*records: Record) -> Table:
    by_id = {record.id: record for record in records}
    return swept.table_of(unplanned.expansion([*records]), by_id)


def row_of(table: Table, title: str) -> Row:
    return next(row for row in table.rows if row.declared.title == title)


# what a reader must know


def test_failed_and_unfinished_runs_are_told() -> None:
    failed, started = record(config__seed=1), record(config__seed=2, status="started")
    [row] = build(record(24.0), failed, started).rows
    assert row.cells[0, "psnr"].value == Estimate(24.0, None, 1)
    assert row.cells[0, "psnr"].states == ["1/3 seeds", "1 failed", "1 not finished"]


def test_a_row_without_a_finished_run_says_why() -> None:
    table = build(strategy("joint", 24.0), record(), record(config__seed=1))
    cell = row_of(table, "gradprom").cells[0, "psnr"]
    assert cell.value is None and cell.states == ["0/2 seeds", "2 failed"]


def test_mixed_revisions_and_other_data_are_told() -> None:
    def states(*records: Record) -> list[str]:
        [row] = build(*records).rows
        return row.cells[0, "psnr"].states

    other = record(26.0, config__seed=1, git={"revision": "r2", "dirty": False})
    assert states(record(24.0), other) == ["mixed revisions"]
    dirty = record(26.0, config__seed=1, git={"revision": "r1", "dirty": True})
    assert states(record(24.0), dirty) == ["mixed revisions"]
    newer = {"dataset__fingerprint": "e" * 64, "started": "2026-04-02T10:15:00+0000"}
    more = record(26.0, config__seed=1, **newer)
    assert states(record(24.0), more) == ["1/2 seeds", "other data"]
    # a run that failed before the fix is no part of the number
    failed = record(config__seed=1, git={"revision": "r0", "dirty": True})
    assert states(record(24.0), failed) == ["1/2 seeds", "1 failed"]


def test_what_a_run_does_not_score_is_not_in_its_row() -> None:
    scored = record(24.0, metrics__accuracy=0.75)
    table = build(strategy("mainstream", 25.0), scored)
    assert layout.slots(table) == [(0, "psnr"), (0, "ssim"), (0, "accuracy")]
    assert set(row_of(table, "mainstream").cells) == {(0, "psnr"), (0, "ssim")}
    assert layout.mean_text(row_of(table, "gradprom").cells[0, "accuracy"]) == "0.750 (1)"


def test_a_method_without_psnr_has_a_table() -> None:
    scores = {"auc": 0.875, "degraded_auc": 0.5}
    reads = {"dataset": {"name": "phantom"}}  # neither backbone nor strategy
    made = record(24.0, choices__method="verify", metrics=scores, scores=["auc"], reads=reads)
    table = build(made)
    assert [metric for _, metric in layout.slots(table)] == ["auc"]
    assert "| verify | 0.875 (1) |" in text.markdown(table)


def test_logged_values_are_means_over_seeds_and_tasks_where_any_row_logs_them() -> None:
    gates = [
        {"gate_diagnosis": 0.5, "gate_segmentation": 1.0, "ratio_diagnosis": 2e-4, "cosine_x": 1.0},
        {"gate_diagnosis": 0.0, "gate_segmentation": 0.5, "ratio_diagnosis": 4e-4, "cosine_x": 1.0},
    ]
    made = [record(24.0, config__seed=i, training=gate) for i, gate in enumerate(gates)]
    table = build(*made, strategy("mainstream", 25.0))
    cells = row_of(table, "gradprom").cells
    assert layout.mean_text(cells[0, "gate"]) == "0.50 ± 0.35 (2)"
    assert layout.mean_text(cells[0, "ratio"]) == "3.0e-04 ± 1.4e-04 (2)"
    assert (0, "gate") not in row_of(table, "mainstream").cells
    none = build(strategy("mainstream", 25.0))
    assert layout.slots(none) == [(0, "psnr"), (0, "ssim")]


# the degraded input


def test_the_degraded_input_is_the_first_row() -> None:
    table = build(record(24.0), record(25.0, config__seed=1), strategy("joint", 26.0))
    [first] = table.degraded
    assert layout.rows(table)[0] is first
    # the same images for every run: one number, no spread
    assert first.cells[0, "psnr"].value == Estimate(20.0, None, 1)
    assert first.cells[0, "ssim"].value == Estimate(0.25, None, 1)
    assert "| degraded input | 20.000 | 0.250 |" in text.markdown(table)


def degraded(*records: Record) -> dict[str, float]:
    rows = build(*records).degraded
    return {row.declared.title: row.cells[0, "psnr"].value.mean for row in rows}


def test_each_test_set_has_its_own_degraded_row() -> None:
    slices = record(
        24.0,
        choices__dataset="covid_ct",
        config__dataset__name="covid_ct",
        dataset={"name": "covid_ct", "fingerprint": "c" * 64},
        metrics__degraded_psnr=21.0,
    )
    assert degraded(record(24.0), slices) == {
        "degraded input phantom": 20.0,
        "degraded input covid_ct": 21.0,
    }
    other = record(24.0, config__evaluation__seed=1, metrics__degraded_psnr=20.1)
    assert degraded(record(24.0), other) == {
        "degraded input evaluation.seed=0": 20.0,
        "degraded input evaluation.seed=1": 20.1,
    }
    larger = record(24.0, config__dataset__size=128, dataset__fingerprint="e" * 64)
    assert set(degraded(record(24.0), larger)) == {
        "degraded input dataset.size=64",
        "degraded input dataset.size=128",
    }


# as text


@pytest.fixture
def table() -> Table:
    made = [
        record(24 + seed / 3, 0.5 + seed / 7, config__seed=seed, config__degradation__sigma=noise)
        for seed in range(3)
        for noise in (0.1, 0.2)
    ]
    made += [
        strategy("joint", 26.0, training={"gate_a": 1.0, "ratio_a": 1.5e-4}),
        strategy("frozen"),
    ]
    return build(*made)


def test_markdown_has_every_number(table: Table) -> None:
    lines = [line for line in text.markdown(table).splitlines() if line.startswith("|")]
    titles, rule, *rows = [[c.strip() for c in line.strip("|").split("|")] for line in lines]
    assert [row[0] for row in rows] == ["degraded input", "gradprom", "joint", "frozen"]
    assert all(len(row) == len(titles) == len(rule) for row in rows)
    cells = {(row[0], t): c for row in rows for t, c in zip(titles, row, strict=True)}
    # 24, 24 1/3, 24 2/3: the deviations' squares sum to 2/9, over n - 1 = 2: std 1/3
    assert cells["gradprom", "σ=0.2<br>PSNR"] == "24.333 ± 0.333 (3)"
    assert cells["gradprom", "σ=0.1<br>SSIM"] == "**0.643 ± 0.143 (3)**"
    assert cells["joint", "σ=0.1<br>PSNR"] == "**26.000 (1)**"
    assert cells["joint", "σ=0.2<br>PSNR"] == "–"
    assert cells["frozen", "σ=0.1<br>PSNR"] == "–<br>0/1 seeds<br>1 failed"


def test_csv_holds_the_numbers_themselves(table: Table) -> None:
    lines = list(csv.DictReader(io.StringIO(text.as_csv(table))))
    by_cell = {(r["row"], r["column"], r["metric"]): r for r in lines}
    assert len(by_cell) == len(lines)
    line = by_cell["gradprom", "σ=0.1", "psnr"]
    assert float(line["mean"]) == pytest.approx(24 + 1 / 3, abs=1e-12)
    assert float(line["std"]) == pytest.approx(1 / 3, abs=1e-12)
    assert line["n"] == "3" and [p.split(":")[0] for p in line["runs"].split()] == ["0", "1", "2"]
    assert float(by_cell["joint", "σ=0.1", "ratio"]["mean"]) == 1.5e-4


@pytest.mark.parametrize("width", [100, 200])
def test_the_terminal_shows_every_number_with_its_seeds(table: Table, width: int) -> None:
    console = Console(width=width, file=io.StringIO())
    console.print(text.terminal(table))
    shown = console.file.getvalue()
    for row in layout.rows(table):
        for cell in row.cells.values():
            assert layout.mean_text(cell) in shown
    assert re.search(r"^ ?gradprom +24\.333 ± 0\.333 \(3\)", shown, re.MULTILINE)


# a study on disk


def test_a_summary_tells_failures_and_counts_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study, folder = Study(tmp_path, "local"), tmp_path / "local" / "sweeps" / "x"
    error = {"type": "NonFinite", "message": "not finite at step 3", "where": "engine.py:9 in x"}
    made = [record(24.0), strategy("joint", error=error, overrides=["strategy=joint"])]
    for one in made:
        hand_made.write_run(study, one)
    ids = [one.id for one in made]
    assert swept.show(ids, study, folder, None) == 1
    assert swept.show([*ids, "notthere"], study, folder, None) == 2
    shown = capsys.readouterr().out
    assert "failed   strategy=joint: NonFinite: not finite at step 3\n" in shown
    assert "engine.py:9" in shown and str(study.run(made[1].id)) in shown
    assert (folder / "table.md").read_text() == text.markdown(build(*made))
    for name in ("table.csv", "table.tex", "picture.png"):
        assert (folder / name).stat().st_size > 0


def points(records: list[Record]) -> list[Point]:
    """What a sweep over strategies knows of its runs before they have begun."""
    return [
        Point(
            id=one.id,
            seed=one.seed,
            degradation=one.config["degradation"],
            choices={"strategy": one.choices["strategy"]},
            groups=frozenset({"strategy"}),
            names={"strategy": one.choices["strategy"]},
            reads={"strategy": one.choices["strategy"]},
            scores=("psnr", "ssim"),
        )
        for one in records
    ]


def sweep(study: Study, name: str, records: list[Record]) -> Expansion:
    """A sweep of these runs, planned; which of them have records is another matter."""
    found = experiment_of(points(records), f"sweep-{name}", f"Sweep {name}", f"-m {name}")
    plan: dict[str, Any] = {"runs": [{"id": one.id, "label": ""} for one in records]}
    plan["swept"] = on_the_fly.as_plan(found)
    write_json(study.folder / "sweeps" / name / "plan.json", plan)
    return found


def seeds(name: str, psnr: float, count: int = 3) -> list[Record]:
    values = [psnr + seed / 10 for seed in range(count)]
    return [strategy(name, v, config__seed=seed) for seed, v in enumerate(values)]


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    """Without runs of papers' tables; what their ids would be takes long to work out."""

    def identities(runs: list[list[str]], results: Path) -> list[records_factory.Identity]:
        return records_factory.identify(runs)

    monkeypatch.setattr(run_ids, "identities", identities)
    return Study(tmp_path, "local")


def reported(study: Study) -> str:
    report.report(study, [], [])
    return (study.folder / "report" / "index.html").read_text()


def sections(page: str) -> list[str]:
    return re.findall(r'<section id="([^"]+)"', page)


def test_a_missing_seed_is_told_on_the_page_and_in_latex(study: Study) -> None:
    records = [*seeds("joint", 24.0), *seeds("frozen", 25.0)]
    expansion = sweep(study, "a", records)
    for one in records[:-1]:
        hand_made.write_run(study, one)
    page = reported(study)
    assert page.count(">2/3 seeds</span>") == 2  # of PSNR and of SSIM
    assert "2/3 seeds" in (study.folder / "report" / "sweep-a.tex").read_text()
    assert "24.100 ± 0.100 (3)" in (study.folder / "report" / "sweep-a.md").read_text()
    # its button leads to all runs that should be there
    [cell] = [c for c in expansion.cells if c.row.title == "frozen"]
    button = " ".join(f"{seed}:{run}" for seed, run in cell.runs.items())
    assert f'data-runs="{button}"' in page


def test_two_sweeps_are_two_tables_the_newest_first_then_the_rest(study: Study) -> None:
    old, new, single = seeds("joint", 24.0), seeds("frozen", 25.0), seeds("mainstream", 26.0, 1)
    for number, (name, records) in enumerate({"old": old, "new": new}.items()):
        sweep(study, name, records)
        plan = study.folder / "sweeps" / name / "plan.json"
        os.utime(plan, (number, number))
    write_json(study.folder / "sweeps" / "c" / "plan.json", {"runs": [{"id": single[0].id}]})
    for one in [*old, *new, *single]:
        hand_made.write_run(study, one)
    found = sections(reported(study))
    assert found[:3] == ["sweep-new", "sweep-old", "further-runs"]
    # no paper's table has runs, and none was asked for
    assert not [name for name in found if name.startswith("table")]
    tex = (study.folder / "report" / "tables.tex").read_text()
    assert tex.count(r"\begin{table}") == 3
    assert json.dumps(single[0].id) in reported(study)


def test_a_table_that_is_named_is_reported_alone(study: Study) -> None:
    records = seeds("joint", 24.0)
    sweep(study, "a", records)
    for one in records:
        hand_made.write_run(study, one)
    report.report(study, ["table1"], [])
    page = (study.folder / "report" / "index.html").read_text()
    assert "table1" in sections(page) and "sweep-a" not in sections(page)


def test_an_old_plan_still_gives_a_table(study: Study) -> None:
    records = seeds("joint", 24.0)
    plan = {"runs": [{"id": one.id, "label": ""} for one in records]}
    write_json(study.folder / "sweeps" / "a" / "plan.json", plan)
    for one in records:
        hand_made.write_run(study, one)
    assert sections(reported(study))[0] == "further-runs"
    assert "24.100 ± 0.100 (3)" in (study.folder / "report" / "further-runs.md").read_text()
