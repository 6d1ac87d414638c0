"""Before a single run: whether its results can be written at all.

Hydra makes a folder for its own output next, and would answer a full disk with a traceback.
"""

import sys
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig


class Room(Callback):
    """`hydra.callbacks` in conf/config.yaml; a sweep asks by itself."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Exits with 1 and one sentence for a folder of results that cannot be written to."""
        from gradprom.errors import NotWritable
        from gradprom.storage.files import require_writable

        try:
            require_writable(Path(config.results))
        except NotWritable as error:
            sys.exit(f"gradprom: {error}")
