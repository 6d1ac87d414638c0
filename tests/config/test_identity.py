"""Which overrides change the ids of stages and runs, which must not, and what runs share."""

import functools
from dataclasses import replace
from pathlib import Path

import pytest
from omegaconf import OmegaConf
from support import tiny_runs

from gradprom.config import Trainer
from gradprom.identity import digest
from gradprom.runs.run import Run

MULTITASK = ("auxiliary=multitask", "strategy=gradprom")


def run(*overrides: str) -> Run:
    return tiny_runs.make(Path("results"), *overrides)


@functools.cache
def stages(*overrides: str) -> dict[str, str]:
    """Id of each stage of a run, by name; `run` is the run's own."""
    made = run(*overrides)
    lineage = {stage.name: stage.id for stage in made.method.stage().lineage()}
    return {**lineage, "run": made.id}


# what a run reads

ENHANCER = {"warmup", "coupled"}
RECOGNIZER = {"recognizer.diagnosis", "coupled"}
ALL = ENHANCER | RECOGNIZER

CHANGES: list[tuple[str, set[str]]] = [
    # all that is trained
    ("seed=1", ALL),
    ("validation=0.2", ALL),
    ("train_images=30", ALL),
    ("dataset.size=96", ALL),
    ("dataset.train=96", ALL),
    ("dataset.split_seed=1", ALL),
    ("trainer.batch_size=4", ALL),
    ("trainer.augment=false", ALL),
    ("trainer.schedule=constant", ALL),
    ("trainer.precision=bf16", ALL),
    # the enhancer
    ("noise=0.2", ENHANCER),
    ("degradation.clamp=false", ENHANCER),
    ("backbone=srresnet", ENHANCER),
    ("backbone.blocks=5", ENHANCER),
    ("backbone.levels=3", ENHANCER),
    ("trainer.lr=0.01", ENHANCER),
    ("trainer.clip=0.1", ENHANCER),
    ("trainer.warmup_epochs=9", ENHANCER),
    ("warmup_share=0.25", ENHANCER),
    ("trainer.coupled_epochs=9", ENHANCER),  # one cycle of the learning rate spans both
    # the recognizer
    ("auxiliary.backbone=resnet18", RECOGNIZER),
    ("auxiliary.lr=0.01", RECOGNIZER),
    ("auxiliary.epochs=9", RECOGNIZER),
    # coupled training alone
    ("auxiliary.coupled_lr=0.01", {"coupled"}),
    ("supervision=unsupervised", {"coupled"}),
    ("lam=0.01", {"coupled"}),
    ("strategy.gate=cosine", {"coupled"}),
    ("strategy.granularity=layer", {"coupled"}),
    ("strategy=joint", {"coupled"}),
    ("strategy=frozen", {"coupled"}),
    # nothing that is trained
    ("evaluation.seed=1", set()),
]


@pytest.mark.parametrize(("override", "changed"), CHANGES, ids=[name for name, _ in CHANGES])
def test_an_override_changes_the_stages_that_read_it(override: str, changed: set[str]) -> None:
    before, after = stages(), stages(override)
    assert {name for name in before if before[name] != after[name]} == changed | {"run"}


@pytest.mark.parametrize(
    ("overrides", "change", "changed"),
    [
        # without a cycle the warm-up does not know what follows
        (["trainer.schedule=constant"], "trainer.coupled_epochs=9", {"coupled"}),
        # a recognizer that does not learn has no learning rate
        (["strategy=frozen"], "auxiliary.coupled_lr=0.01", set()),
        (["strategy=frozen"], "strategy.pass_gradient=false", {"coupled"}),
        (["strategy=joint"], "strategy.open_share=0.5", {"coupled"}),
        (["strategy=random_gate"], "strategy.rate=0.1", {"coupled"}),
        # there are no pre-trained small networks
        ([], "pretrained=true", set()),
        (["auxiliary.backbone=resnet18"], "pretrained=true", RECOGNIZER),
        (["backbone=resnet50"], "pretrained=true", ENHANCER),
        (["dataset=covid_ct"], "dataset.split=official", ALL),
        (["method=recognizer"], "noise=0.2", {"benchmark"}),
        (["degradation=downsample", "scale=2"], "scale=4", ENHANCER),
        (["degradation=downsample", "scale=2"], "noise=0.2", set()),
        (["degradation=mix"], "noise=0.2", ENHANCER),
        (["degradation=mix"], "degradation.blur.sigma=1", ENHANCER),
        (["degradation=mix"], "degradation.order=[gaussian,poisson,blur]", ENHANCER),
        # a part that is not in the order
        (["degradation=mix"], "degradation.downsample.scale=2", set()),
        (["degradation=mix", "degradation.order=[blur]"], "noise=0.2", set()),
        (["degradation=mix", "degradation.order=[blur]"], "degradation.poisson.rate=1", set()),
        (["method=recognizer"], "auxiliary=segmentation", {"benchmark"}),
        (["method=recognizer"], "validation=0.2", {"benchmark"}),
        (["method=recognizer"], "trainer.precision=bf16", {"benchmark"}),
        (["trainer.device=auto", "trainer.precision=bf16"], "trainer.precision=tf32", ALL),
        (["validation=0.2"], "validation=0.3", ALL),
        (["warmup_share=0.5"], "trainer.warmup_epochs=8", set()),
        (["method=recognizer"], "strategy=joint", set()),
        (["method=recognizer"], "backbone=srresnet", set()),
        (["method=recognizer"], "lam=0.01", set()),
        (["method=recognizer"], "supervision=unsupervised", set()),
    ],
)
def test_what_is_read_depends_on_the_rest(
    overrides: list[str], change: str, changed: set[str]
) -> None:
    before, after = stages(*overrides), stages(*overrides, change)
    found = {name for name in before if before[name] != after[name]}
    assert found == (changed | {"run"} if changed else set())


