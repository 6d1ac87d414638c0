"""Updates as CUDA graphs replay them, on a CPU: from buffers, and without a trace of warming up.

Where a graph would be replayed the update is called; all else is the same code. `test_graph_cuda`
has what needs a GPU.
"""

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch
from support import graph_checks, small_training
from support.coupled_steps import CPU, batch, equal, networks, optimizer_state
from support.small_training import training
from torch import Tensor, nn
from torch.nn import functional as F

from gradprom.config import Trainer, component
from gradprom.config.components import component_names
from gradprom.data.loader import Batch
from gradprom.errors import RunError
from gradprom.methods.coupled_training import EnhancerTraining
from gradprom.strategies import Strategy
from gradprom.training import graph
from gradprom.training.graph import Captured, NotCapturable, Updates
from gradprom.training.networks import Networks, NetworkTraining
from gradprom.training.optimization import OptimizerOptions

STEPS = 9
REQUIRED = Trainer(graph="true")


def probed(step: int) -> bool:
    return step % 3 == 2


def whole_state(trained: EnhancerTraining) -> list[Tensor]:
    """Weights, statistics, moments, averaged weights and the strategy's state."""
    tensors = [*trained.strategy.state_dict().values(), *optimizer_state(trained)]
    for weights in (trained.networks.weights(), trained.networks.averages):
        tensors += [value for network in weights.values() for value in network.values()]
    return tensors


def rates(trained: EnhancerTraining) -> list[Any]:
    optimizers = trained.networks.optimizers.values()
    return [(o.optimizer.param_groups[0]["lr"], o.schedule.state_dict()) for o in optimizers]


def assert_alike(eager: EnhancerTraining, captured: EnhancerTraining) -> None:
    assert equal(whole_state(eager), whole_state(captured))
    assert rates(eager) == rates(captured)


# the same bits

CYCLE = ("trainer.schedule=onecycle", f"trainer.coupled_epochs={STEPS}")
CASES = [
    ["strategy=gradprom", "auxiliary=multitask", "auxiliary.batchnorm=train"],
    ["strategy=gradprom", *CYCLE, "trainer.clip=0.05"],
    ["strategy=gradprom", "strategy.granularity=layer", "supervision=unsupervised"],
    ["strategy=joint", "trainer.precision=bf16"],
    ["strategy=frozen", "auxiliary=segmentation", "trainer.channels_last=true"],
]


@pytest.mark.parametrize("words", CASES, ids=" ".join)
def test_updates_have_the_bits_of_eager_ones(words: list[str]) -> None:
    """Logs, weights, statistics, moments and rates; resumed in the middle, too."""
    eager, first, second = training(*words), training(*words), training(*words)
    update = Updates("coupled", first, REQUIRED, CPU)
    for step in range(STEPS):
        if step == STEPS // 2:
            second.load_state_dict(copy.deepcopy(first.state_dict()))
            update = Updates("coupled", second, REQUIRED, CPU)
        logs = eager.update(small_training.batch(step), probed(step))
        assert logs == update(small_training.batch(step), probed(step))
    assert update.kind == "static"
    assert_alike(eager, second)


def test_random_numbers_of_networks_are_those_of_eager_updates() -> None:
    def with_dropout() -> EnhancerTraining:
        made = training("strategy=joint")
        made.enhancer.append(nn.Dropout(0.5))
        return made

    eager, captured = with_dropout(), with_dropout()
    update = Updates("coupled", captured, REQUIRED, CPU)
    for step in range(STEPS):
        torch.manual_seed(step)
        eager.update(small_training.batch(step), probed(step))
        torch.manual_seed(step)
        update(small_training.batch(step), probed(step))
    assert_alike(eager, captured)


class Averaged(NetworkTraining):
    """A network with averaged weights, moments that SGD makes, and a note of what it was given."""

    def __init__(self, **options: Any):
        network = networks([])[0]
        chosen = OptimizerOptions("sgd", 0.1, average=0.9, schedule="cosine", **options)
        super().__init__(Networks({"one": network}, {"one": chosen}, Trainer(), CPU, STEPS))
        self.given: list[Batch] = []

    def update(self, batch: Batch, probe: bool) -> dict[str, Tensor]:
        self.given.append(batch)
        loss, finite = self.networks.backward(
            F.mse_loss(self.networks["one"](batch.input), batch.target)
        )
        return {"loss_main": loss, "finite": finite}


