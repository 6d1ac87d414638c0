"""Compilation and the layout in memory change training by nothing but rounding."""

import copy
from pathlib import Path

import pytest
import torch
from support import coupled_steps, tiny_runs
from support.small_training import CPU, batch, training
from torch import nn

from gradprom.config import Trainer
from gradprom.errors import RunError
from gradprom.runs.execution import execute
from gradprom.sweeps import plan, preflight
from gradprom.training import precision

# the memory layout


def test_channels_last_changes_nothing_but_rounding() -> None:
    """And a training goes on in the other layout where it has stopped in one."""
    words = ("strategy=gradprom", "auxiliary=multitask")
    trained = {
        last: training(*words, f"trainer.channels_last={last}", kind=torch.float64)
        for last in (False, True)
    }
    for step in range(4):
        if step == 2:
            plain, last = (each.state_dict() for each in trained.values())
            trained[False].load_state_dict(copy.deepcopy(last))
            trained[True].load_state_dict(copy.deepcopy(plain))
        logs = [each.update(coupled_steps.batch(step), probe=True) for each in trained.values()]
        for name, value in logs[0].items():
            torch.testing.assert_close(logs[1][name], value, rtol=1e-9, atol=1e-12)
    pairs = zip(*(each.enhancer.parameters() for each in trained.values()), strict=True)
    strides = []
    for plain, last in pairs:
        torch.testing.assert_close(last, plain, rtol=1e-9, atol=1e-12)
        strides.append(plain.stride() == last.stride())
    assert not all(strides)


def test_a_machine_that_cannot_compile(tmp_path: Path) -> None:
    """Told before anything is trained, in a sentence."""
    run = tiny_runs.make(tmp_path, *tiny_runs.PHANTOM, "trainer.compile=true")
    told = (
        "trainer.compile=true and torch cannot compile on this machine .*compile=false, or install"
    )
    precision._require_compiler.cache_clear()
    with torch._inductor.config.patch({"cpp.cxx": (str(tmp_path / "g++"),)}):
        with pytest.raises(RunError, match=told) as caught:
            preflight.preflight(plan.make_plan([run], retry_failed=False))
        with pytest.raises(RunError, match=told):
            execute(run)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "stages").exists()


def test_torchs_own_message_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """And no compiler is asked for where something else is wrong."""

    def broken(_: object) -> None:
        raise RuntimeError("Unexpected optimization option x " + "y" * 20_000)

    monkeypatch.setattr(torch, "compile", broken)
    precision._require_compiler.cache_clear()
    with pytest.raises(RunError, match="Unexpected optimization option x") as caught:
        precision.require_supported(Trainer(compile=True), CPU)
    assert len(str(caught.value)) < 400 and "C++" not in str(caught.value)


@pytest.mark.parametrize("known", [set(), {"donated_buffer"}, {"deterministic"}])
def test_options_that_a_version_of_torch_does_not_have_are_not_set(
    known: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch._functorch
    import torch._inductor

    class Options:
        """Refuses what it does not know, as torch's modules of options do."""

        __slots__ = ("donated_buffer", "deterministic")

        def __init__(self) -> None:
            for name in known:
                super().__setattr__(name, None)

        def __setattr__(self, name: str, value: bool) -> None:
            if name not in known:
                raise AttributeError(f"torch.config.{name} does not exist")
            super().__setattr__(name, value)

    options = Options()
    monkeypatch.setattr(torch._functorch, "config", options)
    monkeypatch.setattr(torch._inductor, "config", options)
    monkeypatch.setattr(precision, "_use_own_cache", lambda: None)
    for deterministic in (True, False):
        precision._set_compiler(Trainer(deterministic=deterministic))
        wanted = {"donated_buffer": False, "deterministic": deterministic}
        assert {name: getattr(options, name) for name in known} == {n: wanted[n] for n in known}


def test_compiled_code_has_a_cache_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torch._inductor.runtime.runtime_utils import cache_dir

    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    places = []
    for _ in range(2):
        precision._set_compiler(Trainer())
        places.append(Path(cache_dir()))
    assert places[0] == places[1] and places[0].parent == tmp_path


def test_compiled_steps_are_eager_ones_up_to_rounding() -> None:
    """Two passes back through a compiled graph, BatchNorm's two modes, and the way to eager."""
    precision._require_compiler.cache_clear()
    precision.require_supported(Trainer(compile=True), CPU)  # which compiles a line
    words = ["strategy=gradprom", "supervision=unsupervised"]
    eager, compiled = training(*words), training(*words, "trainer.compile=true")
    for number in range(3):
        told = [each.update(batch(number), probe=False) for each in (eager, compiled)]
        for name, value in told[0].items():
            torch.testing.assert_close(told[1][name], value, rtol=1e-4, atol=1e-6)
    for name, network in eager.networks.networks.items():
        states = network.state_dict(), compiled.networks[name].state_dict()
        assert list(states[0]) == list(states[1])
        for key, value in states[0].items():
            torch.testing.assert_close(states[1][key], value, rtol=1e-4, atol=1e-5)
    learning = [compiled.networks[name] for name in compiled.networks.optimizers]
    assert len(learning) == 2 and all(map(graphs_of, learning))
    resumed = training(*words)
    resumed.load_state_dict(compiled.state_dict())
    told = [each.update(batch(3), probe=False) for each in (resumed, compiled)]
    for name, value in told[0].items():
        torch.testing.assert_close(told[1][name], value, rtol=1e-4, atol=1e-6)


def graphs_of(network: nn.Module) -> bool:
    """Whether the network's output comes from a compiled graph."""
    with torch.enable_grad():
        output = network(batch(0).input)
    return "CompiledFunction" in type(output.grad_fn).__name__
