"""Tables, pictures and plans of hand-made records, against numbers worked out by hand."""

import csv
import io
import json
import re
import statistics
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from rich.console import Console
from support import tiny_runs

from gradprom.identity import digest
from gradprom.reports.statistics.estimate import Estimate, estimate
from gradprom.reports.sweep_table import figures, render, summary, tables
from gradprom.reports.sweep_table.tables import build
from gradprom.runs.records import Study
from gradprom.sweeps import plan as plans
from gradprom.sweeps.progress import Forecast, progress_line
from gradprom.sweeps.progress import estimate as time_needed
from gradprom.sweeps.text import duration
from gradprom.training.stage import Stage
from gradprom.training.store import StageStore

Record = dict[str, Any]

CONFIG: dict[str, Any] = {
    "dataset": {"name": "phantom", "size": 64, "split_seed": 0},
    "degradation": {"name": "gaussian", "sigma": 0.1, "clamp": True},
    "backbone": {"name": "srresnet", "channels": 16, "blocks": 4},
    "strategy": {"name": "gradprom", "lam": 1e-4, "gate": "hard"},
    "method": {"name": "task_driven"},
    "auxiliary": {"tasks": ["diagnosis"], "backbone": "small", "lr": 0.003},
    "trainer": {"lr": 0.003, "batch_size": 8, "threads": 1, "device": "cpu", "log_every": 10},
    "evaluation": {"seed": 0, "batch_size": 16, "panels": 4},
    "supervision": "supervised",
    "seed": 0,
    "study": "local",
    "results": "results",
    "logger": "csv",
    "facts": {"channels": 3},
}
CHOICES = {
    "method": "task_driven",
    "dataset": "phantom",
    "degradation": "gaussian",
    "backbone": "srresnet_small",
    "auxiliary": "diagnosis",
    "strategy": "gradprom",
    "profile": "demo",
}


def record(psnr: float | None = None, ssim: float = 0.5, **changes: Any) -> Record:
    """A record that differs from the others in `changes`: dotted keys with `__` for the dot.

    Without a PSNR it has not finished.
    """
    made: Record = {
        "status": "failed" if psnr is None else "finished",
        "overrides": [],
        "choices": dict(CHOICES),
        "config": deepcopy(CONFIG),
        "dataset": {"name": "phantom", "fingerprint": "f" * 64},
        "git": {"revision": "r1", "dirty": False},
    }
    if psnr is not None:
        scores = {"psnr": psnr, "ssim": ssim, "degraded_psnr": 20.0, "degraded_ssim": 0.25}
        made |= {"metrics": scores, "training": {}}
    for key, value in {"config__seed": 0, **changes}.items():
        *path, last = key.split("__")
        section = made
        for name in path:
            section = section[name]
        section[last] = value
    return {**made, "id": digest([repr(made)]), "seed": made["config"]["seed"]}


def strategy(name: str, psnr: float | None = None, **changes: Any) -> Record:
    own = {"name": name} | ({} if name == "mainstream" else {"lam": 1e-4})
    return record(psnr, choices__strategy=name, config__strategy=own, **changes)


def labels(*records: Record) -> list[str]:
    """Of the rows that are runs."""
    return [r.label for r in build([*records]).rows if not r.label.startswith("degraded input")]


def cell(records: list[Record], metric: str = "psnr", column: str = "σ=0.1") -> tables.Cell:
    """The one cell of the one row that is no degraded input."""
    [row] = [r for r in build(records).rows if not r.label.startswith("degraded input")]
    return row.cells[column, metric]


# statistics


def test_mean_and_sample_standard_deviation() -> None:
    # 24, 25, 29: mean 26, squares of the deviations 4 + 1 + 9, over n - 1 = 2
    assert estimate([24.0, 25.0, 29.0]) == Estimate(26.0, 7.0**0.5, 3)
    assert estimate([24.0, 25.0, 29.0]).text(2) == "26.00 ± 2.65 (3)"
    assert estimate([1.0, 2.0]).std == pytest.approx(2**-0.5)


