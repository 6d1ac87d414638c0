"""The examples of docs/strategies.md run, and it names every strategy and its trap."""

import dataclasses
import re
from pathlib import Path

import torch
from torch import nn

import gradprom.strategies as strategies
from gradprom.strategies import GradProm, Strategy, backward


def test_the_documentations_examples_run():
    text = (Path(__file__).parents[2] / "docs" / "strategies.md").read_text()
    loop, *others = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len([line for line in loop.splitlines() if line.strip()]) <= 15
    torch.manual_seed(0)
    names: dict = {}
    exec(loop, names)
    before = nn.functional.mse_loss(names["noisy"], names["clean"])
    assert names["main"] < before and names["decision"].gate.shape == (1,)
    for example in others:
        exec(example, names)


def test_the_documentation_names_every_strategy():
    text = (Path(__file__).parents[2] / "docs" / "strategies.md").read_text()
    classes = [value for value in vars(strategies).values() if dataclasses.is_dataclass(value)]
    known = [value for value in classes if issubclass(value, Strategy)]
    assert len(known) > 12
    for strategy in known:
        assert f"| `{strategy.name}` | `{strategy.__name__}` |" in text
        for field in dataclasses.fields(strategy):
            assert field.name == "name" or re.search(rf"`{field.name}\b", text)


def adversarial_step(frozen: bool) -> tuple[nn.Module, nn.Module]:
    """A generator's step against a discriminator, after which both have their `.grad`."""
    torch.manual_seed(0)
    generator, discriminator = nn.Conv2d(1, 1, 3, padding=1), nn.Conv2d(1, 1, 4)
    discriminator.requires_grad_(not frozen)
    made = generator(torch.rand(2, 1, 8, 8))
    pixel = nn.functional.mse_loss(made, torch.rand(2, 1, 8, 8))
    main = pixel + nn.functional.softplus(-discriminator(made)).mean()
    backward([main, made.mean()], generator.parameters(), GradProm(), features=made)
    return generator, discriminator


def test_a_discriminator_gets_the_generators_gradient_unless_it_is_frozen():
    """The trap of docs/strategies.md."""
    (free, judge), (same, frozen) = adversarial_step(False), adversarial_step(True)
    assert all(p.grad.any() for p in judge.parameters())
    assert all(p.grad is None for p in frozen.parameters())
    for one, two in zip(free.parameters(), same.parameters(), strict=True):
        assert torch.equal(one.grad, two.grad)
