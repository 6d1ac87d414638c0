"""The cache, the splits, the loader and the data check, on a dataset of a few tiny files."""

import os
import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from support import datasets

from gradprom.data import cache as caching
from gradprom.data import loader, memory, splits
from gradprom.data.base import Entry, Facts, Images, Source
from gradprom.data.batches import Batches
from gradprom.data.check import check
from gradprom.data.image_io import open_image
from gradprom.data.images import load
from gradprom.data.loader import Loader
from gradprom.data.sources import covid_ct
from gradprom.degradations import Gaussian
from gradprom.errors import DataError
from gradprom.randomness import stream


@dataclass
class Options:
    name: str = "tiny"
    root: str = ""
    split_seed: int = 0
    size: int = 8


class Tiny(Source):
    """image/*.png with mask/*.png; labels 0, 1, none in turn; groups of two."""

    def __init__(self, root: Path, size: int = 8) -> None:
        super().__init__(Options(root=str(root), size=size), Facts(1, ("a", "b"), ("no", "yes")))
        self.root = root
        self.decoded: list[str] = []
        self.test = 2

    def index(self) -> list[Entry]:
        files = sorted((self.root / "image").iterdir())
        labels = (0, 1, None)
        return [
            Entry(file.stem, f"g{i // 2}", labels[i % 3], (file, self.root / "mask" / file.name))
            for i, file in enumerate(files)
        ]

    def decode(self, entry: Entry) -> dict[str, np.ndarray]:
        self.decoded.append(entry.id)
        image, mask = (open_image(file).resize((self.options.size,) * 2) for file in entry.files)
        return {"target": np.asarray(image)[None], "mask": np.asarray(mask)}

    def splits(self, entries: list[Entry]) -> dict[str, list[str]]:
        ids = [entry.id for entry in entries]
        return {"train": ids[: -self.test], "test": ids[-self.test :]}


@pytest.fixture
def tiny(tmp_path: Path) -> Tiny:
    rng = np.random.default_rng(0)
    for kind, levels in (("image", 256), ("mask", 2)):
        folder = tmp_path / "tiny" / kind
        folder.mkdir(parents=True)
        for i in range(10):
            Image.fromarray(rng.integers(levels, size=(8, 8), dtype=np.uint8)).save(
                folder / f"{i}.png"
            )
    return Tiny(tmp_path / "tiny")


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def equal(one: Images, other: Images) -> bool:
    assert one.mask is not None and other.mask is not None
    return torch.equal(one.target, other.target) and torch.equal(one.mask, other.mask)


# Loading and the cache


def test_load_gives_what_decode_gives(tiny: Tiny, cache: Path) -> None:
    images = load(tiny, cache)
    assert images.target.shape == (10, 1, 8, 8) and images.target.dtype == torch.uint8
    assert images.mask is not None and images.mask.dtype == torch.uint8
    for row, entry in enumerate(tiny.index()):
        sample = tiny.decode(entry)
        assert np.array_equal(images.target[row].numpy(), sample["target"])
        assert np.array_equal(images.mask[row].numpy(), sample["mask"])
    assert images.label is not None and images.label.tolist() == [0, 1, -1] * 3 + [0]
    assert images.groups[:3] == ["g0", "g0", "g1"]
    assert images.splits == {"train": list(range(8)), "test": [8, 9]}


