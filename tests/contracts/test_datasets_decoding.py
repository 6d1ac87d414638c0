"""Every dataset decodes what its facts say, from the files of the entry alone."""

import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support.dataset_cases import CASES, EVERY, SIZE, SIZED, WITH_FILES, build

from gradprom.data.check import check
from gradprom.data.images import load
from gradprom.errors import DataError


@pytest.mark.parametrize("name", EVERY)
def test_decode_gives_what_the_facts_say(name: str, made: Callable[[str], Path]) -> None:
    source = build(name, made(name))
    facts, entries, values = source.facts, source.index(), defaultdict(set)
    of_images = {annotation for entry in entries for annotation in entry.annotations}
    of_pixels = set(facts.annotations) - of_images - {"label"}
    assert not facts.further or facts.further.keys() == (of_images | of_pixels) - {"mask"}
    for entry in entries[:: 1 + len(entries) // 70]:
        sample = source.decode(entry)
        assert set(sample) - {"input"} == {"target"} | of_pixels
        assert "input" in sample or facts.inputs == facts.channels
        channels, *size = sample["target"].shape
        assert channels == facts.channels and np.ptp(sample["target"]) > 0
        if name in SIZED:
            assert size == [SIZE, SIZE]
        if "input" in sample:
            assert sample["input"].ndim == 3 and len(sample["input"]) == facts.inputs
        for part, array in sample.items():
            whole = part in ("target", "input", "mask")
            assert array.dtype == np.uint8 if whole else array.dtype.kind in "iu"
            if part in of_pixels:
                assert list(array.shape) == size
                values[part] |= set(np.unique(array).tolist())
    assert values["mask"] == set(range(len(facts.mask_classes)))
    for part in of_pixels - {"mask"}:
        assert not facts.further[part] or values[part] <= set(range(len(facts.further[part])))


@pytest.mark.parametrize("name", CASES)
def test_decoding_does_not_depend_on_the_order(name: str, made: Callable[[str], Path]) -> None:
    source = build(name, made(name))
    entries = source.index()
    forward = {entry.id: source.decode(entry) for entry in entries}
    for number in np.random.default_rng(0).permutation(len(entries)):
        for part, array in source.decode(entries[number]).items():
            np.testing.assert_array_equal(array, forward[entries[number].id][part])


@pytest.fixture(scope="session")
def opened() -> set[str]:
    """Names of the files that are opened while this module runs; an audit hook stays for good."""
    names: set[str] = set()
    sys.addaudithook(lambda event, args: names.add(str(args[0])) if event == "open" else None)
    return names


@pytest.mark.parametrize("name", WITH_FILES)
def test_decoding_reads_the_files_of_its_entry_alone(
    name: str, made: Callable[[str], Path], opened: set[str]
) -> None:
    """Only those are hashed: a change of any other would not be noticed."""
    root = made(name)
    for entry in build(name, root).index()[::5]:
        opened.clear()
        build(name, root).decode(entry)
        assert {file for file in opened if str(root) in file} == set(map(str, entry.files))


@pytest.mark.parametrize("name", WITH_FILES)
def test_a_truncated_image_is_named(
    name: str, copied: Callable[[str], Path], tmp_path: Path
) -> None:
    source = build(name, copied(name))
    broken = source.index()[1].files[0]
    broken.write_bytes(broken.read_bytes()[: broken.stat().st_size // 2])
    with pytest.raises(DataError, match=f"images of {source.options.name} cannot be read") as told:
        load(source, tmp_path / "cache")
    assert f"\n  {broken}: " in str(told.value)
    report = check(source, tmp_path / "cache", tmp_path / "sheet.png")
    assert any(str(broken) in problem for problem in report.problems)
    assert "no sample sheet" in report.text() and not (tmp_path / "sheet.png").exists()
