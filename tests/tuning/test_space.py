"""The space of a tuning: Hydra's sweep words and nothing else; what cannot be tuned is said."""

import random
from pathlib import Path

import optuna
import pytest
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from support.cli_process import TINY

from gradprom.config import CONF, GROUPS, composing
from gradprom.config.composing import Composer
from gradprom.errors import ConfigError
from gradprom.tuning import space, tuning

SHIPPED = sorted(path.stem for path in (CONF / "tune").glob("*.yaml"))


def swept_by_hydra(word: str) -> list[str]:
    """The values that Hydra's own sweeper makes of a word."""
    overrides = OverridesParser.create().parse_overrides([word])
    [jobs] = BasicSweeper.split_arguments(overrides, max_batch_size=None)
    return [job[0].split("=", 1)[1] for job in jobs]


@pytest.mark.parametrize(
    "text",
    [
        "1,2",
        "choice(hard,cosine)",
        "choice([a,b],[c])",
        "choice(1e-4,1e-3)",
        "range(1,5)",
        "range(1,6,2)",
        "range(5,1,-2)",
        "range(0,1,0.25)",
        "range(0,0.5,0.1)",
    ],
)
def test_a_listed_space_holds_what_hydra_would_sweep(text: str) -> None:
    expected = swept_by_hydra(f"lam={text}")
    values = space.read({"lam": text})["lam"]
    if isinstance(values, CategoricalDistribution):
        assert list(values.choices) == expected
        return
    assert isinstance(values, IntDistribution | FloatDistribution) and values.step
    steps = round((values.high - values.low) / values.step)
    found = [values.low + number * values.step for number in range(steps + 1)]
    assert found == pytest.approx(sorted(map(float, expected)))


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("interval(0,1)", FloatDistribution(0.0, 1.0)),
        ("interval(1e-6,1e-1)", FloatDistribution(1e-6, 0.1)),
        ("tag(log,interval(1e-6,1e-1))", FloatDistribution(1e-6, 0.1, log=True)),
        ("int(interval(1,5))", IntDistribution(1, 5)),
        ("int(tag(log,interval(1,64)))", IntDistribution(1, 64, log=True)),
        ("tag(log,range(1,5))", IntDistribution(1, 4, log=True)),
        # the difference of the floats 0.4 and 0.3 is more than 0.1, and twice that misses 0.5
        ("range(0.3,0.6,0.1)", FloatDistribution(0.3, 0.5, step=0.1)),
    ],
)
def test_intervals(text: str, values: optuna.distributions.BaseDistribution) -> None:
    assert space.read({"lam": text}) == {"lam": values}


def test_a_pattern_stands_for_files_of_a_group() -> None:
    values = space.read({"strategy": "glob([gr*,j*])"})["strategy"]
    assert values == CategoricalDistribution(["gradprom", "joint"])


