"""Parts of a stage's `reads` that all methods share, and that leave old ids unchanged."""

from typing import Any

from gradprom.config.typed import Config

AUGMENTATION = 2
"""Version of the augmentation: 2 since crops are not enlarged."""


def batch_reads(config: Config) -> dict[str, Any]:
    """What a stage reads to be fed with batches of `trainer.batch_size`, on whatever images.

    The degradation of the images is not among it.
    """
    t = config.trainer
    return {
        "dataset": config.dataset,
        "trainer": {"batch_size": t.batch_size, "augment": t.augment},
        **augmentation_reads(config),
        **split_reads(config),
        **precision_reads(config),
    }


def augmentation_reads(config: Config) -> dict[str, int]:
    """The version of what `trainer.augment` does; empty without it, where nothing has changed."""
    return {"augmentation": AUGMENTATION} if config.trainer.augment else {}


def split_reads(config: Config) -> dict[str, float]:
    """What changes the dataset's own splits; empty without, which keeps ids from before it."""
    changes = {"validation": config.validation, "train_images": config.train_images}
    return {key: value for key, value in changes.items() if value}


def precision_reads(config: Config) -> dict[str, str]:
    """The precision; empty for float32, which keeps ids from before there was a choice."""
    precision = config.trainer.precision
    return {} if precision == "float32" else {"precision": precision}
