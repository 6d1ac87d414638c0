"""Checks of single values: each raises ConfigError with the key, the value and what is allowed."""

import math

from gradprom.errors import ConfigError


def require_choice(key: str, value: str, allowed: tuple[str, ...]) -> None:
    """Require one of the allowed values.

    Raises
    ------
    ConfigError
        For any other value.
    """
    if value not in allowed:
        raise ConfigError(f"{key}={value} is not allowed; choose from {', '.join(allowed)}")


def require_positive(key: str, value: float) -> None:
    """Require a finite value > 0.

    Raises
    ------
    ConfigError
        For any other value.
    """
    if not math.isfinite(value) or value <= 0:
        raise ConfigError(f"{key}={value} must be a finite number > 0")


def require_count(key: str, value: int, least: int) -> None:
    """Require a value of at least `least`.

    Raises
    ------
    ConfigError
        For a smaller value.
    """
    if value < least:
        raise ConfigError(f"{key}={value} must be at least {least}")
