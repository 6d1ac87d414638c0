"""kill -9 at any moment: the same command goes on, and ends with the bits of what never stopped."""

import os
import random
import signal
import time
from pathlib import Path

import torch
from faults.lifecycle import (
    LONGER,
    MOMENTS,
    PAUSE,
    assert_same,
    finish,
    finished,
    frozen_at,
    interrupted,
)
from support import cli_process
from support.cli_process import PROCESSES
from support.counted_stage import STEPS, expected, notes, start_processes, wait_for

from gradprom.storage.files import replacing


def test_killed_at_chosen_moments(tmp_path: Path) -> None:
    words = ("strategy=gradprom", "auxiliary=multitask", *LONGER)
    reference, results = tmp_path / "never stopped", tmp_path / "killed"
    assert finish(reference, words).interruptions == 0

    seen, counted = [], 0
    for name, moment in MOMENTS.items():
        done, begun = finished(results), cli_process.trained(results)
        child = cli_process.start(results, *words, pause=PAUSE)
        if not frozen_at(moment, child, results):
            break  # it has finished
        child.kill()
        seen.append(name)
        counted += interrupted(results)
        assert not done & set(cli_process.trained(results) - begun), "what was done is done again"
    # the last moments are over in a millisecond, and may be missed on a busy machine
    assert seen[:8] == list(MOMENTS)[:8]

    record = finish(results, words)
    assert_same(results, reference)
    # a process may be killed before it has taken up what the one before had left
    assert 4 <= counted - 2 <= record.interruptions <= counted


def test_killed_at_random_moments(tmp_path: Path) -> None:
    """With those above, thirty kills and more."""
    # a strategy with a state of its own, and targets that follow the recognizer
    words = ("strategy=random_gate", "supervision=unsupervised", *LONGER)
    reference = tmp_path / "never stopped"
    finish(reference, words)
    draw, kills = random.Random(1), 0
    for life in range(10):
        counted = live(tmp_path / f"life {life}", words, draw)
        kills += counted
        record = finish(tmp_path / f"life {life}", words)
        assert_same(tmp_path / f"life {life}", reference)
        assert record.interruptions == counted
        if kills >= 19:
            return
    raise AssertionError(f"only {kills} kills")


def live(results: Path, words: tuple[str, ...], draw: random.Random) -> int:
    """Start a run again and again, kill it soon after; how many kills left a stage unfinished."""
    counted = 0
    while True:
        child = cli_process.start(results, *words, pause=PAUSE)
        goal = cli_process.saved(results) + draw.randrange(1, 4)
        while child.alive and cli_process.saved(results) < goal:
            time.sleep(0.001)
        time.sleep(draw.uniform(0, 2 * PAUSE))
        if not child.alive:
            assert child.wait() == 0, child.text
            return counted
        child.kill()
        counted += interrupted(results)


def write_for_ever(path: Path) -> None:
    for number in range(10**9):
        with replacing(path) as stream:
            for _ in range(64):
                stream.write(b"%08d" % number * 256)


def assert_whole(path: Path) -> None:
    content = path.read_bytes()
    assert content and content == content[:8] * (256 * 64)


def test_a_kill_at_any_moment_leaves_a_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    moments = random.Random(1)
    seen = []
    for _ in range(6):
        process = PROCESSES.Process(target=write_for_ever, args=(path,), daemon=True)
        process.start()
        began = path.stat().st_mtime_ns if path.exists() else None
        while not path.exists() or path.stat().st_mtime_ns == began:
            time.sleep(0.001)
        until = time.monotonic() + moments.uniform(0.02, 0.1)
        while time.monotonic() < until:
            assert_whole(path)  # at any moment, not only the last
        process.kill()
        process.join(60)
        assert_whole(path)
        seen.append(len(list(tmp_path.iterdir())) > 1)
        for draft in tmp_path.glob(".*"):
            draft.unlink()
    assert any(seen), "no kill fell into the middle of writing"


def test_one_that_is_killed_is_followed_from_its_checkpoint(tmp_path: Path) -> None:
    processes = start_processes(tmp_path, 3, pause=0.02)
    killed = []
    for goal in (6, 13):
        wait_for(lambda goal=goal: len(notes(tmp_path)) > goal)
        pid = notes(tmp_path)[-1][0]
        os.kill(pid, signal.SIGKILL)
        killed.append(pid)
    for process in processes:
        process.join(60)
        assert process.exitcode == (-signal.SIGKILL if process.pid in killed else 0)
    steps = [step for _, step in notes(tmp_path)]
    assert steps[-1] == STEPS - 1 and set(steps) == set(range(STEPS))
    # only what came after the last checkpoint is done again: the step that was being taken
    assert len(steps) <= STEPS + 2
    assert len({pid for pid, _ in notes(tmp_path)}) == 3
    [last] = [i for i, process in enumerate(processes) if process.pid not in killed]
    assert torch.equal(torch.load(tmp_path / f"result-{last}"), expected(tmp_path))
