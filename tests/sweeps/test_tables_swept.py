"""`python run.py -m experiment=…`: the cells of a table as runs, and what the report finds."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from support import cli_process, tiny_runs
from support.isic_files import isic_folder

from gradprom import metrics
from gradprom.degradations import degrade_for_evaluation
from gradprom.errors import ConfigError
from gradprom.runs import restore
from gradprom.runs.execution import execute
from gradprom.runs.record import value_of
from gradprom.runs.records import Study
from gradprom.sweeps import request, run_ids
from gradprom.sweeps.plan import Plan, describe, make_plan, tables

TABLE = ("-m", "experiment=table1", "profile=demo", "dataset=phantom", "noise=0.1", "seed=0,1")


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = tmp_path_factory.mktemp("swept")
    code, text = cli_process.run(results, *TABLE)
    assert code == 0, text
    return results


def text_of(results: Path, number: int) -> str:
    return (results / f"output-{number}.txt").read_text()


def test_the_plan_counts_cells_runs_and_epochs(swept: Path) -> None:
    text = text_of(swept, 0)
    assert "Table I: 8 of 8 cells, 16 distinct runs" in text
    assert "16 runs: 16 new, 0 done" in text
    # a seed: 4 epochs of the benchmark, 2 each of recognizer, warm-up and 7 × coupled;
    # alone: 4 + (2 + 2) of Benchmark-i + 6 × (2 + 2 + 2)
    assert "44 epochs instead of 88" in text


def test_a_gate_on_the_last_layer_is_shown_with_its_agreement(tmp_path: Path) -> None:
    words = ("-m", "experiment=gate_on", "profile=demo", "dataset=phantom", "seed=0", "lam=0.01")
    code, text = cli_process.run(tmp_path, *words)
    assert code == 0 and "2 of 2 cells, 2 distinct runs" in text, text
    study = cli_process.study(tmp_path)
    found = {record.config["strategy"]["gate_on"]: record for record in study.records()}
    history = pd.read_csv(study.run(found["last"].id) / "history.csv")
    # looked at in some steps, as the last layer's gate does without the whole gradient
    agreed = history[history.stage == "coupled"].agree_diagnosis.dropna()
    assert (
        len(agreed)
        and agreed.isin([0, 1]).all()
        and value_of(found["last"], "agree") == agreed.mean()
    )
    assert value_of(found["all"], "agree") is None
    line, *_ = [one for one in text.splitlines() if "GradProm, last layer" in one]
    assert line.split()[-2:] == [f"{agreed.mean():.3f}", "(1)"]


def test_each_cell_is_trained_once_and_typed_again_nothing_is(swept: Path) -> None:
    records = cli_process.study(swept).records()
    assert len(records) == 16 and all(r.status == "finished" for r in records)
    expected = {"benchmark": 2, "recognizer.diagnosis": 2, "warmup": 2, "coupled": 14}
    assert cli_process.trained(swept) == expected
    code, text = cli_process.run(swept, *TABLE)
    assert code == 0 and "16 runs: 0 new, 16 done" in text
    # a word more of what is there selects from it
    code, text = cli_process.run(swept, *TABLE, "strategy=gradprom", "supervision=supervised")
    assert "2 runs: 0 new, 2 done" in text
    assert cli_process.trained(swept) == expected


def test_the_report_finds_the_same_runs_without_torch(swept: Path) -> None:
    """In a process of its own: which runs belong to a table needs no torch, once it is known."""
    script = f"""
import sys
from pathlib import Path
from gradprom.sweeps import run_ids
from gradprom.experiments.expansion import expanded
from gradprom.runs.records import Study
study = Study(Path({str(swept)!r}), "local")
words = {[*cli_process.TINY, *TABLE[2:]]!r}
[table] = expanded(["table1"], words, lambda w: run_ids.identities(w, study.results), study)
assert "torch" not in sys.modules
print(*sorted(run for cell in table.cells for run in cell.runs.values()))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == sorted(r.id for r in cli_process.study(swept).records())


