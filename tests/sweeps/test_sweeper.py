"""`python run.py -m …`: a plan, each run once, a table; and again only what is missing."""

import csv
import re
import signal
import statistics
import time
from pathlib import Path

import pytest
from support import cli_process
from support.swept_runs import SHAPE, assert_same_results

from gradprom import entry


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
    assert {
        "plan.json",
        "table.md",
        "table.csv",
        "table.tex",
        "picture.png",
        "table-summary.csv",
    } == {path.name for path in folder.iterdir()}
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
