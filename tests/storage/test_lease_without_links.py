"""Leases where there are no hard links, or where links and times are not what they should be."""

import errno
import os
import time
from pathlib import Path
from typing import Any

import pytest
from support.leases import acquire, names, no_links

from gradprom.errors import NotWritable
from gradprom.storage import lease as leases
from gradprom.storage.lease import Applicant


@pytest.mark.parametrize("number", [errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK])
def test_a_file_system_without_hard_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refused(*_: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", refused)
    lease = acquire(tmp_path)
    assert lease.held() and Applicant(tmp_path).try_acquire() is None
    with lease.heartbeat():
        pass
    assert acquire(tmp_path).held() and names(tmp_path) == ["lease-0002"]


def test_a_lease_without_content_yet_is_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As that of a process that stopped between creating the file and writing it."""
    (tmp_path / "lease-0001").touch()
    applicant = Applicant(tmp_path)
    assert applicant.try_acquire() is None
    monkeypatch.setattr(leases, "STALE", 0.0)
    time.sleep(0.01)
    assert applicant.try_acquire() is not None


def test_nfs_may_report_the_failure_of_a_link_that_it_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = os.link

    def twice(source: Path, target: Path) -> None:
        link(source, target)
        link(source, target)

    monkeypatch.setattr(os, "link", twice)
    assert acquire(tmp_path).held()


def test_where_no_link_is_made_and_no_file_either_it_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "link", no_links)
    create = os.open

    def full(path: Any, flags: int, *rest: Any) -> int:
        if Path(path).name == "lease-0001":
            raise OSError(errno.ENOSPC, "No space left on device")
        return create(path, flags, *rest)

    monkeypatch.setattr(os, "open", full)
    with pytest.raises(NotWritable, match="lease-0001 cannot be written: No space left"):
        Applicant(tmp_path).try_acquire()
    assert names(tmp_path) == []


def test_it_beats_where_nobody_may_set_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "BEAT", 0.01)
    monkeypatch.setattr(os, "utime", no_links)
    lease = acquire(tmp_path)
    first = lease.path.stat().st_mtime_ns
    with lease.heartbeat():
        deadline = time.monotonic() + 30
        while lease.path.stat().st_mtime_ns == first and time.monotonic() < deadline:
            time.sleep(0.01)
        assert lease.path.stat().st_mtime_ns > first and lease.held()
