"""The paper's figures that show what trained networks do: each from finished runs of its tables."""

from gradprom.figures.command import draw_all
from gradprom.figures.registry import FIGURES, draw, tables

__all__ = ["FIGURES", "draw", "draw_all", "tables"]