@pytest.mark.parametrize(
    ("key", "text", "told"),
    [
        ("lam", "0.1", "allowed are sweeps"),
        ("lam", "glob(*)", "lam is not a group"),
        ("strategy", "glob([gr*,x*])", "x* matches none of aligned, bisector"),
        ("lam", "interval(1", "no viable alternative"),
        ("lam", "interval(5,1)", "low"),
        ("lam", "tag(log,interval(0,1))", "low"),
        ("lam", "tag(lg,interval(1,2))", "the tag lg is unknown"),
        ("lam", "range(3,3)", "range(3,3) has no value"),
        ("noise", "0.1,0.2", "noise belongs to the task"),
        ("dataset", "camus,lizard", "dataset belongs to the task"),
        ("degradation.sigma", "0.1,0.2", "degradation belongs to the task"),
        ("seed", "0,1", "seed belongs to the task"),
        ("study", "a,b", "study cannot be tuned"),
        ("tune.trials", "1,2", "tune.trials cannot be tuned"),
        ("hydra/launcher", "basic,submitit_local", "cannot be tuned"),
    ],
)
def test_wrong_words_are_refused_in_a_sentence(key: str, text: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        space.read({key: text})
    assert told in str(caught.value) and f"{key}={text}" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_corners_are_the_ends_and_every_choice() -> None:
    found = space.corners(space.read({"a": "interval(0,1)", "b": "range(2,9,3)", "c": "x,y,z"}))
    expected = [{"a": a, "b": b, "c": c} for a in (0.0, 1.0) for b in (2, 8) for c in "xyz"]
    assert found == expected


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache of decoded images for all."""
    return tmp_path_factory.mktemp("results")


COMPOSER = Composer(composing.compose)


def read(results: Path, *words: str) -> tuning.Tuning:
    return tuning.read_tuning([*TINY, *words, f"results={results}"], COMPOSER)


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_tuning_composes_and_draws(results: Path, name: str) -> None:
    found = read(results, f"tune={name}")
    assert set(found.space) and len(found.corners) == 2 ** len(found.space)
    for number in range(3):
        trial = optuna.create_study(sampler=optuna.samplers.RandomSampler(number)).ask(found.space)
        run = found.run(number, trial.params)
        assert run.config.validation == 0.2 and run.study.name == found.study.name
        assert run.images().splits.keys() == {"train", "validation"}
        t = run.config.trainer
        assert t.warmup_epochs + t.coupled_epochs == 4


def test_the_issues_tunings_are_there() -> None:
    assert set(SHIPPED) == {"lambda", "lr", "lambda_lr", "warmup", "gate"}
    assert set(GROUPS) <= {path.name for path in CONF.iterdir()}


def test_a_word_joins_or_leaves_the_space(results: Path) -> None:
    fixed = read(results, "tune=lambda_lr", "lam=0.5")
    assert set(fixed.space) == {"trainer.lr"}
    assert {run.config.strategy.lam for run in fixed.corners} == {0.5}
    more = read(results, "tune=lambda", "strategy=gradprom,joint", "lam=interval(1,2)")
    assert set(more.space) == {"lam", "strategy"}
    assert more.space["lam"] == FloatDistribution(1.0, 2.0)
    assert {run.config.strategy.name for run in more.corners} == {"gradprom", "joint"}
    assert "strategy=gradprom,joint" not in more.overrides


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["tune=lambda", "experiment=table1"], "experiment=table1 and tune="),
        (["tune=lambda", "lam=0.1"], "tune.space is empty"),
        (["tune=lambda,lr"], "one tuning at a time"),
        (["tune.trials=3"], "choose tune= from gate, lambda, lambda_lr, lr, warmup"),
        (["tune=lambda", "validation=0.2"], "use tune.validation"),
        (["tune=lambda", "sweep.retry_failed=true"], "larger tune.trials"),
        (["tune=lambda", "slurm.wait=false"], "set slurm.wait=true"),
        (["tune=lambda", "tune.metric=miou"], "choose from psnr, ssim, accuracy"),
        (["tune=lambda", "tune.metric=speed"], "tune.metric=speed is not allowed"),
        (["tune=lambda", "tune.validation=0"], "must lie between 0 and 1"),
        (["tune=lambda", "tune.prune_after=2"], "must be between 0 and 1"),
        (["tune=lambda", "tune.at_once=0"], "tune.at_once=0 must be at least 1"),
        (["tune=lambda", "tune.validation=0.2", "evaluate_on=[lizard]"], "evaluate_on is for test"),
        # what only composing and typing the corners can tell
        (["tune=lr", "trainer.lr=interval(-1,1)"], "trainer.lr=-1.0 must be"),
        (["tune=lambda", "strategy=joint,mgda", "auxiliary=multitask"], "mgda takes two losses"),
    ],
)
def test_what_is_asked_for_wrongly_is_said(results: Path, words: list[str], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        read(results, *words)


def test_equal_searches_have_one_place(results: Path) -> None:
    plain = read(results, "tune=lambda")
    same = [
        ["tune.trials=3"],
        ["tune.at_once=2"],
        ["lam=tag(log,interval(0.000001,0.1))"],
        ["auxiliary.coupled_lr=1e-4", "auxiliary.coupled_lr=0.0003"],
        ["trainer.device=auto"],
    ]
    other = [
        ["tune.seed=1"],
        ["tune.validation=0.3"],
        ["tune.startup=3"],
        ["tune.metric=ssim"],
        ["noise=0.2"],
        ["lam=interval(1e-6,1e-1)"],
        ["evaluation.seed=1"],
        ["dataset.train=24"],
    ]
    names = {tuple(w): read(results, "tune=lambda", *w).study.name for w in same + other}
    assert {names[tuple(words)] for words in same} == {plain.study.name}
    places = {names[tuple(words)] for words in other}
    assert len(places) == len(other) and plain.study.name not in places
    random.seed(0)
    shuffled = random.sample(TINY, len(TINY))
    again = tuning.read_tuning([*shuffled, "tune=lambda", f"results={results}"], COMPOSER)
    assert again.study.name == plain.study.name
