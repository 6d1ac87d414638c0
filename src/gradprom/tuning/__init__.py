"""Tuning with Optuna; nothing here imports Optuna itself."""


def is_requested(arguments: list[str]) -> bool:
    """Whether the overrides of a sweep ask for a tuning."""
    return any(top_key(override) == "tune" for override in arguments)


def top_key(override: str) -> str:
    """The top-level key of an override: `tune` of `tune=lambda` and of `+tune.trials=3`."""
    return override.lstrip("+~").split("=")[0].split(".")[0]
