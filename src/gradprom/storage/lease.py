"""The right to train a stage, or a run, held by one process at a time on any shared file system.

Leases are numbered files, `lease-0001`, `lease-0002`, …, each made by `os.link`, which is atomic
on NFS too, or exclusively where a file system has no hard links (exFAT, SMB, object stores). The
highest number holds. To take over from a dead process, or from one that has
released its lease, a process creates the next number, which only one can; the old holder, if it
still lives, sees it and stops. The highest number is never removed, so that no number is given out
twice: an applicant that was suspended between its check and its claim finds that it came too late.
"""

import contextlib
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from gradprom.errors import NotWritable
from gradprom.storage import preemption
from gradprom.storage.files import read_json, synced, write_json, writing

BEAT = 5.0
"""Seconds between two heartbeats."""
STALE = 120.0
"""Seconds without a heartbeat after which a holder on another machine counts as dead: longer than
NFS keeps a file's attributes (60 s by default)."""
FREE = {"holder": None}
"""Content of a lease that its holder has released."""
POLL = 0.5
"""Seconds between two attempts while another process holds a lease."""
_RELEASED: set[str] = set()
"""Tokens of leases that this process has released but, on a full disk, could not mark as free."""


class Lease:
    """A lease that is held while its file names this holder; whoever takes over removes it."""

    def __init__(self, path: Path, holder: dict[str, Any]):
        self.path = path
        self.holder = holder

    def held(self) -> bool:
        """Whether no other process has taken over since."""
        return read_json(self.path) == self.holder

    @contextlib.contextmanager
    def heartbeat(self) -> Iterator[None]:
        """Touch the file every `BEAT` seconds until the block ends, then release the lease."""
        stop = threading.Event()

        def beat() -> None:
            while not stop.wait(BEAT):
                self._beat()

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
            if self.held():
                self._release()

    def _beat(self) -> None:
        try:
            os.utime(self.path)
        except FileNotFoundError:
            pass  # another process has taken over
        except OSError:
            # some mounts let nobody set times; a new file has a new one
            with contextlib.suppress(OSError, NotWritable):
                if self.held():
                    write_json(self.path, self.holder)

    def _release(self) -> None:
        try:
            write_json(self.path, FREE)
        except NotWritable:
            # other processes see this one end; this one must not wait for its own lease
            _RELEASED.add(self.holder["token"])


class Applicant:
    """Tries to acquire a folder's lease, and remembers when it last saw a new heartbeat.

    Ages are measured on the applicant's own monotonic clock, from the moment a heartbeat was seen
    to change: clocks of two machines need not agree, and may go backwards.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self._last_beat: tuple[str, float] | None = None
        self._beat_changed = 0.0

    def try_acquire(self) -> Lease | None:
        """The lease, or None while a living process holds it."""
        with writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        newest = _newest(self.folder)
        if newest is not None and not self._is_free(newest):
            return None
        path = self.folder / f"lease-{_number(newest) + 1:04d}"
        lease = _create(path)
        if lease is None:
            return None  # another applicant was faster
        if _newest(self.folder) != path:
            path.unlink(missing_ok=True)  # this number had been taken and removed before
            return None
        for older in _leases(self.folder):
            if _number(older) < _number(path):
                older.unlink(missing_ok=True)
        return lease

    def _is_free(self, path: Path) -> bool:
        """Whether its holder has released it or, as far as is known by now, is dead."""
        try:
            holder, beat = read_json(path), path.stat().st_mtime
        except FileNotFoundError:
            return False  # taken over just now: try again
        if holder == FREE or (holder and holder.get("token") in _RELEASED):
            return True
        if holder and holder.get("host") == _host():
            born = process_start(holder.get("pid", 0))
            if born is None or born == holder.get("born"):
                return born is None
            # the pid was reused or the clock was set: only the heartbeat can decide
        if self._last_beat != (path.name, beat):
            self._last_beat, self._beat_changed = (path.name, beat), time.monotonic()
        return time.monotonic() - self._beat_changed > STALE


@contextlib.contextmanager
def exclusive(folder: Path, waiting: str = "") -> Iterator[None]:
    """Hold a folder's lease until the block ends; wait while another process holds it.

    Parameters
    ----------
    folder
        The folder of the lease's files.
    waiting
        A message that is printed once if the lease is not free at once.
    """
    applicant = Applicant(folder)
    while (lease := applicant.try_acquire()) is None:
        if waiting:
            print(waiting, flush=True)
            waiting = ""
        preemption.raise_if_requested()
        time.sleep(POLL)
    with lease.heartbeat():
        yield


def _leases(folder: Path) -> list[Path]:
    return list(folder.glob("lease-[0-9]*"))


def _newest(folder: Path) -> Path | None:
    return max(_leases(folder), key=_number, default=None)


def _number(path: Path | None) -> int:
    return int(path.name.removeprefix("lease-")) if path else 0


def _create(path: Path) -> Lease | None:
    holder = {
        "host": _host(),
        "pid": os.getpid(),
        "born": process_start(os.getpid()),
        "token": secrets.token_hex(8),
    }
    draft = path.with_name(f".lease.{holder['token']}")
    write_json(draft, holder)
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    except OSError:
        # there are no hard links here: until it has its content, the lease is nobody's and held
        _write_exclusively(path, draft.read_bytes())
    finally:
        draft.unlink()
    # NFS may report a failure of what it has done
    return Lease(path, holder) if read_json(path) == holder else None


def _write_exclusively(path: Path, content: bytes) -> None:
    """Create a file, unless there is one."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    except FileExistsError:
        return
    except OSError as error:
        with writing(path):
            raise error
    with writing(path), open(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        synced(file)


def _host() -> str:
    """Where a pid is unique: the machine, and the pid namespace (container) on it."""
    try:
        return f"{socket.gethostname()} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return socket.gethostname()


def process_start(pid: int) -> float | None:
    """Start time of a process of this machine, in seconds since 1970; None if it has ended."""
    try:
        process = psutil.Process(pid)
        # a killed process whose parent does not wait for it remains as a zombie
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except psutil.NoSuchProcess:
        return None
