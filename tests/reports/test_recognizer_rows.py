"""The recognizer before coupled training, on clean and on degraded images, bounds accuracies."""

from typing import Any

import pytest
from support.hand_made import record, strategy
from support.swept_tables import build

from gradprom.reports.statistics.estimate import Estimate
from gradprom.reports.tables import layout, text
from gradprom.reports.tables.table import Table
from gradprom.runs.record import Record


def scored(
    name: str, seed: int, clean: float, degraded: float, stage: str = "", **changes: Any
) -> Record:
    """A run whose recognizer, as pre-trained, has these accuracies."""
    scores = {"pretrained_on_clean_accuracy": clean, "pretrained_on_degraded_accuracy": degraded}
    stages = [{"name": "warmup", "id": name}]
    stages.append({"name": "recognizer.diagnosis", "id": stage or f"d{seed}"})
    made: Record = strategy(
        name,
        25.0,
        config__seed=seed,
        stages=stages,
        metrics__accuracy=0.5,
        metrics__majority_share=0.375,
        **{f"metrics__{key}": value for key, value in scores.items()},
        **changes,
    )
    return made


def accuracies(table: Table) -> dict[str, Estimate]:
    return {row.declared.title: row.cells[0, "accuracy"].value for row in table.recognizers}


def test_one_recognizer_of_each_seed_whatever_the_rows() -> None:
    """Each seed's recognizer counts once, though two strategies share it."""
    table = build(
        scored("joint", 0, 0.9, 0.5),
        scored("frozen", 0, 0.9, 0.5),
        scored("frozen", 1, 0.8, 0.7),
    )
    assert accuracies(table) == {
        "recognizer on degraded images": Estimate(0.6, pytest.approx(0.02**0.5), 2),
        "recognizer on clean images": Estimate(pytest.approx(0.85), pytest.approx(0.005**0.5), 2),
    }
    names = [row.declared.title for row in layout.rows(table)]
    assert names[:4] == [
        "degraded input",
        "recognizer on degraded images",
        "recognizer on clean images",
        "always the most frequent class",
    ]
    markdown = text.markdown(table)
    assert "| recognizer on clean images | – | – | 0.850 ± 0.071 (2) |" in markdown
    assert "before coupled training" in markdown
    assert not any(cell.best for row in table.recognizers for cell in row.cells.values())


def test_rows_of_different_recognizers_have_rows_of_their_own() -> None:
    reads = {"dataset": {"name": "phantom"}, "recognizer": {"lr": 0.1}}
    longer = {**reads, "epochs": {"recognizer.diagnosis": 30, "coupled": 9}}
    shorter = {**reads, "epochs": {"recognizer.diagnosis": 10, "coupled": 8}}
    table = build(
        scored("joint", 0, 0.9, 0.5, "long", reads=longer),
        scored("frozen", 0, 0.9, 0.5, "long", reads=longer),
        scored("joint", 0, 0.7, 0.6, "short", reads=shorter),
    )
    means = {title: estimate.mean for title, estimate in accuracies(table).items()}
    assert means == {
        "recognizer on degraded images epochs.recognizer.diagnosis=30": 0.5,
        "recognizer on degraded images epochs.recognizer.diagnosis=10": 0.6,
        "recognizer on clean images epochs.recognizer.diagnosis=30": 0.9,
        "recognizer on clean images epochs.recognizer.diagnosis=10": 0.7,
    }


def test_records_without_these_scores_have_no_such_rows() -> None:
    table = build(record(24.0, metrics__accuracy=0.5), strategy("mainstream", 25.0))
    assert table.recognizers == [] and "before coupled training" not in text.markdown(table)
    # one that has them is enough
    assert accuracies(build(record(24.0), scored("joint", 0, 0.9, 0.5)))


def test_what_each_seeds_own_network_sees_in_degraded_images_is_a_mean_over_seeds() -> None:
    """Their PSNR is one number; how many labels they change is up to who judges them."""
    runs = [
        strategy(
            name,
            25.0,
            config__seed=seed,
            metrics__degraded_psnr=14.5 + 1e-9 * seed,
            metrics__label_changed=0.1,
            metrics__degraded_label_changed=changed,
        )
        for seed, changed in ((0, 0.6), (1, 0.7), (2, 0.8))
        for name in ("joint", "frozen")
    ]
    [row] = build(*runs).degraded
    by_metric = {metric: cell for (_, metric), cell in row.cells.items()}
    assert by_metric["psnr"].value == Estimate(14.5, None, 1)
    assert layout.mean_text(by_metric["psnr"]) == "14.500"
    assert layout.mean_text(by_metric["label_changed"]) == "0.700 ± 0.100 (3)"
