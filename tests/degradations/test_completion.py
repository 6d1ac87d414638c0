"""Completion drops whole pixels at its rate."""

import math

import torch
from support.degraded import degrade

from gradprom.degradations import Completion


def test_completion_drops_whole_pixels_at_the_rate():
    clean = torch.rand(2, 3, 200, 200) + 0.1
    missing = degrade(Completion(drop=0.3), clean) == 0
    assert torch.equal(missing.any(1), missing.all(1))
    rate = missing[:, 0].double().mean().item()
    assert abs(rate - 0.3) < 5 * math.sqrt(0.3 * 0.7 / 80000)
    assert not torch.equal(missing[0], missing[1])
    assert torch.equal(degrade(Completion(drop=0.0), clean), clean)


def test_more_dropped_pixels_hold_the_fewer():
    few, many = (
        Completion(drop=drop).draw(["a"], (1, 1, 32, 32), torch.Generator().manual_seed(0))["mask"]
        for drop in (0.2, 0.6)
    )
    assert (few | ~many).all() and (few & ~many).any()
