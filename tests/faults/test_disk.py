"""A disk without room, and one that is read-only: a clear stop, nothing half-written, no loss."""

import contextlib
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from faults.lifecycle import MOMENTS, PAUSE, assert_same, drafts, finish, frozen_at
from support import cli_process

from gradprom import cli
from gradprom.storage.files import load_state

SIZE = 16 << 20
WORDS = ("strategy=random_gate",)


class Disk:
    """A small tmpfs."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.ballast = folder / "ballast"

    def leave(self, room: int) -> None:
        """Fill it up to `room` bytes."""
        self.ballast.unlink(missing_ok=True)
        status = subprocess.run(
            ["stat", "-f", "-c", "%a %S", self.folder], capture_output=True, text=True, check=True
        )
        free, block = map(int, status.stdout.split())
        # a process that was just told to stop may have taken a little of it: then all is taken
        with contextlib.suppress(OSError):
            self.ballast.write_bytes(bytes(max(0, free * block - room)))

    def remount(self, how: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{how}", self.folder], check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    folder = tmp_path / "disk"
    folder.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs"]
    done = subprocess.run(["mount", *options, folder], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no tmpfs can be mounted here: {done.stderr.strip()}")
    yield Disk(folder)
    subprocess.run(["umount", folder], check=True)


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the run leaves where nothing disturbs it."""
    results = tmp_path_factory.mktemp("undisturbed")
    finish(results, WORDS)
    return results


def stopped(results: Path, words: tuple[str, ...], reason: str, beside: Path) -> str:
    """The one sentence that a command ends with, after a look at what it has left."""
    code, text = cli_process.run(results, *words, beside=beside)
    assert code == 1, text
    return one_sentence(results, text, reason)


def one_sentence(results: Path, text: str, reason: str) -> str:
    """The last line: which file and why; with a look at what is there, all of it whole."""
    assert "Traceback" not in text and text.count("gradprom: ") == 1, text
    last = text.splitlines()[-1]
    assert last.startswith(f"gradprom: {results}") and f"cannot be written: {reason}" in last, text
    assert drafts(results) == [] and not [*results.glob("cache/.*"), *results.glob(".probe*")]
    for path in results.glob("stages/*/*.pt"):
        load_state(path)  # raises for one that is damaged
    _, problems = cli_process.study(results).load()
    assert problems == []
    return last


def went_on(disk: Disk, reference: Path, words: tuple[str, ...], beside: Path) -> None:
    """With room again, the same command ends as if nothing had been."""
    disk.ballast.unlink(missing_ok=True)
    code, text = cli_process.run(disk.folder, *words, beside=beside)
    assert code == 0, text
    assert_same(disk.folder, reference)


def scoring(results: Path) -> bool:
    """Between the history and the scores; before, a checkpoint is removed, which makes room."""
    return any(results.glob("local/runs/*/history.csv"))


def test_a_full_disk_is_told_before_anything_is_done(disk: Disk, tmp_path: Path) -> None:
    disk.leave(0)
    for words in (WORDS, ("-m", *WORDS)):
        stopped(disk.folder, words, "No space left on device", tmp_path / "beside")
        assert [path.name for path in disk.folder.iterdir() if path != disk.ballast] in (
            [],
            ["cache"],
        )


@pytest.mark.parametrize("words", [WORDS, ("-m", *WORDS)], ids=["run", "sweep"])
def test_a_disk_that_fills_up_stops_a_run_which_goes_on_when_there_is_room(
    disk: Disk, reference: Path, tmp_path: Path, words: tuple[str, ...]
) -> None:
    beside = tmp_path / "beside"
    moments = [MOMENTS["in the warm-up"], MOMENTS["while coupled training writes a checkpoint"]]
    for moment in [*moments, scoring] if words == WORDS else moments[1:]:
        disk.ballast.unlink(missing_ok=True)
        # the evaluation of eight images is over at once: make it long
        pause = 0.4 if moment is scoring else PAUSE
        child = cli_process.start(disk.folder, *words, pause=pause, beside=beside)
        assert frozen_at(moment, child, disk.folder), child.text
        disk.leave(0)
        child.send(signal.SIGCONT)
        assert child.wait() == 1, child.text
        one_sentence(disk.folder, child.text, "No space left on device")
        [record] = cli_process.study(disk.folder).records()
        assert cli_process.study(disk.folder).state(record.id) == "interrupted"
    went_on(disk, reference, words, beside)


def test_a_small_disk_stops_in_the_middle_of_a_checkpoint(
    disk: Disk, reference: Path, tmp_path: Path
) -> None:
    """Room for one of the recognizer's, and not for the next one beside it."""
    beside = tmp_path / "beside"
    disk.leave(5 << 20)
    told = stopped(disk.folder, WORDS, "No space left on device", beside)
    assert "checkpoint.pt cannot be written" in told
    went_on(disk, reference, WORDS, beside)


def test_a_read_only_folder_is_told_and_what_is_there_can_be_looked_at(
    disk: Disk, reference: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    beside = tmp_path / "beside"
    child = cli_process.start(disk.folder, *WORDS, pause=PAUSE, beside=beside)
    assert frozen_at(MOMENTS["in coupled training"], child, disk.folder), child.text
    child.kill()
    disk.remount("ro")
    for words in (WORDS, ("-m", *WORDS)):
        stopped(disk.folder, words, "Read-only file system", beside)
    [record] = cli_process.study(disk.folder).records()
    for command in ("report", "forget " + record.id, "rerun " + record.id):
        with pytest.raises(SystemExit, match="gradprom: .* cannot be written: Read-only"):
            cli.main([*command.split(), f"results={disk.folder}"])
    cli.main(["status", f"results={disk.folder}"])
    assert f"interrupted {record.id}" in capsys.readouterr().out
    disk.remount("rw")
    went_on(disk, reference, WORDS, beside)
