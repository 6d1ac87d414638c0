"""Adds the `conf` folders of plug-ins (`gradprom_plugins/conf`) to Hydra's search path."""

from hydra.core.config_search_path import ConfigSearchPath
from hydra.plugins.search_path_plugin import SearchPathPlugin


class PluginConf(SearchPathPlugin):
    """Called by Hydra once, before it composes anything."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Append the folders; a file of this repository wins over one of the same name."""
        from gradprom.config.folders import plugin_folders

        for folder in plugin_folders("conf"):
            search_path.append("gradprom_plugins", f"file://{folder}")