def test_averaged_weights_and_the_moments_of_sgd() -> None:
    eager, captured = Averaged(), Averaged()
    update = Updates("one", captured, REQUIRED, CPU)
    for step in range(STEPS):
        assert eager.update(batch(step), False) == update(batch(step), False)
    assert update.kind == "static"
    assert equal(*([*t.networks.averages["one"].values()] for t in (eager, captured)))
    assert equal(*(flat(t.state_dict()) for t in (eager, captured)))


def flat(state: Any) -> list[Tensor]:
    if isinstance(state, Tensor):
        return [state]
    parts = state.values() if isinstance(state, dict) else state if isinstance(state, list) else ()
    return [tensor for part in parts for tensor in flat(part)]


def test_an_update_that_is_not_finite_changes_nothing_but_the_schedule() -> None:
    words = ["strategy=gradprom", *CYCLE]
    eager, captured = training(*words), training(*words)
    update = Updates("coupled", captured, REQUIRED, CPU)
    for step in range(4):
        given = small_training.batch(step)
        if step in (0, 2):  # the first is warmed up with
            given.target[0, 0, 0, 0] = torch.inf
        logs = eager.update(given, False), update(given, False)
        assert logs[0]["finite"] == logs[1]["finite"] == (step not in (0, 2))
    assert_alike(eager, captured)


# the buffers


def test_batches_are_copied_into_buffers() -> None:
    trained = Averaged()
    update = Updates("one", trained, REQUIRED, CPU)
    for step in range(4):
        given = batch(step)
        update(given, False)
        [*_, seen] = trained.given
        assert torch.equal(seen.input, given.input) and torch.equal(seen.target, given.target)
        assert all(torch.equal(seen.annotations[key], given.annotations[key]) for key in ("mask",))
    seen = [seen.input.data_ptr() for seen in trained.given]
    assert len(seen) == graph.WARM_UPS + 4 and len(set(seen)) == 1
    assert not any(seen.ids for seen in trained.given)  # those of one batch would be wrong


def test_a_smaller_batch_is_an_eager_update() -> None:
    eager, captured = training("strategy=gradprom"), training("strategy=gradprom")
    update = Updates("coupled", captured, REQUIRED, CPU)
    for step in range(5):
        given = small_training.batch(step)
        if step == 3:
            some = {name: value[:3] for name, value in given.annotations.items()}
            given = Batch(given.ids[:3], given.input[:3], given.target[:3], some)
        eager.update(given, probed(step))
        update(given, probed(step))
    assert update.kind == "static"
    assert_alike(eager, captured)


# what cannot be captured


def kept(strategy: type[Strategy]) -> bool:
    """Whether it has a state, which decides from step to step on the host."""
    return strategy.state_dict is not Strategy.state_dict


@pytest.mark.parametrize("name", sorted(component_names("strategy")))
def test_strategies_are_captured_unless_they_keep_a_state(name: str) -> None:
    """Those that do go on as if no one had tried."""
    words = [f"strategy={name}", *(["auxiliary=none"] if name == "mainstream" else [])]
    eager, captured = training(*words), training(*words)
    update = Updates("coupled", captured, Trainer(graph="auto"), CPU)
    update._captured = Captured(captured, CPU)  # as on CUDA
    for step in range(4):
        assert equal_logs(
            eager.update(small_training.batch(step), probed(step)),
            update(small_training.batch(step), probed(step)),
        )
    assert update.kind == ("eager" if kept(component("strategy", name).Options) else "static")
    assert_alike(eager, captured)


def equal_logs(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    pairs = zip(one.items(), other.items(), strict=True)
    return all(a == b and torch.equal(x.nan_to_num(), y.nan_to_num()) for (a, x), (b, y) in pairs)


class Counting(Averaged):
    """Counts its updates on the host."""

    count = 0

    def update(self, batch: Batch, probe: bool) -> dict[str, Tensor]:
        self.count += 1
        return super().update(batch, probe)

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "count": self.count}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.count = state["count"]


class Summing(Averaged):
    """Adds up in place, but in a tensor that it makes when it is needed."""

    total: Tensor | None = None

    def update(self, batch: Batch, probe: bool) -> dict[str, Tensor]:
        logs = super().update(batch, probe)
        self.total = torch.zeros(()) if self.total is None else self.total
        self.total += logs["loss_main"]
        return logs

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "total": self.total}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.total = state["total"]


class Twice(Averaged):
    """Two steps an update."""

    def update(self, batch: Batch, probe: bool) -> dict[str, Tensor]:
        super().update(batch, probe)
        return super().update(batch, probe)


