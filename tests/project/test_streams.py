"""Output that goes nowhere: the work goes on, and what is lost is said where it can be."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gradprom.streams import Lenient

WORK = """
import sys
from gradprom import streams
streams.make_lenient()
for number in range(3):
    print("line", number, chr(963), flush=True)
opened = open(sys.argv[1], "w", encoding="utf-8")
import os
os.write(1, b"to the display")
opened.write(f"worked to the end, {streams.failure()}")
"""


def work(folder: Path, redirection: str, **environment: str) -> tuple[int, str, str]:
    """Exit code, what the work has written, and its standard error."""
    result, errors = folder / "result.txt", folder / "errors.txt"
    command = f"'{sys.executable}' -c '{WORK}' '{result}' {redirection.format(errors=errors)}"
    done = subprocess.run(["bash", "-c", command], env={**os.environ, **environment})
    said = errors.read_text("utf-8") if errors.exists() else ""
    return done.returncode, result.read_text("utf-8"), said


def test_a_reader_that_ends(tmp_path: Path) -> None:
    code, result, said = work(tmp_path, "2>'{errors}' | true; exit ${{PIPESTATUS[0]}}")
    # bash may end the reader after the first lines are written
    assert code == 0 and result.startswith("worked to the end") and not said


def test_no_room_for_a_log(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full")
    code, result, said = work(tmp_path, "> /dev/full 2>'{errors}'")
    assert code == 0 and "No space left" in result
    assert said.count("\n") == 1 and "standard output cannot be written (No space left" in said


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&- <&-"])
def test_closed_from_the_start(tmp_path: Path, closed: str) -> None:
    """The next file that is opened would get the number of the closed stream."""
    code, result, _ = work(tmp_path, closed)
    assert (code, result) == (0, "worked to the end, None")


def test_letters_that_the_locale_lacks(tmp_path: Path) -> None:
    path = tmp_path / "output.txt"
    plain = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    code, result, said = work(tmp_path, f"> '{path}' 2>'{{errors}}'", **plain)
    assert code == 0 and not said
    assert path.read_text("ascii").splitlines()[:2] == ["line 0 ?", "line 1 ?"]


def test_it_is_silent_after_the_first_failure() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    stream = Lenient(os.fdopen(writer, "w", encoding="utf-8"), "output")
    assert stream.write("more than nothing") == 17 and stream.failure is None
    stream.flush()
    assert isinstance(stream.failure, BrokenPipeError)
    stream.write("again")
    stream.flush()
    assert not stream.isatty() and stream.encoding == "utf-8"
    stream.close()
