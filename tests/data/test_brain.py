"""Drawn heads: their contrasts are those of their tissues, and volumes are whole."""

from collections import Counter

import numpy as np
import pytest

from gradprom.data.mr_signals import ACQUIRED, CONTRASTS, TISSUES, Sequence, contrast
from gradprom.data.sources import brain
from gradprom.data.sources.brain_renderer import drawn


def of(name: str, tissue: str) -> float:
    density, t1, t2 = (np.array(value) for value in TISSUES[tissue])
    return float(CONTRASTS[name].signal(density, t1, t2))


def test_contrasts_show_tissues_as_radiologists_know_them() -> None:
    white, grey, fluid, fat = (
        {name: of(name, tissue) for name in CONTRASTS}
        for tissue in ("white matter", "grey matter", "fluid", "scalp")
    )
    assert white["T1w"] > grey["T1w"] > fluid["T1w"]
    assert fluid["T2w"] > grey["T2w"] > white["T2w"]
    assert of("T2-FLAIR", "lesion") > grey["T2-FLAIR"] > fluid["T2-FLAIR"]  # fluid attenuated
    assert fat["STIR"] < 0.2 * fat["PDw"]  # fat is nulled
    assert white["T1-FLAIR"] > grey["T1-FLAIR"]


def test_a_signal_is_that_of_its_equation() -> None:
    one = np.array(1.0)
    long = Sequence(repetition=1e9, echo=0, inversion=np.log(2) * 300)
    assert float(long.signal(one, np.array(300.0), one)) == pytest.approx(0, abs=1e-12)
    echo = Sequence(repetition=500, echo=80).signal(np.array(0.7), np.array(500.0), np.array(80.0))
    assert float(echo) == pytest.approx(0.7 * (1 - np.exp(-1)) * np.exp(-1))


def test_volumes_are_all_slices_of_a_head_in_one_contrast() -> None:
    source = brain.build(brain.Options(size=32, train=3, test=2, slices=4))
    entries = source.index()
    volumes = Counter(entry.annotations["volume"] for entry in entries)
    assert len(volumes) == 5 * 6 and set(volumes.values()) == {4}
    labels = {(e.annotations["volume"], e.label, e.group) for e in entries}
    assert len(labels) == 30
    parts = source.splits(entries)
    groups = {split: {e.group for e in entries if e.id in set(ids)} for split, ids in parts.items()}
    assert len(groups["test"]) == 2 and not groups["train"] & groups["test"]


def test_the_input_has_the_acquisition_and_asks_for_a_contrast() -> None:
    source = brain.build(brain.Options(size=32, train=1, test=1, slices=2))
    light, dark = source.index()[0], source.index()[2]
    one, other = source.decode(light), source.decode(dark)
    measured = len(ACQUIRED)
    np.testing.assert_array_equal(one["input"][:measured], other["input"][:measured])
    assert not np.array_equal(one["target"], other["target"])
    for entry, sample in ((light, one), (dark, other)):
        planes = sample["input"][measured:]
        assert [int(plane.min()) for plane in planes] == [
            255 * (number == entry.label) for number in range(6)
        ]
        assert planes.min() == 0 and len(planes) == 6


def test_contrasts_follow_from_what_was_acquired() -> None:
    """A linear fit of a third contrast on the acquired images leaves little of it."""
    source = brain.build(brain.Options(size=32, train=1, test=1, slices=2))
    sample = source.decode(source.index()[2])
    channels = sample["input"][: len(ACQUIRED)].reshape(len(ACQUIRED), -1).astype(float)
    target = sample["target"].ravel().astype(float)
    assert np.array_equal(sample["target"], contrast(drawn("head-000", -0.35, 32), "T2w"))
    fit, *_ = np.linalg.lstsq(channels.T, target, rcond=None)
    assert np.var(target - channels.T @ fit) < 0.02 * np.var(target)


@pytest.mark.parametrize("wrong", [{"size": 16}, {"train": 0}, {"test": 0}, {"slices": 0}])
def test_too_few_of_anything_are_refused(wrong: dict[str, int]) -> None:
    [(key, value)] = wrong.items()
    with pytest.raises(ValueError, match=f"{key}={value}, allowed"):
        brain.Options(**wrong)
