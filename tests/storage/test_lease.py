"""One process at a time holds a stage, and a dead one does not hold it for long."""

import os
import signal
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import psutil
import pytest
from support.cli_process import PROCESSES
from support.leases import acquire, names, no_links

from gradprom.errors import RunError
from gradprom.storage import lease as leases
from gradprom.storage.files import read_json, write_json
from gradprom.storage.lease import Applicant, Lease, process_start
from gradprom.training.store import Slot


def hold(folder: Path, pipe: Connection) -> None:
    """Another process: ask, tell, and keep what was got until told to stop."""
    lease = Applicant(folder).try_acquire()
    pipe.send(lease is not None)
    if lease is not None:
        with lease.heartbeat():
            pipe.recv()


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[tuple[BaseProcess, Connection]]:
    """A process that holds the lease of `tmp_path`."""
    ours, theirs = PROCESSES.Pipe()
    process = PROCESSES.Process(target=hold, args=(tmp_path, theirs), daemon=True)
    process.start()
    assert ours.poll(60) and ours.recv()
    yield process, ours
    process.kill()
    process.join(60)


def test_of_two_processes_one_gets_it_until_it_lets_go(
    tmp_path: Path, holder: tuple[BaseProcess, Connection]
) -> None:
    process, pipe = holder
    applicant = Applicant(tmp_path)
    assert applicant.try_acquire() is None
    assert applicant.try_acquire() is None
    pipe.send("stop")
    process.join(60)
    lease = applicant.try_acquire()
    assert lease is not None and lease.held()


def test_a_killed_holder_is_followed_at_once(
    tmp_path: Path, holder: tuple[BaseProcess, Connection]
) -> None:
    process, _ = holder
    applicant = Applicant(tmp_path)
    assert applicant.try_acquire() is None
    process.kill()
    process.join(60)
    lease = applicant.try_acquire()
    assert lease is not None and lease.held()
    assert names(tmp_path) == ["lease-0002"]


def test_a_stopped_holder_keeps_it(
    tmp_path: Path, holder: tuple[BaseProcess, Connection], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "STALE", 0.05)
    process, _ = holder
    assert process.pid is not None
    os.kill(process.pid, signal.SIGSTOP)
    applicant = Applicant(tmp_path)
    for _ in range(5):
        assert applicant.try_acquire() is None  # its process is there, whatever its heart does
        time.sleep(0.03)
    os.kill(process.pid, signal.SIGCONT)


def test_a_zombie_has_ended() -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    while psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.001)
    assert psutil.pid_exists(pid)
    assert process_start(pid) is None
    os.waitpid(pid, 0)
    assert process_start(pid) is None
    assert process_start(os.getpid()) == psutil.Process().create_time()


def elsewhere(folder: Path, number: int = 1) -> Path:
    """A lease held on another machine."""
    path = folder / f"lease-{number:04d}"
    write_json(path, {"host": "elsewhere", "pid": os.getpid(), "born": 1.0, "token": "aa"})
    return path


def namesake(folder: Path) -> Path:
    """A lease of this machine whose process number belongs to a younger process by now."""
    path = folder / "lease-0001"
    holder = acquire(folder).holder
    write_json(path, {**holder, "born": holder["born"] - 3600})
    return path


@pytest.mark.parametrize("forge", [elsewhere, namesake])
def test_where_only_the_heart_tells_it_takes_silence_to_follow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forge: Any
) -> None:
    monkeypatch.setattr(leases, "STALE", 0.4)
    path = forge(tmp_path)
    applicant = Applicant(tmp_path)
    for _ in range(20):
        assert applicant.try_acquire() is None  # it beats, and twice STALE goes by
        os.utime(path)
        time.sleep(0.04)
    began = time.monotonic()
    while (lease := applicant.try_acquire()) is None and time.monotonic() < began + 10:
        time.sleep(0.01)
    assert time.monotonic() - began >= 0.4
    assert lease is not None and lease.held() and names(tmp_path) == ["lease-0002"]


@pytest.mark.parametrize("shift", [-1e6, 1e6])
def test_clocks_need_not_agree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shift: float
) -> None:
    monkeypatch.setattr(leases, "STALE", 0.2)
    path = elsewhere(tmp_path)
    os.utime(path, (time.time() + shift,) * 2)
    # an applicant knows nothing of the past: an old time stamp alone is no sign of death
    assert Applicant(tmp_path).try_acquire() is None
    applicant = Applicant(tmp_path)
    for beat in range(8):  # a clock that is set back with each beat is still a beating heart
        assert applicant.try_acquire() is None
        os.utime(path, (time.time() + shift - 100 * beat,) * 2)
        time.sleep(0.05)
    assert applicant.try_acquire() is None
    time.sleep(0.25)
    assert applicant.try_acquire() is not None