class Accumulating(Averaged):
    """Leaves gradients to the next update."""

    def update(self, batch: Batch, probe: bool) -> dict[str, Tensor]:
        logs = super().update(batch, probe)
        self.networks["one"](batch.input).mean().backward()
        return logs


class Failing(Averaged):
    """Does not know what to do with a probe."""

    def update(self, batch: Batch, probe: bool) -> dict[str, Tensor]:
        logs = super().update(batch, probe)
        if probe:
            raise ValueError("no probe")
        return logs


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (Counting, "an update moves count, or changes it on the host"),
        (Summing, "a resume moves total, or changes it on the host"),
        (Twice, "an update steps one optimizer more than once"),
        (Accumulating, "an update leaves gradients to the next one"),
    ],
)
def test_an_update_that_a_replay_would_not_repeat(
    kind: type[Averaged], reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    eager, tried = kind(), kind()
    with pytest.raises(NotCapturable, match=f"^{reason}$"):
        Captured(tried, CPU).update(batch(0), False)
    for step in range(3):
        assert eager.update(batch(step), False) == tried.update(batch(step), False)
    assert equal(flat(eager.state_dict()), flat(tried.state_dict()))
    with pytest.raises(RunError, match="trainer.graph=true and updates of stage one cannot be"):
        Updates("one", kind(), REQUIRED, CPU)(batch(0), False)


def test_a_capture_that_fails_leaves_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason is what went wrong first, and not what the end of the capture says of it."""

    def record(self: graph.Caller, call: Any) -> Any:
        try:
            call()
            raise ValueError("not while capturing")
        finally:
            raise RuntimeError("the capture failed due to a previous error")

    monkeypatch.setattr(graph.Caller, "record", record)
    words = ["strategy=gradprom", *CYCLE]
    eager, tried = training(*words), training(*words)
    update = Updates("coupled", tried, Trainer(), CPU)
    update._captured = Captured(tried, CPU)  # as on CUDA
    with pytest.raises(NotCapturable, match="^not while capturing$"):
        Captured(tried, CPU).update(small_training.batch(0), False)
    for step in range(3):
        eager.update(small_training.batch(step), probed(step))
        update(small_training.batch(step), probed(step))
    assert update.kind == "eager"
    assert_alike(eager, tried)


def test_an_error_of_the_update_itself_is_raised_by_an_eager_one() -> None:
    trained = Failing()
    update = Updates("one", trained, Trainer(), CPU)
    update._captured = Captured(trained, CPU)
    update(batch(0), False)
    with pytest.raises(ValueError, match="^no probe$"):
        update(batch(1), True)
    assert update.kind == "eager"


def test_what_is_known_without_a_try(monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    def reason(trained: Any, device: torch.device = CPU, **options: Any) -> str:
        with pytest.raises(RunError, match="use trainer.graph=auto") as caught:
            Updates("one", trained, replace(REQUIRED, **options), device)
        return str(caught.value)

    class Own:
        pass

    assert "(Own is no NetworkTraining)" in reason(Own())
    assert "(mps has no CUDA graphs)" in reason(Averaged(), torch.device("mps"))
    monkeypatch.setattr(graph.distributed, "ranks", lambda: 2)
    assert "(several devices share each batch)" in reason(Averaged())


def test_the_log_says_how_updates_are_taken_and_why(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    for kind, options in ((Averaged, REQUIRED), (Counting, Trainer()), (Averaged, Trainer())):
        trained = kind()
        update = Updates("one", trained, options, CPU)
        if kind is Counting:
            update._captured = Captured(trained, CPU)
        for step in range(4):
            update(batch(step), probed(step))
    told = [record.getMessage() for record in caplog.records]
    assert told == [
        "stage one: updates are called in the buffers of a CUDA graph",
        "stage one: updates are not captured as a CUDA graph (an update moves count, or changes "
        "it on the host)",
    ]


# whole stages


@pytest.mark.parametrize("strategy", ["gradprom", "joint", "frozen"])
def test_a_stage_ends_with_the_same_bits(strategy: str, tmp_path: Any) -> None:
    """By the engine, with the loader's batches, and interrupted in the middle."""
    small = ("dataset.size=32", "backbone.channels=4", "backbone.blocks=1")
    found = graph_checks.compare(tmp_path, strategy, CPU, 12, *small)
    assert found.differences == [] and found.kinds == ("eager", "static", "static")
