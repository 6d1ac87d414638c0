"""`train_images`: some of the training images, the same for all runs; the test images stay."""

from collections import Counter
from pathlib import Path

import pytest
from support import tiny_runs

from gradprom.data.base import Images
from gradprom.data.holdout import fewer_to_train
from gradprom.errors import ConfigError, DataError


@pytest.fixture
def phantom(tmp_path: Path) -> Images:
    return tiny_runs.make(tmp_path, *tiny_runs.SMALL, "dataset.train=40", "dataset.test=8").images()


def test_classes_keep_their_proportions_and_the_test_images_stay(phantom: Images) -> None:
    fewer = fewer_to_train(phantom, 20)
    assert set(fewer.splits["train"]) < set(phantom.splits["train"])
    assert fewer.splits["test"] == phantom.splits["test"]
    assert phantom.label is not None
    before, after = (
        Counter(phantom.label[images.splits["train"]].tolist()) for images in (phantom, fewer)
    )
    assert after.total() == 20
    assert all(abs(after[label] - count / 2) < 1 for label, count in before.items())


def test_the_choice_follows_from_the_ids_alone(phantom: Images) -> None:
    chosen = set(fewer_to_train(phantom, 7).splits["train"])
    phantom.splits["train"] = phantom.splits["train"][::-1]
    assert set(fewer_to_train(phantom, 7).splits["train"]) == chosen


def test_a_subset_is_other_data(phantom: Images) -> None:
    fingerprints = {fewer_to_train(phantom, count).fingerprint for count in (7, 8, 8)}
    assert len(fingerprints) == 2 and phantom.fingerprint not in fingerprints


def test_more_than_there_are_is_refused(phantom: Images) -> None:
    with pytest.raises(DataError, match="train_images=40: there are 40 training images; allowed"):
        fewer_to_train(phantom, 40)


def test_a_run_learns_from_that_many_images(tmp_path: Path) -> None:
    words = ("train_images=9", "validation=0.25", "strategy=mainstream", "auxiliary=none")
    batches = "trainer.batch_size=3"
    record = tiny_runs.train(tmp_path, *tiny_runs.PHANTOM, *words, batches)
    assert record.dataset.counts == {"train": 9, "validation": 4}
    assert record.setup["dataset"] == "phantom, 32×32, 9 training images"
    [stage] = [stage for stage in record.stages if stage.name == "coupled"]
    assert stage.steps == 3


def test_a_count_below_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="train_images=0 must be at least 1"):
        tiny_runs.make(tmp_path, *tiny_runs.PHANTOM, "train_images=0")
