"""Every file that is read or written as text has an encoding of its own, not the locale's."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = [*sorted((ROOT / "src").rglob("*.py")), ROOT / "run.py"]


def opened_as_text(call: ast.Call) -> bool:
    """Whether a call opens a file as text: `open(…)`, `path.open(…)`, `read_text`, `write_text`."""
    function = call.func
    if isinstance(function, ast.Attribute):
        if function.attr in ("read_text", "write_text"):
            return True
        owner = function.value
        if function.attr != "open" or (isinstance(owner, ast.Name) and owner.id in NOT_TEXT):
            return False
        mode = call.args[0] if call.args else None
    elif isinstance(function, ast.Name) and function.id == "open":
        mode = call.args[1] if len(call.args) > 1 else None
    else:
        return False
    mode = next((word.value for word in call.keywords if word.arg == "mode"), mode)
    return not (isinstance(mode, ast.Constant) and "b" in str(mode.value))


NOT_TEXT = ("os", "Image")
"""Whose `open` opens no text."""


def without_encoding(source: str) -> list[int]:
    """The lines that open a text file in the encoding of the locale."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    return [
        call.lineno
        for call in calls
        if opened_as_text(call) and not any(word.arg == "encoding" for word in call.keywords)
    ]


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("open('a')\nopen('a', 'w')", [1, 2]),
        ("open('a', 'rb')\nopen('a', mode='rb')\nopen('a', encoding='utf-8')", []),
        ("path.open()\npath.open('xb')\nos.open(path, 0)\nImage.open(path)", [1]),
        ("a.read_text()\na.write_text('b')\nwrite_text(a, b)\na.read_bytes()", [1, 2]),
    ],
)
def test_what_counts_as_text(source: str, lines: list[int]) -> None:
    assert without_encoding(source) == lines


def test_no_file_is_opened_in_the_locales_encoding() -> None:
    found = {
        f"{path.relative_to(ROOT)}:{line}"
        for path in SOURCES
        for line in without_encoding(path.read_text("utf-8"))
    }
    assert not found
