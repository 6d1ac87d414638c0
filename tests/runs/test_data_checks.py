"""What a run needs of the files of its datasets is known before anything is trained."""

import csv
from pathlib import Path

import pytest
import torch
from PIL import Image
from support import isic_files as made
from support import own_sizes, test_sets, tiny_runs

from gradprom.data import targets
from gradprom.data.base import Facts
from gradprom.data.images import load
from gradprom.data.sources import isic2018
from gradprom.errors import ConfigError, DataError, NotOnDisk, NotServed
from gradprom.runs import data_checks
from gradprom.runs.execution import execute
from gradprom.runs.run import Run
from gradprom.sweeps import request
from gradprom.sweeps.plan import make_plan, tables


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return made.isic_folder(tmp_path)


def isic_run(root: Path, *words: str) -> Run:
    where = [*tiny_runs.SMALL, "dataset=isic2018", f"data_root={root}"]
    return tiny_runs.make(root / "results", *where, *words)


def refused(run: Run) -> str:
    with pytest.raises(NotServed) as caught:
        make_plan([run], retry_failed=False)
    assert not run.study.folder.exists() and "\n" not in str(caught.value)
    return str(caught.value)


def rewrite_ids(root: Path, form: str) -> None:
    for path in (root / "labels").iterdir():
        with path.open() as file:
            header, *rows = csv.reader(file)
        made.write_csv(path, [header, *([form.format(row[0]), *row[1:]] for row in rows)])


def keep_labels(root: Path, ids: set[str]) -> None:
    for path in (root / "labels").iterdir():
        with path.open() as file:
            header, *rows = csv.reader(file)
        made.write_csv(path, [header, *(row for row in rows if row[0] in ids)])


def split_of(root: Path, part: str) -> set[str]:
    source = isic2018.build(isic2018.Options(root=str(root)))
    return set(source.splits(source.index())[part])


def test_published_task_1_alone_serves_no_diagnosis(root: Path) -> None:
    for table in (root / "labels").iterdir():
        table.unlink()
    told = refused(isic_run(root))
    assert "dataset=isic2018: none of the 12 images of split=train has a label" in told
    assert "stage recognizer.diagnosis" in told and "gradprom data check" in told
    assert "stage benchmark" in refused(isic_run(root, "method=recognizer"))
    for words in (["auxiliary=segmentation"], ["strategy=mainstream"]):
        assert len(make_plan([isic_run(root, *words)], retry_failed=False).pending) == 1


@pytest.mark.parametrize("form", ["{}.jpg", "x{}"])
def test_labels_of_other_ids_are_none(root: Path, form: str) -> None:
    rewrite_ids(root, form)
    assert "none of the 12 images of split=train has a label" in refused(isic_run(root))


def test_a_table_of_a_header_alone_has_no_labels(root: Path) -> None:
    keep_labels(root, set())
    assert "split=train has a label" in refused(isic_run(root))


def test_training_needs_labels_of_two_classes(root: Path) -> None:
    keep_labels(root, {made.isic_id(n) for n, kinds in made.ISIC.items() if kinds == (0, 0)})
    told = refused(isic_run(root))
    assert "all images that have a label of split=train" in told and "of one class, nevus" in told


def test_the_scored_split_needs_labels() -> None:
    images = test_sets.images()
    images.label = torch.tensor([0, 1, -1, 1, -1, 0, -1])
    images.facts = Facts(3, ("a", "b"), ())
    images.splits = {"train": [0, 1, 3], "test": [2, 4, 6], "validation": [4, 5]}
    targets.require_target(images, "label", "train")
    targets.require_target(images, "label", "validation")
    with pytest.raises(NotServed, match="none of the 3 images of split=test has a label"):
        targets.require_target(images, "label", "test")
    with pytest.raises(NotServed, match="annotation=mask is not in the dataset; it has: label"):
        targets.require_target(images, "mask", "train")


@pytest.mark.parametrize("part", ["train", "test"])
def test_masks_of_background_alone_serve_no_segmentation(root: Path, part: str) -> None:
    for id in split_of(root, part):
        path = root / made.TRUTH / f"{id}_segmentation.png"
        with Image.open(path) as mask:
            Image.new("L", mask.size).save(path)
    told = refused(isic_run(root, "auxiliary=segmentation"))
    assert f"all pixels of split={part}" in told and "of one class, background" in told
    assert len(make_plan([isic_run(root)], retry_failed=False).pending) == 1


