"""A sweep as an experiment: its rows, columns, cells and labels, and what a plan keeps of it."""

import json
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from support import tiny_runs

from gradprom.experiments.expansion import Expansion
from gradprom.experiments.on_the_fly import Point, as_plan, experiment_of, from_plan
from gradprom.sweeps import request

GROUPS = frozenset({"strategy", "auxiliary", "method", "degradation"})


def point(number: int, seed: int = 0, sigma: float = 0.1, **choices: str) -> Point:
    """A run that reads what was chosen for it."""
    name = choices.get("strategy", "gradprom")
    return Point(
        id=f"{number:012x}",
        seed=seed,
        degradation={"name": "gaussian", "sigma": sigma, "clamp": True},
        choices=choices,
        groups=GROUPS,
        names={"strategy": name},
        reads={"degradation.sigma": sigma, **{k: v for k, v in choices.items() if k != "noise"}},
        scores=("psnr", "ssim"),
    )


def made(points: list[Point]) -> Expansion:
    return experiment_of(points, "sweep-x", "Sweep x", "as typed")


def titles(expansion: Expansion) -> list[str]:
    return [row.title for row in expansion.experiment.rows]


def runs(expansion: Expansion) -> dict[tuple[str, str], dict[int, str]]:
    return {(cell.row.title, cell.column.title): cell.runs for cell in expansion.cells}


def test_rows_are_choices_columns_degradations_in_rising_order() -> None:
    places = list(product(("joint", "frozen"), (0.3, 0.05), (1, 0)))
    points = [
        point(n, seed, sigma, strategy=name, noise=str(sigma))
        for n, (name, sigma, seed) in enumerate(places)
    ]
    found = made(points)
    assert titles(found) == ["joint", "frozen"]
    assert [column.title for column in found.experiment.columns] == ["σ=0.05", "σ=0.3"]
    assert found.experiment.seeds == (0, 1)
    expected = {(name, f"σ={sigma:g}"): {} for name, sigma, _ in places}
    for one, (name, sigma, seed) in zip(points, places, strict=True):
        expected[name, f"σ={sigma:g}"][seed] = one.id
    assert runs(found) == expected
    # what figures have on their axis, and what gives a row its colour
    assert [column.overrides["noise"] for column in found.experiment.columns] == ["0.05", "0.3"]
    assert found.experiment.rows[0].overrides == {"strategy": "joint"}


def test_only_what_was_swept_is_a_cell() -> None:
    found = made([point(0, strategy="joint"), point(1, sigma=0.2, strategy="frozen")])
    assert set(runs(found)) == {("joint", "σ=0.1"), ("frozen", "σ=0.2")}


@pytest.mark.parametrize(
    ("choices", "labels"),
    [
        ([{"strategy": "a"}, {"strategy": "b"}], ["a", "b"]),
        ([{"lam": "1"}, {"lam": "2"}], ["gradprom lam=1", "gradprom lam=2"]),
        ([{}], ["gradprom"]),
        (
            [{"lam": "1", "strategy": "a"}, {"lam": "2", "strategy": "a"}],
            ["a lam=1", "a lam=2"],
        ),
        (
            [{"auxiliary": "x", "strategy": "a"}, {"auxiliary": "y", "strategy": "b"}],
            ["x a", "y b"],
        ),
    ],
)
def test_labels_name_what_varies_and_the_strategy_in_any_case(
    choices: list[dict[str, str]], labels: list[str]
) -> None:
    assert titles(made([point(n, **own) for n, own in enumerate(choices)])) == labels


def test_two_points_of_one_run_are_one_row() -> None:
    """`auxiliary=none,diagnosis` under `strategy=mainstream`, which reads no auxiliary task."""
    one = point(0, strategy="mainstream")
    asked = [replace(one, choices={**one.choices, "auxiliary": a}) for a in ("none", "diagnosis")]
    others = [point(n, strategy="joint", auxiliary="diagnosis") for n in (1,)]
    found = made([*asked, *others])
    assert titles(found) == ["mainstream", "joint"] and len(found.runs) == 2


def test_rows_that_a_choice_does_not_tell_apart_are_told_apart_by_what_they_read() -> None:
    first, second = point(0), point(1)
    second = replace(second, reads={**second.reads, "epochs.coupled": 2})
    first = replace(first, reads={**first.reads, "epochs.coupled": 1})
    labels = [f"gradprom epochs.coupled={epochs}" for epochs in (1, 2)]
    assert titles(made([first, second])) == labels


def test_a_strategys_own_seed_is_the_runs_seed_unless_another_is_given() -> None:
    def random(number: int, seed: int, own: int) -> Point:
        one = point(number, seed, strategy="random_gate")
        return replace(one, reads={**one.reads, "strategy.seed": own})

    assert [len(c.runs) for c in made([random(n, n, n) for n in range(3)]).cells] == [3]
    found = made([random(0, 0, 0), random(1, 0, 1)])
    assert [len(cell.runs) for cell in found.cells] == [1, 1]
    assert found.runs == {f"{0:012x}", f"{1:012x}"}


