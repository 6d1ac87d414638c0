"""Seeded splits. They follow only from the seed, the ids and their labels: neither the order in
which a file system lists files nor the version of a random generator matters."""

from collections import Counter, defaultdict

from gradprom.data.base import Entry
from gradprom.errors import DataError
from gradprom.randomness import stream

Split = dict[str, list[str]]


def stratified(entries: list[Entry], test: int, seed: int) -> Split:
    """A split with `test` test images and equal class proportions in both parts (to one image).

    Raises
    ------
    DataError
        Unless both parts get an image.
    """
    _check(len(entries), test)
    remaining = _quota(entries, test)
    chosen = set()
    for entry in sorted(entries, key=lambda entry: stream(seed, entry.id)):
        if remaining[entry.label] > 0:
            remaining[entry.label] -= 1
            chosen.add(entry.id)
    return _parts(entries, chosen)


def by_group(entries: list[Entry], test: int, seed: int) -> Split:
    """A split with at most `test` test images in whole groups, and similar class proportions.

    Groups are taken in seeded order, each one that still fits the quota of all its classes.

    Raises
    ------
    DataError
        Unless both parts get an image.
    """
    _check(len(entries), test)
    groups: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        groups[entry.group].append(entry)
    remaining = _quota(entries, test)
    chosen: set[str] = set()
    for name in sorted(groups, key=lambda name: stream(seed, name)):
        count = Counter(entry.label for entry in groups[name])
        if all(count[label] <= remaining[label] for label in count):
            remaining.subtract(count)
            chosen.update(entry.id for entry in groups[name])
    if not chosen:
        raise DataError(
            f"{len(entries)} images in {len(groups)} groups cannot be divided so that "
            f"{test} are for testing and no group is in both parts."
        )
    return _parts(entries, chosen)


def of_groups(entries: list[Entry], groups: Split) -> Split:
    """The entries of whole groups, in their own order."""
    part = {name: part for part, names in groups.items() for name in names}
    return {
        name: [entry.id for entry in entries if part.get(entry.group) == name] for name in groups
    }


def _quota(entries: list[Entry], test: int) -> Counter[int | None]:
    """Test images per class, by largest remainder, so that they sum to `test` exactly."""
    exact = {
        label: count * test / len(entries)
        for label, count in Counter(entry.label for entry in entries).items()
    }
    quota = Counter({label: int(share) for label, share in exact.items()})
    # ties are broken by label, because the order of a dictionary follows that of the entries
    order = sorted(exact, key=lambda label: (int(exact[label]) - exact[label], str(label)))
    for label in order[: test - quota.total()]:
        quota[label] += 1
    return quota


def _parts(entries: list[Entry], chosen: set[str]) -> Split:
    return {
        "train": [entry.id for entry in entries if entry.id not in chosen],
        "test": [entry.id for entry in entries if entry.id in chosen],
    }


def _check(count: int, test: int) -> None:
    if not 0 < test < count:
        raise DataError(f"{count} images cannot be divided so that {test} are for testing.")
