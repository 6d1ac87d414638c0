"""Golden ids: of records that people have.

A change here orphans all of them, so raise the version of a stage, or use `identity.added`, and do
not paste new ones.
"""

from dataclasses import replace
from pathlib import Path

import pytest
from support import tiny_runs

from gradprom.runs.run import Run
from gradprom.training.stage import Stage

CONSTANT = {
    "profile=paper": {
        "warmup": "15fcd05c0062",
        "recognizer.diagnosis": "b410309b0be2",
        "coupled": "e2974a6d927d",
        "run": "1efcfaf2ab9b",
    },
    "strategy=gradprom": {
        "warmup": "44415c75af79",
        "recognizer.diagnosis": "214a583babc6",
        "coupled": "2b199af0f84a",
        "run": "92d1538837e4",
    },
    "strategy=frozen": {
        "warmup": "44415c75af79",
        "recognizer.diagnosis": "214a583babc6",
        "coupled": "6d39aa3db424",
        "run": "8b92d53a7eee",
    },
    "strategy=joint": {
        "warmup": "44415c75af79",
        "recognizer.diagnosis": "214a583babc6",
        "coupled": "9be03a6d189b",
        "run": "06755382fb0c",
    },
    "strategy=mainstream": {
        "warmup": "44415c75af79",
        "coupled": "6187a7a3c32a",
        "run": "c01c7fddb6de",
    },
    "method=recognizer": {
        "benchmark": "c8532797022c",
        "run": "2a1d935a7e4d",
    },
    "auxiliary=multitask supervision=unsupervised": {
        "warmup": "44415c75af79",
        "recognizer.diagnosis": "214a583babc6",
        "recognizer.segmentation": "743ffe32c5af",
        "coupled": "117590762f3a",
        "run": "095e9b636080",
    },
    "dataset=covid_ct noise=0.3 seed=2": {
        "warmup": "ebbadc193502",
        "recognizer.diagnosis": "9d5ff8126eab",
        "coupled": "7d67f3b143d5",
        "run": "6b1197e4acf5",
    },
}
"""On `trainer.schedule=constant`, as they have been since there were ids."""

ONECYCLE = {
    "strategy=gradprom": {
        "warmup": "329f52a94721",
        "recognizer.diagnosis": "2709dc5033d2",
        "coupled": "faf4250d5c12",
        "run": "2a68b09e1875",
    },
    "strategy=frozen": {
        "warmup": "329f52a94721",
        "recognizer.diagnosis": "2709dc5033d2",
        "coupled": "7d8fa0034143",
        "run": "188f4b08fcf6",
    },
    "strategy=joint": {
        "warmup": "329f52a94721",
        "recognizer.diagnosis": "2709dc5033d2",
        "coupled": "36db3305f670",
        "run": "5aa00c0c5f6b",
    },
    "strategy=mainstream": {
        "warmup": "329f52a94721",
        "coupled": "5bfad95c5afa",
        "run": "5b7337f8b297",
    },
    "method=recognizer": {
        "benchmark": "9156eb3aaaaa",
        "run": "95eb48067668",
    },
    "auxiliary=multitask supervision=unsupervised": {
        "warmup": "329f52a94721",
        "recognizer.diagnosis": "2709dc5033d2",
        "recognizer.segmentation": "325ebab620e5",
        "coupled": "a78579b89e5c",
        "run": "2ee8cca2c72d",
    },
    "dataset=covid_ct noise=0.3 seed=2": {
        "warmup": "40218c06aed4",
        "recognizer.diagnosis": "8da03ee37656",
        "coupled": "784ce47d5db3",
        "run": "9b494a914525",
    },
}
"""On `trainer.schedule=onecycle`. Renewed once, as version 2 of their stages, when the one-cycle
schedule ceased to move Adam's first beta; `BEFORE` has those of version 1."""

