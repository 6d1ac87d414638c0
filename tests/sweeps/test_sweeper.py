"""`python run.py -m …`: a plan, each run once, a table; and again only what is missing."""

import csv
import dataclasses
import io
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from rich.console import Console
from support import cli_process, tiny_runs

from gradprom import entry
from gradprom.errors import RunError
from gradprom.runs import run as runs
from gradprom.runs.execution import execute
from gradprom.runs.run_progress import RunProgress
from gradprom.storage.files import read_checked, write_checked
from gradprom.sweeps import progress
from gradprom.sweeps.plan import Job, Plan, describe, make_plan
from gradprom.sweeps.progress import Display, Forecast, estimate
from gradprom.sweeps.text import duration

SHAPE = ("-m", "strategy=gradprom,frozen,joint", "noise=0.05,0.1")


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first command of the README, in small, planned and then run."""
    results = tmp_path_factory.mktemp("swept")
    code, text = cli_process.run(results, *SHAPE, "sweep.dry_run=true")
    assert code == 0, text
    assert "6 runs: 6 new, 0 done" in text and "PSNR" not in text
    assert not cli_process.trained(results) and not cli_process.records(results)
    code, text = cli_process.run(results, *SHAPE)
    assert code == 0, text
    return results


def text_of(results: Path, number: int) -> str:
    return (results / f"output-{number}.txt").read_text()


def finished(results: Path) -> int:
    return sum(r.status == "finished" for r in cli_process.study(results).records())


def test_the_plan_tells_what_will_be_done(swept: Path) -> None:
    text = text_of(swept, 1)
    assert "6 runs: 6 new, 0 done" in text
    for line in ("phantom, 32×32", "channels 4, blocks 1", "small (diagnosis)", "batches of 8"):
        assert line in text
    # 4 steps a stage: nine stages, where each run alone would train three
    assert "6 × coupled, 1 × recognizer.diagnosis, 2 × warmup: 36 steps (50% fewer" in text
    assert "  time  " in text and "about" not in text


def test_shared_stages_are_trained_once(swept: Path) -> None:
    expected = {"recognizer.diagnosis": 1, "warmup": 2, "coupled": 6}
    assert cli_process.stages(swept) == expected and cli_process.trained(swept) == expected
    for record in cli_process.records(swept).values():
        steps = {stage.name: stage.steps for stage in record.stages}
        assert steps == {"warmup": 4, "recognizer.diagnosis": 4, "coupled": 4}
        assert record.status == "finished" and record.interruptions == 0


def test_all_strategies_are_tested_on_the_same_degraded_images(swept: Path) -> None:
    for noise in ("0.05", "0.1"):
        named = cli_process.records(swept).items()
        rows = [record.metrics for words, record in named if words.endswith(noise)]
        assert len(rows) == 3
        assert len({(row["degraded_psnr"], row["degraded_ssim"]) for row in rows}) == 1


def test_the_table_has_a_row_each_and_the_degraded_input(swept: Path) -> None:
    text = text_of(swept, 1)
    for row in ("degraded input", "gradprom", "frozen", "joint"):
        assert re.search(rf"^ ?{row} +\d", text, re.MULTILINE), row
    for title in ("σ=0.05", "σ=0.1", "PSNR", "SSIM", "Acc", "λ‖g_VR‖/‖g_IP‖", "gates open"):
        assert title in text
    [folder] = (swept / "local" / "sweeps").iterdir()
    assert {"plan.json", "table.md", "table.csv", "table.tex", "picture.png"} == {
        path.name for path in folder.iterdir()
    }
    assert str(folder / "table.md") in text and str(swept / "local" / "runs") in text


def test_typed_again_it_trains_nothing_and_with_more_only_what_is_new(swept: Path) -> None:
    before = cli_process.trained(swept), cli_process.records(swept)
    code, text = cli_process.run(swept, *SHAPE)
    assert code == 0 and "6 runs: 0 new, 6 done" in text and "to train" not in text
    assert re.search(r"^ ?gradprom +\d", text, re.MULTILINE)
    assert (cli_process.trained(swept), cli_process.records(swept)) == before

    code, text = cli_process.run(swept, *SHAPE[:2], "noise=0.05,0.1,0.2")
    assert code == 0 and "9 runs: 3 new, 6 done" in text and "σ=0.2" in text
    assert cli_process.trained(swept) - before[0] == {"warmup": 1, "coupled": 3}
    assert "time       about" in text  # the pace is known from the other runs
    kept = {words: r for words, r in cli_process.records(swept).items() if words in before[1]}
    assert kept == before[1]


def test_a_failing_run_stops_no_other_and_stays_as_it_is_until_asked(tmp_path: Path) -> None:
    words = ("-m", "lam=1e38,0.0001", "strategy=joint")  # the first gradient overflows
    code, text = cli_process.run(tmp_path, *words)
    assert code == 1 and "2 runs: 2 new" in text
    records = cli_process.records(tmp_path)
    good, bad = (records[f"lam={lam} strategy=joint"] for lam in ("0.0001", "1e+38"))
    assert good.status == "finished" and bad.status == "failed"
    error = bad.error
    assert error.type == "NonFinite"
    assert "not finite at step 1 of stage coupled" in error.message
    assert re.fullmatch(r"engine\.py:\d+ in _read", error.where)
    assert error.traceback.startswith("Traceback") and "in _read" in error.traceback
    assert "1 failed" in text and "joint lam=0.0001" in text  # the table is shown
    assert error.message in text and error.where in text and "Traceback" not in text

    trained = cli_process.trained(tmp_path)
    code, text = cli_process.run(tmp_path, *words)
    assert code == 1 and "2 runs: 0 new, 1 done, 1 failed" in text and error.message in text
    assert cli_process.trained(tmp_path) == trained

    code, text = cli_process.run(tmp_path, *words, "sweep.retry_failed=true")
    assert code == 1 and cli_process.trained(tmp_path) - trained == {"coupled": 1}
    assert finished(tmp_path) == 1


def test_ctrl_c_leaves_everything_resumable(tmp_path: Path, swept: Path) -> None:
    words = ("-m", "strategy=gradprom,joint", "noise=0.1")
    child = cli_process.start(tmp_path, *words, pause=0.2)
    while cli_process.saved(tmp_path) < 5:
        assert child.alive, child.text
        time.sleep(0.002)
    child.send(signal.SIGINT)
    assert child.wait() == 130
    assert child.text.rstrip().endswith(
        "Interrupted. The same command goes on from the last checkpoint."
    )
    assert "Traceback" not in child.text and finished(tmp_path) == 0
    [record] = cli_process.records(tmp_path).values()
    assert record.status == "started"
    assert cli_process.study(tmp_path).state(record.id) == "interrupted"

    code, text = cli_process.run(tmp_path, *words)
    assert code == 0 and "2 runs: 1 new, 0 done, 1 interrupted" in text
    assert_same_results(tmp_path, swept, "strategy=gradprom noise=0.1", "strategy=joint noise=0.1")


def test_ctrl_c_before_anything_is_trained_leaves_no_traceback() -> None:
    with pytest.raises(SystemExit) as exit, entry.one_sentence():
        raise KeyboardInterrupt
    assert exit.value.code == 130


def assert_same_results(results: Path, reference: Path, *which: str) -> None:
    """Runs with these overrides, and no others, with the same bits."""
    ours, others = cli_process.records(results), cli_process.records(reference)
    assert sorted(ours) == sorted(which)
    for words in which:
        assert cli_process.outcome(results, ours[words]) == cli_process.outcome(
            reference, others[words]
        )


def typed(results: Path, *words: str) -> subprocess.Popen[str]:
    """As a person types it: runs beside each other have processes of their own."""
    command = [sys.executable, str(cli_process.ROOT / "run.py"), "-m", "runs_per_device=2"]
    source = str(cli_process.ROOT / "src")
    return subprocess.Popen(
        [*command, *cli_process.TINY, *words, f"results={results}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=results,
        env={**os.environ, "PYTHONPATH": source, "OMP_NUM_THREADS": "1"},
    )


def test_runs_side_by_side_end_with_the_same_bits(tmp_path: Path, swept: Path) -> None:
    command = typed(tmp_path, "strategy=gradprom,joint", "noise=0.1")
    text, _ = command.communicate(timeout=300)
    assert command.returncode == 0, text
    assert "2 runs: 2 new, 0 done" in text
    assert re.search(r"^ ?gradprom +\d", text, re.MULTILINE)
    assert cli_process.stages(tmp_path) == {"recognizer.diagnosis": 1, "warmup": 1, "coupled": 2}
    assert_same_results(tmp_path, swept, "strategy=gradprom noise=0.1", "strategy=joint noise=0.1")
    assert len({record.pid for record in cli_process.records(tmp_path).values()}) == 2


def test_ctrl_c_asks_runs_side_by_side_for_a_checkpoint(tmp_path: Path) -> None:
    words = ["strategy=gradprom,joint", "noise=0.1", "trainer.coupled_epochs=200"]
    words += ["trainer.checkpoint_seconds=1000"]
    command = typed(tmp_path, *words)
    there = (cli_process.study(tmp_path).folder / "runs").glob
    while command.poll() is None:  # until both have begun, and one at least is in training
        if len(list(there("*/record.json"))) == 2 and list(there("*/progress.json")):
            break
        time.sleep(0.02)
    command.send_signal(signal.SIGINT)
    text, _ = command.communicate(timeout=300)
    assert command.returncode == 130, text
    assert "The same command goes on from the last checkpoint" in text and "Traceback" not in text
    records = cli_process.study(tmp_path).records()
    assert [record.status for record in records] == ["started", "started"]
    assert not any(psutil.pid_exists(record.pid) for record in records)
    assert list(tmp_path.glob("stages/*/checkpoint.pt"))

    code, text = cli_process.run(tmp_path, "-m", *words)
    assert code == 0 and "2 runs: 0 new, 0 done, 2 interrupted" in text
    undisturbed = tmp_path / "undisturbed"
    code, text = cli_process.run(undisturbed, "-m", *words)
    assert code == 0
    assert_same_results(tmp_path, undisturbed, *cli_process.records(undisturbed))


def test_one_that_fails_side_by_side_stops_no_other(tmp_path: Path) -> None:
    command = typed(tmp_path, "lam=1e38,0.0001", "strategy=joint")
    text, _ = command.communicate(timeout=300)
    assert command.returncode == 1 and "1 failed" in text and "Traceback" not in text
    assert sorted(r.status for r in cli_process.study(tmp_path).records()) == [
        "failed",
        "finished",
    ]
    [log] = tmp_path.glob("local/sweeps/*/output.log")
    assert "not finite at step 1 of stage coupled" in log.read_text()


def test_seeds_give_a_mean_and_a_spread(tmp_path: Path) -> None:
    code, text = cli_process.run(tmp_path, "-m", "seed=0,1,2", "strategy=mainstream")
    assert code == 0
    scores = [record.metrics["psnr"] for record in cli_process.study(tmp_path).records()]
    mean, std = statistics.mean(scores), statistics.stdev(scores)  # ddof 1
    assert len(scores) == 3 and std > 0
    assert f"{mean:.3f} ± {std:.3f} (3)" in text
    [path] = tmp_path.glob("local/sweeps/*/table.csv")
    rows = list(csv.DictReader(path.open()))
    [row] = [r for r in rows if r["row"] == "mainstream" and r["metric"] == "psnr"]
    assert float(row["mean"]) == pytest.approx(mean) and float(row["std"]) == pytest.approx(std)
    assert len(row["runs"].split()) == 3


def test_the_same_run_asked_for_twice_is_one_run(tmp_path: Path) -> None:
    code, text = cli_process.run(tmp_path, "-m", "strategy=mainstream", "auxiliary=none,diagnosis")
    assert code == 0 and "1 run: 1 new, 0 done" in text
    assert cli_process.trained(tmp_path) == {"warmup": 1, "coupled": 1}
    assert len(cli_process.records(tmp_path)) == 1


def test_sweeps_at_the_same_time_train_nothing_twice(tmp_path: Path, swept: Path) -> None:
    first = cli_process.start(tmp_path, "-m", "strategy=gradprom,joint", pause=0.02)
    second = cli_process.start(tmp_path, "-m", "strategy=joint,gradprom,frozen", pause=0.02)
    for child, count in ((first, 2), (second, 3)):
        assert child.wait() == 0, child.text
        assert f"{count} runs: " in child.text
        assert re.search(r"^ ?joint +\d", child.text, re.MULTILINE)
    assert cli_process.trained(tmp_path) == {"recognizer.diagnosis": 1, "warmup": 1, "coupled": 3}
    assert finished(tmp_path) == 3
    others = {record.id: record for record in cli_process.records(swept).values()}
    for record in cli_process.study(tmp_path).records():
        ours = cli_process.outcome(tmp_path, record)
        assert ours == cli_process.outcome(swept, others[record.id])


# Below, one run in this process, and records as they may be found.


@pytest.fixture
def run(tmp_path: Path) -> runs.Run:
    return tiny_runs.make(tmp_path, *tiny_runs.PHANTOM, "strategy=mainstream")


def rewrite(run: runs.Run, **changes: Any) -> dict[str, Any]:
    """Change the record of a run."""
    path = run.study.run(run.id) / "record.json"
    record = {**json.loads(path.read_text()), **changes}
    del record["checksum"]
    write_checked(path, record)
    return record


@pytest.mark.parametrize("status", ["finished", "failed"])
def test_records_of_other_data_do_not_count_and_are_kept_aside(run: runs.Run, status: str) -> None:
    record = execute(run)
    content = run.images().fingerprint
    other = {**record.dataset.to_json(), "fingerprint": "5 patients, then 500"}
    old = rewrite(run, dataset=other, status=status)
    assert run.study.state(run.id, {"": content}) == "other data"
    assert make_plan([run], retry_failed=False).summary() == "1 run: 0 new, 0 done, 1 other data"
    assert execute(run).metrics == record.metrics
    assert run.study.state(run.id, {"": content}) == "done"
    [aside] = (run.study.results / "set-aside").iterdir()
    assert read_checked(aside / "record.json") == old


def test_a_run_whose_process_has_ended_was_interrupted(run: runs.Run) -> None:
    execute(run)
    rewrite(run, status="started", pid=os.getpid())
    assert run.study.state(run.id) == "running"
    process = cli_process.PROCESSES.Process(target=int, daemon=True)
    process.start()
    process.join(60)
    rewrite(run, status="started", pid=process.pid)
    assert run.study.state(run.id) == "interrupted"
    # its number has gone to a younger process: the record is from before this one began
    rewrite(run, status="started", pid=os.getpid())
    os.utime(run.study.run(run.id) / "record.json", (1e9, 1e9))
    assert run.study.state(run.id) == "interrupted"
    # on another machine, only its word tells
    rewrite(run, status="started", host="elsewhere")
    assert run.study.state(run.id) == "interrupted"
    run.study.heartbeat(run.id, RunProgress())
    assert run.study.state(run.id) == "running"


def test_what_stopped_a_run_before_its_record_is_told(
    run: runs.Run, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = make_plan([run], retry_failed=False)
    with pytest.raises(SystemExit) as exit:
        entry.run_plan(plan, False, lambda: [RunError("no such device here")])
    assert exit.value.code == 1
    assert f"stopped  {run.label}: no such device here" in capsys.readouterr().out


def test_a_launcher_that_loses_its_jobs_does_not_hide_the_others(
    run: runs.Run, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    other = tiny_runs.make(run.study.results, *tiny_runs.PHANTOM, "strategy=mainstream", "seed=1")
    plan = make_plan([run, other], retry_failed=False)

    def launch() -> list[Any]:
        execute(run)
        raise OSError("the scheduler is gone")

    with pytest.raises(SystemExit) as exit:
        entry.run_plan(plan, False, launch)
    assert exit.value.code == 1
    assert "the launcher stopped: the scheduler is gone" in caplog.text
    assert re.search(r"^ ?mainstream +\d", capsys.readouterr().out, re.MULTILINE)


def test_only_what_is_missing_is_planned(run: runs.Run) -> None:
    joint = tiny_runs.make(run.study.results, *tiny_runs.PHANTOM, "strategy=joint")
    fresh = make_plan([run, joint], retry_failed=False)
    assert sorted(name for name, _ in fresh.stages.values()) == [
        "coupled",
        "coupled",
        "recognizer.diagnosis",
        "warmup",
    ]
    execute(run)
    rest = make_plan([run, joint], retry_failed=False)
    assert sorted(name for name, _ in rest.stages.values()) == ["coupled", "recognizer.diagnosis"]
    assert [job.state for job in rest.jobs] == ["done", "new"] and len(rest.pending) == 1
    assert rest.id == fresh.id and rest.id == make_plan([joint, run], False).id
    # without its record, a run whose stages are all there is only evaluated
    (run.study.run(run.id) / "record.json").unlink()
    again = make_plan([run], retry_failed=False)
    assert not again.stages and "nothing, only evaluation: 0 steps" in describe(again)


# The display, reading what a run at work leaves.


def at_work(run: runs.Run, **progress: Any) -> Plan:
    """A plan of two runs, the first of which is being trained by this process."""
    other = dataclasses.replace(run, config=dataclasses.replace(run.config, seed=1))
    run.overrides, other.overrides = ["noise=0.1"], ["noise=0.2"]
    plan = make_plan([run, other], retry_failed=False)
    folder = run.study.run(run.id)
    folder.mkdir(parents=True)
    record = {"id": run.id, "config": {}, "dataset": {}, "status": "started"}
    record |= {"host": os.uname().nodename, "pid": os.getpid()}
    (folder / "record.json").write_text(json.dumps(record))
    if progress:
        run.study.heartbeat(run.id, RunProgress(**progress))
    return plan


def coupled(run: runs.Run) -> dict[str, Any]:
    stage = run.method.stage()
    row = {"loss_main": 0.00312, "psnr": 25.04, "gate_a": 0.25, "gate_b": 0.75, "accuracy": 0.5}
    return {
        "stage": "coupled", "stage_id": stage.id, "epoch": 2, "epochs": 4, "step": 1, "steps": 2,
        "seconds_per_step": 60.0, "row": row,
    }  # fmt: skip


def shown(plan: Plan, monkeypatch: pytest.MonkeyPatch, terminal: bool, width: int = 120) -> str:
    monkeypatch.setattr(progress, "REDRAW", 0.01)
    monkeypatch.setattr(progress, "PLAIN", 0.01)
    console = Console(file=io.StringIO(), force_terminal=terminal, width=width, _environ={})
    with Display(plan, console):
        time.sleep(0.6)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


LINE = "run 1/2  noise=0.1  coupled 2/4  loss 0.00312  PSNR 25.0 dB  accuracy 50%  gates open 50%"


def test_plain_lines_where_there_is_no_terminal(
    run: runs.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = shown(at_work(run, **coupled(run)), monkeypatch, terminal=False)
    assert text == LINE + "\n"  # once: nothing has changed


def test_a_terminal_is_redrawn_and_left_clean(
    run: runs.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = shown(at_work(run, **coupled(run)), monkeypatch, terminal=True)
    assert text.count(LINE) > 1 and "\x1b[2K" in text
    # the cursor is back, and the last thing done is to wipe the line
    assert "\x1b[?25h" in text[text.rindex(LINE) :] and text.endswith("\x1b[2K")


def test_a_narrow_terminal_shows_all_of_it(run: runs.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    text = shown(at_work(run, **coupled(run)), monkeypatch, terminal=True, width=40)
    assert "run 1/2  noise=0.1" in text and "gates open 50%" in text and "accuracy 50%" in text


def test_a_run_without_a_word_yet_is_shown(run: runs.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    text = shown(at_work(run), monkeypatch, terminal=False)
    assert text == "run 1/2  noise=0.1  starts, or waits for a stage that another run trains\n"


def test_time_left_counts_shared_stages_once(run: runs.Run) -> None:
    plan = at_work(run, **coupled(run))  # two steps a stage; each seed has its own warm-up
    forecast = Forecast(plan)
    assert forecast.left(plan.jobs) is None  # how fast a warm-up goes is not known
    forecast.learn({"stage": "warmup", "stage_id": "", "step": 0, "seconds_per_step": 10.0})
    forecast.learn({**coupled(run)})
    assert forecast.left(plan.jobs) == pytest.approx(4 * 10 + (1 + 2) * 60)


def test_time_is_told_before_the_sweep_where_runs_have_shown_it(run: runs.Run) -> None:
    record = execute(run)
    more = dataclasses.replace(run, config=dataclasses.replace(run.config, seed=1))
    plan = make_plan([run, more], retry_failed=False)
    seconds = sum(stage.seconds for stage in record.stages)
    assert f"about {duration(seconds)}" in estimate(plan)
    assert estimate(Plan([Job(run, "done", {})], retry_failed=False)) == ""


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59.4, "59 s"), (59.6, "1 min 00 s"), (61, "1 min 01 s"), (3599, "59 min 59 s"),
     (3599.9, "1 h 00 min"), (7500, "2 h 05 min")],
)  # fmt: skip
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text