def test_the_applicants_own_clock_may_be_set_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere(tmp_path)
    applicant = Applicant(tmp_path)
    assert applicant.try_acquire() is None
    monkeypatch.setattr(time, "time", lambda: 1e12)
    assert applicant.try_acquire() is None
    monkeypatch.setattr(time, "time", lambda: 0.0)
    assert applicant.try_acquire() is None


def test_a_lease_beats_while_it_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "BEAT", 0.02)
    lease = acquire(tmp_path)
    with lease.heartbeat():
        seen = set()
        until = time.monotonic() + 20
        while len(seen) < 5 and time.monotonic() < until:
            seen.add(lease.path.stat().st_mtime_ns)
            time.sleep(0.02)
        assert len(seen) == 5
    last = lease.path.stat().st_mtime_ns
    time.sleep(0.1)
    assert lease.path.stat().st_mtime_ns == last and not lease.held()


def test_a_lease_is_let_go_after_an_exception_too(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), acquire(tmp_path).heartbeat():
        raise KeyboardInterrupt
    assert acquire(tmp_path).held()


def test_an_old_holder_that_lives_sees_that_it_was_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "BEAT", 0.01)
    old = acquire(tmp_path)
    slot = Slot(tmp_path, old)
    slot.save_checkpoint({"step": 1})
    with old.heartbeat():
        write_json(old.path, {**old.holder, "host": "elsewhere"})  # whom nobody can look up here
        monkeypatch.setattr(leases, "STALE", -1.0)
        new = acquire(tmp_path)
        assert new.held() and not old.held()
        time.sleep(0.05)  # its heart beats on, and must not bring its lease back
        with pytest.raises(RunError, match=f"has taken over stage {tmp_path.name}"):
            slot.save_checkpoint({"step": 2})
    assert slot.load_checkpoint() == {"step": 1}
    assert new.held() and names(tmp_path) == ["checkpoint.pt", "lease-0002"]


def test_an_applicant_that_slept_through_a_change_of_holders_comes_too_late(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between its look and its claim, others take the number that it was about to take, die, and
    are followed: the number is free again, the stage is not."""
    write_json(tmp_path / "lease-0001", leases.FREE)
    create = leases._create
    current = []

    def slow(path: Path) -> Lease | None:
        monkeypatch.setattr(leases, "_create", create)
        write_json(acquire(tmp_path).path, leases.FREE)
        current.append(acquire(tmp_path))
        assert not path.exists()
        return create(path)

    monkeypatch.setattr(leases, "_create", slow)
    assert Applicant(tmp_path).try_acquire() is None
    assert current[0].held() and names(tmp_path) == ["lease-0003"]


def test_more_leases_than_digits(tmp_path: Path) -> None:
    for number in (9999, 10000):
        write_json(tmp_path / f"lease-{number}", leases.FREE)
    assert acquire(tmp_path).path.name == "lease-10001"
    assert names(tmp_path) == ["lease-10001"]


def race(folder: Path, rounds: int, has_links: bool, barrier: Barrier, pipe: Connection) -> None:
    """Of each round's folder: ask twice, and say whether the lease was got, and is held still."""
    if not has_links:
        os.link = no_links
    for number in range(rounds):
        applicant = Applicant(folder / str(number))
        barrier.wait(60)
        got = applicant.try_acquire() or applicant.try_acquire()
        barrier.wait(60)  # nobody ends while others may still look whether it lives
        pipe.send((got is not None, got is not None and got.held()))


@pytest.mark.parametrize("has_links", [True, False])
def test_of_many_that_race_for_a_dead_ones_lease_exactly_one_wins(
    tmp_path: Path, has_links: bool
) -> None:
    rounds, count = 40, 5
    process = PROCESSES.Process(target=int, daemon=True)
    process.start()
    process.join(60)
    host = acquire(tmp_path / "here").holder["host"]
    dead = {"host": host, "pid": process.pid, "born": 1.0, "token": "dead"}
    for number in range(rounds):
        write_json(tmp_path / str(number) / "lease-0001", leases.FREE if number % 4 == 0 else dead)
    barrier = PROCESSES.Barrier(count)
    pipes = [PROCESSES.Pipe() for _ in range(count)]
    racers = [
        PROCESSES.Process(
            target=race, args=(tmp_path, rounds, has_links, barrier, theirs), daemon=True
        )
        for _, theirs in pipes
    ]
    for racer in racers:
        racer.start()
    for number in range(rounds):
        told = [ours.recv() for ours, _ in pipes if ours.poll(60)]
        assert sorted(told) == [(False, False)] * (count - 1) + [(True, True)], f"round {number}"
        assert names(tmp_path / str(number)) == ["lease-0002"]
    for racer in racers:
        racer.join(60)
    holders = {read_json(tmp_path / str(n) / "lease-0002")["pid"] for n in range(rounds)}
    assert len(holders) > 1, "the race was none"
