"""The sweeps of a study on disk, in its summary and on the page of its report."""

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from support import hand_made, records_factory
from support.hand_made import Record, record, strategy
from support.swept_tables import build

from gradprom.experiments import on_the_fly
from gradprom.experiments.expansion import Expansion
from gradprom.experiments.on_the_fly import Point, experiment_of
from gradprom.reports import report, swept
from gradprom.reports.tables import text
from gradprom.runs.records import Study
from gradprom.storage.files import write_json
from gradprom.sweeps import run_ids


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
