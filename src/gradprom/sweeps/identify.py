"""`python -m gradprom.sweeps.identify`: the other process that `identities` asks.

It reads a JSON list of runs, each a list of words, and writes the id and the problem of each.
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
    """Answer once; words that are not allowed are one sentence on stderr and exit code REFUSED."""
    identify = identify_with(shell_composer(), {}, [])
    try:
        found = identify(json.load(sys.stdin))
    except (GradpromError, HydraException, OmegaConfBaseException) as error:
        print(sentence(error), file=sys.stderr)
        sys.exit(REFUSED)
    json.dump([[identity.id, identity.problem] for identity in found], sys.stdout)


if __name__ == "__main__":
    main()
