"""Drawn heads in several MR contrasts, each to be synthesized from one multi-dynamic acquisition.

They stand in for the private MR of Task-GAN: six contrasts of one anatomy, the contrast as label,
volumes of slices. An input has the six acquired images of a slice and a plane for each contrast,
white for the one that is asked for.
"""

from dataclasses import dataclass

from gradprom.data.dataset_card import About
from gradprom.data.mr_signals import Slice
from gradprom.data.mr_source import MRSource
from gradprom.data.sources.brain_renderer import VERSION, drawn

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


class Brain(MRSource):
    """Slices of `train + test` heads in each contrast; the group is the head."""

    version = VERSION

    @property
    def slices(self) -> int:
        """As the option says."""
        return int(self.options.slices)

    def name_of(self, number: int) -> str:
        """Of a head."""
        return f"head-{number:03d}"

    def slice_of(self, group: str, number: int) -> Slice:
        """A drawing."""
        place = -0.7 + 1.4 * (number + 0.5) / self.slices
        return drawn(group, place, self.options.size)


build, facts = Brain, Brain.facts_of