def test_one_value_has_no_spread_and_none_no_estimate() -> None:
    assert estimate([24.5]) == Estimate(24.5, None, 1)
    assert estimate([24.5]).text(3) == "24.500 (1)"
    assert estimate([]) is None


def test_no_spread_is_shown_as_such() -> None:
    assert estimate([0.5, 0.5]).text(3) == "0.500 ± 0.000 (2)"


# what is averaged, and what never is


def test_a_cell_is_the_mean_over_seeds() -> None:
    values = [24.0, 25.0, 29.0]
    found = cell([record(value, config__seed=seed) for seed, value in enumerate(values)])
    assert found.value == Estimate(26.0, statistics.stdev(values), 3)
    assert len(set(found.runs)) == 3 and found.note == ""


def test_noises_are_columns_in_rising_order() -> None:
    table = build([record(30 - 10 * s, config__degradation__sigma=s) for s in (0.3, 0.05, 0.1)])
    assert table.columns == ["σ=0.05", "σ=0.1", "σ=0.3"]
    [row] = table.rows[1:]
    assert [row.cells[c, "psnr"].value.mean for c in table.columns] == [29.5, 29.0, 27.0]
    assert render.header(table)[1:5] == ["PSNR σ=0.05", "SSIM σ=0.05", "PSNR σ=0.1", "SSIM σ=0.1"]


PARTS_OF_A_MIX = {
    "blur": {"name": "blur", "kernel": 3, "sigma": 2.0},
    "downsample": {"name": "downsample", "scale": 2},
    "poisson": {"name": "poisson", "rate": 0.1},
    "gaussian": {"name": "gaussian", "sigma": 0.3, "clamp": True},
}


def mix(*order: str, **changes: Any) -> dict[str, Any]:
    """As it is in a record: a part that is not used is None."""
    parts = {part: PARTS_OF_A_MIX[part] if part in order else None for part in PARTS_OF_A_MIX}
    return {"name": "mix", "order": [*order], **parts, **changes}


# in the order of the columns
DEGRADATIONS = [
    ({"name": "gaussian", "sigma": 0.05, "clamp": True}, "σ=0.05"),
    ({"name": "gaussian", "sigma": 0.05, "clamp": False}, "σ=0.05 clamp=False"),
    ({"name": "gaussian", "sigma": 0.1, "clamp": True}, "σ=0.1"),
    ({"name": "gaussian", "sigma": 0.10000001, "clamp": True}, "σ=0.10000001"),
    ({"name": "gaussian", "sigma": 0.2, "clamp": True, "sigma_low": None}, "σ=0.2"),
    ({"name": "gaussian", "sigma": 0.3, "clamp": True, "sigma_low": 0.0}, "σ=0…0.3"),
    ({"name": "gaussian", "sigma": 10.0, "clamp": True}, "σ=10"),
    ({"name": "poisson", "rate": 0.1}, "Poisson 0.1"),
    ({"name": "blur", "kernel": 3, "sigma": 2.0}, "blur 3×3 σ=2"),
    ({"name": "blur", "kernel": 5, "sigma": 0.5}, "blur 5×5 σ=0.5"),
    ({"name": "downsample", "scale": 2}, "×2"),
    ({"name": "downsample", "scale": 16}, "×16"),
    ({"name": "completion", "drop": 0.2}, "completion 0.2"),
    ({"name": "fog", "depth": 2}, "fog depth=2"),
    (mix("gaussian"), "mix of σ=0.3"),
    (mix("downsample", "gaussian"), "×2 + σ=0.3"),
    (
        mix("fog", "gaussian", parts={"fog": {"name": "fog", "depth": 3}}),
        "fog depth=3 + σ=0.3",
    ),
    (mix("blur", "poisson", "gaussian"), "blur 3×3 σ=2 + Poisson 0.1 + σ=0.3"),
]


