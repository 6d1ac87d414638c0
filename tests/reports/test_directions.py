"""A metric of which less is better, from the table and its marks to claims."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from support import records_factory

from gradprom.experiments.declared import Experiment, read
from gradprom.experiments.expansion import Expansion, expand
from gradprom.reports.claims import specs, verdicts
from gradprom.reports.sweep_table import render, tables
from gradprom.reports.tables import published, table, text
from gradprom.reports.tables.filling import fill
from gradprom.reports.tables.published import Published
from gradprom.reports.tables.table import Table
from gradprom.runs.records import Study

EXPERIMENT = """
title: Errors
caption: Errors of three strategies.
overrides: {profile: paper, dataset: isic2018, auxiliary: diagnosis}
seeds: [0, 1]
metrics: [psnr, rmse]
columns: [{title: low, overrides: {noise: 0.1}}, {title: high, overrides: {noise: 0.2}}]
rows:
  - {title: Joint, overrides: {strategy: joint}}
  - {title: Frozen, overrides: {strategy: frozen}}
  - {title: GradProm, overrides: {strategy: gradprom}}
"""
ERRORS = {"Joint": 0.05, "Frozen": 0.03, "GradProm": 0.02}
FLOOR = 0.04


@pytest.fixture
def experiment(tmp_path: Path) -> Experiment:
    (tmp_path / "errors.yaml").write_text(EXPERIMENT)
    [found] = read("errors", tmp_path)
    return found


@pytest.fixture
def expansion(experiment: Experiment) -> Expansion:
    return expand(experiment, records_factory.identify, lambda run: 0.5)


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return Study(tmp_path, "made")


@pytest.fixture
def records(expansion: Expansion, study: Study) -> dict[str, dict[str, Any]]:
    found = {}
    for cell in expansion.cells:
        for seed, run in cell.runs.items():
            error = ERRORS[cell.row.title] + 0.001 * seed
            scores = {"psnr": -20 * np.log10(error), "rmse": error, "degraded_rmse": FLOOR}
            found[run] = records_factory.finished(study, run, cell.words[seed], scores)
    return found


def built(expansion: Expansion, records: dict[str, dict[str, Any]]) -> Table:
    return fill(expansion, records, [], "isic2018")


def test_the_smallest_error_is_the_best_of_its_column(
    expansion: Expansion, records: dict[str, dict[str, Any]]
) -> None:
    made = built(expansion, records)
    for metric in ("rmse", "psnr"):
        places = {row.declared.title: row.cells[0, metric].place for row in made.rows}
        assert places == {"Joint": 0, "Frozen": 2, "GradProm": 1}
    lines = {line.split("|")[1].strip(): line for line in text.markdown(made).splitlines()[4:10]}
    assert "**0.0205 ± 0.0007 (2)**" in lines["GradProm"]
    assert "<u>0.0305 ± 0.0007 (2)</u>" in lines["Frozen"]
    assert made.degraded.cells[0, "rmse"].value is not None
    assert (0, "psnr") not in made.degraded.cells  # no run has scored it


@pytest.mark.parametrize(("metric", "worse"), [("rmse", 0.05), ("psnr", 19.0)])
def test_published_numbers_worse_than_the_degraded_input_are_marked(
    monkeypatch: pytest.MonkeyPatch,
    expansion: Expansion,
    records: dict[str, dict[str, Any]],
    metric: str,
    worse: float,
) -> None:
    floors = {"rmse": 0.04, "psnr": 20.0}
    key = "errors", "low", metric
    monkeypatch.setattr(table, "degraded_inputs", lambda: {key: floors[metric]})
    better = 2 * floors[metric] - worse
    numbers = {"Joint": worse, "Frozen": better, "GradProm": floors[metric]}
    monkeypatch.setattr(
        table, "published", lambda experiment, row, *_: Published(numbers[row.title], None)
    )
    made = built(expansion, records)
    marked = {row.declared.title: row.cells[0, metric].below_degraded for row in made.rows}
    assert marked == {"Joint": True, "Frozen": False, "GradProm": False}


def test_degraded_inputs_may_have_any_metric(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    header, line = "experiment,column,dataset,images,psnr,rmse", "errors,low,isic2018,9,20.5,0.1"
    (tmp_path / "degraded_inputs.csv").write_text(f"{header}\n{line}\n")
    monkeypatch.setattr(published, "FOLDER", tmp_path)
    found = published.degraded_inputs.__wrapped__()
    assert found == {("errors", "low", "psnr"): 20.5, ("errors", "low", "rmse"): 0.1}


def test_tables_of_sweeps_show_it_with_its_digits(
    records: dict[str, dict[str, Any]],
) -> None:
    found = tables.build(list(records.values()))
    assert found.metrics == ["psnr", "rmse"]
    assert "RMSE σ=0.1" in render.header(found)
    [floor, *_] = found.rows
    assert render.line(found, floor)[1:3] == ["–", "0.0400 (1)"]
    assert "0.0205 ± 0.0007 (2)" in render.markdown(found)


# claims


def judged(
    monkeypatch: pytest.MonkeyPatch, expansion: Expansion, study: Study, contrast: str
) -> verdicts.Judged:
    """A claim about tables of images with the errors above."""
    monkeypatch.setattr(specs, "_declared", lambda: {"errors": expansion.experiment})
    path = study.results / "claims.yaml"
    path.write_text(
        "- {name: made, text: made, source: none, metrics: [psnr, rmse], contrasts: ["
        + contrast
        + "]}\n"
    )
    rng = np.random.default_rng(0)
    records = {}
    for cell in expansion.cells:
        for seed, run in cell.runs.items():
            errors = ERRORS[cell.row.title] * (1 + 0.02 * rng.normal(size=30) + 0.01 * seed)
            columns = {"psnr": -20 * np.log10(errors), "rmse": errors}
            study.run(run).mkdir(parents=True)
            images = {"id": [f"i{n}" for n in range(30)], "group": [f"g{n}" for n in range(30)]}
            pd.DataFrame(images | columns).to_csv(study.run(run) / "scores.csv", index=False)
            records[run] = {"id": run, "status": "finished", "dataset": {"fingerprint": "isic"}}
    [found] = verdicts.judge(verdicts.read_claims(path), {"errors": expansion}, records, study)
    return found


def test_a_contrast_of_errors_is_a_gain(
    monkeypatch: pytest.MonkeyPatch, expansion: Expansion, study: Study
) -> None:
    contrast = "{columns: each, plus: [errors | GradProm], minus: [errors | Frozen]}"
    found = judged(monkeypatch, expansion, study, contrast)
    assert (found.verdict, found.counts) == ("holds", "4 of 4 contrasts hold")
    by_text = {one.text: one for one in found.contrasts}
    assert by_text["Errors, low, PSNR: GradProm − Frozen"].effect == pytest.approx(3.52, abs=0.1)
    error = by_text["Errors, low, RMSE (lower is better): Frozen − GradProm"]
    assert error.effect == pytest.approx(0.01, abs=0.001)
    assert error.low is not None and 0 < error.low < error.effect
    assert all(value > 0 for value in error.by_seed.values())


def test_a_wrong_claim_about_errors_fails(
    monkeypatch: pytest.MonkeyPatch, expansion: Expansion, study: Study
) -> None:
    contrast = "{columns: each, plus: [errors | Joint], minus: [errors | Frozen]}"
    found = judged(monkeypatch, expansion, study, contrast)
    assert (found.verdict, found.counts) == ("does not", "0 of 4 contrasts hold")


def test_a_difference_of_gains_in_errors(
    monkeypatch: pytest.MonkeyPatch, expansion: Expansion, study: Study
) -> None:
    """GradProm gains more over Joint (0.03) than Frozen does (0.02), each at its own noise."""
    plus = "[errors | GradProm | low, errors | Joint | high]"
    minus = "[errors | Joint | low, errors | Frozen | high]"
    found = judged(monkeypatch, expansion, study, f"{{plus: {plus}, minus: {minus}}}")
    [_, error] = found.contrasts
    assert error.text == (
        "RMSE (lower is better): Errors, low (Joint − GradProm) + Errors, high (Frozen − Joint)"
    )
    assert error.effect == pytest.approx(0.01, abs=0.001) and error.verdict == "holds"
