"""Files are decoded once, and a changed file or a damaged cache is noticed."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from support import datasets
from support.tiny_source import Tiny, equal

from gradprom.data import cache as caching
from gradprom.data.base import Entry
from gradprom.data.images import load
from gradprom.data.sources import covid_ct
from gradprom.errors import DataError


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
    load(tiny, cache)
    (folder,) = cache.glob("tiny-*")
    marker = (folder / "sha256.json").stat().st_mtime_ns
    time.sleep(0.01)
    caching._publish(tiny, tiny.index(), folder)
    assert (folder / "sha256.json").stat().st_mtime_ns == marker


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


def test_a_draft_that_another_process_publishes_meanwhile_is_no_error(
    tiny: Tiny, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = cache / ".building-other"
    other.mkdir(parents=True)

    def published(draft: Path, pattern: str) -> list[Path]:
        shutil.rmtree(other, ignore_errors=True)
        return []

    monkeypatch.setattr(Path, "rglob", published)
    assert load(tiny, cache).target.shape[0] == 10
