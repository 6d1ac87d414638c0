"""The types of `conf/hydra/launcher/submitit_slurm.yaml` and `submitit_local.yaml`."""

from dataclasses import dataclass

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.config_store import ConfigStore
from hydra.plugins.search_path_plugin import SearchPathPlugin
from hydra_plugins.hydra_submitit_launcher.config import LocalQueueConf, SlurmQueueConf


@dataclass
class SlurmSchema(SlurmQueueConf):
    """submitit's keys, for our launcher."""

    _target_: str = "hydra_plugins.gradprom_slurm.launcher.ResumableSlurmLauncher"


class Schemas(SearchPathPlugin):
    """Called by Hydra once it has loaded every plugin, and before it composes anything."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Register the types under other names than the files'.

        Under a file's name Hydra would merge submitit's type into that file, with a warning.
        """
        store = ConfigStore.instance()
        for name, node in (("submitit_slurm", SlurmSchema), ("submitit_local", LocalQueueConf)):
            store.store(group="hydra/launcher", name=f"{name}_schema", node=node)
            store.repo["hydra"]["launcher"].pop(f"{name}.yaml", None)
