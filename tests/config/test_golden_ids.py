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

DEMO = (
    "backbone=srresnet_small",
    "trainer.lr=0.001",
    "trainer.clip=0",
    "trainer.warmup_epochs=4",
    "trainer.coupled_epochs=4",
)
"""What the profile demo said when they were taken."""

CONSTANT = {
    "profile=paper": {
        "warmup": "2f831515304b",
        "recognizer.diagnosis": "3bda0f7dc10d",
        "coupled": "3ffda9059bdc",
        "run": "cf92da8966b7",
    },
    "strategy=gradprom": {
        "warmup": "05faa4a55eb6",
        "recognizer.diagnosis": "b01981006700",
        "coupled": "c43214bcaa53",
        "run": "4ed8630b8c3d",
    },
    "strategy=frozen": {
        "warmup": "05faa4a55eb6",
        "recognizer.diagnosis": "b01981006700",
        "coupled": "30ea44441cef",
        "run": "6950206a5044",
    },
    "strategy=joint": {
        "warmup": "05faa4a55eb6",
        "recognizer.diagnosis": "b01981006700",
        "coupled": "fa220d550826",
        "run": "b18105f973e4",
    },
    "strategy=mainstream": {
        "warmup": "05faa4a55eb6",
        "coupled": "877be09882e4",
        "run": "78823e326792",
    },
    "method=recognizer": {
        "benchmark": "9bbc04fa61fd",
        "run": "bc3473ccf7e3",
    },
    "auxiliary=multitask supervision=unsupervised": {
        "warmup": "05faa4a55eb6",
        "recognizer.diagnosis": "b01981006700",
        "recognizer.segmentation": "cabd37a5ff67",
        "coupled": "7c4718becf4d",
        "run": "a97d7e1f0ae8",
    },
    "dataset=covid_ct noise=0.3 seed=2": {
        "warmup": "0061ffab8a1c",
        "recognizer.diagnosis": "cb1a54bbcea8",
        "coupled": "b7fe281d1537",
        "run": "201eb3ac981b",
    },
}
"""On `trainer.schedule=constant`."""

ONECYCLE = {
    "strategy=gradprom": {
        "warmup": "da677a685962",
        "recognizer.diagnosis": "9edf9e31662c",
        "coupled": "173c1a7d76a5",
        "run": "602acdb59514",
    },
    "strategy=frozen": {
        "warmup": "da677a685962",
        "recognizer.diagnosis": "9edf9e31662c",
        "coupled": "a9150c6bfb68",
        "run": "e1ec98cb03cc",
    },
    "strategy=joint": {
        "warmup": "da677a685962",
        "recognizer.diagnosis": "9edf9e31662c",
        "coupled": "0bb96875f477",
        "run": "67fe62a6b349",
    },
    "strategy=mainstream": {
        "warmup": "da677a685962",
        "coupled": "8a6e04af08af",
        "run": "2cb126bfe049",
    },
    "method=recognizer": {
        "benchmark": "05f7f45ec029",
        "run": "b33365cc473f",
    },
    "auxiliary=multitask supervision=unsupervised": {
        "warmup": "da677a685962",
        "recognizer.diagnosis": "9edf9e31662c",
        "recognizer.segmentation": "3b7871681a2d",
        "coupled": "e51160eb2c74",
        "run": "d8e11febafef",
    },
    "dataset=covid_ct noise=0.3 seed=2": {
        "warmup": "18fc1dc4256c",
        "recognizer.diagnosis": "4bdd77e1e259",
        "coupled": "4c484a187033",
        "run": "28cd8700b24f",
    },
}
"""On `trainer.schedule=onecycle`."""