def test_a_column_is_a_degradation_in_words() -> None:
    """All in one table: one row of runs under one row of degraded inputs."""
    made = [record(20.0 + i, config__degradation=d) for i, (d, _) in enumerate(DEGRADATIONS)]
    table = build(made[::-1])
    assert table.columns == [words for _, words in DEGRADATIONS]
    assert [row.label for row in table.rows] == ["degraded input", "gradprom"]
    values = [table.rows[1].cells[column, "psnr"].value for column in table.columns]
    assert values == [Estimate(20.0 + i, None, 1) for i in range(len(made))]
    assert render.header(table)[-4:-2] == [
        "PSNR blur 3×3 σ=2 + Poisson 0.1 + σ=0.3",
        "SSIM blur 3×3 σ=2 + Poisson 0.1 + σ=0.3",
    ]


CAN_CHANGE_A_RESULT = [
    ("config__strategy__gate", "cosine", "strategy.gate"),
    ("config__strategy__lam", 0.5, "strategy.lam"),
    ("config__supervision", "unsupervised", "supervision"),
    ("config__backbone__blocks", 5, "backbone.blocks"),
    ("config__auxiliary__lr", 0.1, "auxiliary.lr"),
    ("config__auxiliary__tasks", ["segmentation"], "auxiliary.tasks"),
    ("config__trainer__lr", 0.1, "trainer.lr"),
    ("config__trainer__batch_size", 4, "trainer.batch_size"),
    ("config__dataset__size", 128, "dataset.size"),
    ("config__dataset__split_seed", 1, "dataset.split_seed"),
    ("config__evaluation__seed", 1, "evaluation.seed"),
]


@pytest.mark.parametrize(("key", "value", "told"), CAN_CHANGE_A_RESULT)
def test_rows_never_mix_configurations(key: str, value: Any, told: str) -> None:
    """And a key that no choice of a file shows tells them apart in both labels."""
    own = record(24.0)
    other = record(26.0, **{key: value, "config__seed": 1})
    table = build([own, other])
    rows = [row for row in table.rows if not row.label.startswith("degraded input")]
    assert [row.cells["σ=0.1", "psnr"].value.n for row in rows] == [1, 1]
    default = tables.flatten(CONFIG)[told]
    assert [row.label for row in rows] == [f"gradprom {told}={v}" for v in (default, value)]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("config__seed", 5),
        ("config__trainer__threads", 2),
        ("config__trainer__device", "cuda"),
        ("config__trainer__log_every", 1),
        ("config__evaluation__batch_size", 3),
        ("config__evaluation__panels", 0),
        ("config__study", "other"),
        ("config__results", "elsewhere"),
        ("config__logger", "tensorboard"),
        ("config__facts__channels", 1),
        ("config__strategy__gate_on", "all"),  # which older records do not say
    ],
)
def test_what_cannot_change_a_result_divides_no_row(key: str, value: Any) -> None:
    other = {"config__seed": 1, key: value}
    assert cell([record(24.0), record(26.0, **other)]).value == Estimate(25.0, 2**0.5, 2)


def test_seeds_of_a_random_gate_are_seeds() -> None:
    made = [
        record(
            20.0 + seed, config__seed=seed, config__strategy={"name": "random_gate", "seed": seed}
        )
        for seed in range(3)
    ]
    assert cell(made).value == Estimate(21.0, 1.0, 3)


def test_benchmark_i_is_one_row_whatever_stood_in_the_command() -> None:
    made = [
        strategy("mainstream", 24.0),
        strategy("mainstream", 26.0, config__seed=1, config__auxiliary__tasks=[]),
        strategy("mainstream", 28.0, config__seed=2, config__supervision="unsupervised"),
    ]
    made[1]["choices"]["auxiliary"] = "none"
    assert cell(made).value == Estimate(26.0, 2.0, 3)
    assert labels(*made, record(30.0)) == ["mainstream", "gradprom"]


