"""Drawn heads in several MR contrasts, each to be synthesized from one multi-dynamic acquisition.

They stand in for the private MR of Task-GAN: six contrasts of one anatomy, the contrast as label,
volumes of slices. An input has the six acquired images of a slice and a plane for each contrast,
white for the one that is asked for.
"""

from dataclasses import dataclass

import numpy as np

from gradprom.data import own_inputs
from gradprom.data.base import Entry, Facts, Source
from gradprom.data.dataset_card import About
from gradprom.data.sources.brain_renderer import (
    ACQUIRED,
    CONTRASTS,
    VERSION,
    acquired,
    contrast,
)
from gradprom.data.splits import of_groups
from gradprom.randomness import stream

ABOUT = About(
    title="brain",
    get="Nothing to get: it is made by code when it is first used.",
    licence="that of this repository",
    traps=(
        "Contrasts follow from the equations of the signal, so that they can be synthesized almost "
        "without error; those of patients cannot.",
    ),
)


@dataclass
class Options:
    """The options of the dataset."""

    name: str = "brain"
    """Which dataset this is."""
    size: int = 64
    """Height and width of the images in pixels, at least 32."""
    train: int = 8
    """Number of heads to train on, at least 1."""
    test: int = 4
    """Number of other heads to test on, at least 1."""
    slices: int = 8
    """Slices of each head, at least 1; each is there in all six contrasts."""
    split_seed: int = 0
    """Chooses the heads to test on; the images themselves do not depend on it."""

    def __post_init__(self) -> None:
        if self.size < 32:
            raise ValueError(f"brain: size={self.size}, allowed: 32 and more")
        for key in ("train", "test", "slices"):
            if getattr(self, key) < 1:
                raise ValueError(f"brain: {key}={getattr(self, key)}, allowed: 1 and more")


def facts(options: Options) -> Facts:
    """Grey targets, whose contrast is the label, with the number of their volume."""
    names = tuple(CONTRASTS)
    inputs = len(ACQUIRED) + len(names)
    return Facts(1, classes=names, mask_classes=(), inputs=inputs, further={"volume": ()})


def build(options: Options) -> "Brain":
    """The source that `options` describe."""
    return Brain(options, facts(options))


class Brain(Source):
    """Slices of `train + test` heads in each contrast; the group is the head.

    A volume is all slices of a head in one contrast.
    """

    version = VERSION

    def index(self) -> list[Entry]:
        """One entry a slice and contrast, without files."""
        kinds = self.facts.classes
        return [
            Entry(
                f"{head}-{number:02d}-{name}",
                head,
                label,
                (),
                {"volume": place * len(kinds) + label},
            )
            for place, head in enumerate(self._heads())
            for number in range(self.options.slices)
            for label, name in enumerate(kinds)
        ]

    def decode(self, entry: Entry) -> dict[str, np.ndarray]:
        """`target` uint8 [1,size,size] and `input` uint8 [12,size,size]."""
        assert entry.label is not None
        size, name = self.options.size, self.facts.classes[entry.label]
        number = int(entry.id.removeprefix(f"{entry.group}-").partition("-")[0])
        place = -0.7 + 1.4 * (number + 0.5) / self.options.slices
        planes = own_inputs.planes(entry.label, len(self.facts.classes), size)
        return {
            "target": contrast(entry.group, place, name, size),
            "input": np.concatenate([acquired(entry.group, place, size), planes]),
        }

    def splits(self, entries: list[Entry]) -> dict[str, list[str]]:
        """`train` and `test`, of whole heads."""
        rng = np.random.default_rng(stream("brain split", self.options.split_seed))
        heads = rng.permutation(self._heads()).tolist()
        test = self.options.test
        return of_groups(entries, {"train": heads[test:], "test": heads[:test]})

    def _heads(self) -> list[str]:
        return [f"head-{number:03d}" for number in range(self.options.train + self.options.test)]
