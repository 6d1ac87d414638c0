"""The proof of the seams: three methods that the package knows nothing of, each a file and a YAML.

They live in `gradprom_plugins` beside this file. What is said of `task_driven` elsewhere holds for
them: swept with shared stages, killed and resumed, tabulated, reported, exported.
"""

import csv
import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from faults.lifecycle import assert_same, frozen_at
from support import cli_process, documented

PLUGINS = Path(__file__).parent
ROOT = PLUGINS.parents[1]
SIZES = ("trainer.log_every=1", "trainer.checkpoint_seconds=0", "trainer.device=cpu")
PAUSE = 0.02


@dataclass(frozen=True)
class Proof:
    """What is expected of a method's experiment, and a run of it alone."""

    trained: dict[str, int]
    """How many stages of each name the sweep trains."""
    runs: int
    scores: set[str]
    degraded: set[str]
    """Those that the degraded input has too."""
    stages: int
    """Of one run."""
    alone: tuple[str, ...]


SMALL = ("backbone.channels=4", "backbone.blocks=1")
PROOFS = {
    "adversarial": Proof(
        # without sharing 6 of each: rows differ in strategy and rate, and in two seeds
        {"embedding": 2, "generator": 4, "game": 6},
        6,
        {"rmse", "auc"},
        {"rmse"},
        3,
        ("method=adversarial", "dataset.train=16", "dataset.test=8", "dataset.size=32", *SMALL)
        + ("method.embedding_epochs=2", "method.first_epochs=2", "method.epochs=3"),
    ),
    "prior": Proof(
        # three problems by two solvers: twelve runs on two trainings of two stages
        {"prior": 4},
        12,
        {"psnr", "ssim", "iterations", "converged"},
        {"psnr", "ssim"},
        2,
        ("method=prior", "dataset=scenes", "degradation=downsample", "scale=3")
        + ("method.denoiser_epochs=2", "method.gradient_epochs=3", "method.iterations=8"),
    ),
    "contrasts": Proof(
        {"contrasts": 4},
        4,
        {"psnr", "ssim"},
        set(),
        1,
        ("method=contrasts", "dataset=four_contrasts", "method.epochs=4", *SMALL),
    ),
}
each = pytest.mark.parametrize("name", PROOFS)


def run(results: Path, *words: str, plugins: Path = PLUGINS) -> str:
    code, text = cli_process.run(results, *words, sizes=SIZES, plugins=plugins)
    assert code == 0, text
    return text


def tool(results: Path, *words: str) -> tuple[int, str]:
    return cli_process.tool(results, *words, plugins=PLUGINS)


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, str]]:
    """By method: where its experiment was run, once, and what was said."""
    done: dict[str, tuple[Path, str]] = {}

    def sweep(name: str) -> tuple[Path, str]:
        if name not in done:
            results = tmp_path_factory.mktemp(name)
            done[name] = results, run(results, "-m", f"experiment=proofs/{name}")
        return done[name]

    return sweep


Swept = Callable[[str], tuple[Path, str]]


def records(results: Path) -> list[dict[str, Any]]:
    paths = sorted(results.glob("local/runs/*/record.json"))
    return [json.loads(path.read_text()) for path in paths]


def cells(results: Path, name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(reported(results, name, "csv").splitlines()))


def reported(results: Path, name: str, kind: str) -> str:
    """A file of the report; its name also says what the command line asked for."""
    [path] = results.glob(f"local/report/proofs-{name}-*.{kind}")
    return path.read_text()


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
    text = reported(results, "adversarial", "md")
    lines = [
        line.split("|")[2] for line in text.splitlines() if re.search(r"Pixels|Grad|Slow", line)
    ]
    printed = [(float(re.search(r"0\.\d+", cell).group()), "**" in cell) for cell in lines]
    lowest = min(value for value, _ in printed)
    assert len({value for value, _ in printed}) > 1
    assert [best for _, best in printed] == [value == lowest for value, _ in printed]


@each
def test_the_report_has_a_page_and_latex(swept: Swept, name: str) -> None:
    results, _ = swept(name)
    code, text = tool(results, "report", f"proofs/{name}")
    assert code == 0, text
    folder = results / "local" / "report"
    page, latex = (folder / "index.html").read_text(), (folder / "tables.tex").read_text()
    for title in {row["row"] for row in cells(results, name)}:
        assert title in page and title in latex
    number = next(f"{float(r['mean']):.3f}" for r in cells(results, name) if r["mean"])
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


# Killed and resumed.


def in_the_last_stage(stages: int) -> Callable[[Path], bool]:
    """Whether all stages but the last are there, and that one has a checkpoint."""

    def moment(results: Path) -> bool:
        begun = [path.parent for path in results.glob("stages/*/checkpoint.pt")]
        there = list(results.glob("stages/*/artefact.pt"))
        return len(there) == stages - 1 and any(not (f / "artefact.pt").exists() for f in begun)

    return moment


