"""Where the files of the configuration are."""

from pathlib import Path

CONF = Path(__file__).parents[3] / "conf"
"""Where the files of the groups are, in a clone."""
