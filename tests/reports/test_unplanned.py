"""Records that no plan tells of: what is averaged, what never is, and what rows are called."""

from dataclasses import replace
from typing import Any

import pytest
from support.hand_made import CONFIG, Record, record, strategy

from gradprom.reports import swept, unplanned
from gradprom.reports.statistics.estimate import Estimate
from gradprom.reports.tables.table import Cell, Table
from gradprom.runs.record_config import flatten


def build(records: list[Record]) -> Table:
    return swept.table_of(unplanned.expansion(records), {r.id: r for r in records})


def labels(*records: Record) -> list[str]:
    return [row.declared.title for row in build([*records]).rows]


def cell(records: list[Record], metric: str = "psnr") -> Cell:
    """The one cell of the one row."""
    [row] = build(records).rows
    return row.cells[0, metric]


def test_a_cell_is_the_mean_over_seeds() -> None:
    values = [24.0, 25.0, 29.0]
    found = cell([record(value, config__seed=seed) for seed, value in enumerate(values)])
    # mean 26, squares of the deviations 4 + 1 + 9, over n - 1 = 2
    assert found.value == Estimate(26.0, 7.0**0.5, 3)
    assert sorted(found.finished) == [0, 1, 2] and found.states == []


PARTS_OF_A_MIX = {
    "blur": {"name": "blur", "kernel": 3, "sigma": 2.0},
    "downsample": {"name": "downsample", "scale": 2},
    "poisson": {"name": "poisson", "rate": 0.1},
    "gaussian": {"name": "gaussian", "sigma": 0.3, "clamp": True},
}


def mix(*order: str, **changes: Any) -> dict[str, Any]:
    """As it is in a record: a part that is not used is None."""
    parts = {part: PARTS_OF_A_MIX[part] if part in order else None for part in PARTS_OF_A_MIX}
    return {"name": "mix", "order": [*order], **parts, **changes}


# in the order of the columns
DEGRADATIONS = [
    ({"name": "gaussian", "sigma": 0.05, "clamp": True}, "σ=0.05"),
    ({"name": "gaussian", "sigma": 0.05, "clamp": False}, "σ=0.05 clamp=False"),
    ({"name": "gaussian", "sigma": 0.1, "clamp": True}, "σ=0.1"),
    ({"name": "gaussian", "sigma": 0.10000001, "clamp": True}, "σ=0.10000001"),
    ({"name": "gaussian", "sigma": 0.2, "clamp": True, "sigma_low": None}, "σ=0.2"),
    ({"name": "gaussian", "sigma": 0.3, "clamp": True, "sigma_low": 0.0}, "σ=0…0.3"),
    ({"name": "gaussian", "sigma": 10.0, "clamp": True}, "σ=10"),
    ({"name": "poisson", "rate": 0.1}, "Poisson 0.1"),
    ({"name": "blur", "kernel": 3, "sigma": 2.0}, "blur 3×3 σ=2"),
    ({"name": "blur", "kernel": 5, "sigma": 0.5}, "blur 5×5 σ=0.5"),
    ({"name": "downsample", "scale": 2}, "×2"),
    ({"name": "downsample", "scale": 16}, "×16"),
    ({"name": "completion", "drop": 0.2}, "completion 0.2"),
    ({"name": "fog", "depth": 2}, "fog depth=2"),
    (mix("gaussian"), "mix of σ=0.3"),
    (mix("downsample", "gaussian"), "×2 + σ=0.3"),
    (
        mix("fog", "gaussian", parts={"fog": {"name": "fog", "depth": 3}}),
        "fog depth=3 + σ=0.3",
    ),
    (mix("blur", "poisson", "gaussian"), "blur 3×3 σ=2 + Poisson 0.1 + σ=0.3"),
]


def test_a_column_is_a_degradation_in_words() -> None:
    """All in one table: one row of runs under one row of degraded inputs."""
    made = [record(20.0 + i, config__degradation=d) for i, (d, _) in enumerate(DEGRADATIONS)]
    table = build(made[::-1])
    assert [column.title for column in table.columns] == [words for _, words in DEGRADATIONS]
    [row] = table.rows
    assert row.declared.title == "gradprom"
    values = [row.cells[number, "psnr"].value for number in range(len(made))]
    assert values == [Estimate(20.0 + i, None, 1) for i in range(len(made))]


CAN_CHANGE_A_RESULT = [
    ("config__strategy__gate", "cosine", "strategy.gate"),
    ("config__strategy__lam", 0.5, "strategy.lam"),
    ("config__supervision", "unsupervised", "supervision"),
    ("config__backbone__blocks", 5, "backbone.blocks"),
    ("config__auxiliary__lr", 0.1, "auxiliary.lr"),
    ("config__auxiliary__tasks", ["segmentation"], "auxiliary.tasks"),
    ("config__trainer__lr", 0.1, "trainer.lr"),
    ("config__trainer__batch_size", 4, "trainer.batch_size"),
    ("config__dataset__size", 128, "dataset.size"),
    ("config__dataset__split_seed", 1, "dataset.split_seed"),
    ("config__evaluation__seed", 1, "evaluation.seed"),
]


