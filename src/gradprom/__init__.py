"""Gradient strategies for task-driven medical image enhancement, swept and tabulated."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gradprom.runs.load import load

__version__ = "0.1.0"
__all__ = ["load"]


def __getattr__(name: str) -> object:
    if name == "load":  # imported when it is used, because it needs torch
        from gradprom.runs.load import load

        return load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
