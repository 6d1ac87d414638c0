"""Images held out of training: what tuning is scored on, and the test split is not there at all."""

import csv
import statistics
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from support import cli_process, tiny_runs

from gradprom import config
from gradprom.config import composing
from gradprom.config.composing import Composer
from gradprom.data.base import Facts, Images
from gradprom.data.holdout import hold_out
from gradprom.errors import ConfigError, DataError
from gradprom.runs import ranks
from gradprom.sweeps.request import make_run
from gradprom.tuning import journal
from gradprom.tuning.attempt import attempt
from gradprom.tuning.command import Search
from gradprom.tuning.tuning import read_tuning

HELD = ("validation=0.25", "trainer.coupled_epochs=2", "trainer.log_every=3")


def images(groups: list[str], labels: list[int] | None = None, test: int = 3) -> Images:
    """Images of these groups to train on, and some to test on in groups of their own."""
    count = len(groups) + test
    label = None if labels is None else torch.tensor([*labels, *[0] * test])
    return Images(
        ids=[f"image {number}" for number in range(count)],
        target=torch.zeros(count, 1, 2, 2, dtype=torch.uint8),
        mask=None,
        label=label,
        groups=[*groups, *(f"test {number}" for number in range(test))],
        splits={"train": list(range(len(groups))), "test": list(range(len(groups), count))},
        facts=Facts(1, ("a", "b") if labels else (), ()),
        fingerprint="f" * 64,
    )


@given(
    st.lists(st.sampled_from("abcdefghij"), min_size=8, max_size=40).filter(
        lambda groups: len(set(groups)) > 2
    ),
    st.floats(0.3, 0.7),
)
def test_no_group_is_divided_and_the_test_split_is_gone(groups: list[str], share: float) -> None:
    whole = images(groups)
    try:
        held = hold_out(whole, share)
    except DataError:  # each group is larger than the share
        assert min(Counter(groups).values()) > max(1, round(share * len(groups)))
        return
    assert set(held.splits) == {"train", "validation"}
    train, validation = (set(held.splits[name]) for name in ("train", "validation"))
    assert train and validation and train | validation == set(whole.splits["train"])
    assert not {groups[row] for row in train} & {groups[row] for row in validation}
    assert len(validation) <= max(1, round(share * len(groups)))


def test_classes_are_held_out_in_proportion() -> None:
    labels = [0] * 30 + [1] * 10 + [-1] * 10
    held = hold_out(images([str(number) for number in range(50)], labels), 0.2)
    assert Counter(labels[row] for row in held.splits["validation"]) == {0: 6, 1: 2, -1: 2}


def test_what_is_held_out_follows_from_the_training_images_alone() -> None:
    groups = [str(number) for number in range(20)]
    one, other = hold_out(images(groups, test=3), 0.2), hold_out(images(groups, test=9), 0.2)
    assert one.splits == other.splits
    assert one.fingerprint != images(groups).fingerprint
    assert hold_out(images(groups), 0.3).fingerprint != one.fingerprint


def test_a_share_that_is_smaller_than_every_group_is_refused() -> None:
    with pytest.raises(DataError, match="1 of 8 .* whole groups, of which there are 2; choose"):
        hold_out(images(["a"] * 4 + ["b"] * 4), 0.1)


