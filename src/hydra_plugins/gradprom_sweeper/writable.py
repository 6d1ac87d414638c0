"""Checks, before a single run starts, that its results can be written.

Hydra creates its own output folder next, and would end with a traceback if the disk is full.
"""

import sys
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig


class RequireWritable(Callback):
    """`hydra.callbacks` in conf/config.yaml; a sweep makes this check itself."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Exit with 1 and one sentence if the folder of results is not writable."""
        from gradprom.config.places import absolute
        from gradprom.errors import GradpromError
        from gradprom.storage.files import require_writable

        try:
            require_writable(Path(absolute(config.results)))
        except GradpromError as error:
            sys.exit(f"gradprom: {error}")
