"""A stage of a run trained by all its ranks, and the ranks that follow rank 0.

`python -m gradprom.runs.ranks …` is what rank 0 starts on its own machine.
"""

import contextlib
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch

from gradprom.data.batches import labels_of
from gradprom.data.loader import Loader
from gradprom.errors import GradpromError, RunError
from gradprom.runs import restore
from gradprom.runs.records import Study
from gradprom.runs.run import Run
from gradprom.runs.scoring import validator
from gradprom.training import engine, precision
from gradprom.training.engine import Observe
from gradprom.training.parallel import distributed, rendezvous
from gradprom.training.parallel.distributed import RankLost
from gradprom.training.parallel.placement import Place, take_device
from gradprom.training.parallel.rendezvous import Follower, Leader
from gradprom.training.stage import Stage, Start, Training
from gradprom.training.store import NoSlot, Slot

AllRanks = Callable[[str], AbstractContextManager[None]]
"""From a stage's id to a block in which all ranks train that stage."""
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
"""Signals that may reach all processes of a job at once; only rank 0 reacts to them."""


def train_stage(
    run: Run,
    stage: Stage,
    weights: dict[str, Any] | None,
    device: torch.device,
    slot: Slot,
    observe: Observe,
) -> dict[str, Any]:
    """Train a stage with all ranks.

    Parameters
    ----------
    run
        The run that needs the stage.
    stage
        The stage.
    weights
        What its parents have left, by stage id, on rank 0, which shares it; None on other ranks.
    device
        The device of this rank.
    slot
        Where checkpoints are stored.
    observe
        Called after each row of the history.

    Returns
    -------
    dict
        As `engine.train` returns it.
    """
    weights = distributed.share(weights)
    config = run.config
    loader = Loader(
        run.images(),
        "train",
        stage.batches,
        device,
        part=distributed.rank(),
        parts=distributed.ranks(),
    )

    def build(epoch_steps: int) -> Training:
        return stage.begin(Start(weights or {}, epoch_steps, device))

    # on every rank, because all must end the history's rows at the same steps
    is_validated = config.validation and stage.id == run.training_id
    measure = validator(run, device) if is_validated else None
    with precision.as_trained(config.trainer, device):
        return engine.train(stage, build, loader, slot, config.trainer, observe, measure)


def require_shares(run: Run) -> None:
    """Raises RunError where the ranks cannot share the batches equally."""
    labels, devices = labels_of(run.images(), "train"), run.config.trainer.devices
    for stage in run.method.stage().lineage():
        images = len(stage.batches.order(labels, 0, 0))  # of an epoch
        size = min(stage.batches.size, images)
        if size % devices:
            whole = "of all" if size == images else "of"
            raise RunError(
                f"trainer.devices={devices} cannot share a batch {whole} {size} training images; "
                f"choose a divisor of it"
            )


@contextlib.contextmanager
def lead_ranks(run: Run, place: Place, device: torch.device) -> Iterator[AllRanks]:
    """Start the other ranks, or wait for them; they are shut down when the block ends.

    Yields a function from a stage's id to a block in which all ranks train that stage. On one
    device that block does nothing.
    """
    if place.ranks == 1:
        yield lambda stage_id: contextlib.nullcontext()
        return

    def start(rank: int, port: int) -> subprocess.Popen[bytes]:
        arguments = [str(run.study.results), run.study.name, run.id, str(rank), str(port)]
        command = [sys.executable, "-m", "gradprom.runs.ranks", *arguments]
        return subprocess.Popen(command, stdin=subprocess.DEVNULL)

    leader = Leader(place, device, rendezvous_file(run), start)
    try:
        yield leader.stage
    finally:
        leader.end()


def rendezvous_file(run: Run) -> Path:
    """The file in which Slurm's tasks find rank 0."""
    return run.study.run(run.id) / "ranks.json"


def follow_leader(run: Run, place: Place, device: torch.device) -> None:
    """Take part in the training as one of Slurm's tasks until rank 0 has finished the run."""

    def is_done() -> bool:
        return run.study.state(run.id, run.fingerprints()) == "done"

    address = rendezvous.find_leader(place, rendezvous_file(run), is_done)
    try:
        if address is not None:
            _follow(run, Follower(place, device, *address))
    except RankLost:
        if not is_done():  # rank 0 had nothing to train, and ended before this task began
            raise


def _follow(run: Run, follower: Follower) -> None:
    stages = {stage.id: stage for stage in run.method.stage().lineage()}

    def train(stage_id: str) -> None:
        stage = stages[stage_id]
        train_stage(run, stage, None, follower.device, NoSlot(), lambda progress: None)

    follower.follow(train)


def main() -> None:
    """Run one of the ranks that rank 0 starts on its own machine."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    results, study, run_id, rank, port = sys.argv[1:]
    run = restore.load_run(Study(Path(results), study), run_id)
    options = run.config.trainer
    torch.set_num_threads(options.threads)
    place = Place(int(rank), options.devices, int(rank), "")
    device = engine.choose_device(options.device)
    take_device(place, device)
    try:
        _follow(run, Follower(place, device, "localhost", int(port)))
    except GradpromError:
        sys.exit(1)  # rank 0 reports the error


if __name__ == "__main__":
    main()
