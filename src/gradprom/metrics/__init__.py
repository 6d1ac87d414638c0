"""Metrics: one definition of each, for records, tables, claims, tuning and the page.

`registry` finds the families: the modules of this package (and of `gradprom_plugins.metrics`)
that have a tuple `METRICS`. The functions with which methods measure images are here too.
Importing any of this does not import torch.
"""

from gradprom.metrics.image import (
    SIGMA,
    USUAL,
    WINDOW,
    mae,
    measure,
    measures_of,
    psnr,
    rmse,
    ssim,
)
from gradprom.metrics.segmentation import intersection_and_union

__all__ = [
    "SIGMA",
    "USUAL",
    "WINDOW",
    "intersection_and_union",
    "mae",
    "measure",
    "measures_of",
    "psnr",
    "rmse",
    "ssim",
]