def test_no_run_is_lost_where_two_read_the_same() -> None:
    found = made([point(0), point(1)])
    assert found.runs == {f"{0:012x}", f"{1:012x}"} and len(set(titles(found))) == 2


def test_a_method_without_psnr_has_no_psnr_in_its_row() -> None:
    recognizer = replace(point(0), names={"method": "recognizer"}, scores=("accuracy",), reads={})
    found = made([recognizer, point(1, strategy="joint")])
    rows = {row.title: set(row.metrics) - {"gate", "ratio"} for row in found.experiment.rows}
    assert rows == {"recognizer": {"accuracy"}, "joint": {"psnr", "ssim"}}
    assert [m for m in found.experiment.metrics if m in ("psnr", "ssim", "accuracy")] == [
        *("psnr", "ssim", "accuracy")
    ]


def test_a_plan_keeps_it(tmp_path: Path) -> None:
    found = made([point(0, strategy="joint"), point(1, 1, 0.2, strategy="frozen", noise="0.2")])
    kept = json.loads(json.dumps(as_plan(found)))
    again = from_plan(kept)
    assert again.experiment == found.experiment
    assert runs(again) == runs(found)


# of real runs


def swept(results: Path, *words: str) -> Expansion:
    arguments = [*tiny_runs.PHANTOM, *words, f"results={results}"]
    found = request.read_request(arguments, request.shell_composer()).swept
    assert found is not None
    return found


def shape(expansion: Expansion) -> tuple[Any, ...]:
    one = expansion.experiment
    return [row.title for row in one.rows], [column.title for column in one.columns], one.seeds


def test_a_sweep_of_the_command_line(tmp_path: Path) -> None:
    found = swept(tmp_path, "strategy=mainstream,joint", "noise=0.2,0.1", "seed=0,1,2")
    assert shape(found) == (["mainstream", "joint"], ["σ=0.1", "σ=0.2"], (0, 1, 2))
    assert all(len(cell.runs) == 3 for cell in found.cells) and len(found.runs) == 12
    assert found.experiment.metrics[:3] == ("psnr", "ssim", "accuracy")
    assert "accuracy" not in found.experiment.rows[0].metrics
    assert "results=" not in found.experiment.caption
    assert "strategy=mainstream,joint" in found.experiment.caption


@pytest.mark.parametrize(
    ("words", "labels"),
    [
        (["strategy=mainstream,joint", "auxiliary=diagnosis,segmentation"],
         ["mainstream", "joint diagnosis", "joint segmentation"]),
        (["strategy=random_gate", "seed=0,1"], ["random_gate"]),
        (["trainer.coupled_epochs=1,2"],
         ["gradprom trainer.coupled_epochs=1", "gradprom trainer.coupled_epochs=2"]),
        (["evaluation.seed=0,1"], ["gradprom evaluation.seed=0", "gradprom evaluation.seed=1"]),
        (["method=recognizer,task_driven"], ["recognizer", "task_driven gradprom"]),
        (["method=recognizer", "strategy=joint,frozen"], ["recognizer"]),
        (["trainer.threads=1,2"], ["gradprom"]),
        (["degradation=gaussian,poisson"], ["gradprom"]),
    ],
)  # fmt: skip
def test_rows_of_the_command_line(tmp_path: Path, words: list[str], labels: list[str]) -> None:
    assert titles(swept(tmp_path, *words)) == labels


LESIONS = "[adenosis, fibroadenoma, phyllodes, tubular_adenoma, ductal_carcinoma"


def test_long_values_are_short_in_names_and_still_tell_rows_apart() -> None:
    """Folders and lists of classes, whether they were swept or only read."""
    folders = ("/data/laboratory/projects/ultrasound/2023", "/data/laboratory/projects/mri/2024")
    swept = [point(n, **{"strategy": "joint", "dataset.masks": f}) for n, f in enumerate(folders)]
    assert titles(made(swept)) == [
        f"joint dataset.masks={short}" for short in ("ultrasound/2023", "mri/2024")
    ]
    kinds = (LESIONS + "]", LESIONS + ", other]")
    read = [
        replace(point(n, strategy="joint"), reads={"dataset.classes": kind})
        for n, kind in enumerate(kinds)
    ]
    assert titles(made(read)) == [f"joint dataset.classes=[{n} values]" for n in (5, 6)]


def test_rows_that_differ_in_much_are_told_apart_by_little() -> None:
    """Two settings tell the four rows apart; the twelve that follow the first are not named."""
    rows = list(product((1, 2), (10, 20)))
    points = [
        replace(
            point(n, strategy="joint"),
            reads={"a": first, "b": second, **{f"follows.{i}": first * i for i in range(1, 13)}},
        )
        for n, (first, second) in enumerate(rows)
    ]
    assert titles(made(points)) == [f"joint a={first} b={second}" for first, second in rows]


def test_a_further_test_set_is_named_and_not_spelled_out() -> None:
    tested = [{"name": "isic2018", "root": "/data/isic", "size": 64}]
    points = [
        replace(point(n, strategy="joint"), reads={"evaluate_on": value})
        for n, value in enumerate(([], tested))
    ]
    assert titles(made(points)) == ["joint evaluate_on=[]", "joint evaluate_on=[isic2018]"]