def test_a_table_leaves_out_what_the_files_cannot_serve(root: Path, tmp_path: Path) -> None:
    for table in (root / "labels").iterdir():
        table.unlink()
    words = ["profile=demo", "seed=0", "noise=0.1", "size=32", "dataset=isic2018"]
    asked = [*words, f"data_root={tmp_path}", f"results={tmp_path}/results", "experiment=table1"]
    made_of = request.served(request.read_request(asked, request.shell_composer()))
    plan = make_plan(made_of.runs, retry_failed=False)
    plan.expansions = made_of.expansions
    [benchmark] = [cell for cell in plan.expansions[0].cells if cell.runs]
    assert benchmark.row.title == "Benchmark-i" and len(plan.jobs) == len(made_of.jobs) == 1
    left_out = " ".join(tables(plan))
    assert "1 of 8 cells" in left_out and "Sup. GradProm: dataset=isic2018: none of" in left_out
    with pytest.raises(NotServed, match="has a label"):  # where nothing is left
        only = [*asked, "strategy=gradprom"]
        request.served(request.read_request(only, request.shell_composer()))


def test_a_dataset_that_is_not_on_disk_stops_only_its_own_cells(root: Path, tmp_path: Path) -> None:
    words = ["profile=demo", "seed=0", "size=32", f"results={tmp_path}/results"]
    asked = [*words, f"data_root={tmp_path}", "experiment=table1,table6,table8"]
    left = request.served(request.read_request(asked, request.shell_composer()))
    assert {run.config.dataset.name for run in left.runs} == {"isic2018"}
    camus = left.expansions[2].cells[0]
    assert not camus.runs and camus.problem == "CAMUS was not found"
    nowhere = [*words, f"data_root={tmp_path}/gone", "experiment=table1,table8"]
    with pytest.raises(NotOnDisk, match="ISIC 2018 was not found. Get "):
        request.served(request.read_request(nowhere, request.shell_composer()))


def test_a_table_that_a_dataset_cannot_serve_stops_no_other_one(tmp_path: Path) -> None:
    """COVID-CT has no masks, and so no cell of Tables II and III."""
    words = ["profile=demo", "seed=0", "size=32", f"results={tmp_path}/results"]
    asked = [*words, "dataset=covid_ct", "experiment=table1,table2"]
    first, second = request.read_request(asked, request.shell_composer()).expansions
    assert first.runs and not second.runs
    assert all("needs masks" in cell.problem for cell in second.cells)


def test_images_of_own_sizes_are_checked_against_what_scores_and_degrades(tmp_path: Path) -> None:
    images = load(own_sizes.build(own_sizes.Options()), tmp_path)
    with pytest.raises(DataError, match="split=train has images of 3 shapes"):
        targets.require_one_shape(images, "train")
    run = tiny_runs.make(tmp_path, *tiny_runs.PHANTOM, "degradation=downsample", "scale=4")
    check = data_checks.require_scorable
    check(run.config, ("psnr", "ssim"), "mine", images, "test")
    small = test_sets.images()
    small.target = small.target[..., :9, :24]
    with pytest.raises(DataError, match="dataset=mine, split=test: 9×24 pixels cannot be divided"):
        check(run.config, ("psnr", "ssim"), "mine", small, "test")
    small.target = small.target[..., :8, :]
    with pytest.raises(DataError, match="8×24 pixels are too small: SSIM needs at least 11×11"):
        check(run.config, ("psnr", "ssim"), "mine", small, "test")
    check(run.config, ("psnr",), "mine", small, "test")


def test_a_split_without_images_is_refused() -> None:
    images = test_sets.images()
    images.splits["train"] = []
    with pytest.raises(DataError, match=r"split=train has no images; choose from train \(0\)"):
        targets.require_one_shape(images, "train")


def test_a_missing_test_set_is_told_before_anything_is_decoded(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def decode(*_: object) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr("gradprom.runs.run.load", decode)
    run = isic_run(root, "evaluate_on=[lizard]")
    for check in (data_checks.require_served, lambda run: make_plan([run], False), execute):
        with pytest.raises(NotServed, match="evaluate_on: Lizard was not found"):
            check(run)


def test_an_unknown_option_of_a_test_set_names_it_and_the_known_ones(root: Path) -> None:
    with pytest.raises(ConfigError, match="evaluate_on: lizard has no option rooot; choose from"):
        isic_run(root, "evaluate_on=[{name: lizard, rooot: /b}]")
