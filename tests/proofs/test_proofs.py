"""Three methods that the package knows nothing of, each a file and a YAML.

They live in `gradprom_plugins` beside this file. What is said of `task_driven` elsewhere holds for
them: swept with shared stages, tabulated, reported, compared, and also killed, resumed, exported.
"""

import csv
import re
from pathlib import Path

import pytest
from support import cli_process
from support.proofs import PLUGINS, PROOFS, SIZES, Swept, each, records, run, tool

from gradprom.metrics.registry import METRICS

pytestmark = pytest.mark.proofs


def cells(results: Path, name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(reported(results, name, "csv").splitlines()))


def reported(results: Path, name: str, kind: str) -> str:
    """A file of the report."""
    return (results / "local" / "report" / f"proofs-{name}.{kind}").read_text()


# Swept, with seeds and shared stages.


@each
def test_a_sweep_shares_stages_and_says_so(swept: Swept, name: str) -> None:
    results, text = swept(name)
    proof = PROOFS[name]
    planned = re.search(r"to train +(.*?): \d+ steps", text)
    assert planned is not None
    counts = {stage: int(n) for n, stage in re.findall(r"(\d+) × (\w+)", planned.group(1))}
    assert counts == proof.trained == dict(cli_process.trained(results))
    done = records(results)
    assert len(done) == proof.runs and {record["status"] for record in done} == {"finished"}
    assert {record["seed"] for record in done} == {0, 1}


@each
def test_typed_again_it_trains_nothing(swept: Swept, name: str) -> None:
    results, _ = swept(name)
    before = cli_process.trained(results)
    text = run(results, "-m", f"experiment=proofs/{name}")
    assert f"0 new, {PROOFS[name].runs} done" in text
    assert cli_process.trained(results) == before


@each
def test_the_plan_and_the_record_speak_of_the_method_alone(swept: Swept, name: str) -> None:
    results, text = swept(name)
    for record in records(results):
        assert set(record["scores"]) == PROOFS[name].scores
        assert record["scores"] == [key for key in record["metrics"] if key in record["scores"]]
        assert all(f"\n  {key:<11}" in text and v in text for key, v in record["setup"].items())
        assert not {"recognizer", "enhancer", "auxiliary", "supervision"} & set(record["reads"])
        assert ("strategy" in record["reads"]) == (name == "adversarial")


# Tabulated and reported.


@each
def test_tables_show_its_metrics_and_the_degraded_input(swept: Swept, name: str) -> None:
    results, _ = swept(name)
    rows = [row for row in cells(results, name) if row["mean"]]
    ours = {row["metric"].lower() for row in rows if row["row"] != "degraded input"}
    degraded = {row["metric"].lower() for row in rows if row["row"] == "degraded input"}
    assert PROOFS[name].scores <= ours and degraded == PROOFS[name].degraded


def test_the_lowest_rmse_is_the_best(swept: Swept) -> None:
    results, _ = swept("adversarial")
    text = reported(results, "adversarial", "md").split("\nOver ")[0]
    lines = [
        line.split("|")[2] for line in text.splitlines() if re.search(r"Pixels|Grad|Slow", line)
    ]
    printed = [(float(re.search(r"0\.\d+", cell).group()), "**" in cell) for cell in lines]
    lowest = min(value for value, _ in printed)
    assert len({value for value, _ in printed}) > 1
    # others are bold where they are not worse by the paired interval
    assert all(best for value, best in printed if value == lowest)
    assert not all(best for _, best in printed)


@each
def test_the_report_has_a_page_and_latex(swept: Swept, name: str) -> None:
    results, _ = swept(name)
    code, text = tool(results, "report", f"proofs/{name}")
    assert code == 0, text
    folder = results / "local" / "report"
    page, latex = (folder / "index.html").read_text(), (folder / "tables.tex").read_text()
    for title in {row["row"] for row in cells(results, name)}:
        assert title in page and title in latex
    row = next(row for row in cells(results, name) if row["mean"])
    number = f"{float(row['mean']):.{METRICS[row['metric']].digits}f}"
    assert number in page and number in latex


@each
def test_two_runs_are_compared(swept: Swept, name: str) -> None:
    results, _ = swept(name)
    first, *_, last = [record["id"] for record in records(results)]
    code, text = tool(results, "compare", first, last)
    assert code == 0 and all(f"\n  {score} " in text for score in PROOFS[name].scores), text


# What a run is, and what it is not.


def test_three_problems_and_two_solvers_are_one_training(swept: Swept) -> None:
    results, _ = swept("prior")
    own = [record for record in records(results) if record["seed"] == 0]
    assert len(own) == len({record["id"] for record in own}) == 6
    assert len({record["training_id"] for record in own}) == 1
    assert {record["config"]["degradation"]["name"] for record in own} == {
        "blur",
        "downsample",
        "completion",
    }
    read = [record["reads"]["method"] for record in own]
    assert {options["acceleration"] for options in read} == {True, False}
    assert all({"width", "sigma", "iterations"} <= set(options) for options in read)


def test_the_solver_tells_of_each_image(swept: Swept) -> None:
    """Images of three sizes, each with its own number of iterations."""
    results, _ = swept("prior")
    for record in records(results):
        path = results / "local" / "runs" / record["id"] / "scores.csv"
        rows = list(csv.DictReader(path.read_text().splitlines()))
        taken = [float(row["iterations"]) for row in rows]
        assert len(rows) == 6 and all(1 <= count <= 8 for count in taken)
        assert all(row["converged"] == "True" for row, n in zip(rows, taken, strict=True) if n < 8)
    assert any(
        record["metrics"]["psnr"] > record["metrics"]["degraded_psnr"]
        for record in records(results)
    )


def test_ranks_that_cannot_share_an_epoch_of_one_label_say_so(tmp_path: Path) -> None:
    """Sixteen images have six or five of a label, and an epoch shows five."""
    words = (*PROOFS["adversarial"].alone, "trainer.devices=2")
    code, text = cli_process.run(tmp_path, *words, sizes=SIZES, plugins=PLUGINS)
    assert code == 1 and re.search(r"trainer\.devices=2 .* 5 training images", text), text


def test_contrasts_go_through_any_backbone(tmp_path: Path) -> None:
    words = ("method=contrasts", "dataset=four_contrasts", "dataset.train=4", "dataset.test=2")
    run(tmp_path, *words, "backbone=resnet50", "pretrained=false", "method.epochs=1")
    [record] = records(tmp_path)
    assert record["status"] == "finished" and "resnet_encoder" in record["title"]
