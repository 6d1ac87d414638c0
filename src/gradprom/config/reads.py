"""Parts of what a stage reads that every method has in common, and that keep old ids."""

from gradprom.config.typed import Config


def holdout_reads(config: Config) -> dict[str, float]:
    """What a stage reads of the validation split: nothing where there is none, so that ids from
    before there was one stay."""
    return {"validation": config.validation} if config.validation else {}


def precision_reads(config: Config) -> dict[str, str]:
    """What a stage reads of the precision: nothing where it is float32, as it was before there
    was a choice."""
    precision = config.trainer.precision
    return {} if precision == "float32" else {"precision": precision}
