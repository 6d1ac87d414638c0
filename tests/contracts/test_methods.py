"""What every method keeps to.

A new one is a line in `METHODS` of `support.contract_cases`, or in its plug-in's `CASES`.
"""

import copy
import os
import re
import signal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from support.contract_cases import CPU, every, loader, made, method_of, scored
from support.device_waits import NoWaiting
from torch import Tensor

from gradprom.data.image_noise import ImageNoise
from gradprom.data.loader import test_batches
from gradprom.errors import RunError
from gradprom.methods.base import Description, Method
from gradprom.metrics.registry import METRICS
from gradprom.runs import evaluation, scoring
from gradprom.runs.execution import execute
from gradprom.runs.run import Run
from gradprom.storage import preemption
from gradprom.storage.files import load_state, save_state
from gradprom.training.graph import Captured, NotCapturable
from gradprom.training.networks import NetworkTraining
from gradprom.training.stage import Stage, Start, Training


@pytest.fixture(autouse=True)
def undisturbed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preemption, "_requested", False)


def begin(run: Run, stage: Stage, artefacts: dict[str, Any]) -> Training:
    torch.manual_seed(1)
    return stage.begin(Start(artefacts, loader(run, stage).steps_per_epoch, CPU))


def step(training: Training, run: Run, stage: Stage, number: int) -> dict[str, Tensor]:
    batch = loader(run, stage).batch(3, number)
    torch.manual_seed(number)
    return training.update(batch, probe=number % 2 == 1)


def trained(run: Run, method: Method, steps: int = 2) -> dict[str, Any]:
    """What each stage leaves after a few steps, by its id."""
    artefacts: dict[str, Any] = {}
    for stage in method.stage().lineage():
        training = begin(run, stage, artefacts)
        for number in range(steps):
            step(training, run, stage, number)
        artefacts[stage.id] = copy.deepcopy(training.artefact())
    return artefacts


def equal(one: Any, other: Any) -> bool:
    """Whether two states are the same in every bit."""
    if isinstance(one, Tensor):
        return torch.equal(one, other) and one.dtype == other.dtype
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(equal, one, other))
    return one == other


# training


@every
def test_a_stage_goes_on_from_what_was_saved(case: str, tmp_path: Path) -> None:
    run = made(case, tmp_path)
    artefacts = trained(run, run.method)
    for stage in run.method.stage().lineage():
        straight = begin(run, stage, artefacts)
        for number in range(4):
            logs = step(straight, run, stage, number)
        first = begin(run, stage, artefacts)
        for number in range(2):
            step(first, run, stage, number)
        save_state(tmp_path / "state.pt", first.state_dict())
        second = begin(run, stage, artefacts)
        second.load_state_dict(load_state(tmp_path / "state.pt"))
        for number in range(2, 4):
            resumed = step(second, run, stage, number)
        assert equal(straight.state_dict(), second.state_dict()), stage.name
        assert equal(straight.artefact(), second.artefact()), stage.name
        assert equal(logs, resumed), stage.name


@every
def test_updates_from_the_buffers_of_a_graph_have_the_same_bits(case: str, tmp_path: Path) -> None:
    """Also those that cannot be captured: the attempt has left no trace."""
    run = made(case, tmp_path)
    artefacts = trained(run, run.method)
    for stage in run.method.stage().lineage():
        eager, captured = (begin(run, stage, artefacts) for _ in range(2))
        assert isinstance(captured, NetworkTraining)
        from_buffers = Captured(captured, CPU)
        for number in range(4):
            logs = step(eager, run, stage, number)
            batch, probe = loader(run, stage).batch(3, number), number % 2 == 1
            torch.manual_seed(number)
            try:
                alike = from_buffers.update(batch, probe)
            except NotCapturable:
                alike = captured.update(batch, probe)
            assert equal(logs, alike), stage.name
        assert equal(eager.state_dict(), captured.state_dict()), stage.name
        assert equal(eager.artefact(), captured.artefact()), stage.name


@every
def test_each_step_logs_a_loss_and_whether_all_is_finite(case: str, tmp_path: Path) -> None:
    run = made(case, tmp_path)
    artefacts = trained(run, run.method)
    for stage in run.method.stage().lineage():
        logs = step(begin(run, stage, artefacts), run, stage, 1)
        assert bool(logs["finite"]) and any(key.startswith("loss") for key in logs)
        assert all(value.dim() == 0 and not value.requires_grad for value in logs.values())


@every
def test_no_step_asks_the_device_for_a_value(case: str, tmp_path: Path) -> None:
    run = made(case, tmp_path)
    artefacts = trained(run, run.method, steps=1)
    for stage in run.method.stage().lineage():
        training = begin(run, stage, artefacts)
        if getattr(training, "reads_values", False):
            continue
        batches = [loader(run, stage).batch(3, number) for number in range(2)]  # the host's work
        with NoWaiting():
            for number, batch in enumerate(batches):
                training.update(batch, probe=number % 2 == 1)


def test_the_mode_notices_what_waits() -> None:
    for asks in (lambda t: t.sum().item(), lambda t: bool(t[0]), lambda t: t[t > 0]):
        with NoWaiting(), pytest.raises(AssertionError, match="the host asks for a value"):
            asks(torch.ones(2))


