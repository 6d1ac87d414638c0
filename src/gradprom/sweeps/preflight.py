"""Preflight checks: can the pending runs of a plan start at all?"""

import functools
from dataclasses import replace
from typing import Any

import torch

from gradprom.config import Config, component
from gradprom.identity import digest
from gradprom.runs.loggers import require_usable
from gradprom.runs.run import Run
from gradprom.sweeps import queue
from gradprom.sweeps.plan import Plan
from gradprom.training import precision, rehearsal
from gradprom.training.engine import choose_device
from gradprom.training.parallel.placement import find_place, take_device
from gradprom.training.stage import Start

HERE = ("basic", "submitit_local")
"""Launchers whose jobs run on this machine."""


def preflight(plan: Plan, launcher: str = "basic") -> None:
    """Build the networks of root stages and rehearse a step; on Slurm, check that it answers.

    A Slurm job may have another device, and ImageNet's weights may only be where it runs: these
    are checked for runs on this machine alone.

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
        the runs need, the package of a logger, or Slurm; or if images or batches are too small
        for the networks.
    """
    here = launcher in HERE
    if launcher == "submitit_slurm":
        queue.array_limit()
    require_usable({name for job in plan.pending for name in job.run.config.logger})
    built: set[str] = set()
    for run in (job.run for job in plan.pending):
        if here:
            config = run.config
            device = choose_device(config.trainer.device)
            take_device(find_place(config.trainer.devices), device)
            precision.require_supported(config.trainer, device)
        _build(run, plan, built, here)


def _build(run: Run, plan: Plan, built: set[str], here: bool) -> None:
    """Build the networks of a run's root stages, and rehearse those that are to be trained."""
    config = _plain(run.config, fetches=here)
    plain = component("method", config.method.name).build(config).stage().lineage()
    for stage, as_plain in zip(run.last_stage.lineage(), plain, strict=True):
        # stages that differ in seeds or rates build the same networks again, which is cheap
        networks = digest([stage.name, stage.reads])
        if stage.id not in plan.stages or stage.parents or networks in built:
            continue
        built.add(networks)
        begin = functools.partial(as_plain.begin, Start({}, 1, torch.device("cpu")))
        if rehearsal.is_needed(stage, run.images()):
            rehearsal.rehearse(stage, begin, run.images())
        elif here:
            begin()


def _plain(config: Config, fetches: bool) -> Config:
    """The configuration for networks that take a step on the CPU, or none.

    Without ImageNet's weights unless it `fetches` them.
    """
    trainer = replace(
        config.trainer, precision="float32", compile=False, channels_last="false", devices=1
    )
    changed = replace(config, trainer=trainer)
    if fetches:
        return changed
    backbone: Any = config.backbone
    if hasattr(backbone, "pretrained"):
        backbone = replace(backbone, pretrained=False)
    auxiliary = replace(config.auxiliary, pretrained=False)
    return replace(changed, backbone=backbone, auxiliary=auxiliary)
