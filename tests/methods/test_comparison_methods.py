"""The auxiliary losses of compared methods: as written, and with an effect on the denoiser."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.special import rel_entr
from support import contract_cases
from torch import Tensor

from gradprom.data.loader import Batch
from gradprom.errors import ConfigError
from gradprom.methods import d2sm, usaid
from gradprom.training.stage import Start


def random(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("gamma", [0.0, 2.0])
def test_the_focal_loss_is_against_the_most_likely_class(gamma: float) -> None:
    logits = random(2, 4, 5, 7)
    chances = np.exp(logits.numpy()) / np.exp(logits.numpy()).sum(1, keepdims=True)
    most = chances.max(1)
    expected = np.mean(-((1 - most) ** gamma) * np.log(most))
    assert usaid.confidence_loss(logits, gamma).item() == pytest.approx(expected, rel=1e-12)


def test_without_an_exponent_it_is_the_cross_entropy() -> None:
    logits = random(3, 4)
    expected = F.cross_entropy(logits, logits.argmax(1))
    torch.testing.assert_close(usaid.confidence_loss(logits, 0.0), expected)


def test_a_sure_segmenter_has_no_loss() -> None:
    logits = torch.zeros(1, 3, 2, 2).index_fill(1, torch.tensor([1]), 60.0)
    assert usaid.confidence_loss(logits, 2.0) == 0


def test_distinctive_statistics_are_scipys_divergence() -> None:
    denoised, clean, queue = random(3, 6), random(3, 6, seed=1), random(5, 6, seed=2)

    def similar(features: Tensor) -> np.ndarray:
        a, b = features.numpy(), queue.numpy()
        cosine = (a @ b.T) / np.linalg.norm(a, axis=1)[:, None] / np.linalg.norm(b, axis=1)
        return ((cosine + 1) / 2) / ((cosine + 1) / 2).sum(1, keepdims=True)

    expected = rel_entr(similar(clean), similar(denoised)).sum(1).mean()
    actual = d2sm.distinctive_statistics(denoised, clean, queue).item()
    assert actual == pytest.approx(expected, rel=1e-4)  # its ε is in the logarithm


def test_equal_images_are_equally_similar() -> None:
    features, queue = random(3, 6), random(5, 6, seed=2)
    assert d2sm.distinctive_statistics(features, features, queue) == 0


def begun(case: str, results: Path) -> tuple[Any, Batch]:
    """Coupled training with networks that have learned nothing, and its first batch."""
    run = contract_cases.made(case, results)
    networks = run.method.build_networks()
    enhancer, strategy = networks.pop("enhancer"), replace(run.config.strategy)
    start = Start({}, 2, contract_cases.CPU)
    training = run.method.training(run.config, enhancer, networks, strategy, start)
    return training, contract_cases.loader(run, run.method.stage()).batch(3, 0)


@pytest.mark.parametrize("case", ["usaid", "d2sm"])
def test_the_second_loss_reaches_the_denoiser(case: str, tmp_path: Path) -> None:
    """Its gradient over the denoised image is not zero, unlike that of the public codes."""
    coupled, batch = begun(case, tmp_path)
    [task] = coupled.recognizers
    seen = batch.input.clone().requires_grad_()
    loss, _ = coupled.auxiliary_loss(task, seen, batch, probe=False)
    loss.backward()
    assert seen.grad is not None and seen.grad.isfinite().all() and seen.grad.any()


def test_the_queue_has_the_last_clean_images(tmp_path: Path) -> None:
    coupled, batch = begun("d2sm", tmp_path)
    [task] = coupled.recognizers
    size = len(batch.target)
    before = coupled.queues[task].clone()
    coupled.auxiliary_loss(task, batch.input, batch, probe=False)
    clean = d2sm.pooled(coupled.recognizers[task], batch.target).detach()
    assert torch.equal(coupled.queues[task][:-size], before[size:])
    torch.testing.assert_close(coupled.queues[task][-size:], clean)


@pytest.mark.parametrize(
    ("case", "override", "message"),
    [
        ("usaid", "supervision=unsupervised", "auxiliary loss of its own"),
        ("usaid", "method.gamma=-1", "gamma=-1.0: allowed are numbers >= 0"),
        ("d2sm", "method.queue=12", "multiple of trainer.batch_size=8, such as 16"),
        ("d2sm", "auxiliary=segmentation", "choose auxiliary=diagnosis"),
    ],
)
def test_what_does_not_go_together_is_refused(
    case: str, override: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=message):
        contract_cases.made(case, tmp_path, override)


def test_another_auxiliary_loss_is_another_stage_on_the_same_warm_up(tmp_path: Path) -> None:
    words = ("method=task_driven", "method.loss=mse")
    stages = [
        contract_cases.made("usaid", tmp_path, *extra).method.stage().lineage()
        for extra in ((), ("method.gamma=1",))
    ]
    plain = contract_cases.made("frozen, L1", tmp_path, *words, "auxiliary=segmentation")
    stages.append(plain.method.stage().lineage())
    assert len({lineage[-1].id for lineage in stages}) == 3
    warmups = [{s.id for s in lineage if s.name == "warmup"} for lineage in stages]
    assert warmups[0] == warmups[1] == warmups[2]
