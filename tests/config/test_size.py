"""The size of the images: a profile's, for datasets that ask for it."""

from pathlib import Path

import pytest
from support import documented, tiny_runs

from gradprom import config


@pytest.mark.parametrize(("profile", "size"), [("demo", 64), ("bench", 128), ("paper", 256)])
def test_a_profile_sizes_the_datasets_that_resize(profile: str, size: int) -> None:
    for dataset in ("phantom", "camus"):
        made = documented.configuration(
            f"profile={profile}", f"dataset={dataset}", "auxiliary=segmentation"
        )
        assert made.dataset.size == size


def test_the_size_can_be_set_by_its_short_name_or_for_the_dataset(tmp_path: Path) -> None:
    runs = [tiny_runs.make(tmp_path, word) for word in ("size=96", "dataset.size=96")]
    assert [run.config.dataset.size for run in runs] == [96, 96]
    assert runs[0].id == runs[1].id


def test_only_datasets_whose_files_ask_for_it_have_it() -> None:
    """A profile that set `dataset.size` would refuse every dataset without such an option."""
    for path in (config.CONF / "profile").glob("*.yaml"):
        assert "\ndataset:" not in path.read_text(), path