def test_the_recognizer_method_is_one_row_whatever_the_strategy() -> None:
    made = []
    for seed, (name, psnr) in enumerate({"gradprom": 0.5, "joint": 0.7}.items()):
        made.append(strategy(name, psnr, config__seed=seed, config__method={"name": "recognizer"}))
        made[-1]["choices"]["method"] = "recognizer"
        made[-1]["metrics"] = {"accuracy": psnr, "degraded_psnr": 20.0, "degraded_ssim": 0.25}
    assert cell(made, "accuracy").value.n == 2
    assert labels(*made) == ["recognizer"]
    assert labels(*made, record(24.0)) == ["recognizer", "task_driven gradprom"]


def test_labels_name_the_groups_that_vary() -> None:
    assert labels(strategy("joint", 24.0), strategy("frozen", 24.0)) == ["joint", "frozen"]
    multitask = record(24.0, choices__auxiliary="multitask", config__auxiliary__tasks=["a", "b"])
    assert labels(record(24.0), multitask) == ["diagnosis gradprom", "multitask gradprom"]
    wide = record(24.0, choices__backbone="srresnet", config__backbone__channels=64)
    assert labels(record(24.0), wide) == ["srresnet_small gradprom", "srresnet gradprom"]


def test_every_row_has_a_label_of_its_own() -> None:
    made = [record(24.0, **{key: value}) for key, value, _ in CAN_CHANGE_A_RESULT]
    made += [record(24.0), strategy("joint", 24.0), strategy("mainstream", 24.0)]
    told = labels(*made)
    assert len(set(told)) == len(told) == len(made) and all(told)


# the degraded input


def test_the_degraded_input_is_the_first_row() -> None:
    table = build([record(24.0), record(25.0, config__seed=1), strategy("joint", 26.0)])
    first = table.rows[0]
    assert first.label == "degraded input" and table.rows[1].label == "gradprom"
    # the same images for every run: one number, no spread
    assert first.cells["σ=0.1", "psnr"].value == Estimate(20.0, None, 1)
    assert first.cells["σ=0.1", "ssim"].value == Estimate(0.25, None, 1)
    assert render.line(table, first)[1:] == ["20.000 (1)", "0.250 (1)", "–", "–"]


def degraded(*records: Record) -> dict[str, float]:
    rows = [r for r in build([*records]).rows if r.label.startswith("degraded input")]
    return {row.label: row.cells["σ=0.1", "psnr"].value.mean for row in rows}


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
    assert set(degraded(record(24.0), other)) == {
        "degraded input evaluation.seed=0",
        "degraded input evaluation.seed=1",
    }
    more = record(24.0, dataset__fingerprint="e" * 64, metrics__degraded_psnr=20.2)
    assert set(degraded(record(24.0), more)) == {
        "degraded input data=ffffffff",
        "degraded input data=eeeeeeee",
    }
    larger = record(24.0, config__dataset__size=128, dataset__fingerprint="e" * 64)
    assert set(degraded(record(24.0), larger)) == {
        "degraded input dataset.size=64",
        "degraded input dataset.size=128",
    }


# what a reader must know


def test_failed_and_unfinished_runs_are_told() -> None:
    failed, started = record(config__seed=1), record(config__seed=2, status="started")
    found = cell([record(24.0), failed, started])
    assert found.value == Estimate(24.0, None, 1)
    assert found.note == "1 failed, 1 not finished"
    table = build([record(24.0), failed, started])
    assert render.line(table, table.rows[1])[1] == "24.000 (1), 1 failed, 1 not finished"


def test_a_cell_without_a_finished_run_says_why() -> None:
    table = build([strategy("joint", 24.0), record(), record(config__seed=1)])
    assert render.line(table, table.rows[2]) == ["gradprom", "2 failed", "2 failed", "–", "–"]


