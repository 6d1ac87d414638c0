"""`trainer.extend`: a longer training goes on from a shorter one, and nothing tells them apart."""

import logging
import shutil
from pathlib import Path
from typing import Any

import pytest
from support import cli_process, contract_cases, tiny_runs

from gradprom.disk import clean, usage
from gradprom.disk.needs import needs_of
from gradprom.errors import ConfigError
from gradprom.runs.execution import execute
from gradprom.runs.plan_note import PlannedRun, PlanNote
from gradprom.runs.record import Record
from gradprom.storage.files import write_checked
from gradprom.storage.stage_names import END
from gradprom.sweeps.plan import describe, make_plan
from gradprom.training.engine import Progress

# rows of three steps, and of two steps an epoch: a shorter training ends within a row
FLAT = ("trainer.schedule=constant", "trainer.log_every=3")
EXTEND = (*FLAT, "trainer.extend=true")
OPTIMIZERS = ("method.generator.schedule=constant", "method.discriminator.schedule=constant")
QUICK = ("random gate",)
SLOW = ("gan", "gradprom", "unsupervised", "usaid", "d2sm", "sud", "ddm", "task_gan", "recognizer")
CASES = [*QUICK, *(pytest.param(case, marks=pytest.mark.trainings) for case in SLOW)]


def words(case: str) -> list[str]:
    own = [*contract_cases.OWN[case], *EXTEND]
    return [*own, *OPTIMIZERS] if "gan" in case else own


def train(results: Path, *overrides: str) -> tuple[Record, list[Progress]]:
    seen: list[Progress] = []
    record = execute(tiny_runs.make(results, *overrides), seen.append)
    assert record is not None
    return record, seen


def last_steps(record: Record, seen: list[Progress]) -> list[int]:
    """Steps at which rows of the last stage ended in this process."""
    return [each.step for each in seen if each.stage.id == record.training_id]


@pytest.mark.parametrize("case", CASES)
def test_a_longer_training_is_that_of_one_at_once(case: str, tmp_path: Path) -> None:
    at_once, _ = train(tmp_path / "at once", *words(case), "trainer.coupled_epochs=5")
    results = tmp_path / "longer"
    shorter, seen = train(results, *words(case), "trainer.coupled_epochs=3")
    steps = last_steps(shorter, seen)[-1]
    longer, seen = train(results, *words(case), "trainer.coupled_epochs=5")
    assert longer.id == at_once.id != shorter.id
    # it goes on before the last step, and not from the beginning
    assert [step for step in last_steps(longer, seen) if step < steps] == []
    assert longer.interruptions == 0 and longer.training == at_once.training
    one, other = (cli_process.outcome(tmp_path / name, at_once) for name in ("at once", "longer"))
    assert one == other


def test_the_end_of_a_run_is_the_same_whether_it_is_kept(tmp_path: Path) -> None:
    own = [*contract_cases.OWN["mainstream"], *FLAT]
    kept, _ = train(tmp_path / "kept", *own, "trainer.extend=true")
    plain, _ = train(tmp_path / "plain", *own)
    assert kept.id == plain.id
    assert not list((tmp_path / "plain" / "stages").glob(f"*/{END}"))
    assert len(list((tmp_path / "kept" / "stages").glob(f"*/{END}"))) == 1
    one, other = (cli_process.outcome(tmp_path / name, kept) for name in ("kept", "plain"))
    assert one == other


@pytest.fixture(scope="module")
def shorter(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Record]:
    """A run of three epochs that has kept its end."""
    results = tmp_path_factory.mktemp("shorter") / "results"
    record, _ = train(results, *words("mainstream"), "trainer.coupled_epochs=3")
    return results, record


@pytest.fixture
def results(shorter: tuple[Path, Record], tmp_path: Path) -> Path:
    return shutil.copytree(shorter[0], tmp_path / "results")


def longer(results: Path, *further: str) -> Any:
    return tiny_runs.make(results, *words("mainstream"), "trainer.coupled_epochs=6", *further)


