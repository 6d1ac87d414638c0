"""The runs of a sweep on this machine, in workers, so that a crash takes one run and not the sweep.

The workers are forked from a process that is itself forked when the command has imported
everything and computed nothing: a process forked from one that has initialized CUDA could not use
the GPU, and one forked from torch's threads could hang.
"""

import codecs
import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import FrameType
from typing import Any

from hydra.plugins.launcher import Launcher

from gradprom.launch.processes import Outcomes, Pool, prepare
from gradprom.launch.worker import errors_in_log, flush, fork
from gradprom.runs.records import Study
from gradprom.storage.files import writing

GRACE = 60.0
"""Seconds that runs have to leave a checkpoint after Ctrl-C."""
BASIC = "hydra._internal.core_plugins.basic_launcher"
"""The module of `hydra/launcher=basic`. Hydra may import it twice: its class is then not ours."""
FORKS = sys.platform != "darwin"
"""Whether processes can be forked here; on macOS the system's own libraries do not allow it."""


@contextlib.contextmanager
def in_workers(launcher: Any) -> Iterator[Any]:
    """Yield what launches runs in workers, in place of Hydra's launcher for this machine.

    To be entered before torch computes anything. Other launchers are yielded as they are.
    """
    if type(launcher).__module__ != BASIC or not FORKS:
        yield launcher
        return
    workers = Workers(launcher)
    try:
        yield workers
    finally:
        workers.close()


@dataclass(frozen=True)
class _Request:
    """What the process of the workers is sent: runs that have no record yet."""

    arguments: dict[str, Any]
    study: Study
    places: list[str]
    stops_at_failure: bool


class Workers:
    """The process that forks the workers, as the command sees it."""

    def __init__(self, launcher: Launcher):
        pipes = [os.pipe() for _ in range(2)]
        ends = [end for pipe in pipes for end in pipe]
        self.process: int | None
        self.process, self.connection = fork(partial(_serve, launcher, ends))
        self.outputs = {}
        for (reader, writer), stream in zip(pipes, ("stdout", "stderr"), strict=True):
            os.close(writer)
            decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
            self.outputs[reader] = decoder, stream

    def run(
        self,
        overrides: dict[str, list[str]],
        study: Study,
        places: list[str],
        first: int,
        log: Path | None,
        stops_at_failure: bool = False,
    ) -> Outcomes:
        """Run a sweep's runs; on Ctrl-C each leaves a checkpoint.

        Parameters
        ----------
        overrides
            The overrides of each run, by its id.
        study
            Where the runs leave their records.
        places
            The GPUs of each worker (`devices.places`).
        first
            The number of the first run in its sweep.
        log
            The file that receives the runs' output; None: this process's own output.
        stops_at_failure
            Whether no further run begins after one has failed.
        """
        if log is not None:
            with writing(log):
                log.parent.mkdir(parents=True, exist_ok=True)
                log.touch()
        arguments = {
            run_id: (overrides[run_id], number, log)
            for number, run_id in enumerate(overrides, first)
        }
        try:
            self.connection.send(_Request(arguments, study, places, stops_at_failure))
            return self._outcomes()
        except (EOFError, ConnectionError):
            return {}  # it was killed
        except BaseException:
            self.close()
            raise

    def prepare(self) -> None:
        """Have everything imported that runs need, while this process goes on."""
        self.connection.send(None)

    def close(self) -> None:
        """End the workers; each run that is at work leaves a checkpoint."""
        process, self.process = self.process, None
        if process is not None:
            os.kill(process, signal.SIGTERM)
            os.waitpid(process, 0)

    def _outcomes(self) -> Outcomes:
        """Show what the runs print until all have ended."""
        while True:
            ready = wait([self.connection, *self.outputs])
            for reader in ready:
                if isinstance(reader, int):
                    self._show(reader)
            if ready == [self.connection]:  # everything that was printed has been shown
                outcomes: Outcomes = self.connection.recv()
                return outcomes

    def _show(self, reader: int) -> None:
        decoder, name = self.outputs[reader]
        if not (content := os.read(reader, 1 << 16)):
            del self.outputs[reader]  # nobody is left to write
        stream = getattr(sys, name)  # a live display may have replaced it
        stream.write(decoder.decode(content))
        stream.flush()


def _serve(launcher: Launcher, ends: list[int], connection: Connection) -> None:
    """Fork workers and run what the command sends, until it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the command receives it too, and terminates us
    for number, writer in ((1, ends[1]), (2, ends[3])):
        os.dup2(writer, number)
    for end in ends:
        os.close(end)
    pool: Pool | None = None

    def stop(number: int, frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_IGN)
        if pool is not None:
            pool.stop(number, GRACE)
        sys.exit(128 + number)

    signal.signal(signal.SIGTERM, stop)
    with contextlib.suppress(EOFError):
        while True:
            request = connection.recv()
            if request is None:
                prepare()
                continue
            pool = pool or Pool(partial(_launch, launcher), request.places, connection)
            connection.send(pool.run(request.arguments, request.study, request.stops_at_failure))
    stop(signal.SIGTERM, None)


def _launch(launcher: Launcher, argument: tuple[list[str], int, Path | None]) -> None:
    overrides, number, log = argument
    if log is None:
        _run(launcher, overrides, number)
        return
    flush()
    with log.open("ab") as stream:
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)
    with errors_in_log():
        _run(launcher, overrides, number)


def _run(launcher: Launcher, overrides: list[str], number: int) -> None:
    [done] = launcher.launch([overrides], number)
    done.return_value  # noqa: B018  raises the exception that stopped the run
