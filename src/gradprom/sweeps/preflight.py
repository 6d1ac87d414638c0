"""Preflight checks: can the pending runs of a plan start at all?"""

import torch

from gradprom.identity import digest
from gradprom.sweeps import queue
from gradprom.sweeps.plan import Plan
from gradprom.training import precision
from gradprom.training.engine import choose_device
from gradprom.training.parallel.placement import find_place, take_device
from gradprom.training.stage import Start

HERE = ("basic", "submitit_local")
"""Launchers whose jobs run on this machine."""


def preflight(plan: Plan, launcher: str = "basic") -> None:
    """Build the networks of root stages without training them; on Slurm, check that it answers.

    Parameters
    ----------
    plan
        The plan whose pending runs are checked.
    launcher
        The choice of the group `hydra/launcher`.

    Raises
    ------
    GradpromError
        If this machine lacks the device, its precision or compiler, the pre-trained weights that
        the runs need, or Slurm.
    """
    if launcher == "submitit_slurm":
        queue.array_limit()
    if launcher not in HERE:
        return
    built = set()
    for run in (job.run for job in plan.pending):
        config = run.config
        device = choose_device(config.trainer.device)
        take_device(find_place(config.trainer.devices), device)
        precision.require_supported(config.trainer, device)
        for stage in run.method.stage().lineage():
            # stages that differ in seeds or rates build the same networks again, which is cheap
            networks = digest([stage.name, stage.reads])
            if stage.id in plan.stages and not stage.parents and networks not in built:
                built.add(networks)
                stage.begin(Start({}, epoch_steps=1, device=torch.device("cpu")))