def test_the_plan_says_where_it_goes_on(results: Path, shorter: tuple[Path, Record]) -> None:
    run = longer(results)
    text = describe(make_plan([run], retry_failed=False))
    begins = f"coupled {run.training_id} goes on from {shorter[1].training_id} at epoch 3"
    assert begins in text and "1 × coupled: 6 steps" in text
    # another rate, another seed, and a warm-up that grows with the whole: other trainings
    for change in ("trainer.lr=0.001", "seed=1", "warmup_share=0.5"):
        other = longer(results, change)
        text = describe(make_plan([other], retry_failed=False))
        epochs = other.config.trainer.coupled_epochs
        name = f"coupled than {other.training_id}"
        assert f"no shorter {name} has kept its end: all {epochs} epochs are trained" in text
    assert "kept its end" not in describe(
        make_plan([longer(results, "trainer.extend=false")], retry_failed=False)
    )


def test_interrupted_it_goes_on(results: Path, tmp_path: Path) -> None:
    run = longer(results, "trainer.checkpoint_seconds=0")

    def stop(progress: Progress) -> None:
        if progress.step == 9:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        execute(run, stop)
    record = execute(run)
    assert record is not None
    at_once, _ = train(tmp_path / "at once", *words("mainstream"), "trainer.coupled_epochs=6")
    assert cli_process.outcome(results, record) == cli_process.outcome(
        tmp_path / "at once", at_once
    )


@pytest.mark.parametrize("why", ["rows", "damaged"])
def test_an_end_that_does_not_fit_is_not_taken(
    results: Path, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    [end] = (results / "stages").glob(f"*/{END}")
    if why == "damaged":
        end.write_bytes(end.read_bytes()[:-1])
    further = ["trainer.log_every=1"] if why == "rows" else []
    seen: list[Progress] = []
    with caplog.at_level(logging.WARNING):
        record = execute(longer(results, *further), seen.append)
    assert record is not None
    assert last_steps(record, seen)[0] == (1 if why == "rows" else 3)
    told = {"rows": "another trainer.log_every", "damaged": "is damaged"}[why]
    assert told in caplog.text and "is trained from its beginning" in caplog.text


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        (["trainer.schedule=onecycle"], "with the schedule onecycle the rate of a step depends on"),
        (["method=total_variation", "degradation=deblur"], "its method does not say that steps"),
        (["method=pixel", "method.generator.schedule=cosine"], "with the schedule cosine the rate"),
    ],
)
def test_what_is_not_exact_is_refused(overrides: list[str], reason: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="trainer.extend=true: a longer training would not") as e:
        tiny_runs.make(tmp_path, *tiny_runs.SMALL, "trainer.extend=true", *overrides)
    assert reason in str(e.value)


def test_the_disk_knows_of_ends(results: Path, shorter: tuple[Path, Record]) -> None:
    [end] = (results / "stages").glob(f"*/{END}")
    assert f"ends {usage.size_text(end.stat().st_size)}" in usage.overview(results)
    found = clean.find(results, clean.KINDS, [])
    assert (clean.ENDS, "ends from which longer trainings go on") in found.kept
    sizes = [
        size
        for (kind, _), each in found.kept.items()
        for size in each
        if kind in ("weights", "ends")
    ]
    assert sum(sizes) == usage.size_of(end.parent)
    assert all(item.path != end for item in found.items)

    found = clean.find(results, [clean.ENDS], [])
    assert [item.path for item in found.items] == [end]
    # a longer run that is planned needs it, and the folder in which it is
    run = longer(results)
    planned = PlannedRun(
        id=run.id, label="", overrides=[*words("mainstream"), "trainer.coupled_epochs=6"]
    )
    write_checked(
        results / "local" / "sweeps" / "planned" / "plan.json", PlanNote(runs=[planned]).to_json()
    )
    assert shorter[1].training_id in needs_of(results).unfinished
    assert not clean.find(results, [clean.ENDS], [("local", shorter[1].id)]).items
    assert execute(run) is not None

    assert clean.remove(clean.find(results, [clean.ENDS], []).items)[0] > 0
    assert not list((results / "stages").glob(f"*/{END}"))
    assert (end.parent / "artefact.pt").exists()
