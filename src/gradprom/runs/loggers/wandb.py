"""`logger=wandb`: Weights & Biases, online or offline as its own settings say.

The variables `WANDB_MODE`, `WANDB_PROJECT`, `WANDB_ENTITY`, `WANDB_DIR` … are the package's.
"""

import os
import secrets
from collections.abc import Sequence

from gradprom.errors import ConfigError, first_line
from gradprom.runs.loggers.base import Point, RunSummary

PACKAGE = "wandb"
_WITHOUT_ACCOUNT = ("offline", "dryrun", "disabled")
"""Values of `WANDB_MODE`."""
PATIENCE = 60.0
"""Seconds after which a server that does not answer is given up; what is on the disk stays."""


def check() -> None:
    """Raise ConfigError where the package would ask for an account, or has a wrong one."""
    if os.environ.get("WANDB_MODE") in _WITHOUT_ACCOUNT:
        return
    import wandb

    try:
        problem = "" if wandb.login(prompt=False) else "nobody is logged in; run `wandb login`"
    except wandb.Error as error:
        problem = first_line(error)
    if problem:
        raise ConfigError(
            f"logger=wandb: {problem}; WANDB_MODE=offline logs to the study's folder alone"
        )


def begin(summary: RunSummary) -> "WandB":
    """Open a run of wandb, or the one that an earlier process has begun."""
    return WandB(summary)


class WandB:
    """A run of wandb, open."""

    reached: int | None

    def __init__(self, summary: RunSummary):
        check()  # it would wait for an answer on the terminal
        import wandb

        self.id = summary.earlier or f"{summary.run_id}-{secrets.token_hex(2)}"
        summary.folder.mkdir(parents=True, exist_ok=True)
        self.run = wandb.init(
            id=self.id,
            project=os.environ.get("WANDB_PROJECT", summary.project),
            name=summary.label,
            dir=os.environ.get("WANDB_DIR", str(summary.folder)),
            config={"id": summary.run_id, **summary.settings},
            resume="allow" if summary.earlier else None,
            reinit="create_new",  # beside a run of the caller's own
            settings=wandb.Settings(
                silent=True, console="off", init_timeout=PATIENCE, finish_timeout=PATIENCE
            ),
        )
        # offline it is 0: each process writes a file, and a file of a process that was killed lacks
        # what had not been written; so each has all points from the first one on
        self.reached = max(self.run.step - 1, 0)

    def log(self, points: Sequence[Point]) -> None:
        """Hand points to the process of wandb."""
        for step, values in points:
            self.run.log(values, step=step)

    def scores(self, step: int, values: dict[str, float]) -> None:
        """Add scores to the run's summary."""
        self.run.summary.update(values)

    def end(self, status: str) -> None:
        """Wait for what is on its way, and close it."""
        import wandb

        self.run.finish(exit_code=int(status in ("failed", "interrupted")))
        if wandb.run is None:  # the caller has none of their own
            wandb.teardown()  # its threads would keep the process from taking another run
