"""What messages are put together from."""

import pytest

from gradprom.errors import first_line, listed


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("\n  one\ntwo"), "one"),
        (KeyError(), "KeyError"),
        (OSError(" \n"), "OSError"),
        (KeyboardInterrupt("stopped\n"), "stopped"),
    ],
)
def test_first_line_of_an_error(error: BaseException, line: str) -> None:
    assert first_line(error) == line


@pytest.mark.parametrize(
    ("names", "text"),
    [([], ""), (["a", "b"], "a, b"), ([1, 2, 3], "1, 2, 3"), (list("abcde"), "a, b, c and 2 more")],
)
def test_a_list_is_cut_and_its_rest_counted(names: list[object], text: str) -> None:
    assert listed(names, 3) == text