ENLARGED = {
    "constant": {
        "profile=paper": {
            "warmup": "15fcd05c0062",
            "recognizer.diagnosis": "b410309b0be2",
            "coupled": "e2974a6d927d",
        },
        "strategy=gradprom": {
            "warmup": "44415c75af79",
            "recognizer.diagnosis": "214a583babc6",
            "coupled": "2b199af0f84a",
        },
        "strategy=frozen": {
            "warmup": "44415c75af79",
            "recognizer.diagnosis": "214a583babc6",
            "coupled": "6d39aa3db424",
        },
        "strategy=joint": {
            "warmup": "44415c75af79",
            "recognizer.diagnosis": "214a583babc6",
            "coupled": "9be03a6d189b",
        },
        "strategy=mainstream": {
            "warmup": "44415c75af79",
            "coupled": "6187a7a3c32a",
        },
        "method=recognizer": {
            "benchmark": "c8532797022c",
        },
        "auxiliary=multitask supervision=unsupervised": {
            "warmup": "44415c75af79",
            "recognizer.diagnosis": "214a583babc6",
            "recognizer.segmentation": "743ffe32c5af",
            "coupled": "117590762f3a",
        },
        "dataset=covid_ct noise=0.3 seed=2": {
            "warmup": "ebbadc193502",
            "recognizer.diagnosis": "9d5ff8126eab",
            "coupled": "7d67f3b143d5",
        },
    },
    "onecycle": {
        "strategy=gradprom": {
            "warmup": "329f52a94721",
            "recognizer.diagnosis": "2709dc5033d2",
            "coupled": "faf4250d5c12",
        },
        "strategy=frozen": {
            "warmup": "329f52a94721",
            "recognizer.diagnosis": "2709dc5033d2",
            "coupled": "7d8fa0034143",
        },
        "strategy=joint": {
            "warmup": "329f52a94721",
            "recognizer.diagnosis": "2709dc5033d2",
            "coupled": "36db3305f670",
        },
        "strategy=mainstream": {
            "warmup": "329f52a94721",
            "coupled": "5bfad95c5afa",
        },
        "method=recognizer": {
            "benchmark": "9156eb3aaaaa",
        },
        "auxiliary=multitask supervision=unsupervised": {
            "warmup": "329f52a94721",
            "recognizer.diagnosis": "2709dc5033d2",
            "recognizer.segmentation": "325ebab620e5",
            "coupled": "a78579b89e5c",
        },
        "dataset=covid_ct noise=0.3 seed=2": {
            "warmup": "40218c06aed4",
            "recognizer.diagnosis": "8da03ee37656",
            "coupled": "784ce47d5db3",
        },
    },
}
"""Stages of both schedules from when crops were enlarged, as they were since there were ids or, on
one cycle, since that schedule ceased to move Adam's first beta."""

MOVED = {
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
"""Stages on one cycle from when it moved Adam's first beta as well."""


AS_THEN = ("auxiliary.batchnorm=train", "auxiliary.target=follows", "auxiliary.clamp=false")
"""What coupled training did when the ids above were taken, before there were keys for it."""


def run(command: str, schedule: str, choices: tuple[str, ...] = AS_THEN) -> Run:
    then = () if "profile=paper" in command else DEMO
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


@pytest.mark.parametrize("schedule", ENLARGED)
@pytest.mark.parametrize("command", CONSTANT)
def test_what_has_moved_all_is_the_augmentation_alone(schedule: str, command: str) -> None:
    if command in ENLARGED[schedule]:
        before = _earlier(run(command, schedule).method.stage())
        assert {stage.name: stage.id for stage in before.lineage()} == ENLARGED[schedule][command]


TODAY = {
    "profile=paper": {"coupled": "aa7f4abb01fb", "run": "307301aa6e7d"},
    "strategy=gradprom": {"coupled": "7419cf95bee0", "run": "8ed37136258a"},
    "strategy=frozen": {"coupled": "a9662e029fd3", "run": "74cd7d90fba9"},
    "strategy=joint": {"coupled": "b8dd5f8258d1", "run": "f0e07f0262ba"},
    "auxiliary=multitask supervision=unsupervised": {
        "coupled": "ba20a0aa373b",
        "run": "56812c630b30",
    },
    "dataset=covid_ct noise=0.3 seed=2": {"coupled": "742613afffc1", "run": "c0ba677bd6cb"},
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


@pytest.mark.parametrize("command", MOVED)
def test_what_had_moved_one_cycle_was_the_version_alone(command: str) -> None:
    first = _earlier(run(command, "onecycle").method.stage(), version=1)
    assert {stage.name: stage.id for stage in first.lineage()} == MOVED[command]


@pytest.mark.parametrize("command", ["strategy=gradprom", "method=recognizer", "profile=paper"])
def test_without_augmentation_nothing_has_moved(command: str) -> None:
    stage = run(f"{command} trainer.augment=false", "constant").method.stage()
    assert _earlier(stage).id == stage.id


def _earlier(stage: Stage, version: int | None = None) -> Stage:
    """The stage as it was before it read a version of the augmentation."""
    parents = tuple(_earlier(parent, version) for parent in stage.parents)
    reads = {key: value for key, value in stage.reads.items() if key != "augmentation"}
    version = stage.version if version is None else version
    return replace(stage, parents=parents, version=version, reads=reads)
