"""A run's configuration, fully typed: what methods, engine and records work from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from gradprom.config.sections import Auxiliary, Evaluation, Trainer

if TYPE_CHECKING:
    from gradprom.data.base import Facts
    from gradprom.degradations.base import Degradation
    from gradprom.strategies.base import Strategy


class Options(Protocol):
    """The options of a component: a dataclass in the component's own module."""

    __dataclass_fields__: ClassVar[dict[str, Any]]
    name: str
    """By which the module is found."""


@dataclass
class Config:
    """One run."""

    dataset: Options
    degradation: Degradation
    backbone: Options
    strategy: Strategy
    method: Options
    auxiliary: Auxiliary
    trainer: Trainer
    evaluation: Evaluation
    supervision: str
    seed: int
    validation: float
    train_images: int | None
    study: str
    results: str
    logger: list[str]
    """Names of the loggers beside `history.csv`."""
    evaluate_on: list[Options]
    """Options of the other datasets to test on."""
    facts: Facts
    """What is known of the dataset without its files."""


def test_set_name(dataset: Options) -> str:
    """What a dataset is called as a test set: its title if it has one, else its name."""
    return getattr(dataset, "title", "") or dataset.name


# pytest would collect the function as a test
test_set_name.__test__ = False  # type: ignore[attr-defined]


def image_size(dataset: Options) -> int:
    """Height and width of a dataset's images in pixels; 0 where each has its own."""
    return getattr(dataset, "size", 0)
