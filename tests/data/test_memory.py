"""Batches are the same wherever the images lie: in memory, on disk or on a GPU."""

import shutil
from pathlib import Path

import pytest
import torch
from support.tiny_source import Tiny, equal, same, training

from gradprom.data import memory
from gradprom.data.base import Images
from gradprom.data.images import load
from gradprom.degradations import Gaussian


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