@pytest.mark.parametrize(("key", "value", "told"), CAN_CHANGE_A_RESULT)
def test_rows_never_mix_configurations(key: str, value: Any, told: str) -> None:
    """And a key that no choice of a file shows tells them apart in both labels."""
    table = build([record(24.0), record(26.0, **{key: value, "config__seed": 1})])
    assert [row.cells[0, "psnr"].value.n for row in table.rows] == [1, 1]
    default = flatten(CONFIG)[told]
    titles = [row.declared.title for row in table.rows]
    assert titles == [f"gradprom {told}={v}" for v in (default, value)]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("config__seed", 5),
        ("config__trainer__threads", 2),
        ("config__trainer__device", "cuda"),
        ("config__trainer__log_every", 1),
        ("config__trainer__extend", True),
        ("config__evaluation__batch_size", 3),
        ("config__evaluation__panels", 0),
        ("config__study", "other"),
        ("config__results", "elsewhere"),
        ("config__logger", "tensorboard"),
        ("config__facts__channels", 1),
        ("config__strategy__gate_on", "all"),  # which older records do not say
    ],
)
def test_what_cannot_change_a_result_divides_no_row(key: str, value: Any) -> None:
    other = {"config__seed": 1, key: value}
    assert cell([record(24.0), record(26.0, **other)]).value == Estimate(25.0, 2**0.5, 2)


def test_seeds_of_a_random_gate_are_seeds() -> None:
    made = [
        record(
            20.0 + seed, config__seed=seed, config__strategy={"name": "random_gate", "seed": seed}
        )
        for seed in range(3)
    ]
    assert cell(made).value == Estimate(21.0, 1.0, 3)


def test_benchmark_i_is_one_row_whatever_stood_in_the_command() -> None:
    made = [
        strategy("mainstream", 24.0),
        strategy(
            "mainstream",
            26.0,
            config__seed=1,
            config__auxiliary__tasks=[],
            choices__auxiliary="none",
        ),
        strategy("mainstream", 28.0, config__seed=2, config__supervision="unsupervised"),
    ]
    assert cell(made).value == Estimate(26.0, 2.0, 3)
    assert labels(*made, record(30.0)) == ["mainstream", "gradprom"]


def test_the_recognizer_method_is_one_row_whatever_the_strategy() -> None:
    made = []
    for seed, (name, accuracy) in enumerate({"gradprom": 0.5, "joint": 0.7}.items()):
        recognizer = strategy(
            name,
            accuracy,
            config__seed=seed,
            config__method={"name": "recognizer"},
            choices__method="recognizer",
            metrics={"accuracy": accuracy, "degraded_psnr": 20.0, "degraded_ssim": 0.25},
        )
        made.append(recognizer)
    assert cell(made, "accuracy").value.n == 2
    assert labels(*made) == ["recognizer"]
    assert labels(*made, record(24.0)) == ["recognizer", "task_driven gradprom"]


def test_labels_name_the_groups_that_vary() -> None:
    assert labels(strategy("joint", 24.0), strategy("frozen", 24.0)) == ["joint", "frozen"]
    multitask = record(24.0, choices__auxiliary="multitask", config__auxiliary__tasks=["a", "b"])
    assert labels(record(24.0), multitask) == ["diagnosis gradprom", "multitask gradprom"]
    wide = record(24.0, choices__backbone="srresnet", config__backbone__channels=64)
    assert labels(record(24.0), wide) == ["srresnet_small gradprom", "srresnet gradprom"]


def test_a_run_without_a_file_of_some_group_is_a_row_like_others() -> None:
    """Hydra can compose a run without a profile (`~profile`); older versions trained it."""
    without = record(24.0)
    del without.choices["profile"]
    assert labels(without, strategy("joint", 24.0)) == ["gradprom", "joint"]
    del without.choices["strategy"]
    assert labels(without, strategy("joint", 24.0))[1] == "joint"


def test_every_row_has_a_label_of_its_own() -> None:
    made = [record(24.0, **{key: value}) for key, value, _ in CAN_CHANGE_A_RESULT]
    made += [record(24.0), strategy("joint", 24.0), strategy("mainstream", 24.0)]
    found = labels(*made)
    assert len(set(found)) == len(found) == len(made) and all(found)


# what newer records say themselves


def reading(made: Record, **reads: Any) -> Record:
    return replace(made, reads=reads, scores=["psnr", "ssim"])


def test_a_record_says_itself_what_it_reads() -> None:
    first = reading(record(24.0), strategy={"name": "a", "lam": 1})
    unread = record(26.0, config__seed=1, config__auxiliary__lr=9)
    same = reading(unread, strategy=first.reads["strategy"])
    assert cell([first, same]).value == Estimate(25.0, 2**0.5, 2)
    other = reading(record(26.0, config__seed=1), strategy={"name": "a", "lam": 2})
    assert labels(first, other) == ["gradprom strategy.lam=1", "gradprom strategy.lam=2"]


def test_old_and_new_records_are_compared_in_what_both_say() -> None:
    new = reading(record(26.0, config__seed=1), strategy={"name": "gradprom"})
    assert cell([record(24.0), new]).value == Estimate(25.0, 2**0.5, 2)


def test_a_method_without_strategy_is_called_by_its_name() -> None:
    made = reading(record(24.0, choices__method="unrolled"), prior={"name": "tv"})
    assert labels(made) == ["unrolled"]
    assert unplanned.choice_of(made, "strategy") == unplanned.choice_of(made, "backbone") == ""


def test_rows_keep_their_colour_in_figures() -> None:
    [row] = build([strategy("joint", 24.0)]).rows
    assert row.declared.overrides["strategy"] == "joint"
