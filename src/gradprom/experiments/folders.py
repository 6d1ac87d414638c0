"""Where experiments are declared."""

from pathlib import Path

from gradprom.config.folders import CONF, plugin_folders


def experiment_folders() -> list[Path]:
    """Folders that hold a folder for each paper: the clone's, then those of plug-ins.

    Every look for an experiment begins here.
    """
    return [CONF.parent / "experiments", *plugin_folders("experiments")]