def test_mixed_revisions_and_data_are_told() -> None:
    other = record(26.0, config__seed=1, git={"revision": "r2", "dirty": False})
    assert cell([record(24.0), other]).note == "mixed revisions"
    dirty = record(26.0, config__seed=1, git={"revision": "r1", "dirty": True})
    assert cell([record(24.0), dirty]).note == "mixed revisions"
    more = record(26.0, config__seed=1, dataset__fingerprint="e" * 64)
    assert cell([record(24.0), more]).note == "mixed data"
    # a run that failed before the fix is no part of the number
    failed = record(config__seed=1, git={"revision": "r0", "dirty": True})
    assert cell([record(24.0), failed]).note == "1 failed"


def test_what_a_run_does_not_score_is_a_dash() -> None:
    scored = record(24.0, metrics__accuracy=0.75)
    table = build([strategy("mainstream", 25.0), scored])
    assert table.metrics == ["psnr", "ssim", "accuracy"]
    assert render.line(table, table.rows[1])[1:4] == ["25.000 (1)", "0.500 (1)", "–"]
    assert render.line(table, table.rows[2])[3] == "0.750 (1)"


def test_decisions_are_means_over_seeds_and_tasks() -> None:
    gates = [
        {"gate_diagnosis": 0.5, "gate_segmentation": 1.0, "ratio_diagnosis": 2e-4, "cosine_x": 1.0},
        {"gate_diagnosis": 0.0, "gate_segmentation": 0.5, "ratio_diagnosis": 4e-4, "cosine_x": 1.0},
    ]
    made = [record(24.0, config__seed=i, training=gate) for i, gate in enumerate(gates)]
    made.append(record(20.0, training={"gate_a": 1.0}, config__degradation__sigma=0.3))
    table = build(made)
    assert table.rows[1].decisions["σ=0.1"] == pytest.approx({"gate": 0.5, "ratio": 3e-4})
    assert render.line(table, table.rows[1])[-2:] == ["3.0e-04 / –", "50% / 100%"]


# as text


@pytest.fixture
def table() -> tables.Table:
    made = [
        record(24 + seed / 3, 0.5 + seed / 7, config__seed=seed, config__degradation__sigma=noise)
        for seed in range(3)
        for noise in (0.1, 0.2)
    ]
    made += [
        strategy("joint", 26.0, training={"gate_a": 1.0, "ratio_a": 1.5e-4}),
        strategy("frozen"),
    ]
    return build(made)


def test_markdown_parses_back(table: tables.Table) -> None:
    lines = render.markdown(table).splitlines()
    cells = [[c.strip() for c in line.strip("|").split("|")] for line in lines]
    titles, rule, *rows = cells
    assert titles == render.header(table) and rule == ["---"] + ["---:"] * (len(titles) - 1)
    assert [row[0] for row in rows] == ["degraded input", "gradprom", "joint", "frozen"]
    assert all(len(row) == len(titles) for row in rows)
    pattern = re.compile(r"([\d.]+)(?: ± ([\d.]+))? \((\d+)\)$")
    read = {
        (row[0], title): pattern.match(text).groups()
        for row in rows
        for title, text in zip(titles, row, strict=True)
        if pattern.match(text)
    }
    assert len(read) == 4 + 4 + 2
    mean, std, n = read["gradprom", "SSIM σ=0.2"]
    values = [0.5 + seed / 7 for seed in range(3)]
    assert float(mean) == pytest.approx(statistics.mean(values), abs=5e-4)
    assert float(std) == pytest.approx(statistics.stdev(values), abs=5e-4) and n == "3"
    assert read["joint", "PSNR σ=0.1"] == ("26.000", None, "1")


def test_csv_holds_the_numbers_themselves(table: tables.Table) -> None:
    read = list(csv.DictReader(io.StringIO(render.as_csv(table))))
    found = {(r["row"], r["degradation"], r["metric"]): r for r in read}
    assert len(found) == len(read)
    for row in table.rows:
        for (column, metric), kept in row.cells.items():
            line = found.pop((row.label, column, metric))
            value = kept.value or Estimate(float("nan"), None, 0)
            told = [float(line["mean"] or "nan"), float(line["std"] or "nan"), float(line["n"])]
            std = float("nan") if value.std is None else value.std
            assert told == pytest.approx([value.mean, std, value.n], rel=0, abs=0, nan_ok=True)
            assert line["note"] == kept.note and line["runs"].split() == kept.runs
    rest = {key[2]: float(line["mean"]) for key, line in found.items()}
    assert rest == {"gate": 1.0, "ratio": 1.5e-4}


