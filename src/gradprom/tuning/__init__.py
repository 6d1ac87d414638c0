"""Tuning with Optuna. Whether words ask for it, is told here without importing that."""


def asked(arguments: list[str]) -> bool:
    """Whether some words of a sweep ask for a tuning."""
    return any(top(word) == "tune" for word in arguments)


def top(word: str) -> str:
    """`tune` of `tune=lambda`, `+tune.trials=3`."""
    return word.lstrip("+~").split("=")[0].split(".")[0]
