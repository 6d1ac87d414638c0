"""Where experiments are declared."""

from pathlib import Path

from gradprom.config.folders import CONF, plugin_folders


def experiment_folders() -> list[Path]:
    """Folders that hold a folder for each paper: the repository's, then those of plug-ins."""
    return [CONF.parent / "experiments", *plugin_folders("experiments")]
