"""The splits of every dataset are disjoint, divide no group and follow from their seed."""

from collections.abc import Callable
from pathlib import Path

import pytest
from support.dataset_cases import REAL, SEEDED, SPLIT_IDS, SPLITS, build

from gradprom.data.base import Entry, Source


@pytest.mark.parametrize(("name", "options"), SPLITS, ids=SPLIT_IDS)
def test_splits_are_disjoint_and_divide_no_group(
    name: str, options: dict[str, str], made: Callable[[str], Path]
) -> None:
    for seed in range(8):
        source = build(name, made(name), split_seed=seed, **options)
        entries = source.index()
        agree(source, entries, source.splits(entries))


@pytest.mark.realdata
@pytest.mark.parametrize("name", REAL)
def test_real_splits_are_disjoint_and_divide_no_group(
    name: str, made: Callable[[str], Path]
) -> None:
    source = build(name, made(name))
    entries = source.index()
    agree(source, entries, source.splits(entries))


def agree(source: Source, entries: list[Entry], splits: dict[str, list[str]]) -> None:
    group = {entry.id: entry.group for entry in entries}
    listed = [id for ids in splits.values() for id in ids]
    assert len(set(listed)) == len(listed) and set(listed) <= set(group)
    assert {"train", "test"} <= set(splits) <= {"train", "val", "test"}
    assert all(splits.values())
    if not source.divides_groups():
        groups = [{group[id] for id in ids} for ids in splits.values()]
        assert sum(map(len, groups)) == len(set.union(*groups))


@pytest.mark.parametrize(("name", "options"), SPLITS, ids=SPLIT_IDS)
def test_a_split_follows_from_its_seed(
    name: str, options: dict[str, str], made: Callable[[str], Path]
) -> None:
    def split(seed: int) -> dict[str, list[str]]:
        source = build(name, made(name), split_seed=seed, **options)
        return source.splits(source.index())

    assert split(0) == split(0)
    others = [split(seed) for seed in range(1, 8)]
    if name not in SEEDED or options == {"split": "official"}:  # as its authors made it
        assert all(other == split(0) for other in others)
    else:
        assert any(other != split(0) for other in others)