def half_evaluated(results: Path) -> bool:
    return any(path.stat().st_size for path in results.glob("local/runs/*/scores.partial"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """By method: where a run was never stopped."""
    done: dict[str, Path] = {}

    def train(name: str) -> Path:
        if name not in done:
            done[name] = tmp_path_factory.mktemp(f"{name}-whole")
            run(done[name], *EVALUATED, *PROOFS[name].alone)
        return done[name]

    return train


EVALUATED = ("evaluation.batch_size=2", "evaluation.panels=6")


def killed(results: Path, name: str, moment: Callable[[Path], bool], pause: float) -> None:
    words = (*EVALUATED, *PROOFS[name].alone)
    child = cli_process.start(results, *words, pause=pause, sizes=SIZES, plugins=PLUGINS)
    assert frozen_at(moment, child, results), child.text
    child.kill()


@each
def test_killed_at_a_checkpoint_and_resumed(
    tmp_path: Path, whole: Callable[[str], Path], name: str
) -> None:
    killed(tmp_path, name, in_the_last_stage(PROOFS[name].stages), PAUSE)
    run(tmp_path, *EVALUATED, *PROOFS[name].alone)
    assert_same(tmp_path, whole(name))
    [record] = records(tmp_path)
    assert record["interruptions"] == 1


@each
def test_an_interrupted_evaluation_goes_on(
    tmp_path: Path, whole: Callable[[str], Path], name: str
) -> None:
    killed(tmp_path, name, half_evaluated, pause=0.2)
    before = cli_process.trained(tmp_path)
    [panels] = tmp_path.glob("local/runs/*/panels")
    [first, *_] = sorted(panels.glob("*.png"))
    first.unlink()
    run(tmp_path, *EVALUATED, *PROOFS[name].alone)
    assert_same(tmp_path, whole(name))
    assert cli_process.trained(tmp_path) == before
    assert not first.exists()  # its batch was not restored again


# Handed on.


def test_exports_score_what_the_runs_scored(swept: Swept, tmp_path: Path) -> None:
    expected = {}
    for name in PROOFS:
        results, _ = swept(name)
        record = records(results)[0]
        expected[name] = record["metrics"]
        code, text = tool(results, "export", record["id"], "-o", str(tmp_path / name))
        assert code == 0, text
        card = (tmp_path / name / "README.md").read_text()
        assert record["title"] in card
        assert all(str(record["metrics"][score])[:5] in card for score in record["scores"])
    command = [sys.executable, str(PLUGINS / "rescore.py"), *(str(tmp_path / n) for n in PROOFS)]
    done = subprocess.run(command, capture_output=True, text=True, env={"PYTHONPATH": str(PLUGINS)})
    assert done.returncode == 0, done.stderr
    for name, scores in json.loads(done.stdout.splitlines()[-1]).items():
        assert scores == pytest.approx(expected[name], rel=1e-9), name


@pytest.mark.parametrize(("name", "reason"), [("prior", "method=prior"), ("contrasts", "of 4")])
def test_what_cannot_enhance_a_picture_says_so(
    swept: Swept, tmp_path: Path, name: str, reason: str
) -> None:
    results, _ = swept(name)
    record = records(results)[0]
    picture = next(results.glob("local/runs/*/panels/00.png"))
    code, text = tool(
        results, "enhance", str(picture), "-o", str(tmp_path / "e.png"), "--run", record["id"]
    )
    assert code == 1 and reason in text
    assert len(text.strip().splitlines()) == 1 and not (tmp_path / "e.png").exists()


def test_a_generator_enhances_a_picture(swept: Swept, tmp_path: Path) -> None:
    results, _ = swept("adversarial")
    picture = next(results.glob("local/runs/*/panels/00.png"))
    target = tmp_path / "e.png"
    words = ("enhance", str(picture), "-o", str(target), "--run", records(results)[0]["id"])
    code, text = tool(results, *words)
    assert code == 0 and target.exists(), text


# Nothing knows of them.


def test_no_file_outside_the_tests_names_them() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    named = re.compile(rf"method[=s:./ ]+({'|'.join(PROOFS)})\b(?! \w)")
    paths = [path for path in listed.stdout.splitlines() if not path.startswith("tests/")]
    assert len(paths) > 100
    naming = [
        path
        for path in paths
        if path.endswith((".py", ".yaml", ".toml", ".md"))
        and named.search((ROOT / path).read_text())
    ]
    assert naming == []


def test_each_is_a_file_and_a_yaml() -> None:
    place = PLUGINS / "gradprom_plugins"
    assert {path.stem for path in (place / "methods").glob("*")} - {"__pycache__"} == set(PROOFS)
    assert {path.stem for path in (place / "conf" / "method").glob("*")} == set(PROOFS)


# The page for those who add a fourth.


def test_the_documentations_method_runs(tmp_path: Path) -> None:
    pages = documented.files("methods.md")
    for place, content in pages.items():
        path = tmp_path / "plugins" / place
        path.parent.mkdir(parents=True)
        path.write_text(content)
    [code, _] = pages
    words = (f"method={Path(code).stem}", "method.epochs=1", "dataset.train=16", "dataset.test=4")
    run(tmp_path / "results", "-m", *words, *SMALL, plugins=tmp_path / "plugins")
    [record] = records(tmp_path / "results")
    assert record["status"] == "finished" and {"psnr", "ssim"} <= set(record["metrics"])
