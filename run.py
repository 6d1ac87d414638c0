"""Train one configuration, or a sweep of them with `-m`:

python run.py -m strategy=gradprom,frozen,joint noise=0.05,0.1
"""

import sys
from pathlib import Path

import hydra
from omegaconf import DictConfig

from gradprom import config, frozen
from gradprom.config.composing import require_kept
from gradprom.config.held_back import hold_back
from gradprom.errors import GradpromError
from gradprom.startup import prepare, require_own_package

config.register()


@hydra.main(version_base="1.3", config_path=str(config.CONF), config_name="config")
def main(node: DictConfig) -> None:
    """Run the composed configuration."""
    from gradprom import entry  # late, so that `--cfg job` and `--help` answer at once

    entry.task(node)


if __name__ == "__main__":
    try:
        sys.argv[1:] = prepare(sys.argv[1:])
        require_own_package(Path(__file__))
        require_kept(sys.argv[1:])
        frozen.enter(sys.argv[1:])
        sys.argv[1:] = hold_back(sys.argv[1:])
    except GradpromError as error:
        sys.exit(f"gradprom: {error}")
    main()
