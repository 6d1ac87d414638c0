"""Drawn faces: persons of the test are not those of training, and look like themselves."""

import numpy as np
import pytest

from gradprom.data.sources import faces
from gradprom.data.sources.faces import Faces


def source(**options: int) -> Faces:
    return faces.build(faces.Options(size=32, train=12, test=6, images=4, **options))


def people(source: Faces, split: str) -> set[str]:
    entries = source.index()
    ids = set(source.splits(entries)[split])
    return {entry.group for entry in entries if entry.id in ids}


def test_the_split_is_one_of_whole_persons_chosen_by_its_seed() -> None:
    one, other = source(), source(split_seed=1)
    assert not people(one, "train") & people(one, "test")
    assert len(people(one, "train")) == 12 and len(people(one, "test")) == 6
    assert people(one, "test") != people(other, "test")
    entry = one.index()[7]
    np.testing.assert_array_equal(one.decode(entry)["target"], other.decode(entry)["target"])


def test_images_of_a_person_differ_less_than_those_of_others() -> None:
    faces = source()
    entries = faces.index()
    # the middle, where there is no background
    drawn = np.stack([faces.decode(e)["target"][0, 12:24, 11:21] for e in entries]).astype(float)
    flat = drawn.reshape(len(drawn), -1)
    distance = np.linalg.norm(flat[:, None] - flat[None], axis=2)
    whom = np.array([entry.annotations["identity"] for entry in entries])
    same = (whom[:, None] == whom) & ~np.eye(len(whom), dtype=bool)
    assert 0 < distance[same].min()  # no image is drawn twice
    assert distance[same].mean() < 0.8 * distance[whom[:, None] != whom].mean()


@pytest.mark.parametrize("wrong", [{"size": 16}, {"train": 1}, {"test": 1}, {"images": 1}])
def test_too_few_of_anything_are_refused(wrong: dict[str, int]) -> None:
    [(key, value)] = wrong.items()
    with pytest.raises(ValueError, match=f"{key}={value}, allowed"):
        faces.Options(**wrong)
