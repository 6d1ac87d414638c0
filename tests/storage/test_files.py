"""Stored files are whole or absent, and what is damaged is told from what is not."""

import hashlib
import io
import os
import random
from pathlib import Path
from typing import Any

import pytest
import torch

from gradprom.errors import NotWritable
from gradprom.storage.files import (
    DamagedFile,
    is_plain,
    load_state,
    read_checked,
    read_json,
    replacing,
    require_writable,
    save_state,
    write_checked,
    write_json,
    write_text,
)

STATE = {
    "weights": torch.arange(7.0),
    "step": 3,
    "history": [{"loss": 0.1, "ratio": float("nan")}],
    "names": ["θ", "φ"],
}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_comes_whole_and_replaces_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "made" / "on the way" / "text"
    write_text(path, "λ one")
    write_text(path, "λ two")
    assert path.read_text(encoding="utf-8") == "λ two"
    assert names(path.parent) == ["text"]


def test_others_may_read_what_is_stored(tmp_path: Path) -> None:
    write_text(tmp_path / "ours", "")
    (tmp_path / "usual").write_text("")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "usual").stat().st_mode


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("before", [None, b"before"])
def test_an_exception_leaves_what_was_there(
    tmp_path: Path, error: type[BaseException], before: bytes | None
) -> None:
    path = tmp_path / "file"
    if before is not None:
        path.write_bytes(before)
    with pytest.raises(error), replacing(path) as stream:
        stream.write(b"half of")
        raise error
    assert names(tmp_path) == ([] if before is None else ["file"])
    assert before is None or path.read_bytes() == before


def test_two_writers_at_once_do_not_mix(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with replacing(path) as first:
        first.write(b"first")
        with replacing(path) as second:
            second.write(b"second")
        assert path.read_bytes() == b"second"
    assert path.read_bytes() == b"first"
    assert names(tmp_path) == ["file"]


def test_json_comes_back_and_what_is_none_is_none(tmp_path: Path) -> None:
    path = tmp_path / "value.json"
    assert read_json(path) is None
    assert read_json(path / "below a file that is not there") is None
    write_json(path, {"noise": 0.1, "name": "σ", "list": [1, None]})
    assert read_json(path) == {"noise": 0.1, "name": "σ", "list": [1, None]}
    path.write_text('{"noise": 0.')
    assert read_json(path) is None
    path.write_bytes(b"\xff\xfe\x00")
    assert read_json(path) is None


def test_a_path_of_any_bytes_can_stand_in_a_text(tmp_path: Path) -> None:
    """Python keeps bytes that the locale cannot decode as surrogates, in C those of every `é`."""
    text = os.fsdecode(b"/data/caf\xe9") + " " + "é".encode().decode("ascii", "surrogateescape")
    write_text(tmp_path / "page.html", text)
    assert (tmp_path / "page.html").read_text("utf-8") == "/data/caf\\xe9 é"


def test_checked_notes_are_read_whole_or_not_at_all(tmp_path: Path) -> None:
    """At every byte, unless it means the same: `\\u03c3` is `\\u03C3`."""
    path, value = tmp_path / "note.json", {"seed": 0, "psnr": 27.125, "nested": {"σ": [1, None]}}
    assert read_checked(path) is None
    write_checked(path, value)
    assert read_checked(path) == value
    content = path.read_bytes()
    for place in range(len(content)):
        path.write_bytes(content[:place])
        assert read_checked(path) in (None, value)
        for bit in range(8):
            path.write_bytes(
                content[:place] + bytes([content[place] ^ 1 << bit]) + content[place + 1 :]
            )
            assert read_checked(path) in (None, value), f"bit {bit} of byte {place}"
    path.write_bytes(content.replace(b"27.125", b"27.126"))
    assert read_checked(path) is None
    write_json(path, value)
    assert read_checked(path) is None  # without a checksum there is nothing to trust


@pytest.mark.parametrize("name", ["../x", "..", ".", "", ".x", "a/b", "/x", "a\nb", "a b", "*"])
def test_names_that_could_lead_elsewhere_are_not_plain(name: str) -> None:
    assert not is_plain(name)
    assert is_plain("a.b-c_1") and is_plain("0123456789ab")


def test_a_folder_that_is_a_file_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    require_writable(tmp_path / "new")
    assert names(tmp_path / "new") == []
    for write in (require_writable, lambda path: write_text(path / "note", "")):
        with pytest.raises(NotWritable, match=f"{tmp_path}/file/.* cannot be written: "):
            write(tmp_path / "file")


def test_a_state_comes_back_bit_for_bit(tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    save_state(path, STATE)
    loaded = load_state(path)
    assert torch.equal(loaded.pop("weights"), STATE["weights"])
    assert repr(loaded) == repr({k: v for k, v in STATE.items() if k != "weights"})
    with pytest.raises(FileNotFoundError):
        load_state(tmp_path / "none.pt")


def test_every_truncation_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    save_state(path, STATE)
    content = path.read_bytes()
    for length in [*range(0, 80), *range(80, len(content), 41), len(content) - 1]:
        path.write_bytes(content[:length])
        with pytest.raises(DamagedFile, match=r"state\.pt is damaged"):
            load_state(path)
    path.write_bytes(content + b"\0")
    with pytest.raises(DamagedFile):
        load_state(path)


def test_every_flipped_bit_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    save_state(path, STATE)
    content = path.read_bytes()
    draw = random.Random(0)
    for position in [*range(0, 80), *range(80, len(content), 37), len(content) - 1]:
        damaged = bytearray(content)
        damaged[position] ^= 1 << draw.randrange(8)
        path.write_bytes(damaged)
        with pytest.raises(DamagedFile):
            load_state(path)


class Code:
    """Pickles into a call, as a stranger's file would."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("proof-that-code-has-run",)


def test_a_file_with_code_in_it_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    buffer = io.BytesIO()
    torch.save({"weights": Code()}, buffer)
    payload = buffer.getvalue()
    path = tmp_path / "state.pt"
    # its checksum is right: whoever writes the file can write that too
    path.write_bytes(hashlib.sha256(payload).hexdigest().encode() + b"\n" + payload)
    with pytest.raises(DamagedFile, match="not a mapping of tensors and plain values"):
        load_state(path)
    assert names(tmp_path) == ["state.pt"]