BEFORE = {
    "strategy=gradprom": {
        "warmup": "05f4b2a1f37b",
        "recognizer.diagnosis": "4bc1efc8e987",
        "coupled": "319b513b16d1",
    },
    "strategy=frozen": {
        "warmup": "05f4b2a1f37b",
        "recognizer.diagnosis": "4bc1efc8e987",
        "coupled": "10efe421bc2c",
    },
    "strategy=joint": {
        "warmup": "05f4b2a1f37b",
        "recognizer.diagnosis": "4bc1efc8e987",
        "coupled": "9d7ccbed738b",
    },
    "strategy=mainstream": {
        "warmup": "05f4b2a1f37b",
        "coupled": "64f5d7ccb19c",
    },
    "method=recognizer": {
        "benchmark": "230ace8d4744",
    },
    "auxiliary=multitask supervision=unsupervised": {
        "warmup": "05f4b2a1f37b",
        "recognizer.diagnosis": "4bc1efc8e987",
        "recognizer.segmentation": "fb60940a781e",
        "coupled": "22086c88e3a0",
    },
    "dataset=covid_ct noise=0.3 seed=2": {
        "warmup": "a180a3528e99",
        "recognizer.diagnosis": "0bea2faf08d1",
        "coupled": "f936d7e1997f",
    },
}


AS_THEN = ("auxiliary.batchnorm=train", "auxiliary.target=follows", "auxiliary.clamp=false")
"""What coupled training did when the ids above were taken, before there were keys for it."""


def run(command: str, schedule: str, choices: tuple[str, ...] = AS_THEN) -> Run:
    # the demo's learning rate when they were taken
    then = () if "profile=paper" in command else ("trainer.lr=0.001",)
    words = (*command.split(), *then, *choices, f"trainer.schedule={schedule}")
    return tiny_runs.make(Path("results"), *words)


def ids(made: Run) -> dict[str, str]:
    """Id of each stage of a run, by name; `run` is the run's own."""
    lineage = {stage.name: stage.id for stage in made.method.stage().lineage()}
    return {**lineage, "run": made.id}


@pytest.mark.parametrize("command", CONSTANT)
def test_golden_ids_on_a_constant_learning_rate(command: str) -> None:
    assert ids(run(command, "constant")) == CONSTANT[command]


@pytest.mark.parametrize("command", ONECYCLE)
def test_golden_ids_on_one_cycle(command: str) -> None:
    assert ids(run(command, "onecycle")) == ONECYCLE[command]


@pytest.mark.parametrize("command", BEFORE)
def test_what_has_moved_one_cycle_is_the_version_alone(command: str) -> None:
    first = _of_version_1(run(command, "onecycle").method.stage())
    assert {stage.name: stage.id for stage in first.lineage()} == BEFORE[command]


TODAY = {
    "profile=paper": {"coupled": "6c188889e3de", "run": "90f126fe850f"},
    "strategy=gradprom": {"coupled": "d74954036983", "run": "b039ece9b62e"},
    "strategy=frozen": {"coupled": "747aa897134e", "run": "b1f18fd7fc6f"},
    "strategy=joint": {"coupled": "d55715f2e7a5", "run": "0204af6c643e"},
    "auxiliary=multitask supervision=unsupervised": {
        "coupled": "5440ace3acb5",
        "run": "a957eadd01aa",
    },
    "dataset=covid_ct noise=0.3 seed=2": {"coupled": "caa8da133026", "run": "3f903322dcc6"},
}
"""By default, on `trainer.schedule=constant`: since then the recognizer keeps the statistics of
pre-training, the unsupervised target is fixed, and the recognizer sees clamped images."""


@pytest.mark.parametrize("command", TODAY)
def test_golden_ids_of_coupled_training_by_default(command: str) -> None:
    assert ids(run(command, "constant", ())) == CONSTANT[command] | TODAY[command]


@pytest.mark.parametrize("command", sorted(set(CONSTANT) - set(TODAY)))
def test_what_has_no_recognizer_in_coupled_training_has_its_old_ids(command: str) -> None:
    assert ids(run(command, "constant", ())) == CONSTANT[command]


@pytest.mark.parametrize(
    ("strategy", "supervision", "different"),
    [
        ("gradprom", "supervised", {"batchnorm", "clamp"}),
        ("gradprom", "unsupervised", {"batchnorm", "target", "clamp"}),
        ("frozen", "unsupervised", {"clamp"}),
        ("mainstream", "supervised", set()),
    ],
)
def test_only_choices_that_have_an_effect_are_part_of_an_id(
    strategy: str, supervision: str, different: set[str]
) -> None:
    command = f"strategy={strategy} supervision={supervision}"
    plain = run(command, "constant", ()).id
    changed = {
        word.split("=")[0].split(".")[1]: run(command, "constant", (word,)) for word in AS_THEN
    }
    assert {key for key, made in changed.items() if made.id != plain} == different


def _of_version_1(stage: Stage) -> Stage:
    parents = tuple(_of_version_1(parent) for parent in stage.parents)
    return replace(stage, parents=parents, version=1)
