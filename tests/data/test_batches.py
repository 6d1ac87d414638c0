"""Orders of images, and the loader that follows them."""

from collections import Counter
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from gradprom.data.base import Facts, Images
from gradprom.data.batches import Batches, labels_of, one_label, shuffled
from gradprom.data.loader import Loader
from gradprom.degradations import Gaussian
from gradprom.randomness import stream

LABELS = torch.tensor([0, 1, 1, -1, 0, 2, 2, 2, 0, 1, 0, -1, 2, 0])  # 5, 3, 4 and two without


def made(labels: Tensor | None = LABELS) -> Images:
    count = len(LABELS)
    pixels = torch.randint(256, (count, 1, 4, 4), generator=torch.manual_seed(0))
    ids = [str(number) for number in range(count)]
    return Images(
        ids=ids, target=pixels.byte(), mask=None, label=labels, groups=ids,
        splits={"train": list(range(count - 1, -1, -1))},
        facts=Facts(1, ("a", "b", "c"), ()), fingerprint="f",
    )  # fmt: skip


@given(st.integers(1, 50), st.integers(0, 2**63 - 1), st.integers(0, 1000))
def test_shuffled_is_the_permutation_that_the_epoch_has_always_had(
    count: int, seed: int, epoch: int
) -> None:
    generator = torch.Generator().manual_seed(stream(seed, "epoch", epoch))
    expected = torch.randperm(count, generator=generator)
    assert torch.equal(shuffled(torch.full((count,), -1), seed, epoch), expected)


def test_one_label_takes_turns_with_equally_long_epochs() -> None:
    for epoch in range(9):
        places = one_label(LABELS, 5, epoch)
        assert len(places) == len(set(places.tolist())) == 3  # as many as the rarest label has
        assert set(LABELS[places].tolist()) == {epoch % 3}
        assert torch.equal(places, one_label(LABELS, 5, epoch))
    assert any(not torch.equal(one_label(LABELS, 5, 0), one_label(LABELS, s, 0)) for s in range(5))


def test_one_label_shows_all_labelled_images_in_the_end_equally_often() -> None:
    epochs = 600
    shown = Counter(
        place for epoch in range(epochs) for place in one_label(LABELS, 0, epoch).tolist()
    )
    assert set(shown) == {n for n, label in enumerate(LABELS.tolist()) if label >= 0}
    for place, count in shown.items():
        of_label = int((LABELS == LABELS[place]).sum())
        assert count == pytest.approx(epochs / 3 * 3 / of_label, rel=0.2)


def test_labels_may_have_gaps_and_none_is_refused() -> None:
    assert LABELS.tolist().count(1) == 3
    without = torch.where(LABELS == 1, -1, LABELS)
    assert [set(without[one_label(without, 0, e)].tolist()) for e in range(3)] == [{0}, {2}, {0}]
    with pytest.raises(ValueError, match="order=one_label needs labelled images"):
        one_label(torch.full((4,), -1), 0, 0)
    with pytest.raises(ValueError, match="order=one_label needs labelled images"):
        Loader(made(labels=None), "train", Batches(2, order=one_label), "cpu")


def test_an_order_sees_the_labels_of_its_split() -> None:
    images = made()
    assert torch.equal(labels_of(images, "train"), LABELS.flip(0))
    assert labels_of(made(labels=None), "train").tolist() == [-1] * len(LABELS)


@pytest.mark.parametrize(("order", "size", "steps"), [(shuffled, 4, 3), (one_label, 2, 1),
                                                      (one_label, 3, 1), (one_label, 8, 1),
                                                      (shuffled, 20, 1)])  # fmt: skip
def test_epochs_have_full_batches_alone(order: Any, size: int, steps: int) -> None:
    loader = Loader(made(), "train", Batches(size, order=order), "cpu")
    assert loader.steps_per_epoch == steps
    assert Batches(size, order=order).steps_per_epoch(LABELS) == steps
    counts = {len(loader.batch(1, step).ids) for step in range(7)}
    assert counts == {min(size, 3 if order is one_label else len(LABELS))}


def test_a_stage_that_sees_one_label_an_epoch_can_begin_at_any_step() -> None:
    chosen = Batches(1, Gaussian(sigma=0.1), annotations=("label",), order=one_label)
    loader = Loader(made(), "train", chosen, "cpu")
    batches = [loader.batch(7, step) for step in range(12)]
    assert [batch.annotations["label"].item() for batch in batches] == [0] * 3 + [1] * 3 + [
        2
    ] * 3 + [0] * 3
    for step in (11, 4, 0, 7):
        batch = Loader(made(), "train", chosen, "cpu").batch(7, step)
        assert batch.ids == batches[step].ids
        assert torch.equal(batch.input, batches[step].input)


def test_the_observation_repeats_the_degradation() -> None:
    loader = Loader(made(), "train", Batches(4, Gaussian(sigma=0.2)), "cpu")
    batch = loader.batch(0, 2)
    assert batch.observation is not None and batch.observation.shape == batch.target.shape
    assert torch.equal(batch.observation.forward(batch.target), batch.input)
    shares = [Loader(made(), "train", loader.batches, "cpu", part, 2) for part in range(2)]
    for number, share in enumerate(loader.batch(0, 2) for loader in shares):
        assert share.observation is not None
        mine = slice(2 * number, 2 * number + 2)
        assert share.observation.shape == (2, *batch.target.shape[1:])
        for key, value in batch.observation.parameters.items():
            assert torch.equal(share.observation.parameters[key], value[mine])