def test_identities_are_worked_out_beside_the_report_where_they_are_not_known(
    tmp_path: Path,
) -> None:
    words = [["strategy=joint", "seed=5"], ["dataset=covid_ct", "auxiliary=segmentation"]]
    good, bad = run_ids.identities(words, tmp_path)
    assert good.id == tiny_runs.make(tmp_path, *words[0]).id
    assert bad.id == "" and "covid_ct has none" in bad.problem
    [kept] = (tmp_path / "cache").glob("identities-*.json")
    stamp = kept.stat().st_mtime_ns
    assert run_ids.identities(words, tmp_path) == [good, bad] and kept.stat().st_mtime_ns == stamp


def test_the_ids_of_each_split_stand_in_the_study(swept: Path) -> None:
    [path] = (cli_process.study(swept).folder / "splits").iterdir()
    splits = json.loads(path.read_text())
    assert {name: len(ids) for name, ids in splits.items()} == {"train": 16, "test": 8}
    assert not set(splits["train"]) & set(splits["test"])
    [record, *_] = cli_process.study(swept).records()
    assert path == cli_process.study(swept).splits(record.dataset.fingerprint)
    scores = pd.read_csv(cli_process.study(swept).run(record.id) / "scores.csv", dtype=str)
    assert set(scores["id"]) == set(splits["test"])


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ("experiment=table1",),
            "experiment=table1 is a sweep: python run.py -m experiment=table1",
        ),
        (("-m", "experiment=table9"), "experiment=table9 is unknown; choose from all, controls"),
        (
            ("-m", "experiment=table1", "noise=0.7"),
            "noise=0.7: experiment=table1 has no such cell; it has noise 0.05, 0.1, 0.2, 0.3",
        ),
        (
            ("-m", "experiment=table1", "profile=demo", "dataset=phantom", "lam=-1"),
            "strategy=gradprom: lam must be a finite number >= 0, got -1.0",
        ),
    ],
)
def test_what_is_wrong_is_told_before_anything_is_trained(
    tmp_path: Path, words: tuple[str, ...], sentence: str
) -> None:
    code, text = cli_process.run(tmp_path, *words)
    assert code != 0 and f"gradprom: {sentence}" in text, text
    assert "Traceback" not in text and not cli_process.trained(tmp_path)


def test_rows_that_a_dataset_cannot_serve_are_told_and_the_others_planned(tmp_path: Path) -> None:
    asked = ["experiment=table5", "dataset=covid_ct", "noise=0.1", "seed=0", "profile=demo"]
    composer = request.shell_composer()
    found = request.read_request([*asked, f"results={tmp_path}"], composer)
    refused = "auxiliary=segmentation needs masks and dataset=covid_ct has none"
    [table] = found.expansions
    problems = {c.row.title: c.problem for c in table.cells if c.problem and not c.row.waits_for}
    assert set(problems) == {"Ours (V_R seg)", "U-SAID"}
    assert all(refused in problem for problem in problems.values())
    assert len(found.runs) == 8
    plan = Plan([], retry_failed=False, expansions=found.expansions)
    told = "\n".join(tables(plan))
    assert "Table V: 8 of 11 cells, 8 distinct runs" in told
    assert f"left out   U-SAID, Ours (V_R seg): {refused}" in told
    with pytest.raises(ConfigError, match=refused):
        request.read_request(["experiment=table2", *asked[1:]], composer)


def test_what_is_known_of_the_data_stands_in_plan_and_record(tmp_path: Path) -> None:
    isic_folder(tmp_path)
    words = [*tiny_runs.SMALL, "dataset=isic2018", f"data_root={tmp_path}"]
    run = tiny_runs.make(tmp_path / "results", *words)
    told = describe(make_plan([run], retry_failed=False))
    assert re.search(r"note +isic2018: \d+ of \d+ images are labelled", told)
    notes = execute(run).dataset.notes
    assert notes and all(note in told for note in notes)


# several test sets


@pytest.fixture
def colours(tmp_path: Path) -> Path:
    """Twelve pictures of another kind."""
    folder = tmp_path / "colours"
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 255, (12, 8, 8, 3), dtype=np.uint8)
    for number, each in enumerate(pixels):
        Image.fromarray(each).resize((32, 32)).save(folder / f"{number:02d}.png")
    return folder


def other(folder: Path) -> str:
    return f"evaluate_on=[{{name:folder,root:'{folder}',test:0.5}}]"


