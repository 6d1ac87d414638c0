"""The template's contrasts are those of its tissue maps, and blocks of slices lie apart."""

import math
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from gradprom.data.mr_signals import TISSUES
from gradprom.data.sources import mni152
from gradprom.errors import NotOnDisk

SHAPE = (197, 233, 189)  # of the maps, in mm: to the right, to the front, up

# repetition, echo, inversion (ms), and the signal that is white
CONTRASTS = [
    (500, 10, 0, 0.62),
    (2500, 10, 1050, 0.62),
    (4500, 100, 0, 0.7),
    (9000, 100, 2450, 0.35),
    (4300, 60, 150, 0.62),
    (4500, 15, 0, 0.9),
]
ACQUIRED = [(2000, echo, delay, 0.8) for delay in (170, 670, 1840) for echo in (23, 98)]


def level(shares: dict[str, float], sequence: tuple[float, float, float, float]) -> float:
    """Of a voxel, by the equations: tissues add up with their signs."""
    repetition, echo, inversion, white = sequence
    total = 0.0
    for tissue, share in shares.items():
        density, t1, t2 = TISSUES[tissue]
        recovered = 1 - math.exp(-repetition / t1)
        if inversion:
            recovered = 1 - 2 * math.exp(-inversion / t1) + math.exp(-repetition / t1)
        total += share * density * recovered * math.exp(-echo / t2)
    return 255 * min(abs(total) / white, 1)


def place(number: int, block: int, step: int = 22) -> int:
    """The voxel of a slice, from below."""
    return 14 + block * step + number


