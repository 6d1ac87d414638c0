"""Runs take results of other rows into their configuration, and wait until those are there."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support import records_factory
from support.small_table import SMALL, expansion, read, runs

from gradprom.errors import ConfigError
from gradprom.experiments.declared import Experiment
from gradprom.experiments.expansion import Identity, expand
from gradprom.experiments.narrowing import narrow
from gradprom.experiments.overrides import override_text
from gradprom.runs.record import FurtherTestSet, Record


def finished(
    metrics: dict[str, float] | None = None, training: dict[str, float] | None = None
) -> Record:
    return records_factory.record(metrics=metrics or {}, training=training or {})


def test_a_control_takes_the_open_share_of_its_own_column_and_seed() -> None:
    table = narrow(read("controls"), {"seed": ["0", "1"]})
    first = expansion(table)
    random, scaled = (
        next(c for c in first.cells if c.row.title == title)
        for title in ("Random gate", "Joint training, λ scaled")
    )
    assert random.problem == scaled.problem == "waits for the runs of GradProm"
    sources = [c for c in first.cells if c.row.title == "GradProm"]
    records = {
        run: finished(training={"gate_diagnosis": 0.1 * n})
        for n, cell in enumerate(sources, 1)
        for run in cell.runs.values()
    }
    again = expansion(table, records)
    told = {(c.row.title, c.column.title): list(c.runs.values()) for c in again.cells}
    for n, column in enumerate(table.columns, 1):
        for run in told["Random gate", column.title]:
            assert f"strategy.rate={0.1 * n:g} " in run
        for run in told["Joint training, λ scaled", column.title]:
            assert f"strategy.open_share={0.1 * n:g} " in run


def referring(mine: Path, reference: str, first: str = "") -> tuple[Experiment, str]:
    """A table whose row B takes a result of row A in its first column, and that run of A."""
    rows = f"overrides: {{strategy: frozen, lam: {reference}}}, metrics: [psnr]}}"
    text = SMALL.replace(
        "overrides: {strategy: frozen, supervision: unsupervised}, metrics: [psnr]}", rows
    )
    text = text.replace("{title: A, ", f"{{title: A, {first}")
    (mine / "referring.yaml").write_text(text)
    table = narrow(read("referring"), {"seed": ["1"], "noise": ["0.1"]})
    [cell] = [cell for cell in expansion(table).cells if cell.row.title == "A"]
    return table, cell.runs[1]


@pytest.mark.parametrize(
    ("metric", "value", "text"),
    [
        ("psnr", 25.123456, "lam=25.1235"),
        ("ratio", 0.00012345, "lam=0.000123"),
        ("gate", 0.0, "lam=0.0"),
        ("gate", 0.45678, "lam=0.4568"),
    ],
)
def test_a_value_is_a_score_or_a_value_of_training(
    mine: Path, metric: str, value: float, text: str
) -> None:
    table, run = referring(mine, f"{{value: {metric}, of_row: A}}")
    record = finished({metric: value} if metric == "psnr" else {}, {f"{metric}_x": value})
    found = expansion(table, {run: record})
    [cell] = [cell for cell in found.cells if cell.row.title == "B"]
    assert text in cell.overrides[1] and not cell.problem
    [waiting] = [cell for cell in expansion(table).cells if cell.row.title == "B"]
    assert waiting.problem == "waits for the runs of A" and not waiting.runs


def test_a_value_is_of_the_test_set_of_its_row(mine: Path) -> None:
    table, run = referring(mine, "{value: psnr, of_row: A}", "test_set: lizard, ")
    lizard = FurtherTestSet(metrics={"psnr": 20.5})
    record = replace(finished({"psnr": 30.0}), evaluate_on={"lizard": lizard})
    [cell] = [cell for cell in expansion(table, {run: record}).cells if cell.row.title == "B"]
    assert "lam=20.5" in cell.overrides[1]


def test_rows_of_one_title_are_told_apart_by_their_group(mine: Path) -> None:
    text = SMALL.replace("{title: B, ", "{title: A, group: Sup., ") + (
        "  - {title: C, overrides: {strategy: joint, lam: {value: psnr, of_row: NAME}}}\n"
    )
    (mine / "groups.yaml").write_text(text.replace("NAME", "Sup. A"))
    table = narrow(read("groups"), {"seed": ["0"], "noise": ["0.1"]})
    [run] = [cell.runs[0] for cell in expansion(table).cells if cell.row.group == "Sup."]
    [cell] = [
        c for c in expansion(table, {run: finished({"psnr": 9.5})}).cells if c.row.title == "C"
    ]
    assert "lam=9.5" in cell.overrides[0]
    (mine / "groups.yaml").write_text(
        text.replace("NAME", "A").replace("{title: A, o", "{title: A, group: Unsup., o")
    )
    with pytest.raises(ConfigError, match="^mine/groups.yaml:12: of_row: A may be any of Unsup. A"):
        read("groups")


def test_what_a_dataset_cannot_serve_is_told_and_the_rest_runs() -> None:
    def no_masks(asked: list[list[str]]) -> list[Identity]:
        return [
            Identity(problem="it has no masks")
            if "auxiliary=segmentation" in words
            else Identity(" ".join(words))
            for words in asked
        ]

    found = expand(read("table5"), no_masks, lambda run: None)
    refused = {c.row.title for c in found.cells if c.problem == "it has no masks"}
    assert refused == {"U-SAID", "Ours (V_R seg)"} and runs(found)
    with pytest.raises(ConfigError, match="^it has no masks$"):
        expand(
            read("table2"),
            lambda asked: [Identity(problem="it has no masks")] * len(asked),
            lambda run: None,
        )


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("evaluate_on", ["lizard", "camus"], "evaluate_on=[lizard,camus]"),
        ("pretrained", False, "pretrained=false"),
        ("lam", 1e-05, "lam=1e-05"),
        ("dataset", "phantom", "dataset=phantom"),
    ],
)
def test_values_as_overrides(key: str, value: Any, text: str) -> None:
    assert override_text(key, value) == text
