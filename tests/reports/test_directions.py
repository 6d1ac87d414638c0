"""A metric of which less is better, from the table and its marks to claims."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support import records_factory

from gradprom.experiments import folders, papers
from gradprom.experiments.declared import Experiment, read
from gradprom.experiments.expansion import Expansion, expand
from gradprom.reports import swept, unplanned
from gradprom.reports.claims import specs, verdicts
from gradprom.reports.statistics.image_scores import StudyScores
from gradprom.reports.tables import filling, layout, published, text
from gradprom.reports.tables.filling import fill
from gradprom.reports.tables.published import Published
from gradprom.reports.tables.table import Table
from gradprom.runs.record import DatasetInfo, Record
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
def experiment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Experiment:
    """A table of the first paper, in a folder of experiments that holds nothing else."""
    monkeypatch.setattr(folders, "experiment_folders", lambda: [tmp_path])
    folder = tmp_path / papers.FIRST
    folder.mkdir()
    (folder / "errors.yaml").write_text(EXPERIMENT)
    [found] = read("errors")
    return found


@pytest.fixture
def expansion(experiment: Experiment) -> Expansion:
    return expand(experiment, records_factory.identify, lambda run: None)


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return Study(tmp_path, "made")


@pytest.fixture
def records(expansion: Expansion, study: Study) -> dict[str, Record]:
    found = {}
    for cell in expansion.cells:
        for seed, run in cell.runs.items():
            error = ERRORS[cell.row.title] + 0.001 * seed
            scores = {"psnr": -20 * np.log10(error), "rmse": error, "degraded_rmse": FLOOR}
            found[run] = records_factory.finished(study, run, cell.overrides[seed], scores)
    return found


def built(expansion: Expansion, records: dict[str, Record]) -> Table:
    return fill(expansion, records, [], expansion.experiment)


def test_the_smallest_error_is_the_best_of_its_column(
    expansion: Expansion, records: dict[str, Record]
) -> None:
    made = built(expansion, records)
    for metric in ("rmse", "psnr"):
        best = {row.declared.title: row.cells[0, metric].best for row in made.rows}
        assert best == {"Joint": False, "Frozen": False, "GradProm": True}
    lines = {line.split("|")[1].strip(): line for line in text.markdown(made).splitlines()[4:10]}
    assert "**0.0205 ± 0.0007 (2)**" in lines["GradProm"]
    assert "| 0.0305 ± 0.0007 (2) |" in lines["Frozen"]
    [degraded] = made.degraded
    assert degraded.cells[0, "rmse"].value is not None
    assert (0, "psnr") not in degraded.cells  # no run has scored it


@pytest.mark.parametrize(("metric", "worse"), [("rmse", 0.05), ("psnr", 19.0)])
def test_published_numbers_worse_than_the_degraded_input_are_marked(
    monkeypatch: pytest.MonkeyPatch,
    expansion: Expansion,
    records: dict[str, Record],
    metric: str,
    worse: float,
) -> None:
    floors = {"rmse": 0.04, "psnr": 20.0}
    key = "errors", "low", metric
    monkeypatch.setattr(filling, "degraded_inputs", lambda: {key: floors[metric]})
    better = 2 * floors[metric] - worse
    numbers = {"Joint": worse, "Frozen": better, "GradProm": floors[metric]}
    monkeypatch.setattr(
        filling, "published", lambda experiment, row, *_: Published(numbers[row.title], None)
    )
    made = built(expansion, records)
    marked = {row.declared.title: row.cells[0, metric].below_degraded for row in made.rows}
    assert marked == {"Joint": True, "Frozen": False, "GradProm": False}


def test_degraded_inputs_may_have_any_metric(tmp_path: Path) -> None:
    header, line = "experiment,column,dataset,images,psnr,rmse", "errors,low,isic2018,9,20.5,0.1"
    (tmp_path / "degraded_inputs.csv").write_text(f"{header}\n{line}\n")
    found = published._measured((tmp_path / "degraded_inputs.csv",))
    assert found == {("errors", "low", "psnr"): 20.5, ("errors", "low", "rmse"): 0.1}


def test_tables_of_sweeps_show_it_with_its_digits(
    records: dict[str, Record],
) -> None:
    found = swept.table_of(unplanned.expansion(list(records.values())), records)
    assert [m for n, m in layout.slots(found) if n == 0][:2] == ["psnr", "rmse"]
    lines = {line.split("|")[1].strip(): line for line in text.markdown(found).splitlines()[4:10]}
    assert lines["degraded input"].startswith("| degraded input | – | 0.0400 |")
    assert "**0.0205 ± 0.0007 (2)**" in lines["gradprom"]


# claims


def judged(
    monkeypatch: pytest.MonkeyPatch, expansion: Expansion, study: Study, contrast: str
) -> verdicts.JudgedClaim:
    """A claim about tables of images with the errors above."""
    monkeypatch.setattr(specs, "_declared", lambda *_: [expansion.experiment])
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
            records[run] = records_factory.record(run, dataset=DatasetInfo(fingerprint="isic"))
    scores = StudyScores(records, study)
    [found] = verdicts.judge(verdicts.read_claims(path), {"errors": expansion}, scores)
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
