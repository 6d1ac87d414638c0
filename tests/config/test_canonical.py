"""The canonical form of a value, of which an id is the hash."""

import subprocess
import sys
from dataclasses import dataclass, field, make_dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradprom.identity import LENGTH, added, canonical, digest


@dataclass
class Plain:
    rate: float = 0.1
    where: str = field(default="here", metadata={"hashed": False})
    younger: int = added(3)
    nested: list[Any] = field(default_factory=list)


def test_an_id_is_the_beginning_of_a_sha256_of_sorted_json() -> None:
    # printf %s '{"a":[1,0.5,null,true],"b":"\\u00fc"}' | sha256sum
    assert digest({"b": "ü", "a": (1, 0.5, None, True)}) == "266f070249e6"
    assert LENGTH == 12


@given(st.floats(allow_nan=False, allow_infinity=False), st.sampled_from([-1, 1]))
def test_floats_count_to_twelve_digits(value: float, side: int) -> None:
    assert digest(value) == digest(float(f"{value:.12g}"))
    if 1e-300 < abs(value) < 1e300:
        assert digest(value * (1 + side * 1e-10)) != digest(value)


def test_sums_of_tenths_are_the_number_that_was_meant() -> None:
    assert 0.1 + 0.2 != 0.3 and digest(0.1 + 0.2) == digest(0.3)


def test_types_that_json_keeps_apart_stay_apart() -> None:
    values = [1, 1.0, True, "1", None, [1], {"1": 1}]
    assert len({digest(value) for value in values}) == len(values)


@pytest.mark.parametrize("value", [{1, 2}, Path("x"), object(), Plain, b"bytes"])
def test_what_has_no_canonical_form_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="no canonical form"):
        digest([value])


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_none_are_refused(value: float) -> None:
    with pytest.raises(ValueError):
        digest(value)


def test_unhashed_fields_are_left_out_at_every_depth() -> None:
    assert canonical([Plain(where="there")]) == [{"rate": 0.1, "nested": []}]
    assert digest(Plain(where="there")) == digest(Plain(where="here"))
    outer = [digest(Plain(nested=[Plain(where=place)])) for place in ("here", "there")]
    assert outer[0] == outer[1] != digest(Plain(nested=[Plain(rate=0.2)]))


def test_a_field_that_was_added_keeps_old_ids() -> None:
    old = make_dataclass("Options", [("rate", float, 0.1)])
    new = make_dataclass("Options", [("rate", float, 0.1), ("younger", int, added(3))])
    # the default was changed later on: the old meaning still has the old id
    later = make_dataclass(
        "Options",
        [("rate", float, 0.1), ("younger", int, field(default=4, metadata={"before": 3}))],
    )
    assert digest(old()) == digest(new()) == digest(later(younger=3))
    assert len({digest(old()), digest(new(younger=4)), digest(new(younger=5))}) == 3
    assert digest(later()) == digest(new(younger=4))


@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_ids_are_equal_in_another_process(hash_seed: str) -> None:
    value = {"names": ["b", "a"], "rate": 1e-4, "nested": {"z": 1, "a": None}}
    code = f"from gradprom.identity import digest; print(digest({value!r}))"
    environment = {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": ":".join(sys.path)}
    told = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert told.stdout.strip() == digest(value)