def test_the_terminal_shows_every_cell(table: tables.Table) -> None:
    console = Console(width=200, file=io.StringIO())
    console.print(render.terminal(table))
    shown = console.file.getvalue()
    for row in table.rows:
        line = next(text for text in shown.splitlines() if text.strip().startswith(row.label))
        assert all(text in line for text in render.line(table, row))


# a study on disk


PARTS = [30, 90, 150, 210]
"""Grey levels that stand for degraded, enhanced, clean, error."""


def keep(study: Study, made: Record, panel: bool = True) -> None:
    """What a run leaves, small: a panel of 12 pixels in each part, two stages of history."""
    folder = study.run(made["id"])
    folder.mkdir(parents=True)
    (folder / "record.json").write_text(json.dumps(made))
    if made["status"] != "finished":
        return
    rows = [{"stage": "warmup", "epoch": 1, "step": s, "psnr": 10.0 + s} for s in range(3)]
    rows += [
        {
            "stage": "coupled",
            "epoch": 1,
            "step": s,
            "psnr": 20.0 + s,
            "gate_a": 0.5,
            "ratio_a": 1e-4,
        }
        for s in range(4)
    ]
    pd.DataFrame(rows).to_csv(folder / "history.csv", index=False)
    if panel:
        (folder / "panels").mkdir()
        parts = [np.full((12, 12, 3), level, np.uint8) for level in PARTS]
        Image.fromarray(np.concatenate(parts, axis=1)).save(folder / "panels" / "00.png")


def shown(path: Path) -> list[int]:
    """The grey levels of the panel's parts that fill an area of a picture."""
    pixels = np.asarray(Image.open(path).convert("L"))
    return [level for level in PARTS if (pixels == level).mean() > 0.01]


def test_the_picture_shows_degraded_enhanced_and_clean(tmp_path: Path) -> None:
    study, path = Study(tmp_path, "local"), tmp_path / "out" / "picture.png"
    made = [
        record(24.0, training={"gate_a": 0.5, "ratio_a": 1e-4}),
        strategy("joint", 25.0, config__degradation=mix("blur", "gaussian")),
        strategy("mainstream", 25.0),
    ]
    for one in made:
        keep(study, one)
    figures.draw(made, study, path)
    with Image.open(path) as picture:
        picture.load()
        assert picture.format == "PNG" and min(picture.size) > 300
    assert shown(path) == PARTS[:3]  # not the error


def test_runs_without_panels_leave_their_places_empty(tmp_path: Path) -> None:
    study, made = Study(tmp_path, "local"), [record(24.0), strategy("joint", 25.0)]
    for one in made:
        keep(study, one, panel=False)
    figures.draw(made, study, tmp_path / "picture.png")
    assert shown(tmp_path / "picture.png") == []


def test_nothing_finished_nothing_drawn(tmp_path: Path) -> None:
    figures.draw([record()], Study(tmp_path, "local"), tmp_path / "picture.png")
    assert not (tmp_path / "picture.png").exists()


def test_a_summary_tells_failures_and_counts_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study, folder = Study(tmp_path, "local"), tmp_path / "local" / "sweeps" / "x"
    error = {"type": "NonFinite", "message": "not finite at step 3", "where": "engine.py:9 in x"}
    made = [record(24.0), strategy("joint", error=error, overrides=["strategy=joint"])]
    for one in made:
        keep(study, one)
    assert summary.show([one["id"] for one in made], study, folder) == 1
    assert summary.show([*(one["id"] for one in made), "notthere"], study, folder) == 2
    told = capsys.readouterr().out
    assert "failed   strategy=joint: NonFinite: not finite at step 3\n" in told
    assert "engine.py:9" in told and str(study.run(made[1]["id"])) in told
    assert (folder / "table.md").read_text() == render.markdown(build(made))
    assert (folder / "table.csv").exists() and (folder / "picture.png").exists()


