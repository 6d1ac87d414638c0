"""A look, before anything is spent, at whether the pending runs of a plan can begin at all."""

import torch

from gradprom.identity import digest
from gradprom.sweeps import plan as plans
from gradprom.sweeps import queue
from gradprom.training import precision
from gradprom.training.engine import choose_device
from gradprom.training.parallel.placement import find_place, take_device
from gradprom.training.stage import Start

HERE = ("basic", "submitit_local")
"""Launchers whose jobs run on this machine."""


def rehearse(plan: plans.Plan, launcher: str = "basic") -> None:
    """Begin, without training it, what the pending runs train from nothing; or ask for a word
    from the cluster that is to do so.

    Raises
    ------
    GradpromError
        If this machine lacks the device, its precision or compiler, or the pre-trained weights
        that they ask for, or Slurm.
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
        precision.require(config.trainer, device)
        for stage in run.method.stage().lineage():
            # seeds, rates and the like build the same networks again: that costs little
            networks = digest([stage.name, stage.reads])
            if stage.id in plan.stages and not stage.parents and networks not in built:
                built.add(networks)
                stage.begin(Start({}, epoch_steps=1, device=torch.device("cpu")))
