"""Gradient strategies for task-driven medical image enhancement, swept and tabulated."""

__version__ = "0.1.0"