# plans


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return tmp_path / "results"


def plan(results: Path, *commands: str, retry_failed: bool = False) -> plans.Plan:
    made = [tiny_runs.make(results, *tiny_runs.PHANTOM, *c.split()) for c in commands]
    return plans.make(made, retry_failed)


def put(job: plans.Job, stage: Stage) -> None:
    """Leave a stage in the store; a plan only asks whether it is there."""
    folder = StageStore(job.run.study.stages, job.run.images().fingerprint).folder(stage)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "artefact.pt").touch()


def finish(job: plans.Job, seconds: float, **changes: Any) -> None:
    """Leave the stages and the record of a job that took so many seconds a step."""
    lineage = job.run.method.stage().lineage()
    stages = [
        {"name": s.name, "id": s.id, "steps": job.steps[s.id], "seconds": job.steps[s.id] * seconds}
        for s in lineage
    ]
    for stage in lineage:
        put(job, stage)
    made = {
        "id": job.run.id,
        "status": "finished",
        "dataset": {"fingerprint": job.run.images().fingerprint},
        "stages": stages,
        "config": {},
        "metrics": {},
        "training": {},
        **changes,
    }
    path = job.run.study.run(job.run.id) / "record.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(made))


def test_a_plan_counts_what_is_shared_once(results: Path) -> None:
    """16 images in batches of 8, one epoch a stage: 2 steps each."""
    made = plan(results, "strategy=joint", "strategy=frozen", "strategy=mainstream")
    assert made.summary() == "3 runs: 3 new, 0 done"
    assert sorted(made.stages.values()) == [
        ("coupled", 2),
        ("coupled", 2),
        ("coupled", 2),
        ("recognizer.diagnosis", 2),
        ("warmup", 2),
    ]
    lines = plans.describe(made).splitlines()
    assert lines[0] == made.summary()
    told = {line.split()[0]: line.split(maxsplit=1)[1] for line in lines[1:-1]}
    assert told["dataset"] == "phantom, 32×32"
    assert told["enhancer"].startswith("srresnet (channels 4, blocks 1")
    assert told["epochs"] == "recognizer 1, warm-up 1, coupled 1, batches of 8"
    assert lines[-1].startswith("  to train   ")
    for part in ("3 × coupled", "1 × warmup", "1 × recognizer.diagnosis", "10 steps"):
        assert part in lines[-1]
    # alone: 6 + 6 + 4 steps
    assert lines[-1].endswith("(38% fewer than each run alone), 5 epochs instead of 8")
    assert not results.joinpath("local").exists()


def test_equal_runs_are_one_job(results: Path) -> None:
    commands = ["strategy=mainstream auxiliary=none", "strategy=mainstream", "noise=1e-1", ""]
    assert plan(results, *commands).summary() == "2 runs: 2 new, 0 done"
    assert plan(results, "").summary() == "1 run: 1 new, 0 done"


def test_a_plan_knows_what_is_there(results: Path) -> None:
    commands = ["strategy=joint", "strategy=frozen", "strategy=gradprom"]
    first = plan(results, *commands)
    finish(first.jobs[0], seconds=0.1)
    finish(first.jobs[1], seconds=0.1, status="failed")
    again = plan(results, *commands)
    assert again.summary() == "3 runs: 1 new, 1 done, 1 failed"
    assert [job.run.label for job in again.pending] == [first.jobs[2].run.label]
    retried = plan(results, *commands, retry_failed=True)
    assert len(retried.pending) == 2
    assert first.id == again.id == plan(results, *reversed(commands)).id
    assert first.id != plan(results, *commands[:2]).id


