"""The papers' figures that show what trained networks do, each from finished runs."""

from gradprom.figures.command import draw_all
from gradprom.figures.registry import FIGURES, OF_RUNS, OF_TABLES, draw, draw_runs, tables

__all__ = ["FIGURES", "OF_RUNS", "OF_TABLES", "draw", "draw_all", "draw_runs", "tables"]
