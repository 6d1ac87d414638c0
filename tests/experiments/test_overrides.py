"""Overrides as the command line has them: what stands for nothing is refused."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradprom.config.folders import choices
from gradprom.errors import ConfigError
from gradprom.experiments import papers
from gradprom.experiments.overrides import parse, values_of


def values(text: str) -> list[str]:
    [override] = parse([text])
    return values_of(override)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("noise=range(0.1,0.4,0.1)", ["0.1", "0.2", "0.3"]),
        ("noise=range(0.3,0.6,0.1)", ["0.3", "0.4", "0.5"]),
        ("noise=range(0.3,0,-0.1)", ["0.3", "0.2", "0.1"]),
        ("noise=range(0,1,0.1)", [f"0.{digit}" for digit in range(10)]),
        ("seed=range(3)", ["0", "1", "2"]),
        ("seed=range(5,1,-2)", ["5", "3"]),
        ("lam=1e-4,1e-3", ["0.0001", "0.001"]),
        ("noise=0.1", ["0.1"]),
    ],
)
def test_values(text: str, expected: list[str]) -> None:
    assert values(text) == expected


@given(
    st.integers(-20, 20), st.integers(1, 30), st.integers(1, 20), st.sampled_from([10, 100, 1000])
)
def test_a_range_is_counted_in_decimals(first: int, count: int, step: int, unit: int) -> None:
    """The oracle counts in whole numbers of the last digit."""
    numbers = [Decimal(n) / unit for n in (first, first + count * step, step)]
    found = values(f"x=range({','.join(f'{float(n)!r}' for n in numbers)})")
    assert found == [repr((first + i * step) / unit) for i in range(count)]


def test_a_pattern_chooses_files_of_a_group() -> None:
    assert values("strategy=glob(*)") == choices("strategy")
    assert values("strategy=glob([g*,j*])") == ["gradprom", "joint"]
    rest = [name for name in choices("strategy") if name != "joint"]
    assert values("strategy=glob(*,exclude=joint)") == rest
    tables = [name for name in papers.names() if name.startswith("table")]
    assert len(tables) == 8 and values("experiment=glob(table*)") == tables


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("strategy=glob([g*,x*])", r"x\* matches none of aligned, bisector"),
        ("strategy=glob(*,exclude=jiont)", "jiont matches none of aligned"),
        ("noise=glob(*)", "noise is not a group"),
        ("strategy=glob(g*,exclude=*)", "has no value"),
        ("seed=range(0)", r"seed=range\(0\) has no value"),
        ("noise=range(0.3,0.1,0.1)", "has no value"),
    ],
)
def test_words_that_stand_for_nothing(text: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        parse([text])
