"""A run goes on on another number of devices, and after a task of it is killed."""

import os
import time
from collections import Counter
from pathlib import Path

import pytest
from support import cli_process

from gradprom.runs.record import Record
from gradprom.training.parallel import rendezvous

WORDS_OF_A_RUN = ("strategy=gradprom",)


def start_task(results: Path, rank: int, step: int, *words: str) -> cli_process.Child:
    """`srun -n 2 python run.py …`: one of the two."""
    output = results / f"step-{step}-task-{rank}.txt"
    output.touch()
    told = {"JOB_ID": 1, "STEP_ID": step, "NTASKS": 2, "PROCID": rank, "LOCALID": rank}
    environment = {f"SLURM_{name}": str(value) for name, value in told.items()}
    words = (*cli_process.TINY, *words, "trainer.devices=2", f"results={results}")
    arguments = (environment, words, output)
    process = cli_process.PROCESSES.Process(target=_task, args=arguments, daemon=True)
    process.start()
    return cli_process.Child(process, output)


def _task(environment: dict[str, str], words: tuple[str, ...], output: Path) -> None:
    os.environ.update(environment)
    cli_process._main("run", words, output, 0.02, None)


def wait_for(results: Path, stage: str, children: list[cli_process.Child]) -> None:
    """Until the stage has a checkpoint."""
    until = time.monotonic() + 90
    while not (
        (folder := cli_process.stage_folder(results, stage)) and (folder / "checkpoint.pt").exists()
    ):
        assert all(child.alive for child in children), "".join(c.text for c in children)
        assert time.monotonic() < until
        time.sleep(0.01)


def assert_as_on_one_device(results: Path, reference: Path) -> Record:
    [ours], [other] = (list(cli_process.records(f).values()) for f in (results, reference))
    assert ours.status == "finished" and ours.id == other.id
    assert ours.config["trainer"]["devices"] == 2
    assert ours.metrics == pytest.approx(other.metrics, rel=1e-4)
    assert set(ours.training) == set(other.training)
    assert not list(results.rglob("ranks.json"))
    return ours


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = tmp_path_factory.mktemp("one")
    code, text = cli_process.run(results, *WORDS_OF_A_RUN)
    assert code == 0, text
    return results


def test_a_run_begun_on_one_device_goes_on_on_two(reference: Path, tmp_path: Path) -> None:
    alone = cli_process.start(tmp_path, *WORDS_OF_A_RUN, pause=0.2)
    wait_for(tmp_path, "warmup", [alone])
    alone.kill()
    code, text = cli_process.run(tmp_path, *WORDS_OF_A_RUN, "trainer.devices=2")
    assert code == 0, text
    record = assert_as_on_one_device(tmp_path, reference)
    assert record.interruptions == 1
    assert cli_process.trained(tmp_path) == cli_process.trained(reference) + Counter(["warmup"])


def test_a_killed_task_of_slurm_ends_the_other_and_the_run_goes_on(
    reference: Path, tmp_path: Path
) -> None:
    for step, killed in enumerate([1, 0]):
        tasks = [start_task(tmp_path, rank, step, *WORDS_OF_A_RUN) for rank in range(2)]
        wait_for(tmp_path, ["recognizer.diagnosis", "coupled"][step], tasks)
        tasks[killed].kill()
        left = tasks[1 - killed]
        assert left.wait(60) == 1
        told = ["rank 1 of 2: rank 0 has ended", rendezvous.GOES_ON][killed]
        assert told in left.text and "Traceback" not in left.text
        [record] = cli_process.records(tmp_path).values()
        assert record.status == "started"
    tasks = [start_task(tmp_path, rank, 2, *WORDS_OF_A_RUN) for rank in range(2)]
    assert [task.wait() for task in tasks] == [0, 0], tasks[0].text + tasks[1].text
    # rank 0 alone shows plan and table
    assert "1 run: " in tasks[0].text and "records " in tasks[0].text
    assert "1 run: " not in tasks[1].text and "records " not in tasks[1].text
    assert assert_as_on_one_device(tmp_path, reference).interruptions == 2