@every
def test_two_ranks_train_as_one(case: str, tmp_path: Path) -> None:
    """A whole run on two processes ends with the scores of one, up to rounding."""
    alone = execute(made(case, tmp_path / "one"))
    shared = execute(made(case, tmp_path / "two", "trainer.devices=2"))
    one, two = alone.metrics, shared.metrics
    assert one.keys() == two.keys()
    for name in one:
        digits = 10 ** -METRICS[re.sub("^(pretrained_on_)?(degraded|clean)_", "", name)].digits
        assert two[name] == pytest.approx(one[name], abs=2 * digits), name


# the end of training


@every
def test_the_last_stage_leaves_tensors_alone(case: str, tmp_path: Path) -> None:
    run = made(case, tmp_path)
    weights = trained(run, run.method)[run.method.stage().id]
    assert weights
    for network in weights.values():
        assert network and all(isinstance(value, Tensor) for value in network.values())


@every
def test_restored_networks_score_the_same(case: str, tmp_path: Path) -> None:
    run = made(case, tmp_path)
    weights = trained(run, run.method)[run.method.stage().id]
    save_state(tmp_path / "weights.pt", weights)
    tables = []
    for state in (weights, load_state(tmp_path / "weights.pt")):
        method = method_of(run.config)
        method.restore(state, CPU)
        assert set(method.networks) == set(weights)
        tables.append(scored(run, method))
    pd.testing.assert_frame_equal(*tables, check_exact=True)


@every
def test_it_has_the_scores_that_it_names(case: str, tmp_path: Path) -> None:
    run = made(case, tmp_path)
    run.method.restore(trained(run, run.method)[run.method.stage().id], CPU)
    metrics = evaluation.summarise(scored(run, run.method))
    assert run.method.metrics() and set(run.method.metrics()) <= set(metrics)


@every
def test_scores_depend_on_neither_batch_nor_order(case: str, tmp_path: Path) -> None:
    run = made(case, tmp_path)
    run.method.restore(trained(run, run.method)[run.method.stage().id], CPU)
    config, tables = run.config, []
    for size in (8, 3):
        parts = []
        for batch in test_batches(run.images(), "test", size, config.degradation, 0, CPU):
            restored = run.method.restore_images(batch, ImageNoise(0, batch.ids, CPU))
            parts.append(run.method.evaluate(batch, restored))
        tables.append({name: torch.cat([p[name] for p in parts]).double() for name in parts[0]})
    for name, values in tables[0].items():
        torch.testing.assert_close(values, tables[1][name], rtol=1e-4, atol=1e-4)


@every
def test_an_interrupted_evaluation_goes_on(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, cut = (made(case, tmp_path / name, "evaluation.batch_size=3") for name in "ab")
    weights = trained(whole, whole.method)[whole.method.stage().id]
    reference = scoring.score(whole, weights, CPU, {})
    degradation = whole.config.degradation
    batches = len(list(test_batches(whole.images(), "test", 3, degradation, 0, CPU)))
    preemption.listen()
    times = 0
    while True:
        os.kill(os.getpid(), signal.SIGUSR2)  # asked to stop after every batch
        try:
            results = scoring.score(cut, weights, CPU, {})
            break
        except preemption.Interrupted:
            times += 1
            if times == batches:  # the last batch is scored: nothing is left to interrupt
                monkeypatch.setattr(preemption, "raise_if_requested", lambda: None)
    assert times == batches > 1 and results == reference
    files = [{p.name: p.read_bytes() for p in _left_by(run)} for run in (whole, cut)]
    assert files[0] == files[1] and "scores.csv" in files[0]


def _left_by(run: Run) -> list[Path]:
    return sorted(path for path in run.study.run(run.id).rglob("*") if path.is_file())


# what it says of itself


@every
def test_it_describes_itself(case: str, tmp_path: Path) -> None:
    run = made(case, tmp_path)
    description = run.method.describe()
    assert isinstance(description, Description) and description.title and description.parts
    texts = [description.title, *description.parts, *description.parts.values()]
    assert all(isinstance(text, str) and "\n" not in text for text in texts)
    networks = set(run.method.build_networks())
    assert set(description.exported) <= networks
    assert not description.network or description.network in networks
    names = [description.exported.get(network, network) for network in networks]
    assert not any(a != b and a.startswith(f"{b}.") for a in names for b in names)
    assert set(run.method.reads()) >= {"dataset"}


@every
def test_it_names_the_network_that_restores(case: str, tmp_path: Path) -> None:
    """The one that an image goes through, if an image alone can be enhanced."""
    method, used = made(case, tmp_path).method, []
    method.networks = method.build_networks()
    for name, network in method.networks.items():
        network.eval().register_forward_hook(lambda *_, name=name: used.append(name))
    facts, described = method.config.facts, method.describe()
    try:
        enhanced = method.enhance(torch.rand(1, facts.inputs, 32, 32))
    except RunError:
        assert not described.restorer
        return
    only = next(iter(method.networks)) if len(method.networks) == 1 else ""
    assert set(used) == {described.restorer or only}
    assert enhanced.shape[1] == facts.channels and not enhanced.requires_grad


@every
def test_the_network_of_its_card_is_called_as_the_card_says(case: str, tmp_path: Path) -> None:
    method = made(case, tmp_path).method
    described, inputs = method.describe(), method.config.facts.inputs
    if not described.network:
        assert not described.inputs
        return
    network = method.build_networks()[described.network].eval()
    further = [torch.full((2,), 0.1) for _ in described.inputs]
    assert network(torch.rand(2, inputs, 32, 32), *further).isfinite().all()
