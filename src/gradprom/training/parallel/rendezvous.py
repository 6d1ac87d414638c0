"""How the ranks of one run meet: rank 0 leads, the others follow its messages.

Rank 0 is the run itself: it holds the stages' leases, and only it writes files. It announces each
stage that is to be trained; the others train it in step and store nothing. They are started by
rank 0 on its own machine, or by Slurm as the tasks of one step. Messages go through a TCPStore
that rank 0 serves, so that the others notice at once when it is gone.
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
"""Seconds that rank 0 waits at the end for the others to exit by themselves."""
END = "end"
GOES_ON = "the same command goes on from the last checkpoint"


class Leader:
    """Rank 0's side.

    Parameters
    ----------
    place
        Rank 0's place in the run.
    device
        Where rank 0 trains.
    meeting
        The file through which Slurm's tasks find rank 0.
    start
        Starts the process of another rank, from its rank and the port of this machine to connect
        to; not called if Slurm has started the ranks.
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
        self.messages = 0
        self.patience = GOODBYE
        if place.step:
            write_json(meeting, {"step": place.step, "at": [_host(place), self.store.port]})

    @contextlib.contextmanager
    def stage(self, stage_id: str) -> Iterator[None]:
        """All ranks train the stage while the block runs.

        Raises
        ------
        RankLost
            If a rank ended without reporting an error, or hangs.
        RunError
            With the error that stopped another rank.
        """
        self._gather()
        self._announce(stage_id)
        try:
            store = dist.PrefixStore(f"stage {self.messages}", self.store)
            with distributed.group(store, 0, self.place.ranks, self.device):
                yield
        except RankLost as error:
            self.patience = 0
            until = time.monotonic() + 1  # a connection closes a moment before its process is gone
            while self.processes and time.monotonic() < until:
                self._check_ranks()
                time.sleep(POLL)
            self._check_ranks()
            raise RankLost(f"{error}; {GOES_ON}") from error

    def end(self) -> None:
        """Shut down the other ranks."""
        self._announce(END)
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

    def _announce(self, message: str) -> None:
        self.messages += 1
        self.store.set(f"message {self.messages}", message)

    def _gather(self) -> None:
        """Start the other ranks and wait for them, before the first stage."""
        others = range(1, self.place.ranks)
        if not self.place.step and not self.processes:
            self.processes = {rank: self.start(rank, self.store.port) for rank in others}
        self._check_ranks()
        until = time.monotonic() + WAIT
        while (arrived := self.store.add("here", 0)) < len(others):
            self._check_ranks()
            if time.monotonic() > until:
                raise RunError(
                    f"{1 + arrived} of {self.place.ranks} ranks have arrived within {WAIT:.0f} s; "
                    f"under Slurm start all of them with srun"
                )
            time.sleep(POLL)

    def _check_ranks(self) -> None:
        """Raise the error that another rank reported, or RankLost if its process has ended."""
        if self.store.check(["error"]):
            raise RunError(self.store.get("error").decode())
        for rank, process in self.processes.items():
            code = process.poll()
            if code is not None:
                how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
                raise RankLost(f"rank {rank} of {self.place.ranks} {how}; {GOES_ON}")


class Follower:
    """Any other rank's side.

    Parameters
    ----------
    place
        This rank's place in the run.
    device
        Where this rank trains.
    host, port
        The address of rank 0.

    Raises
    ------
    RankLost
        If rank 0 does not answer.
    """

    def __init__(self, place: Place, device: torch.device, host: str, port: int):
        self.place, self.device = place, device
        try:
            self.store = dist.TCPStore(host, port, None, False, timeout=CONNECT)
        except RuntimeError as error:
            raise RankLost(f"{place.name}: rank 0 is not at {host}, port {port}") from error
        self.store.add("here", 1)

    def follow(self, train: Callable[[str], None]) -> None:
        """Train, in step with the others, each stage whose id rank 0 announces.

        Raises
        ------
        RankLost
            If rank 0 is gone.
        Exception
            The error that stopped the training here, after it was reported to rank 0.
        """
        number = 1
        try:
            while (message := self._message(number)) != END:
                store = dist.PrefixStore(f"stage {number}", self.store)
                # if rank 0 has stopped training but lives, its next message says more
                with contextlib.suppress(RankLost):
                    with distributed.group(store, self.place.rank, self.place.ranks, self.device):
                        self._train(message, train)
                number += 1
        finally:
            with contextlib.suppress(RuntimeError):
                self.store.add("gone", 1)

    def _message(self, number: int) -> str:
        try:
            while not self.store.check([f"message {number}"]):
                time.sleep(POLL)
            return self.store.get(f"message {number}").decode()
        except RuntimeError as error:
            raise RankLost(f"{self.place.name}: rank 0 has ended") from error

    def _train(self, stage_id: str, train: Callable[[str], None]) -> None:
        try:
            train(stage_id)
        except RankLost:
            raise
        except Exception as error:
            failure = f"{self.place.name}: {type(error).__name__}: {error}"
            # only the first error, and before the other ranks notice that this one is gone
            with contextlib.suppress(RuntimeError):
                self.store.compare_set("error", "", failure)
            raise


def find_leader(place: Place, meeting: Path, over: Callable[[], bool]) -> tuple[str, int] | None:
    """The address of rank 0 for the other tasks of a Slurm step, once it is announced.

    Parameters
    ----------
    place
        This rank's place in the run.
    meeting
        The file in which rank 0 announces its address.
    over
        Whether the run has ended already.

    Returns
    -------
    tuple or None
        Host and port; None if rank 0 or the run has ended.

    Raises
    ------
    RunError
        If there is no announcement within `WAIT` seconds.
    """
    until = time.monotonic() + WAIT
    while time.monotonic() < until:
        announcement = read_json(meeting)
        if announcement is not None and announcement["step"] == place.step:
            return tuple(announcement["at"]) if announcement["at"] else None
        if over():
            return None
        time.sleep(POLL)
    raise RunError(f"{place.name}: rank 0 did not announce itself within {WAIT:.0f} s")


def _host(place: Place) -> str:
    return socket.gethostname() if place.step else "localhost"