@pytest.fixture
def maps(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Maps in the place of nilearn's, black until they are filled."""
    arrays = {name: np.zeros(SHAPE, np.float32) for name in ("brain", "grey", "white")}
    found = SimpleNamespace(
        MNI152_FILE_PATH="t1",
        GM_MNI152_FILE_PATH="gm",
        WM_MNI152_FILE_PATH="wm",
        load_mni152_brain_mask=lambda resolution: SimpleNamespace(dataobj=arrays["brain"]),
        load_mni152_gm_template=lambda resolution: SimpleNamespace(dataobj=arrays["grey"]),
        load_mni152_wm_template=lambda resolution: SimpleNamespace(dataobj=arrays["white"]),
    )
    monkeypatch.setitem(sys.modules, "nilearn", SimpleNamespace(datasets=found))
    return SimpleNamespace(**arrays)


def test_a_voxel_has_the_signal_of_its_tissues(maps: SimpleNamespace) -> None:
    x, y = np.arange(10, 160), 90
    z = place(3, block=1)
    maps.brain[x, y, z] = 1
    maps.grey[x, y, z] = np.linspace(0, 0.6, len(x))
    maps.white[x, y, z] = np.linspace(0.4, 0, len(x))
    source = mni152.build(mni152.Options(size=192))
    entries = [e for e in source.index() if e.id.startswith("block-01-03-")]
    assert len(entries) == 6
    for entry, sequence in zip(entries, CONTRASTS, strict=True):
        sample = source.decode(entry)
        for column in x - 2:
            grey, white = (float(of[column + 2, y, z]) for of in (maps.grey, maps.white))
            shares = {"fluid": 1 - grey - white, "grey matter": grey, "white matter": white}
            there = (212 - y, column)  # the front is above, the left is left
            assert sample["target"][0][there] == pytest.approx(level(shares, sequence), abs=0.51)
            for channel, measured in zip(sample["input"][:6], ACQUIRED, strict=True):
                assert channel[there] == pytest.approx(level(shares, measured), abs=0.51)
        assert not sample["target"][0, 212 - y + 1].any() and sample["target"].any()


def test_fluid_is_what_is_left_of_the_brain(maps: SimpleNamespace) -> None:
    """Where the maps have tissue outside of the mask, there is no negative fluid."""
    z = place(0, block=0)
    maps.white[100, 100, z] = 0.5
    maps.brain[101, 100, z] = 1
    source = mni152.build(mni152.Options(size=192))
    target = source.decode(source.index()[2])["target"][0]  # T2w
    for column, shares in ((98, {"white matter": 0.5}), (99, {"fluid": 1.0})):
        assert target[112, column] == pytest.approx(level(shares, CONTRASTS[2]), abs=0.51)


@pytest.mark.parametrize(("train", "test"), [(4, 2), (1, 1), (10, 5)])
@pytest.mark.parametrize("seed", [0, 1])
def test_slices_of_tests_lie_8_mm_from_those_of_training(
    maps: SimpleNamespace, train: int, test: int, seed: int
) -> None:
    for z in range(14, 142):  # each slice shows its place: a line, as far from the back
        maps.white[:, 21 + z, z] = 1
    options = mni152.Options(size=192, train=train, test=test, split_seed=seed)
    source = mni152.build(options)
    entries = {entry.id: entry for entry in source.index() if entry.label == 5}
    parts = source.splits(source.index())
    places = {
        part: np.array(
            [191 - source.decode(entries[id])["target"][0].sum(1).argmax() for id in ids]
        )
        for part, ids in (
            (part, [id for id in ids if id in entries]) for part, ids in parts.items()
        )
    }
    assert len(set(np.concatenate([*places.values()]))) == len(entries)  # no slice is there twice
    assert np.abs(places["train"][:, None] - places["test"]).min() >= 9
    each = (128 + 8) // (train + test) - 8
    assert [len(places["train"]), len(places["test"])] == [train * each, test * each]
    groups = {
        part: {entries[id].group for id in ids if id in entries} for part, ids in parts.items()
    }
    assert len(groups["test"]) == test and not groups["train"] & groups["test"]


def test_volumes_are_all_slices_of_a_block_in_one_contrast(maps: SimpleNamespace) -> None:
    entries = mni152.build(mni152.Options()).index()
    volumes = {e.annotations["volume"] for e in entries}
    assert (
        len(volumes) == 6 * 6 == len({(e.annotations["volume"], e.label, e.group) for e in entries})
    )
    assert len(entries) == 6 * 14 * 6


def test_its_t1_contrast_is_that_of_the_template() -> None:
    """Of which it has seen no more than where the brain is."""
    datasets = pytest.importorskip("nilearn.datasets")
    template = np.asarray(datasets.load_mni152_template(resolution=1).dataobj)
    source = mni152.build(mni152.Options(size=192))
    for entry in (e for e in source.index() if e.id.endswith("-07-T1w")):
        block = int(entry.id.split("-")[1])
        target = source.decode(entry)["target"][0].astype(float)
        expected = template[2:194, 21:213, place(7, block)].T[::-1]
        inside = expected > 0.2
        assert np.corrcoef(target[inside], expected[inside])[0, 1] > 0.8


def test_another_size_keeps_the_mean() -> None:
    pytest.importorskip("nilearn")
    means = []
    for size in (32, 64, 192, 256):
        source = mni152.build(mni152.Options(size=size))
        entry = next(e for e in source.index() if e.id == "block-03-05-PDw")
        target = source.decode(entry)["target"]
        assert target.shape == (1, size, size)
        means.append(target.mean())
    assert means == pytest.approx([means[2]] * 4, rel=0.005)


def test_without_nilearn_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nilearn", None)  # as if it were not installed
    told = r"nilearn is not installed.*pip install 'gradprom\[mni152\]'"
    with pytest.raises(NotOnDisk, match=told):
        mni152.build(mni152.Options()).index()


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"size": 16}, "size=16, allowed: 32 and more"),
        ({"train": 0}, "train=0, allowed: 1 and more"),
        ({"test": 0}, "test=0, allowed: 1 and more"),
        ({"train": 14}, r"train \+ test = 16 blocks, allowed: up to 15"),
    ],
)
def test_wrong_options_are_refused(wrong: dict[str, int], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        mni152.Options(**wrong)
