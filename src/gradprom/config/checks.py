"""Checks of single values: each raises ConfigError with the key, the value and what is allowed."""

import math

from gradprom.errors import ConfigError


def require_choice(key: str, value: str, allowed: tuple[str, ...]) -> None:
    """Raises ConfigError unless the value is one of those allowed."""
    if value not in allowed:
        raise ConfigError(f"{key}={value} is not allowed; choose from {', '.join(allowed)}")


def require_positive(key: str, value: float) -> None:
    """Raises ConfigError unless the value is finite and > 0."""
    if not math.isfinite(value) or value <= 0:
        raise ConfigError(f"{key}={value} must be a finite number > 0")


def require_count(key: str, value: int, least: int) -> None:
    """Raises ConfigError for a value below `least`."""
    if value < least:
        raise ConfigError(f"{key}={value} must be at least {least}")