def test_a_record_of_other_data_is_no_done_run(results: Path) -> None:
    finish(plan(results, "").jobs[0], 0.1, dataset={"fingerprint": "of other images"})
    assert plan(results, "").summary() == "1 run: 0 new, 0 done, 1 other data"
    assert len(plan(results, "").pending) == 1


def test_stages_in_the_store_are_not_planned_again(results: Path) -> None:
    [job] = plan(results, "").jobs
    *parents, last = job.run.method.stage().lineage()
    put(job, next(stage for stage in parents if stage.name == "warmup"))
    names = sorted(name for name, _ in plan(results, "").stages.values())
    assert names == ["coupled", "recognizer.diagnosis"]
    # the last stage is there: its ancestors are not needed, and only evaluation is left
    put(job, last)
    made = plan(results, "")
    assert made.stages == {} and len(made.pending) == 1
    assert plans.describe(made).endswith(
        "nothing, only evaluation: 0 steps (100% fewer than each run alone), 0 epochs instead of 3"
    )


def test_the_plan_is_kept_for_status(results: Path) -> None:
    made = plan(results, "strategy=joint", "strategy=frozen")
    made.keep()
    kept = json.loads((made.folder / "plan.json").read_text())
    assert kept["runs"] == [{"id": j.run.id, "label": j.run.label} for j in made.jobs]


# progress


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (200, "3 min 20 s"),
        (3599.7, "1 h 00 min"),
        (7500, "2 h 05 min"),
        (90000, "25 h 00 min"),
    ],
)
def test_durations(seconds: float, told: str) -> None:
    assert duration(seconds) == told


def test_a_line_of_progress() -> None:
    row = {"clean_accuracy_diagnosis": 0.9, "loss_main": 0.0123456, "psnr": 19.08}
    row |= {"loss_diagnosis": 1.5, "gate_diagnosis": 0.5, "gate_segmentation": 1.0}
    progress = {"stage": "coupled", "epoch": 2, "epochs": 4, "row": row}
    assert progress_line(progress) == "coupled 2/4  loss 0.01235  PSNR 19.1 dB  gates open 75%"
    row = {"loss_diagnosis": 0.5, "accuracy_diagnosis": 0.875}
    progress = {"stage": "recognizer.diagnosis", "epoch": 1, "epochs": 6, "row": row}
    assert progress_line(progress) == "recognizer.diagnosis 1/6  loss 0.5  accuracy 88%"


def test_the_time_left_follows_from_the_paces_seen(results: Path) -> None:
    """Two runs share warm-up and recognizer: stages of 2 steps, four of them."""
    made = plan(results, "strategy=joint", "strategy=frozen")
    forecast = Forecast(made)
    ids = {name: stage_id for stage_id, (name, _) in made.stages.items()}

    def learn(name: str, step: int, pace: float) -> None:
        told = {"stage": name, "stage_id": ids[name], "step": step, "seconds_per_step": pace}
        forecast.learn(told)

    assert forecast.left(made.pending) is None
    learn("warmup", 1, 3.0)
    learn("recognizer.diagnosis", 0, 5.0)
    assert forecast.left(made.pending) is None  # coupled training has not been seen yet
    learn("coupled", 1, 7.0)
    # a step of warm-up, two of the recognizer, one and two of coupled training
    assert forecast.left(made.pending) == pytest.approx(1 * 3 + 2 * 5 + (1 + 2) * 7)
    learn("coupled", 2, 2.0)  # a pace is a moving mean: 0.8 · 7 + 0.2 · 2
    assert forecast.left(made.pending) == pytest.approx(3 + 10 + 2 * 6.0)


def test_finished_runs_tell_the_time_a_plan_takes(results: Path) -> None:
    commands = ["strategy=joint", "strategy=frozen", "strategy=joint noise=0.3"]
    assert "known once the first run" in time_needed(plan(results, *commands))
    finish(plan(results, *commands).jobs[0], seconds=10.0)
    made = plan(results, *commands)
    steps = sum(count for _, count in made.stages.values())
    assert f"about {duration(10 * steps)}, " in time_needed(made)
