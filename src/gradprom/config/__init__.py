"""The configuration: sections, components found by name, loading and checks.

Hydra composes plain nodes; `load` turns them into typed objects.
"""

from gradprom.config.components import GROUPS, PACKAGES, component, options
from gradprom.config.folders import CONF
from gradprom.config.load import load, register
from gradprom.config.reads import augmentation_reads, batch_reads, precision_reads, split_reads
from gradprom.config.schema import Root
from gradprom.config.sections import SERVED, Auxiliary, Evaluation, Trainer, Tune
from gradprom.config.typed import Config

__all__ = [
    "CONF",
    "GROUPS",
    "PACKAGES",
    "SERVED",
    "Auxiliary",
    "Config",
    "Evaluation",
    "Root",
    "Trainer",
    "Tune",
    "augmentation_reads",
    "batch_reads",
    "component",
    "split_reads",
    "load",
    "options",
    "precision_reads",
    "register",
]
