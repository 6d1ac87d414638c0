"""Splits take each class in proportion, or divide no group."""

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradprom.data import splits
from gradprom.data.base import Entry
from gradprom.errors import DataError


def some_entries(sizes: list[int], labels: list[int]) -> list[Entry]:
    """Groups of the given sizes, each of one label."""
    return [
        Entry(f"{group}-{i}", f"g{group}", label, ())
        for group, (size, label) in enumerate(zip(sizes, labels, strict=True))
        for i in range(size)
    ]


groups = st.lists(st.tuples(st.integers(1, 6), st.integers(0, 2)), min_size=2, max_size=30).map(
    lambda pairs: some_entries(*map(list, zip(*pairs, strict=True)))
)


@given(entries=groups, seed=st.integers(0, 5), share=st.floats(0.01, 0.99))
def test_stratified_takes_each_class_in_proportion(
    entries: list[Entry], seed: int, share: float
) -> None:
    test = min(max(1, round(share * len(entries))), len(entries) - 1)
    parts = splits.stratified(entries, test, seed)
    assert len(parts["test"]) == test
    assert sorted(parts["train"] + parts["test"]) == sorted(entry.id for entry in entries)
    label = {entry.id: entry.label for entry in entries}
    all_of, tested = Counter(label.values()), Counter(label[id] for id in parts["test"])
    for name, count in all_of.items():
        assert abs(tested[name] - count * test / len(entries)) < 1
    shuffled = random.Random(seed).sample(entries, len(entries))
    again = splits.stratified(shuffled, test, seed)
    assert {name: set(ids) for name, ids in again.items()} == {
        name: set(ids) for name, ids in parts.items()
    }


@given(entries=groups, seed=st.integers(0, 5))
def test_by_group_divides_no_group(entries: list[Entry], seed: int) -> None:
    test = max(1, len(entries) // 5)
    try:
        parts = splits.by_group(entries, test, seed)
    except DataError:
        # Refused only where no group is small enough for its class's share.
        quota = splits._quota(entries, test)
        sizes = Counter((entry.group, entry.label) for entry in entries)
        assert all(size > quota[label] for (_, label), size in sizes.items())
        return
    group = {entry.id: entry.group for entry in entries}
    assert not {group[id] for id in parts["train"]} & {group[id] for id in parts["test"]}
    assert sorted(parts["train"] + parts["test"]) == sorted(group)
    assert 1 <= len(parts["test"]) <= test


def test_by_group_fills_the_test_part_when_groups_are_small() -> None:
    entries = some_entries([1, 2] * 50, [0, 1] * 50)
    parts = splits.by_group(entries, 30, seed=0)
    assert len(parts["test"]) == 30
    assert sum(int(id.split("-")[0]) % 2 for id in parts["test"]) == 20


@pytest.mark.parametrize("test", [0, 4])
@pytest.mark.parametrize("divide", [splits.stratified, splits.by_group])
def test_both_parts_need_an_image(divide, test: int) -> None:
    with pytest.raises(DataError, match=f"4 images cannot be divided so that {test} are"):
        divide(some_entries([1] * 4, [0] * 4), test, 0)
