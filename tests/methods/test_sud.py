"""SUD: which images have targets, and what supervises the others."""

from pathlib import Path
from typing import Any

import pytest
import torch
from support import contract_cases
from torch import nn

from gradprom.data.loader import Batch
from gradprom.errors import ConfigError
from gradprom.methods import sud
from gradprom.training.stage import Start


@pytest.mark.parametrize("share", [0.1, 0.5, 0.75])
def test_every_second_image_is_labelled(share: float) -> None:
    labels, order = torch.full((40,), -1), sud.Alternating(share)
    epochs = [order(labels, seed, epoch) for seed in (0, 1) for epoch in range(3)]
    labelled = set(torch.cat([epoch[::2] for epoch in epochs]).tolist())
    unlabelled = set(torch.cat([epoch[1::2] for epoch in epochs]).tolist())
    assert len(labelled) == round(share * 40) and not labelled & unlabelled
    assert labelled | unlabelled == set(range(40))
    assert all(len(epoch) == 40 for epoch in epochs)
    assert not torch.equal(epochs[0], epochs[1])
    assert torch.equal(sud.Labelled(share)(labels, 0, 2), epochs[2][::2])


def begun(results: Path, *words: str) -> tuple[Any, Batch]:
    run = contract_cases.made("sud", results, *words)
    stage = run.method.stage()
    [denoiser] = stage.parents
    artefacts = {denoiser.id: {"denoiser": run.method.build_networks()["denoiser"].state_dict()}}
    training = stage.begin(Start(artefacts, 2, contract_cases.CPU))
    return training, contract_cases.loader(run, stage).batch(3, 0)


def test_targets_of_unlabelled_images_are_not_looked_at(tmp_path: Path) -> None:
    training, batch = begun(tmp_path)
    state = {
        key: value.clone() for key, value in training.networks["enhancer"].state_dict().items()
    }
    first = training.update(batch, probe=False)
    other, batch_again = begun(tmp_path)
    other.networks["enhancer"].load_state_dict(state)
    batch_again.target[1::2] = 0
    second = other.update(batch_again, probe=False)
    assert torch.equal(first["loss_main"], second["loss_main"])
    for one, two in zip(
        training.networks["enhancer"].parameters(),
        other.networks["enhancer"].parameters(),
        strict=True,
    ):
        assert torch.equal(one, two)


def test_a_fixed_point_supervises_itself(tmp_path: Path) -> None:
    """Averaged weights equal to the enhancer's and a D that changes nothing: no loss."""
    training, batch = begun(tmp_path)
    training.networks.networks["denoiser"] = nn.Identity()
    enhancer = training.networks["enhancer"]
    torch.testing.assert_close(training.own_target(batch.input), enhancer(batch.input).detach())
    assert training.update(batch, probe=False)["loss_own"] < 1e-12


def test_the_running_target_converges_to_a_fixed_enhancer(tmp_path: Path) -> None:
    """The averaged weights approach weights that no longer change by their decay."""
    training, _ = begun(tmp_path, "method.average=0.5")
    networks = training.networks
    weight = next(networks["enhancer"].parameters())
    with torch.no_grad():
        weight += 1.0
    key = next(name for name, value in networks["enhancer"].named_parameters() if value is weight)
    for number in range(1, 6):
        networks._average("enhancer", torch.tensor(0.5))
        distance = (networks.averages["enhancer"][key] - weight).abs().max().item()
        assert distance == pytest.approx(0.5**number, rel=1e-4)


@pytest.mark.parametrize("theta", [0.0, 0.3, 1.0])
def test_the_target_is_denoised_in_part(theta: float, tmp_path: Path) -> None:
    training, batch = begun(tmp_path, f"method.theta={theta}")

    class Half(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x / 2

    plain = training.networks["enhancer"](batch.input).detach()
    training.networks.networks["denoiser"] = Half()
    torch.testing.assert_close(training.own_target(batch.input), plain * (1 - theta / 2))


def test_batches_of_an_odd_number_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="batch_size=5 must be a multiple of 2"):
        contract_cases.made("sud", tmp_path, "trainer.batch_size=5")


@pytest.mark.parametrize(
    "override", ["labelled=1", "mu=0", "theta=2", "average=1", "noise=0", "denoiser_epochs=0"]
)
def test_options_out_of_range_are_refused(override: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="allowed are"):
        contract_cases.made("sud", tmp_path, f"method.{override}")


def test_the_denoiser_learns_on_labelled_images_with_its_own_noise(tmp_path: Path) -> None:
    run = contract_cases.made("sud", tmp_path, "method.noise=0.07", "noise=0.3")
    [denoiser] = run.method.stage().parents
    assert denoiser.batches.degradation.sigma == 0.07
    assert denoiser.batches.order == sud.Labelled(0.5)
