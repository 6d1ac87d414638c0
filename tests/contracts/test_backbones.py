"""What every backbone keeps to: each file of a folder conf/backbone, without downloaded weights."""

import functools
from pathlib import Path
from typing import Any

import pytest
import torch
from support import documented
from torch import Tensor, nn

from gradprom import config
from gradprom.config.composing import compose
from gradprom.config.folders import choices
from gradprom.errors import ConfigError
from gradprom.models import enhancers

SCALES = (1, 2, 3)
NAMES = choices("backbone")
"""Of the repository, and of plug-ins."""
every = pytest.mark.parametrize("name", NAMES)


@functools.cache
def options(name: str) -> Any:
    node = compose(["profile=demo", f"backbone={name}", "pretrained=false"]).backbone
    return config.options("backbone", node)


def build(name: str, channels: int, scale: int = 1, inputs: int | None = None) -> nn.Module:
    torch.manual_seed(0)
    return config.component("backbone", options(name).name).build(
        options(name), channels, scale, inputs
    )


def images(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def test_every_file_is_listed() -> None:
    shipped = {"srresnet", "srresnet_small", "unet_small", "resnet50", "resnet101", "larger"}
    assert shipped <= set(NAMES)


@every
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("scale", SCALES)
def test_odd_sizes_come_out_enlarged(name: str, channels: int, scale: int) -> None:
    network = build(name, channels, scale).eval()
    with torch.no_grad():
        enhanced = network(images(2, channels, 15, 9))
    assert enhanced.shape == (2, channels, 15 * scale, 9 * scale)
    assert enhanced.dtype == torch.float32 and enhanced.isfinite().all()


@every
@pytest.mark.parametrize(("inputs", "scale"), [(None, 1), (4, 1), (2, 3)])
def test_gradients_are_finite_everywhere(name: str, inputs: int | None, scale: int) -> None:
    """In training mode, over every parameter and over the input."""
    network = build(name, 1, scale, inputs).train()
    degraded = images(2, inputs or 1, 33, 37).requires_grad_()
    (network(degraded) - images(2, 1, 33 * scale, 37 * scale, seed=1)).square().mean().backward()
    gradients = {key: p.grad for key, p in network.named_parameters()} | {"input": degraded.grad}
    bad = [key for key, g in gradients.items() if g is None or not g.isfinite().all()]
    assert bad == []
    assert gradients["input"].any()


@every
def test_the_input_may_have_other_channels_than_the_output(name: str) -> None:
    network = build(name, 1, scale=2, inputs=4).eval()
    contrasts = images(2, 4, 11, 13)
    with torch.no_grad():
        enhanced = network(contrasts)
        changed = network(torch.cat([contrasts[:, :3], 1 - contrasts[:, 3:]], dim=1))
    assert enhanced.shape == (2, 1, 22, 26)
    assert not torch.equal(enhanced, changed)  # no contrast is left out


@every
def test_inputs_that_equal_the_channels_change_nothing(name: str) -> None:
    plain, explicit = build(name, 3), build(name, 3, inputs=3)
    states = [network.state_dict() for network in (plain, explicit)]
    assert list(states[0]) == list(states[1])
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


@every
def test_a_scale_below_one_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="scale=0"):
        build(name, 1, scale=0)


def test_the_documentations_backbone_is_typed_and_checked(tmp_path: Path) -> None:
    """Its file and its YAML as they stand there; `tests/proofs` holds them to the contract."""
    with documented.component("backbones.md", enhancers, tmp_path) as (module, conf):
        typed = documented.configuration(conf, "backbone=three_layers", "backbone.width=8").backbone
        assert isinstance(typed, module.Options) and typed.width == 8
        with pytest.raises(ConfigError, match="backbone=three_layers: width=1: allowed"):
            documented.configuration(conf, "backbone=three_layers", "backbone.width=1")
