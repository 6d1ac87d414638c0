"""Metrics of a gradient strategy in coupled training: of training, not of images.

A record's `training` has them for each task, such as `gate_diagnosis`; their mean is shown.
"""

from gradprom.metrics.registry import Metric

METRICS = (
    Metric(
        "ratio",
        "λ‖g_VR‖/‖g_IP‖",
        digits=4,
        better="",
        source="training",
        log=True,
        brief="{:.1e}",
    ),
    Metric(
        "gate",
        "gates open",
        digits=2,
        better="",
        source="training",
        brief="{:.0%}",
        logged=True,
    ),
    Metric("agree", "gates agree", better="", source="training", main=False),
)
