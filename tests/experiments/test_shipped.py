"""The experiments beside the paper's tables: what they vary, and that each cell is a run."""

from pathlib import Path

import pytest
from support import records_factory, tiny_runs

from gradprom.config.components import component, component_names
from gradprom.experiments import declared
from gradprom.experiments.declared import Column, Experiment, Row
from gradprom.experiments.expansion import Expansion, expand
from gradprom.experiments.narrowing import narrow
from gradprom.runs.run import Run
from gradprom.sweeps.request import identify_with, shell_composer

DEMO = {"profile": "demo", "dataset": "phantom"}
OWN = ["lambda", "controls", "gate_on", "recognizer_modes", "strategies", "regimes"]
FURTHER = ["table6", "covid_ct_patient"]
FURTHER += [f"task_gan/{name}" for name in ("table2", "table3", "gating")]
FURTHER += [f"regularizing_gradients/{name}" for name in ("demo1", "demo2", "tv_weights")]
DECIDED = records_factory.record(training={"gate_diagnosis": 0.5, "gate_segmentation": 0.5})
"""A record whose share of open gates other rows take."""


@pytest.fixture(scope="module")
def expansions() -> dict[str, Expansion]:
    identify = identify_with(shell_composer(), {}, [])
    found = [e for name in [*OWN, *FURTHER] for e in declared.read(name)]
    return {e.name: expand(narrow(e, {"seed": ["0"]}), identify, lambda _: DECIDED) for e in found}


def composed(table: Experiment, row: Row, column: Column) -> Run:
    """The run of a cell that takes no result of another row, at demo size on the phantom."""
    words = [f"{key}={value}" for key, value in (table.cell(row, column) | DEMO).items()]
    return tiny_runs.make(Path("results"), *words)


def test_every_cell_is_a_run_and_rows_of_a_column_differ(expansions: dict[str, Expansion]) -> None:
    for name, expansion in expansions.items():
        by_column: dict[str, dict[str, str]] = {}
        for cell in expansion.cells:
            if cell.row.waits_for:
                continue
            assert not cell.problem, f"{name}, {cell.row.label}: {cell.problem}"
            known = by_column.setdefault(cell.column.title, {})
            assert cell.runs[0] not in known, f"{name}: {cell.row.label} is {known[cell.runs[0]]}"
            known[cell.runs[0]] = cell.row.label


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
def test_what_no_recognizer_touches_is_beside_it(
    name: str, expansions: dict[str, Expansion]
) -> None:
    [table] = declared.read(name)
    by_title = {row.title: row for row in table.rows}
    expansion = expansions[name]
    runs = {
        cell.runs[0]
        for cell in expansion.cells
        if cell.row.title in ("Benchmark-i", "Warm-up only")
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
    usual = first("equal_norms").trainer
    coupled = first("no_warmup").trainer.coupled_epochs
    assert coupled == usual.warmup_epochs + usual.coupled_epochs
    teacher = first("fixed_teacher")
    assert (teacher.supervision, teacher.auxiliary.target) == ("unsupervised", "pretrained")
    modes = {c.overrides["auxiliary.batchnorm"] for c in regimes["equal_norms"].columns}
    assert modes == {"eval", "train"}


def test_covid_ct_by_patient_has_the_runs_of_table_6_beside_it(
    expansions: dict[str, Expansion],
) -> None:
    beside, paper = expansions["covid_ct_patient"], expansions["table6"]
    runs = {
        split: {c.runs[0] for c in beside.cells if c.column.overrides["dataset.split"] == split}
        for split in ("paper", "patient")
    }
    assert paper.runs < runs["paper"] and not runs["paper"] & runs["patient"]
    for table in (beside, paper):
        assert "88 of" in table.experiment.caption
