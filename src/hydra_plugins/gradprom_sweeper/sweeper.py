"""The sweeper of `-m`: plans all runs before it starts one, and skips finished runs.

Hydra imports every plugin at start-up, so the rest is imported when a sweep begins.
"""

from dataclasses import dataclass

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


@dataclass
class SweeperConfig:
    """`hydra/sweeper: gradprom`."""

    _target_: str = "hydra_plugins.gradprom_sweeper.sweeper.GradpromSweeper"


ConfigStore.instance().store(group="hydra/sweeper", name="gradprom", node=SweeperConfig)


class GradpromSweeper(Sweeper):
    """Resumable: running the same command again runs only what is missing."""

    def __init__(self) -> None:
        self.launcher: Launcher | None = None

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Called by Hydra with the composed configuration."""
        self.hydra_context = hydra_context
        self.config = config
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        """Plan, launch what is missing, show the table; exits with 1 if a run failed."""
        from gradprom.config.held_back import give_back
        from gradprom.entry import sweep

        # Hydra calls `setup` first
        assert self.launcher is not None
        assert self.hydra_context is not None and self.config is not None
        loader, master = self.hydra_context.config_loader, self.config

        def compose(overrides: list[str]) -> DictConfig:
            return loader.load_sweep_config(master, overrides)

        sweep(give_back(arguments), compose, self.launcher)
