"""Natural images: tiles to train on, whole images to test on."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support import datasets

from gradprom.data.images import load
from gradprom.data.sources import natural
from gradprom.errors import DataError, NotOnDisk


def source(root: Path, **options: object) -> natural.Natural:
    return natural.build(natural.Options(root=str(root), tile=32, **options))  # type: ignore[arg-type]


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB")).transpose(2, 0, 1)


def test_tiles_cover_training_images_and_tests_are_whole(tmp_path: Path) -> None:
    root = datasets.natural_folder(tmp_path / "files")
    made = source(root)
    images = load(made, tmp_path / "cache")
    ids = [images.ids[row] for row in images.splits["train"]]
    assert ids == [
        *(f"train/a/{top}/{left}" for top in (0, 32, 38) for left in (0, 8)),
        *(f"train/b/0/{left}" for left in (0, 32)),
    ]
    row = images.ids.index("train/a/38/8")
    assert np.array_equal(images.target[row].numpy(), pixels(root / "train/a.png")[:, 38:, 8:])
    assert [images.ids[row] for row in images.splits["test"]] == ["test/head", "test/woman"]
    woman = images.target[images.splits["test"][1]].numpy()
    # 61×38 becomes 60×36, from the middle
    assert np.array_equal(woman, pixels(root / "test/woman.png")[:, 0:60, 1:37])
    assert made.notes(made.index()) == ["1 training images are smaller than a tile"]


def test_tests_can_be_squares_from_the_middle(tmp_path: Path) -> None:
    root = datasets.natural_folder(tmp_path / "files")
    images = load(source(root, test_size=36), tmp_path / "cache")
    woman = images.target[images.splits["test"][1]].numpy()
    assert np.array_equal(woman, pixels(root / "test/woman.png")[:, 12:48, 1:37])


def test_folders_may_lie_apart(tmp_path: Path) -> None:
    root = datasets.natural_folder(tmp_path / "files")
    made = source(Path("nowhere"), train=str(root / "test"), test=str(root / "train"), multiple=1)
    assert {entry.group for entry in made.index()} >= {"train/head", "test/small"}


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    root = datasets.natural_folder(tmp_path / "files")
    with pytest.raises(NotOnDisk, match="no folder .*Set5"):
        source(root, test="Set5").index()
    with pytest.raises(DataError, match=r"woman.png: 61×38 pixels, needs 48×48"):
        source(root, multiple=48).index()
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty holds no image of at least 32×32 pixels"):
        source(root, train=str(tmp_path / "empty")).index()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"channels": "cmyk"}, "dataset.channels=cmyk: must be one of grey, rgb"),
        ({"multiple": 0}, "dataset.multiple=0: must be at least 1 pixel"),
        ({"test_size": 30}, "dataset.test_size=30: must be 0 or a multiple of dataset.multiple=12"),
    ],
)
def test_wrong_options_say_what_is_allowed(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        natural.Options(**options)  # type: ignore[arg-type]
