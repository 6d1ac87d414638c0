"""Records as pandas frames: of fabricated runs, and of one that is really trained."""

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from support import records_factory, tiny_runs

from gradprom.errors import RunError
from gradprom.reports.frame import frame, history, scores
from gradprom.runs.records import Study


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A study of one run."""
    results = tmp_path_factory.mktemp("results")
    tiny_runs.train(results, *tiny_runs.PHANTOM, "noise=0.2", "lam=0.01", "trainer.log_every=1")
    return tiny_runs.local(results)


def test_a_row_tells_what_the_run_was_and_what_came_out(trained: Study) -> None:
    [record] = trained.records()
    table = frame(trained)
    assert len(table) == 1
    row = table.iloc[0]
    assert (row.id, row.status, row.seed) == (record.id, "finished", 0)
    groups = ("method", "dataset", "backbone", "auxiliary", "strategy", "profile", "degradation")
    assert {group: row[group] for group in groups} == {
        "method": "task_driven",
        "dataset": "phantom",
        "backbone": "unet_small",
        "auxiliary": "diagnosis",
        "strategy": "gradprom",
        "profile": "demo",
        "degradation": "gaussian",
    }
    assert (row.condition, row.noise, row.lam, row.supervision) == (
        "σ=0.2",
        0.2,
        0.01,
        "supervised",
    )
    for name, value in record.metrics.items():
        assert row[name] == value
    assert row.gate == record.training["gate_diagnosis"]
    assert row.ratio == record.training["ratio_diagnosis"]
    assert row.duration == record.duration
    assert (row.revision, row.dirty) == (record.git.revision, record.git.dirty)


def test_scores_come_in_one_order_before_the_rest(trained: Study) -> None:
    names = list(frame(trained))
    first = names.index("psnr")
    assert names[first : first + 5] == [
        "psnr",
        "ssim",
        "accuracy",
        "degraded_psnr",
        "degraded_ssim",
    ]
    assert "miou" not in names  # no run has it


def test_scores_of_images_have_the_record_s_means(trained: Study) -> None:
    [record] = trained.records()
    table = scores(trained, record.id[:5])
    assert len(table) == 8 and all(str(name).startswith("phantom-") for name in table.index)
    assert table.psnr.mean() == pytest.approx(record.metrics["psnr"])
    hits = (table.prediction == table.label).mean()
    assert hits == pytest.approx(record.metrics["accuracy"])


def test_history_has_every_stage(trained: Study) -> None:
    [record] = trained.records()
    table = history(trained, record.id[:5])
    steps = table.groupby("stage").step.max().to_dict()
    assert steps == {stage.name: stage.steps for stage in record.stages}
    coupled = table[table.stage == "coupled"]
    assert coupled.gate_diagnosis.mean() == pytest.approx(record.training["gate_diagnosis"])


def test_many_runs_as_one_frame(tmp_path: Path) -> None:
    """The means that pandas makes of a declared table are the table's."""
    made = records_factory.make(tmp_path, ["table1"])
    table = frame(made.study)
    assert set(table.id) == set(made.records) and table.id.is_unique
    [filled] = made.tables()
    means = table.groupby(["strategy", "supervision", "noise"]).psnr.mean()
    row = next(row for row in filled.rows if row.declared.label == "Sup. GradProm")
    for number, noise in enumerate((0.05, 0.1, 0.2, 0.3)):
        shown = row.cells[number, "psnr"].value
        assert shown is not None and shown.n == 3
        assert means["gradprom", "supervised", noise] == pytest.approx(shown.mean)


def test_what_has_no_effect_is_missing(tmp_path: Path) -> None:
    """Averages over strategies must not take in runs that have none."""
    made = records_factory.make(tmp_path, ["table1"], "noise=0.1", "seed=0")
    table = frame(made.study)
    [recognizer] = [row for _, row in table.iterrows() if row.method == "recognizer"]
    assert pd.isna(recognizer[["strategy", "backbone", "supervision", "lam", "psnr"]]).all()
    [mainstream] = [row for _, row in table.iterrows() if row.strategy == "mainstream"]
    assert pd.isna(mainstream[["auxiliary", "supervision", "ratio", "gate", "accuracy"]]).all()
    joint = table[table.strategy == "joint"]
    assert joint.gate.isna().all() and joint.ratio.notna().all()  # as fabricated


