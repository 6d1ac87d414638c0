"""The experiments beside the paper's tables: what they vary, and that each cell is a run."""

from pathlib import Path

import pytest
from support import tiny_runs

from gradprom.config.components import component, component_names
from gradprom.experiments import declared
from gradprom.experiments.declared import Column, Experiment, Row
from gradprom.experiments.settings import ResultOf
from gradprom.runs.run import Run

OWN = ["lambda", "controls", "gate_on", "recognizer_modes", "strategies", "regimes"]
"""Those that the phantom can serve."""
DEMO = {"profile": "demo", "dataset": "phantom"}


def cells(name: str) -> list[tuple[Experiment, Row, Column]]:
    return [(e, r, c) for e in declared.read(name) for r in e.rows for c in e.columns]


def composed(experiment: Experiment, row: Row, column: Column) -> Run:
    """The run of a cell at demo size, a result of another row taken for a half."""
    settings = {**experiment.cell(row, column), **DEMO}
    words = [
        f"{key}={0.5 if isinstance(value, ResultOf) else str(value).replace(' ', '')}"
        for key, value in settings.items()
        if key not in DEMO
    ]
    return tiny_runs.make(Path("results"), *(f"{k}={v}" for k, v in DEMO.items()), *words)


@pytest.mark.parametrize("name", OWN)
def test_every_cell_is_a_run_and_rows_differ(name: str) -> None:
    by_column: dict[tuple[str, str], dict[str, str]] = {}
    for experiment, row, column in cells(name):
        run = composed(experiment, row, column)
        known = by_column.setdefault((experiment.name, column.title), {})
        assert run.id not in known, f"{row.label} is {known[run.id]}"
        known[run.id] = row.label


def strategy_of(row: Row) -> str:
    return str(row.overrides["strategy"])


def test_all_strategies_are_compared() -> None:
    [table] = declared.read("strategies")
    shown = {strategy_of(row) for row in table.rows}
    assert shown == set(component_names("strategy")) - {"torchjd"}
    for row in table.rows:
        uses = component("strategy", strategy_of(row)).Options
        assert ("ratio" in table.metrics_of(row)) == (strategy_of(row) not in ("mainstream", "pcd"))
        assert ("accuracy" in table.metrics_of(row)) == uses.has_auxiliary


@pytest.mark.parametrize("name", ["lambda", "controls"])
def test_what_no_recognizer_touches_is_beside_it(name: str) -> None:
    [table] = declared.read(name)
    by_title = {row.title: row for row in table.rows}
    runs = {
        composed(table, by_title[title], column).id
        for title in ("Benchmark-i", "Warm-up only")
        for column in table.columns
    }
    assert len(runs) == 2  # whatever λ is
    warm = composed(table, by_title["Warm-up only"], table.columns[0])
    assert warm.method.stage().epochs == 0 and warm.method.stage().parents[0].epochs > 0


def test_each_choice_of_the_recognizer_has_its_control() -> None:
    """Rows of a group differ from its plain row in one key."""
    [table] = declared.read("recognizer_modes")
    plain = {(row.group, strategy_of(row)): row for row in table.rows if ", " not in row.title}
    seen = set()
    for row in table.rows:
        changed = set(row.overrides.items()) - set(
            plain[row.group, strategy_of(row)].overrides.items()
        )
        assert len(changed) == (", " in row.title)
        seen |= changed
    assert seen == {
        ("auxiliary.batchnorm", "train"),
        ("auxiliary.target", "follows"),
        ("auxiliary.clamp", False),
    }


def test_the_five_regimes_are_those_that_are_asked_for() -> None:
    regimes = {e.name.removeprefix("regime_"): e for e in declared.read("regimes")}
    assert list(regimes) == [
        "equal_norms",
        "few_images",
        "segmentation",
        "no_warmup",
        "fixed_teacher",
    ]

    def first(name: str, strategy: str = "gradprom"):
        table = regimes[name]
        [row] = [r for r in table.rows if strategy_of(r) == strategy]
        return composed(table, row, table.columns[0]).config

    assert first("few_images").dataset.train == 24
    assert first("segmentation").auxiliary.tasks == ["segmentation"]
    assert first("no_warmup").trainer.warmup_epochs == 0
    assert first("no_warmup").trainer.coupled_epochs == 8
    teacher = first("fixed_teacher")
    assert (teacher.supervision, teacher.auxiliary.target) == ("unsupervised", "pretrained")
    modes = {c.overrides["auxiliary.batchnorm"] for c in regimes["equal_norms"].columns}
    assert modes == {"eval", "train"}


def test_covid_ct_by_patient_has_the_runs_of_table_6_beside_it() -> None:
    [beside], [paper] = declared.read("table6_patient"), declared.read("table6")
    splits = {str(c.overrides["dataset.split"]) for c in beside.columns}
    assert splits == {"paper", "patient"}
    assert "88 of" in paper.caption and "88 of" in beside.caption

    def ids(table: Experiment, split: str) -> set[str]:
        found = set()
        for row in table.rows:
            for column in table.columns:
                settings = table.cell(row, column)
                if row.waits_for or settings.get("dataset.split", "paper") != split:
                    continue
                words = [f"{key}={value}" for key, value in settings.items()]
                found.add(tiny_runs.make(Path("results"), *words).id)
        return found

    assert ids(paper, "paper") < ids(beside, "paper")
    assert not ids(beside, "paper") & ids(beside, "patient")