def test_one_training_is_tested_on_another_dataset_as_well(tmp_path: Path, colours: Path) -> None:
    plain = tiny_runs.make(tmp_path, *tiny_runs.PHANTOM)
    both = tiny_runs.make(tmp_path, *tiny_runs.PHANTOM, other(colours))
    assert plain.training_id == both.training_id and plain.id != both.id
    first = execute(plain)
    assert make_plan([both], retry_failed=False).stages == {}  # only evaluation is left
    record = execute(both)
    assert record.metrics == first.metrics
    told = record.evaluate_on["colours"]
    assert told.counts == {"train": 6, "test": 6} and "accuracy" not in told.metrics

    study = Study(tmp_path, "local")
    method = restore.restored_method(both, record, torch.device("cpu"))
    images = both.test_sets()["colours"]
    rows = images.splits["test"]
    clean = images.target[rows].float() / 255
    noisy = degrade_for_evaluation(both.config.degradation, clean, [images.ids[r] for r in rows], 0)
    expected = metrics.psnr(method.enhance(noisy), clean).mean().item()
    assert told.metrics["psnr"] == pytest.approx(expected, abs=1e-4)
    assert len(pd.read_csv(study.run(both.id) / "scores-colours.csv")) == 6
    assert (study.run(both.id) / "panels-colours" / "00.png").is_file()


def test_another_test_set_that_changes_makes_the_record_stale(
    tmp_path: Path, colours: Path
) -> None:
    run = tiny_runs.make(tmp_path, *tiny_runs.PHANTOM, other(colours))
    execute(run)
    assert make_plan([run], retry_failed=False).summary() == "1 run: 0 new, 1 done"
    Image.new("RGB", (32, 32)).save(colours / "00.png")
    again = tiny_runs.make(tmp_path / ".." / tmp_path.name, *tiny_runs.PHANTOM, other(colours))
    assert make_plan([again], retry_failed=False).summary() == (
        "1 run: 0 new, 0 done, 1 other data"
    )


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["evaluate_on=[covid_ct]"], "evaluate_on=covid_ct has images with 1 channel"),
        (["evaluate_on=[phantom]"], r"evaluate_on=\[phantom\] must name datasets other than"),
        (["evaluate_on=[lizard,lizard]"], "each once"),
        (["evaluate_on=[nosuch]"], "dataset.name=nosuch is unknown; choose from brain, camus"),
        (["evaluate_on=[lizard]", "method=recognizer"], "evaluate_on needs an enhancer"),
    ],
)
def test_test_sets_that_cannot_be(tmp_path: Path, words: list[str], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        tiny_runs.make(tmp_path, *words)


def test_equal_rows_of_two_tables_are_one_run(tmp_path: Path) -> None:
    """At the paper's settings; neither data nor weights are needed to know it."""
    asked = ["experiment=table1,table2,table3,table5", "seed=0", f"results={tmp_path}"]
    tables = {
        x.experiment.name: x
        for x in request.read_request(asked, request.shell_composer()).expansions
    }

    def runs(table: str, title: str, column: str, group: str = "", backbone: str = "") -> set[str]:
        return {
            cell.runs[0]
            for cell in tables[table].cells
            if (cell.row.title, cell.row.group, cell.column.title) == (title, group, column)
            and cell.row.details.get("Backbone", "") == backbone
        }

    ours = runs("table5", "Ours (V_R dia)", "σ = 0.2", backbone="ResNet-50")
    assert ours == runs("table1", "GradProm", "σ = 0.2", "Sup.") and len(ours) == 1
    segmenting = runs("table5", "Ours (V_R seg)", "σ = 0.2", backbone="ResNet-50")
    assert segmenting == runs("table2", "GradProm", "σ = 0.2", "Sup.") != ours
    # one run fills both rows, and both columns of Table III
    assert runs("table1", "Benchmark-i", "σ = 0.3") == runs("table2", "Benchmark-i", "σ = 0.3")
    assert runs("table3", "Benchmark-i", "Unsup.") == runs("table3", "Benchmark-i", "Sup.")
    assert ours != runs("table5", "Ours (V_R dia)", "σ = 0.2", backbone="ResNet-101")