def test_a_failed_run_has_a_row_without_scores(tmp_path: Path) -> None:
    made = records_factory.make(tmp_path, ["table1"], "noise=0.1", "seed=0")
    gone = next(r for r in made.records.values() if r.choices["strategy"] == "joint")
    made.rewrite(records_factory.failed(gone, "a loss is not finite"))
    row = frame(made.study).set_index("id").loc[gone.id]
    assert row.status == "failed" and row.strategy == "joint" and row.noise == 0.1
    assert pd.isna(row[["psnr", "ratio", "gate", "duration"]]).all()


def test_further_test_sets_have_columns_of_their_own(tmp_path: Path) -> None:
    made = records_factory.make(tmp_path, ["table4"], "seed=0")
    record = next(r for r in made.records.values() if r.evaluate_on)
    [name] = record.evaluate_on
    table = frame(made.study).set_index("id")
    told = record.evaluate_on[name].metrics["psnr"]
    assert table.loc[record.id, f"{name}.psnr"] == told

    folder = made.study.run(record.id)
    (folder / f"scores-{name}.csv").write_text("id,group,psnr\n007,p1,21.5\n")
    assert scores(made.study, record.id, name).loc["007", "psnr"] == 21.5


@pytest.mark.parametrize(
    ("degradation", "noise"),
    [
        ({"name": "gaussian", "sigma": 0.3}, 0.3),
        ({"name": "blur", "kernel": 3, "sigma": 2.0}, None),
        ({"name": "mix", "order": ["blur"], "blur": {"name": "blur", "kernel": 3, "sigma": 2.0},
          "gaussian": None}, None),
        ({"name": "mix", "order": ["blur", "gaussian"],
          "blur": {"name": "blur", "kernel": 3, "sigma": 2.0},
          "gaussian": {"name": "gaussian", "sigma": 0.2}}, 0.2),
    ],
)  # fmt: skip
def test_noise_is_that_of_the_gaussian_part(
    tmp_path: Path, degradation: dict[str, object], noise: float | None
) -> None:
    made = records_factory.make(tmp_path, ["table1"], "noise=0.1", "seed=0", "strategy=joint")
    for record in made.records.values():
        record.config["degradation"] = degradation
        made.rewrite(record)
    found = frame(made.study).noise
    assert found.isna().all() if noise is None else (found == noise).all()


def test_what_is_not_there_is_said_in_a_sentence(tmp_path: Path, trained: Study) -> None:
    with pytest.raises(RunError, match="study empty has no records"):
        frame(Study(tmp_path, "empty"))
    with pytest.raises(RunError, match="has no run 000"):
        history(trained, "000")
    [record] = trained.records()
    with pytest.raises(RunError, match="has no scores-lizard.csv"):
        scores(trained, record.id, "lizard")


def test_frames_come_without_torch() -> None:
    code = "import sys, gradprom.reports.frame; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_a_run_of_no_steps_has_a_history_of_no_rows(tmp_path: Path) -> None:
    none = ("auxiliary.epochs=0", "trainer.warmup_epochs=0", "trainer.coupled_epochs=0")
    record = tiny_runs.train(tmp_path, *tiny_runs.PHANTOM, *none)
    study = tiny_runs.local(tmp_path)
    assert record.finished and record.metrics["psnr"] > 0
    for text in (None, "\n"):  # the second was once written of it
        if text is not None:
            (study.run(record.id) / "history.csv").write_text(text)
            study.write_record(record)  # with the file's checksum
        found = history(study, record.id)
        assert found.empty and list(found.columns)[:3] == ["stage", "epoch", "step"]
