"""What a method reads in training and in evaluation is part of the ids of its stages and runs.

The worst fault of a method is silent: a key that its training or its evaluation reads and that it
does not declare lets two configurations share a stage, or a run, and puts a wrong number into a
table.
"""

from pathlib import Path
from typing import Any

import pytest
from support.contract_cases import CPU, every, loader, made, method_of, scored
from support.watched_config import changed, hashed_keys, watched

from gradprom.config import Config
from gradprom.runs.run import Run
from gradprom.training.stage import Start

WITHOUT_EFFECT = {"auxiliary.pretrained": "the small networks have no weights to start from"}
"""Keys that are read and cannot change a result, and why."""


# identity


@every
def test_equal_configurations_give_equal_stages(case: str) -> None:
    one, other = made(case).method.stage().lineage(), made(case).method.stage().lineage()
    assert [stage.id for stage in one] == [stage.id for stage in other]
    assert len({stage.id for stage in one}) == len(one)


@every
def test_what_is_read_is_declared(case: str, tmp_path: Path) -> None:
    """Each hashed value that training or evaluation read changes the run's id, or is no use."""
    run = made(case, tmp_path)
    config, reads = watched(run.config)
    method = method_of(config)
    artefacts: dict[str, Any] = {}
    for stage in method.stage().lineage():
        batches = loader(run, stage)
        with reads.recorded():
            training = stage.begin(Start(artefacts, batches.steps_per_epoch, CPU))
            for number in range(2):
                training.update(batches.batch(3, number), probe=True)
        artefacts[stage.id] = training.artefact()
    with reads.recorded():
        method.restore(artefacts[method.stage().id], CPU)
        scored(run, method)
    keys = {key for key in hashed_keys(run.config) if not key.startswith("facts.")}  # the dataset's
    read = (reads.keys & keys) - WITHOUT_EFFECT.keys()
    assert read  # it reads something, so the watch works
    same = [key for key in sorted(read) if _run_id(run, changed(run.config, key)) == run.id]
    assert not same


@every
def test_what_stages_are_fed_is_declared(case: str) -> None:
    """Whatever changes a stage's batches changes its id."""
    run = made(case)
    before = {stage.name: stage for stage in run.method.stage().lineage()}
    for key in sorted(hashed_keys(run.config) - {"auxiliary.tasks"}):
        for stage in method_of(changed(run.config, key)).stage().lineage():
            # a key may also change which stages there are
            if stage.name in before and stage.batches != before[stage.name].batches:
                assert stage.id != before[stage.name].id, key


@every
def test_other_test_conditions_are_other_runs(case: str) -> None:
    run = made(case)
    keys = [key for key in hashed_keys(run.config) if key.startswith("degradation.")]
    for key in [*keys, "evaluation.seed"]:
        assert _run_id(run, changed(run.config, key)) != run.id, key


def _run_id(run: Run, config: Config) -> str:
    return Run(config, run.composed, run.choices, run.overrides).id


def test_the_watch_notices_a_key_that_is_not_declared(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from gradprom.methods import task_driven

    reads = task_driven.TaskDriven._enhancer_reads

    def forgetful(self: Any) -> dict[str, Any]:
        declared = reads(self)
        declared["trainer"] = {**declared["trainer"], "lr": None}
        return declared

    monkeypatch.setattr(task_driven.TaskDriven, "_enhancer_reads", forgetful)
    with pytest.raises(AssertionError, match=r"trainer\.lr"):
        test_what_is_read_is_declared("mainstream", tmp_path)