@pytest.mark.parametrize(
    "override",
    [
        "trainer.device=cpu",
        "trainer.threads=2",
        "trainer.devices=2",
        "trainer.precision=float32",
        "trainer.compile=true",
        "trainer.graph=true",
        "trainer.channels_last=false",
        "trainer.deterministic=false",
        "trainer.log_every=5",
        "trainer.checkpoint_seconds=1",
        "evaluation.batch_size=3",
        "evaluation.panels=0",
        "data_root=/elsewhere",
        "results=/elsewhere",
        "study=other",
        "logger=tensorboard",
        "logger=[wandb,mlflow,trackio]",
        "validation=0",
        "tune=lambda",
        "sweep.dry_run=true",
        "sweep.retry_failed=true",
        "hydra/launcher=submitit_local",
    ],
)
def test_what_cannot_change_a_result_changes_no_id(override: str) -> None:
    assert stages(override) == stages()


@pytest.mark.parametrize("dataset", sorted(p.stem for p in tiny_runs.CONF.glob("dataset/*.yaml")))
def test_where_a_dataset_lies_is_no_part_of_an_id(dataset: str) -> None:
    """A folder of one's own is known by its name, wherever it lies."""
    alone = (f"dataset={dataset}", "auxiliary=none", "strategy=mainstream")
    assert stages(*alone, "data_root=/elsewhere/data") == stages(*alone)
    moved = stages(*alone, "data_root=/elsewhere")
    assert (moved == stages(*alone)) is (dataset != "folder")


def test_every_key_of_the_trainer_is_read_or_declared_to_have_no_effect() -> None:
    read = {change.split("=")[0] for change, _ in CHANGES}
    unhashed = {"log_every", "checkpoint_seconds", "device", "devices", "threads", "compile"}
    unhashed |= {"channels_last", "deterministic", "graph", "extend"}
    for name in set(Trainer.__dataclass_fields__) - unhashed:
        assert f"trainer.{name}" in read


def test_multitask_has_a_stage_for_each_recognizer() -> None:
    both, one = stages(*MULTITASK), stages()
    assert set(both) == ALL | {"recognizer.segmentation", "run"}
    assert both["recognizer.diagnosis"] == one["recognizer.diagnosis"]
    assert both["warmup"] == one["warmup"] and both["coupled"] != one["coupled"]


# what runs share


def test_benchmark_i_has_one_id_whatever_else_stands_in_the_command() -> None:
    commands = [
        [],
        ["auxiliary=none"],
        ["auxiliary=segmentation"],
        ["auxiliary=multitask"],
        ["supervision=unsupervised"],
        ["lam=0.5"],
        ["auxiliary.coupled_lr=0.5", "auxiliary.epochs=1"],
    ]
    assert len({run("strategy=mainstream", *command).id for command in commands}) == 1
    assert run("strategy=mainstream", "noise=0.2").id != run("strategy=mainstream").id


@pytest.mark.parametrize("strategy", ["mainstream", "joint", "frozen", "gradprom", "pcgrad"])
def test_warm_up_is_shared_by_strategies_and_tasks(strategy: str) -> None:
    tasks = ["diagnosis", "segmentation", "multitask"]
    found = {stages(f"strategy={strategy}", f"auxiliary={task}")["warmup"] for task in tasks}
    assert found == {stages()["warmup"]}


def test_recognizers_are_shared_by_strategies_and_noises() -> None:
    found = {
        stages(f"strategy={strategy}", f"noise={noise}")["recognizer.diagnosis"]
        for strategy in ("joint", "frozen", "gradprom")
        for noise in (0.05, 0.3)
    }
    assert len(found) == 1


def test_one_number_has_one_id_however_it_is_written(tmp_path: Path) -> None:
    spellings = ["noise=0.1", "noise=1e-1", "noise=0.10", "noise=.1", "noise='0.1'"]
    assert len({run(spelling).id for spelling in spellings}) == 1
    assert run("noise=1").id == run("noise=1.0").id == run("noise=1e0").id
    # a whole number where the schema has a float, set past the alias
    assert run("degradation.sigma=1").id == run("noise=1.0").id
    assert run("strategy.lam=1").id == run("lam=1.0").id


@pytest.mark.parametrize("text", ["0.10", "1e-1", "'0.1'", "100.0e-3"])
def test_numbers_from_yaml_are_cast_by_the_schema(text: str) -> None:
    from gradprom.config import Root

    node = OmegaConf.merge(OmegaConf.structured(Root), OmegaConf.create(f"noise: {text}"))
    assert digest(node.noise) == digest(0.1)


def test_the_order_of_keys_does_not_matter() -> None:
    first = run("noise=0.2", "lam=0.1", "strategy=joint", "seed=3")
    assert first.id == run("seed=3", "strategy=joint", "lam=0.1", "noise=0.2").id


def test_the_seed_of_evaluation_is_no_part_of_what_was_trained() -> None:
    one, other = run(), run("evaluation.seed=1")
    assert one.training_id == other.training_id and one.id != other.id


def test_a_raised_version_changes_a_stage_and_what_is_built_on_it() -> None:
    coupled = run().method.stage()
    warmup, recognizer = coupled.parents
    newer = replace(warmup, version=warmup.version + 1)
    assert newer.id != warmup.id
    assert replace(coupled, parents=(newer, recognizer)).id != coupled.id
    assert replace(coupled, parents=(replace(warmup), recognizer)).id == coupled.id
