"""`python -m gradprom.sweeps.identify`: the process in which `run_ids` computes ids.

It reads a JSON list of runs, each a list of overrides, and writes the id and problem of each.
"""

import json
import sys

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from gradprom.config.composing import sentence
from gradprom.errors import GradpromError
from gradprom.sweeps.request import identify_with, shell_composer
from gradprom.sweeps.run_ids import REFUSED


def main() -> None:
    """Answer once; for invalid overrides, one sentence on stderr and exit code REFUSED."""
    identify = identify_with(shell_composer(), {}, [])
    try:
        identities = identify(json.load(sys.stdin))
    except (GradpromError, HydraException, OmegaConfBaseException) as error:
        print(sentence(error), file=sys.stderr)
        sys.exit(REFUSED)
    json.dump([[identity.id, identity.problem] for identity in identities], sys.stdout)


if __name__ == "__main__":
    main()