def test_files_are_decoded_and_hashed_once(
    tiny: Tiny, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = load(tiny, cache)
    assert len(tiny.decoded) == 10
    read: list[Path] = []
    sha256 = caching.file_digest
    monkeypatch.setattr(caching, "file_digest", lambda path: read.append(path) or sha256(path))
    second = load(tiny, cache)
    assert len(tiny.decoded) == 10 and equal(first, second)
    assert first.fingerprint == second.fingerprint
    assert not any(tiny.root in path.parents for path in read)


def test_a_changed_file_is_decoded_again(tiny: Tiny, cache: Path) -> None:
    before = load(tiny, cache)
    Image.fromarray(np.full((8, 8), 7, np.uint8)).save(tiny.root / "image" / "3.png")
    after = load(tiny, cache)
    assert after.fingerprint != before.fingerprint
    assert (after.target[3] == 7).all()
    assert torch.equal(after.target[:3], before.target[:3])


@pytest.mark.parametrize("change", ["version", "size", "labels", "splits"])
def test_fingerprint_tells_different_data_apart(tiny: Tiny, cache: Path, change: str) -> None:
    before = load(tiny, cache)
    other = Tiny(tiny.root, size=6 if change == "size" else 8)
    if change == "version":
        other.version = 2
    if change == "labels":
        entries = [Entry(e.id, e.group, 1, e.files) for e in tiny.index()]
        other.index = lambda: entries  # type: ignore[method-assign]
    if change == "splits":
        other.test = 3
    assert load(other, cache).fingerprint != before.fingerprint
    assert len(other.decoded) == (10 if change in ("version", "size") else 0)


def test_fingerprint_does_not_depend_on_place_time_or_split_seed(
    tiny: Tiny, cache: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "elsewhere"
    shutil.copytree(tiny.root, copy, copy_function=shutil.copyfile)
    other = Tiny(copy)
    other.options.split_seed = 5  # unused by Tiny: its splits are the same
    assert load(other, cache).fingerprint == load(tiny, cache).fingerprint
    assert len(other.decoded) == 10 and tiny.decoded == []


def flip_a_byte(folder: Path) -> None:
    content = bytearray((folder / "target.npy").read_bytes())
    content[-5] ^= 1
    (folder / "target.npy").write_bytes(content)


@pytest.mark.parametrize(
    "damage",
    [
        flip_a_byte,
        lambda folder: os.truncate(folder / "mask.npy", 100),
        lambda folder: (folder / "mask.npy").unlink(),
        lambda folder: (folder / "sha256.json").unlink(),
        lambda folder: os.truncate(folder / "sha256.json", 10),
        lambda folder: [file.unlink() for file in folder.iterdir()],
    ],
)
def test_a_damaged_cache_is_noticed_and_rebuilt(tiny: Tiny, cache: Path, damage) -> None:
    before = load(tiny, cache)
    (folder,) = cache.glob("tiny-*")
    damage(folder)
    assert equal(load(tiny, cache), before)
    assert len(tiny.decoded) == 20
    assert equal(load(tiny, cache), before)
    assert len(tiny.decoded) == 20


def test_a_damaged_hash_store_only_costs_time(tiny: Tiny, cache: Path) -> None:
    before = load(tiny, cache)
    (cache / "hashes-tiny.json").write_text("{")
    assert load(tiny, cache).fingerprint == before.fingerprint


def test_all_unreadable_files_are_listed_in_one_error(tiny: Tiny, cache: Path) -> None:
    image, mask = tiny.root / "image", tiny.root / "mask"
    os.truncate(image / "1.png", 60)
    (image / "3.png").write_bytes(b"")
    (image / "4.png").write_text("<html>404</html>")
    (mask / "6.png").unlink()
    with pytest.raises(DataError) as caught:
        load(tiny, cache)
    first, *lines = str(caught.value).splitlines()
    assert first == "4 of 10 images of tiny cannot be read:"
    expected = [
        (image / "1.png", ""),
        (image / "3.png", "empty file"),
        (image / "4.png", "not an image"),
        (mask / "6.png", "No such file or directory"),
    ]
    for line, (path, reason) in zip(lines, expected, strict=True):
        assert line.startswith(f"  {path}: {reason}")
    assert not list(cache.glob("tiny-*"))


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("format", ["PNG", "JPEG", "GIF", "BMP", "TIFF"])
def test_any_truncation_is_seen(tmp_path: Path, format: str) -> None:
    path = tmp_path / "image.png"
    pixels = np.random.default_rng(0).integers(256, size=(40, 40), dtype=np.uint8)
    Image.fromarray(pixels).save(path, format=format)
    assert open_image(path).size == (40, 40)
    whole = path.read_bytes()
    for kept in range(0, len(whole) * 9 // 10, 37):
        path.write_bytes(whole[:kept])
        with pytest.raises(ValueError, match="image.png: "):
            open_image(path)


BUILD = """
import sys, time
from pathlib import Path
from gradprom.data.sources import covid_ct
from gradprom.data.cache import content_key, decoded
data, cache, go = map(Path, sys.argv[1:])
source = covid_ct.build(covid_ct.Options(root=str(data), size=32))
entries = source.index()
decode = source.decode
source.decode = lambda entry: (time.sleep(0.01), decode(entry))[1]
print("ready", flush=True)
while not go.exists():
    time.sleep(0.001)
arrays = decoded(source, entries, cache, content_key(source, entries, cache))
print(arrays["target"].astype(int).sum())
assert "torch" not in sys.modules
"""


def test_several_processes_may_build_the_same_cache(tmp_path: Path, cache: Path) -> None:
    root = datasets.covid_ct_folder(tmp_path)
    go = tmp_path / "go"
    command = [sys.executable, "-c", BUILD, str(root), str(cache), str(go)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    builders = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        for _ in range(3)
    ]
    for builder in builders:
        assert builder.stdout is not None and builder.stdout.readline() == "ready\n"
    go.touch()
    sums = [int(builder.communicate(timeout=60)[0]) for builder in builders]
    assert [builder.returncode for builder in builders] == [0, 0, 0]
    images = load(covid_ct.build(covid_ct.Options(root=str(root), size=32)), cache)
    assert sums == [int(images.target.sum())] * 3
    names = sorted(path.name for path in cache.iterdir())
    assert len(names) == 2 and names[1] == "hashes-covid_ct.json"


def test_a_builder_that_comes_second_uses_what_is_there(tiny: Tiny, cache: Path) -> None:
    images = load(tiny, cache)
    (folder,) = cache.glob("tiny-*")
    marker = (folder / "sha256.json").stat().st_mtime_ns
    time.sleep(0.01)
    assert images.mask is not None
    pairs = zip(images.target.numpy(), images.mask.numpy(), strict=True)
    caching._publish(({"target": image, "mask": mask} for image, mask in pairs), 10, folder)
    assert (folder / "sha256.json").stat().st_mtime_ns == marker


# Randomness and splits


def test_stream_is_a_63_bit_number_fixed_for_ever() -> None:
    assert stream(0, "augment", 7) == stream(0, "augment", 7) == 137718535763351472
    assert all(0 <= stream(i) < 2**63 for i in range(100))
    assert max(stream(i) for i in range(100)) > 2**62


def test_stream_keeps_its_parts_apart() -> None:
    assert len({stream("a", "b"), stream("ab"), stream("b", "a"), stream("a", "b", "")}) == 4
    assert stream(1, 23) != stream(12, 3)


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


# Batches


def training(images: Images, **options: object) -> Loader:
    """A loader; options are those of its batches, but `split` and `device`."""
    split, device = options.pop("split", "train"), options.pop("device", "cpu")
    defaults = dict(size=3, degradation=Gaussian(sigma=0.1), annotations=("label", "mask"))
    batches = Batches(**{**defaults, **options})  # type: ignore[arg-type]
    return Loader(images, split, batches, device)  # type: ignore[arg-type]


def same(one: loader.Batch, other: loader.Batch) -> bool:
    tensors = ((getattr(batch, name) for name in ("input", "target", "mask", "label"))
               for batch in (one, other))  # fmt: skip
    return one.ids == other.ids and all(torch.equal(*pair) for pair in zip(*tensors, strict=True))


@pytest.fixture
def images(tiny: Tiny, cache: Path) -> Images:
    return load(tiny, cache)


def test_a_batch_follows_from_seed_and_step_alone(images: Images) -> None:
    one = training(images)
    batches = [one.batch(seed=1, step=step) for step in range(6)]
    fresh = training(images)
    for step in (5, 0, 3):
        assert same(fresh.batch(seed=1, step=step), batches[step])
        assert not same(fresh.batch(seed=2, step=step), batches[step])


def test_shapes_and_types(images: Images) -> None:
    batch = training(images).batch(0, 0)
    assert batch.input.shape == batch.target.shape == (3, 1, 8, 8)
    assert batch.input.dtype == batch.target.dtype == torch.float32
    assert 0 <= batch.target.min() and batch.target.max() <= 1
    assert batch.mask is not None and batch.mask.shape == (3, 8, 8)
    assert batch.label is not None and batch.label.shape == (3,)
    assert batch.mask.dtype == batch.label.dtype == torch.int64
    assert not torch.equal(batch.input, batch.target)


def test_an_epoch_shows_every_image_once_and_drops_the_rest(images: Images) -> None:
    data = training(images, size=3)
    assert data.steps_per_epoch == 2  # 8 training images
    epochs = []
    for epoch in range(30):
        ids = [id for step in (0, 1) for id in data.batch(0, 2 * epoch + step).ids]
        assert len(set(ids)) == 6 and set(ids) <= set("01234567")
        epochs.append(ids)
    assert {id for ids in epochs for id in ids} == set("01234567")
    assert len({tuple(ids) for ids in epochs}) > 25


def test_a_split_smaller_than_a_batch_is_one_batch(images: Images) -> None:
    data = training(images, size=100)
    assert data.steps_per_epoch == 1
    assert sorted(data.batch(0, 4).ids) == list("01234567")


def test_without_augmentation_the_target_is_the_stored_image(images: Images) -> None:
    batch = training(images, augment=False).batch(0, 0)
    rows = [images.ids.index(id) for id in batch.ids]
    assert images.mask is not None and images.label is not None and batch.mask is not None
    assert torch.equal(batch.target, images.target[rows].float() / 255)
    assert torch.equal(batch.mask, images.mask[rows].long())
    assert batch.label is not None and torch.equal(batch.label, images.label[rows])


def test_clean_batches_have_the_same_targets(images: Images) -> None:
    clean, degraded = (training(images, **o).batch(0, 3) for o in ({"degradation": None}, {}))
    assert torch.equal(clean.input, clean.target) and clean.observation is None
    assert torch.equal(clean.target, degraded.target) and clean.ids == degraded.ids


def test_noise_is_another_in_every_step(images: Images) -> None:
    data = training(images, augment=False, degradation=Gaussian(sigma=0.1, clamp=False))
    noise = [(batch := data.batch(0, step)).input - batch.target for step in range(200)]
    assert torch.stack(noise).std() == pytest.approx(0.1, rel=0.02)
    assert not torch.equal(noise[0], noise[1])


def test_unlabelled_images_stay_in_the_batch(images: Images) -> None:
    label = training(images, size=8).batch(0, 0).label
    assert label is not None and sorted(label.tolist()) == [-1, -1, 0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize(
    "names, mask, label",
    [
        ((), False, False),
        (("label",), False, True),
        (("mask",), True, False),
        (("label", "mask"), True, True),
    ],
)
def test_batches_have_the_annotations_that_are_named(
    images: Images, names: tuple[str, ...], mask: bool, label: bool
) -> None:
    batch = training(images, annotations=names).batch(0, 0)
    assert (batch.mask is not None, batch.label is not None) == (mask, label)
    assert set(batch.annotations) == set(names)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"split": "val"}, r"split=val has no images; choose from train \(8\), test \(2\)"),
        ({"size": 0}, "batch_size=0: must be at least 1"),
    ],
)
def test_wrong_arguments_say_what_is_allowed(
    images: Images, options: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        training(images, **options)


def test_an_annotation_that_the_dataset_lacks_is_refused(images: Images) -> None:
    images.mask = None
    for name in ("mask", "identity"):
        with pytest.raises(ValueError, match=f"annotation={name} .*: label$"):
            training(images, annotations=(name,))


def test_test_batches_show_the_split_in_order_whatever_the_batch_size(images: Images) -> None:
    images.splits["test"] = [9, 2, 5, 4, 7]
    results = []
    for batch_size in (1, 2, 5):
        batches = list(loader.test_batches(images, "test", batch_size, Gaussian(), 0, "cpu"))
        assert [id for batch in batches for id in batch.ids] == ["9", "2", "5", "4", "7"]
        results.append(torch.cat([batch.input for batch in batches]))
        targets = torch.cat([batch.target for batch in batches])
        assert torch.equal(targets, images.target[[9, 2, 5, 4, 7]].float() / 255)
        assert all(batch.mask is not None and batch.label is not None for batch in batches)
    assert torch.equal(results[0], results[1]) and torch.equal(results[0], results[2])
    assert not torch.equal(results[0], targets)
    other = list(loader.test_batches(images, "test", 5, Gaussian(), 1, "cpu"))
    assert not torch.equal(other[0].input, results[0])


# Where images lie


@pytest.fixture
def little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_host", lambda: 1000)  # the images and masks are 1536 bytes


def test_images_that_do_not_fit_in_memory_are_mapped_and_the_log_says_so(
    tiny: Tiny, cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    before = load(tiny, cache)
    assert not before.mapped and "on demand" not in caplog.text
    monkeypatch.setattr(memory, "free_host", lambda: 1000)
    mapped = load(tiny, cache)
    assert mapped.mapped and equal(mapped, before)
    assert mapped.fingerprint == before.fingerprint
    assert caplog.text.count("0.0 GiB of images do not fit into the free memory") == 1
    shutil.rmtree(cache)
    assert equal(load(tiny, cache), before)  # decoded without having all of them at once


@pytest.mark.parametrize(
    "options", [{}, {"augment": False, "annotations": ()}, {"degradation": None}]
)
def test_batches_are_the_same_wherever_the_images_lie(
    images: Images, tiny: Tiny, cache: Path, little_memory: None, options: dict[str, object]
) -> None:
    mapped = load(tiny, cache)
    assert mapped.mapped and not images.mapped
    here, ahead, resident = (training(of, **options) for of in (images, mapped, images))
    assert here.ahead is None and ahead.ahead is not None
    resident.home = torch.device("cuda")  # as if the images were on a GPU, and only the rows sent
    for step in (0, 1, 2, 3, 7, 8, 2):
        asked = {"seed": step // 3, "step": step}
        batch = here.batch(**asked)
        for other in (ahead.batch(**asked), resident.batch(**asked)):
            assert other.ids == batch.ids and other.target.dtype == torch.float32
            for name in ("input", "target", "mask", "label"):
                one, same = getattr(batch, name), getattr(other, name)
                assert one is same is None or torch.equal(one, same)


def test_what_goes_wrong_in_the_thread_is_told_where_the_batch_is_asked_for(
    tiny: Tiny, cache: Path, little_memory: None
) -> None:
    class Broken(Gaussian):
        def draw(self, *_: object) -> dict[str, torch.Tensor]:
            raise OSError("disk gone")

    with pytest.raises(OSError, match="disk gone"):
        training(load(tiny, cache), degradation=Broken()).batch(0, 0)


def test_a_gpu_holds_what_takes_half_of_its_free_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_device", lambda device: 1000)
    assert memory.fits_device(500, torch.device("cuda"))
    assert not memory.fits_device(501, torch.device("cuda"))
    assert memory.fits_device(10**15, torch.device("cpu"))


def test_a_jobs_own_limit_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if "0::/" not in Path("/proc/self/cgroup").read_text():
        pytest.skip("cgroups are not of version 2")
    monkeypatch.setattr(memory, "CGROUPS", tmp_path)
    free = memory.free_host()
    (tmp_path / "memory.max").write_text("max\n")
    assert memory.free_host() == pytest.approx(free, rel=0.5)
    (tmp_path / "memory.max").write_text("4096\n")
    assert memory.free_host() == 4096
    assert memory.fits_host(2048) and not memory.fits_host(2049)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_sees_the_same_batches_with_the_images_on_the_host(
    images: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    resident = training(images, device="cuda")
    monkeypatch.setattr(memory, "free_device", lambda device: 1000)
    fetched = training(images, device="cuda")
    assert (resident.home.type, fetched.home.type) == ("cuda", "cpu")
    for step in (0, 1, 2, 5, 1):
        assert same(fetched.batch(0, step), resident.batch(0, step))


def test_a_draft_that_is_still_written_to_is_left_alone(tiny: Tiny, cache: Path) -> None:
    drafts = {name: cache / f".building-{name}" for name in ("dead", "slow")}
    for draft in drafts.values():
        (draft / "built").mkdir(parents=True)
        for path in ((draft / "built" / "target.npy"), draft / "built", draft):
            path.touch()
            os.utime(path, (0, 0))
    os.utime(drafts["slow"] / "built" / "target.npy")
    load(tiny, cache)
    assert not drafts["dead"].exists() and drafts["slow"].exists()


# The data check


def test_check_finds_nothing_wrong_where_nothing_is(tiny: Tiny, cache: Path) -> None:
    report = check(tiny, cache)
    assert report.problems == [] and report.notes == []
    assert report.counts["all"] == {"a": 4, "b": 3, "not labelled": 3}
    assert report.counts["test"] == {"not labelled": 1, "a": 1}
    assert report.sizes == {"width": (8, 8), "height": (8, 8)}
    masks = load(tiny, cache).mask
    assert masks is not None
    assert report.mask_share["yes"] == pytest.approx(masks.float().mean().item())
    assert report.text().splitlines()[-1] == "no problems"


def test_check_lists_every_problem(tiny: Tiny, cache: Path) -> None:
    image, mask = tiny.root / "image", tiny.root / "mask"
    (image / "0.png").write_bytes(b"")
    os.truncate(image / "1.png", 60)
    Image.fromarray(np.full((8, 8), 255, np.uint8)).save(mask / "2.png")
    shutil.copyfile(image / "3.png", image / "9.png")  # 3 is for training, 9 for testing
    tiny.splits = lambda entries: {  # type: ignore[method-assign]
        "train": ["0", "1", "2", "3", "4", "5"],
        "test": ["5", "7", "9"],
    }
    report = check(tiny, cache)
    text = report.text()
    for problem in (
        "0.png: empty file",
        "1.png: ",
        "2: mask values [255], expected 0..1",
        "1 images are in both train and test: 5",
        "1 images are under two names in both train and test: 3 = 9",
        "groups (patients) are in both train and test: g2",
    ):
        assert any(problem in found for found in report.problems), problem
        assert problem in text
    assert report.notes == ["2 images are in no split: 6, 8", "files of the same content: 3, 9"]
    assert text.splitlines()[-1] == f"{len(report.problems)} problems"


def test_check_reports_instead_of_raising(tmp_path: Path, cache: Path) -> None:
    options = covid_ct.Options(root=str(tmp_path), split="official")
    report = check(covid_ct.build(options), cache)
    assert len(report.problems) == 1 and "COVID-CT was not found" in report.problems[0]
    root = datasets.covid_ct_folder(tmp_path)
    (root / "Data-split" / "COVID" / "testCT_COVID.txt").write_text("gone.png\n")
    report = check(covid_ct.build(options), cache)
    assert len(report.problems) == 1 and "CT_COVID/gone.png does not exist" in report.problems[0]


def test_check_needs_no_torch() -> None:
    code = (
        "import sys, gradprom.data.check, gradprom.data.sources.covid_ct; "
        "print('torch' in sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True
    )
    assert result.stdout == "False\n"