def test_a_run_is_scored_on_the_images_held_out(tmp_path: Path) -> None:
    record = tiny_runs.train(tmp_path, *tiny_runs.PHANTOM, *HELD)
    run = tiny_runs.make(tmp_path, *tiny_runs.PHANTOM, *HELD)
    assert record.dataset.counts == {"train": 12, "validation": 4}
    with (run.study.run(run.id) / "scores.csv").open() as file:
        scores = list(csv.DictReader(file))
    held = [run.images().ids[row] for row in run.images().splits["validation"]]
    assert [row["id"] for row in scores] == held
    mean = statistics.fmean(float(row["psnr"]) for row in scores)
    assert record.metrics["psnr"] == pytest.approx(mean, abs=1e-9)

    with (run.study.run(run.id) / "history.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["stage"] == "coupled"]
    # a step an epoch: each ends a row, though only every third would
    assert [row["epoch"] for row in rows if row["validation_psnr"]] == ["1", "2"]
    assert float(rows[-1]["validation_psnr"]) == record.metrics["psnr"]
    assert float(rows[-1]["validation_accuracy"]) == record.metrics["accuracy"]
    assert rows[0]["validation_psnr"] != rows[-1]["validation_psnr"]


def test_looking_changes_no_bit_of_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = (*tiny_runs.PHANTOM, *HELD, "trainer.batch_size=4", "auxiliary.backbone=small")
    looked = tiny_runs.train(tmp_path / "looked", *words)
    monkeypatch.setattr(ranks, "validator", lambda run, device: None)
    blind = tiny_runs.train(tmp_path / "blind", *words)
    assert blind.id == looked.id
    one = cli_process.outcome(tmp_path / "looked", looked)
    other = cli_process.outcome(tmp_path / "blind", blind)
    assert "validation_psnr" in one["history"] and "validation_psnr" not in other["history"]
    assert one["weights"] == other["weights"] and one["metrics"] == other["metrics"]


def folder(path: Path, test: list[str], seed: int) -> None:
    """Twelve images; those to test on are noise of their own."""
    path.mkdir()
    for number in range(12):
        name = f"{number:02d}"
        rng = np.random.default_rng(1000 * seed + number if name in test else number)
        Image.fromarray(rng.integers(0, 256, (32, 32), dtype=np.uint8)).save(path / f"{name}.png")


def test_other_test_images_change_nothing(tmp_path: Path) -> None:
    words = [*tiny_runs.SMALL, *HELD, "dataset=folder", "dataset.channels=grey"]
    words += ["auxiliary=none", "strategy=mainstream", "dataset.test=0.25"]
    found = []
    test: list[str] = []
    for seed in (0, 1):
        place = tmp_path / str(seed)
        folder(place, test, seed)
        whole = tiny_runs.make(place / "results", *words, f"data_root={place}", "validation=0")
        test = [whole.images().ids[row] for row in whole.images().splits["test"]]
        record = tiny_runs.train(place / "results", *words, f"data_root={place}")
        found.append(cli_process.outcome(place / "results", record))
        assert not {line.split(",")[0] for line in found[-1]["scores"].splitlines()} & set(test)
    assert len(test) == 3 and found[0] == found[1]


class Here(Launcher):
    """Each job in this process, one after another."""

    def setup(self, **_: Any) -> None:
        """Nothing is needed."""

    def launch(self, job_overrides: Any, initial_job_idx: int) -> list[JobReturn]:
        for words in job_overrides:
            node, choices = Composer(composing.compose)(words)
            attempt(make_run(node, choices, words), node.tune)
        return [JobReturn() for _ in job_overrides]


def test_other_test_images_change_no_study(tmp_path: Path) -> None:
    words = [*tiny_runs.SMALL, "dataset=folder", "dataset.channels=grey", "dataset.test=0.25"]
    words += ["auxiliary=none", "strategy=mainstream", "tune=lr", "auxiliary.coupled_lr=1e-4"]
    words += ["tune.trials=4", "tune.startup=1", "trainer.batch_size=3"]
    found = []
    test: list[str] = []
    for seed in (0, 1):
        place = tmp_path / str(seed)
        folder(place, test, seed)
        given = [*words, f"data_root={place}", f"results={place / 'results'}"]
        tuning = read_tuning(given, Composer(composing.compose))
        split = replace(tuning.corners[0].config, validation=0.0)
        whole = replace(tuning.corners[0], config=split).images()
        test = [whole.ids[row] for row in whole.splits["test"]]
        study = journal.create(tuning.study.folder, {"words": [], "metric": "psnr"})
        Search(tuning, study, Here()).run()
        found.append([(t.params, t.value, t.intermediate_values, t.state) for t in study.trials])
        assert len({t.value for t in study.trials}) == 4
    assert len(test) == 3 and found[0] == found[1]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["validation=1"], "validation=1.0 must be at least 0 and less than 1"),
        (["validation=-0.1"], "validation=-0.1 must be"),
        (["validation=0.2", "evaluate_on=[lizard]"], "validation= replaces testing"),
        (["warmup_share=1.5"], "warmup_share=1.5 must be between 0 and 1"),
        (["study=a/b"], "study=a/b must be a plain folder name"),
    ],
)
def test_what_is_not_allowed_is_said(words: list[str], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        tiny_runs.make(Path("results"), "pretrained=false", *words)


def test_a_share_of_the_epochs_keeps_their_sum() -> None:
    for share, expected in ((0, (0, 12)), (0.25, (3, 9)), (0.9, (11, 1)), (1, (12, 0))):
        trainer = tiny_runs.make(Path("results"), f"warmup_share={share}").config.trainer
        assert (trainer.warmup_epochs, trainer.coupled_epochs) == expected
    assert config.Trainer().warmup_epochs == 50  # the default of the schema is left alone
