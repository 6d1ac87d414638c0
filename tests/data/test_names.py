"""Names and lists are compared in one form and shown with what is invisible in them."""

import os
import unicodedata
from pathlib import Path

import pytest

from gradprom.data import names
from gradprom.data.text_files import lines, rows

CAFE = "café"
FORMS = {
    "composed": unicodedata.normalize("NFC", CAFE).encode(),
    "decomposed": unicodedata.normalize("NFD", CAFE).encode(),
    "latin-1": CAFE.encode("latin-1"),
}


@pytest.mark.parametrize("form", FORMS)
def test_one_key_whatever_the_form_of_a_name(form: str) -> None:
    assert names.key(os.fsdecode(FORMS[form])) == CAFE


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1", "cp1252"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_lists_and_tables_of_any_editor(tmp_path: Path, encoding: str, newline: str) -> None:
    text = newline.join([f" {CAFE} , b ", "", "1,2", ""])
    (tmp_path / "a.txt").write_bytes(text.encode(encoding))
    assert lines(tmp_path / "a.txt") == [f"{CAFE} , b", "1,2"]
    assert rows(tmp_path / "a.txt", [CAFE, "b"]) == [{CAFE: "1", "b": "2"}]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a b.png", "a b.png"),
        (CAFE, CAFE),
        ("\ufeffpatient1", "\\ufeffpatient1"),
        ("a\u200b.png", "a\\u200b.png"),
        ("a\xa0b\n", "a\\xa0b\\n"),
        (os.fsdecode(b"caf\xe9"), "caf\\xe9"),
    ],
)
def test_what_cannot_be_seen_is_escaped(name: str, shown: str) -> None:
    assert names.shown(name) == shown
    names.shown(name).encode()  # can be printed
