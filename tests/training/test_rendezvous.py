"""What ends one rank ends the others."""

import os
import signal
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from support import cli_process

from gradprom.errors import RunError
from gradprom.storage.files import read_json
from gradprom.training.parallel import distributed, rendezvous
from gradprom.training.parallel.distributed import RankLost
from gradprom.training.parallel.placement import Place
from gradprom.training.parallel.rendezvous import Follower, Leader

CPU = torch.device("cpu")


class Stopped(Exception):
    pass


def _follows(meeting: Path) -> None:
    torch.set_num_threads(1)
    place = Place(1, 2, 1, "7.0.0")

    def train(stage: str) -> None:
        distributed.average(torch.ones(3))
        if stage == "fails":
            raise ValueError("no memory")
        if stage == "dies":
            os.kill(os.getpid(), signal.SIGKILL)

    found = rendezvous.find_leader(place, meeting, over=lambda: False)
    if found is not None:
        Follower(place, CPU, *found).follow(train)


WORDS = {
    "end": "",
    "fails": "^rank 1 of 2: ValueError: no memory$",
    "dies": "^another rank of this run has ended or is not heard of; the same command goes on ",
}


def _starts_nothing(rank: int, port: int) -> Any:
    raise AssertionError("Slurm has started it")


@pytest.mark.parametrize("last", WORDS)
def test_what_ends_one_rank_ends_the_other(last: str, tmp_path: Path) -> None:
    meeting = tmp_path / "ranks.json"
    follower = cli_process.PROCESSES.Process(target=_follows, args=(meeting,))
    follower.start()
    leader = Leader(Place(0, 2, 0, "7.0.0"), CPU, meeting, _starts_nothing)
    for _ in range(2):
        with leader.stage("fine"):
            assert distributed.average(torch.zeros(3)).tolist() == [0.5, 0.5, 0.5]
        assert distributed.ranks() == 1
        # what stops a stage on rank 0 stops it on the other, which goes on with the next
        with pytest.raises(Stopped), leader.stage("fine"):
            raise Stopped
    if last != "end":
        with pytest.raises(RunError, match=WORDS[last]) as caught, leader.stage(last):
            for _ in range(2):
                distributed.average(torch.zeros(3))
        assert isinstance(caught.value, RankLost) == (last == "dies")
    leader.end()
    follower.join(60)
    assert follower.exitcode == {"end": 0, "fails": 1, "dies": -signal.SIGKILL}[last]
    assert read_json(meeting) == {"step": "7.0.0", "at": None}


def test_ranks_meet_although_one_of_them_has_met_nobody_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when rank 0 has left a stage before the other was connected."""
    monkeypatch.setattr(distributed, "TIMEOUT", timedelta(seconds=1))
    with pytest.raises(RankLost), distributed.group(dist.HashStore(), 0, 2, CPU):
        raise AssertionError("begun alone")
    monkeypatch.setattr(distributed, "TIMEOUT", timedelta(seconds=30))
    meeting = tmp_path / "ranks.json"
    follower = cli_process.PROCESSES.Process(target=_follows, args=(meeting,))
    follower.start()
    leader = Leader(Place(0, 2, 0, "7.0.0"), CPU, meeting, _starts_nothing)
    with leader.stage("fine"):
        assert distributed.average(torch.zeros(3)).tolist() == [0.5, 0.5, 0.5]
    leader.end()
    follower.join(60)
    assert follower.exitcode == 0


@pytest.mark.parametrize(
    ("command", "how"), [("kill -9 $$", "was killed by signal 9"), ("exit 3", "ended with code 3")]
)
def test_a_rank_that_ends_before_it_has_come(command: str, how: str, tmp_path: Path) -> None:
    def start(rank: int, port: int) -> Any:
        return subprocess.Popen(["sh", "-c", command])

    leader = Leader(Place(0, 3, 0, ""), CPU, tmp_path / "ranks.json", start)
    told = rf"^rank [12] of 3 {how}; the same command goes on from the last checkpoint$"
    with pytest.raises(RankLost, match=told), leader.stage("fine"):
        raise AssertionError("begun without it")
    leader.end()
    assert not list(tmp_path.iterdir())
