"""Gradient strategies, for this package's methods or for a training loop of your own.

`backward` takes the losses of one forward pass and fills the gradients; the strategy decides how
the losses' gradients over the enhancer are combined. See docs/strategies.md.
"""

from gradprom.strategies.aligned import Aligned
from gradprom.strategies.backward import backward
from gradprom.strategies.base import LossStrategy, Strategy
from gradprom.strategies.bisector import Bisector
from gradprom.strategies.cagrad import CAGrad
from gradprom.strategies.decision import Decision
from gradprom.strategies.dualproj import DualProj
from gradprom.strategies.dwa import DWA
from gradprom.strategies.flat import layers
from gradprom.strategies.frozen import Frozen
from gradprom.strategies.gradprom import GradProm
from gradprom.strategies.joint import Joint
from gradprom.strategies.mainstream import Mainstream
from gradprom.strategies.mgda import MGDA
from gradprom.strategies.pcd import PCD
from gradprom.strategies.pcgrad import PCGrad
from gradprom.strategies.project import Project
from gradprom.strategies.random_gate import RandomGate
from gradprom.strategies.torchjd import TorchJD
from gradprom.strategies.uncertainty import Uncertainty

__all__ = [
    "DWA",
    "MGDA",
    "PCD",
    "Aligned",
    "Bisector",
    "CAGrad",
    "Decision",
    "DualProj",
    "Frozen",
    "GradProm",
    "Joint",
    "LossStrategy",
    "Mainstream",
    "PCGrad",
    "Project",
    "RandomGate",
    "Strategy",
    "TorchJD",
    "Uncertainty",
    "backward",
    "layers",
]
