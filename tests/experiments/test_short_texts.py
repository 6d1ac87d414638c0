"""Short names of values: what tells them apart stays, and no two become one."""

import pytest

from gradprom.experiments.short_texts import LONG, short_texts

LONG_LIST = "[adenosis, fibroadenoma, phyllodes, tubular, ductal, lobular"


@pytest.mark.parametrize(
    ("texts", "short"),
    [
        (["0.05", "0.1"], ["0.05", "0.1"]),
        (["/data/lab/projects/2024/ct", "/data/lab/projects/2025/ct"], ["2024/ct", "2025/ct"]),
        (["/data/lab/projects/2024/ct", "/data/lab/projects/2024/mr"], ["ct", "mr"]),
        (["/data/laboratory/projects/2024/ct"], ["ct"]),
        ([LONG_LIST + "]", LONG_LIST + ", other]"], ["[6 values]", "[7 values]"]),
        ([LONG_LIST + ", a]", LONG_LIST + ", b, c]"], ["[a]", "[b,c]"]),
    ],
)
def test_what_tells_apart_is_left(texts: list[str], short: list[str]) -> None:
    found = short_texts(texts)
    assert [found[text] for text in texts] == short


@pytest.mark.parametrize(
    "texts",
    [
        ["x" * 80, "x" * 81, "x" * 82],
        ["/" + "a" * 90, "/" + "a" * 91],
        [f"[{'a' * 50}, {i}]" for i in range(4)],
        ["/data/" + "b" * 50, "relative", "[1, 2]"],
        ["[" + ", ".join("abcdefghijklmnop") + "]", "[" + ", ".join("ponmlkjihgfedcba") + "]"],
    ],
)
def test_different_texts_stay_different_and_short(texts: list[str]) -> None:
    found = short_texts(texts)
    assert len(set(found.values())) == len(texts)
    assert all(0 < len(short) <= LONG + len(" (9)") for short in found.values())
