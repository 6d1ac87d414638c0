"""How the ranks of one run meet: rank 0 leads, the others follow its word.

Rank 0 is the run itself: it holds the stages' leases and alone writes anything. It names each
stage that is to be trained; the others train it in step and keep nothing. They are started by
rank 0 on its own machine, or by Slurm as the tasks of one step. Word goes through a TCPStore that
rank 0 serves, so that whoever waits for it sees at once when it is gone.
"""

import contextlib
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist

from gradprom.errors import RunError
from gradprom.storage.files import read_json, write_json
from gradprom.training.parallel import distributed
from gradprom.training.parallel.distributed import RankLost
from gradprom.training.parallel.placement import Place

WAIT = 300.0
"""Seconds that ranks wait for each other at the start."""
POLL = 0.05
CONNECT = timedelta(seconds=30)
GOODBYE = 10.0
"""Seconds that rank 0 waits at the end for the others to go by themselves."""
END = "end"
GOES_ON = "the same command goes on from the last checkpoint"


class Leader:
    """Rank 0's side.

    `start` makes the process of another rank, which is to call at a port of this machine; it is
    not asked where Slurm has started them. `meeting` is the file in which Slurm's tasks find
    rank 0.
    """

    def __init__(
        self,
        place: Place,
        device: torch.device,
        meeting: Path,
        start: Callable[[int, int], subprocess.Popen[bytes]],
    ):
        self.place, self.device, self.meeting, self.start = place, device, meeting, start
        self.store = dist.TCPStore(_host(place), 0, None, True, wait_for_workers=False)
        self.processes: dict[int, subprocess.Popen[bytes]] = {}
        self.words = 0
        self.patience = GOODBYE
        if place.step:
            write_json(meeting, {"step": place.step, "at": [_host(place), self.store.port]})

    @contextlib.contextmanager
    def stage(self, stage_id: str) -> Iterator[None]:
        """All ranks train the stage while the block runs.

        Raises
        ------
        RankLost
            If a rank ended without a word, or hangs.
        RunError
            With what stopped another rank.
        """
        self._gather()
        self._tell(stage_id)
        try:
            store = dist.PrefixStore(f"stage {self.words}", self.store)
            with distributed.group(store, 0, self.place.ranks, self.device):
                yield
        except RankLost as error:
            self.patience = 0
            until = time.monotonic() + 1  # a connection closes a moment before its process is gone
            while self.processes and time.monotonic() < until:
                self._look()
                time.sleep(POLL)
            self._look()
            raise RankLost(f"{error}; {GOES_ON}") from error

    def end(self) -> None:
        """Send the others home."""
        self._tell(END)
        if self.place.step:
            write_json(self.meeting, {"step": self.place.step, "at": None})
        until = time.monotonic() + self.patience
        while self.store.add("gone", 0) < self.store.add("here", 0) and time.monotonic() < until:
            if self.processes and all(p.poll() is not None for p in self.processes.values()):
                break
            time.sleep(POLL)
        for process in self.processes.values():
            process.kill()
            process.wait()

    def _tell(self, word: str) -> None:
        self.words += 1
        self.store.set(f"word {self.words}", word)

    def _gather(self) -> None:
        """Have all ranks here, before the first stage."""
        others = range(1, self.place.ranks)
        if not self.place.step and not self.processes:
            self.processes = {rank: self.start(rank, self.store.port) for rank in others}
        self._look()
        until = time.monotonic() + WAIT
        while (here := self.store.add("here", 0)) < len(others):
            self._look()
            if time.monotonic() > until:
                raise RunError(
                    f"{1 + here} of {self.place.ranks} ranks have come within {WAIT:.0f} s; under "
                    f"Slurm start all of them with srun"
                )
            time.sleep(POLL)

    def _look(self) -> None:
        """Raise what another rank told of its end, or how its process ended."""
        if self.store.check(["error"]):
            raise RunError(self.store.get("error").decode())
        for rank, process in self.processes.items():
            code = process.poll()
            if code is not None:
                how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
                raise RankLost(f"rank {rank} of {self.place.ranks} {how}; {GOES_ON}")


class Follower:
    """Any other rank's side. Raises RankLost where rank 0 is gone."""

    def __init__(self, place: Place, device: torch.device, host: str, port: int):
        self.place, self.device = place, device
        try:
            self.store = dist.TCPStore(host, port, None, False, timeout=CONNECT)
        except RuntimeError as error:
            raise RankLost(f"{place.name}: rank 0 is not at {host}, port {port}") from error
        self.store.add("here", 1)

    def follow(self, train: Callable[[str], None]) -> None:
        """Train, in step with the others, each stage whose id rank 0 tells.

        Raises
        ------
        RankLost
            If rank 0 is gone.
        Exception
            What stopped the training here; rank 0 is told.
        """
        number = 1
        try:
            while (word := self._word(number)) != END:
                store = dist.PrefixStore(f"stage {number}", self.store)
                # where rank 0 has stopped and lives, it has more to say
                with contextlib.suppress(RankLost):
                    with distributed.group(store, self.place.rank, self.place.ranks, self.device):
                        self._train(word, train)
                number += 1
        finally:
            with contextlib.suppress(RuntimeError):
                self.store.add("gone", 1)

    def _word(self, number: int) -> str:
        try:
            while not self.store.check([f"word {number}"]):
                time.sleep(POLL)
            return self.store.get(f"word {number}").decode()
        except RuntimeError as error:
            raise RankLost(f"{self.place.name}: rank 0 has ended") from error

    def _train(self, stage_id: str, train: Callable[[str], None]) -> None:
        try:
            train(stage_id)
        except RankLost:
            raise
        except Exception as error:
            told = f"{self.place.name}: {type(error).__name__}: {error}"
            # the first alone, and before the others lose this rank
            with contextlib.suppress(RuntimeError):
                self.store.compare_set("error", "", told)
            raise


def find_leader(place: Place, meeting: Path, over: Callable[[], bool]) -> tuple[str, int] | None:
    """Where Slurm's tasks meet, once rank 0 has told; None if it has ended, or all is `over`.

    Raises
    ------
    RunError
        If rank 0 has not told within `WAIT` seconds.
    """
    until = time.monotonic() + WAIT
    while time.monotonic() < until:
        told = read_json(meeting)
        if told is not None and told["step"] == place.step:
            return tuple(told["at"]) if told["at"] else None
        if over():
            return None
        time.sleep(POLL)
    raise RunError(f"{place.name}: nothing was heard of rank 0 within {WAIT:.0f} s")


def _host(place: Place) -> str:
    return socket.gethostname() if place.step else "localhost"
