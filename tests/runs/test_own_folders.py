"""Folders of one's own: told apart by their names, and further test sets as a whole."""

import shutil
from pathlib import Path

import pytest
from PIL import Image
from support import isic_files as made
from support import tiny_runs

from gradprom.errors import ConfigError, DataError
from gradprom.runs import run as runs
from gradprom.runs.execution import execute
from gradprom.runs.restore import load_run
from gradprom.runs.run import Run
from gradprom.sweeps import request, run_ids
from gradprom.sweeps.plan import make_plan

PLAIN = ("dataset=folder", "auxiliary=none", "strategy=mainstream", *tiny_runs.SMALL)


def pictures(folder: Path, seed: int, count: int = 10) -> Path:
    folder.mkdir(parents=True)
    for number in range(count):
        image, _ = made.lesion(seed + number, (32, 32))
        Image.fromarray(image).save(folder / f"{number:02d}.png")
    return folder


def run_on(results: Path, folder: Path, *words: str) -> Run:
    runs._images.cache_clear()  # a folder changes within a test, and never within a process
    return tiny_runs.make(results, *PLAIN, f"data_root='{folder}'", *words)


def test_the_name_of_a_folder_is_part_of_the_id_and_its_place_is_not(tmp_path: Path) -> None:
    first, second = pictures(tmp_path / "one", 0), pictures(tmp_path / "my other (2)", 50)
    one, two = run_on(tmp_path / "r", first), run_on(tmp_path / "r", second)
    assert one.config.dataset.title == "one" and two.config.dataset.title == "my other (2)"
    assert one.id != two.id and "folder my other (2)" in two.dataset_label
    moved = tmp_path / "elsewhere" / "one"
    shutil.copytree(first, moved)
    by_root = tiny_runs.make(tmp_path / "r", *PLAIN, f"dataset.root={moved}")
    assert run_on(tmp_path / "r", moved).id == by_root.id == one.id
    assert run_on(tmp_path / "r", second, "dataset.title=one").id == one.id
    execute(one)
    execute(two)
    assert {r.status for r in one.study.records()} == {"finished"} and len(one.study.records()) == 2
    assert make_plan([run_on(tmp_path / "r", moved)], False).summary() == "1 run: 0 new, 1 done"
    assert load_run(one.study, one.id).id == one.id


def test_ids_from_before_folders_had_names_are_those_of_no_name(tmp_path: Path) -> None:
    keys = ("name", "mask_classes", "classes", "channels", "size", "test", "split_seed")
    plain = run_on(tmp_path, tmp_path, "dataset.title=''")
    assert set(plain.reads["dataset"]) == set(keys)


def test_a_second_folder_of_one_name_sets_nothing_aside(tmp_path: Path) -> None:
    first, second = pictures(tmp_path / "a" / "mine", 0), pictures(tmp_path / "b" / "mine", 50)
    one, two = run_on(tmp_path, first), run_on(tmp_path, second)
    assert one.id == two.id
    execute(one)
    for refuse in (lambda: make_plan([two], retry_failed=False), lambda: execute(two)):
        with pytest.raises(DataError, match="dataset.title=mine is the name of .*choose another"):
            refuse()
    assert one.study.record(one.id).finished and not (tmp_path / "set-aside").exists()
    # but a folder that has changed is of other data, as every dataset is
    Image.new("RGB", (32, 32)).save(first / "00.png")
    changed = run_on(tmp_path, first)
    assert make_plan([changed], False).summary() == "1 run: 0 new, 0 done, 1 other data"


def test_labels_of_another_table_are_of_another_name(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "mine", 0)
    for name, kinds in (("a.csv", "xy"), ("b.csv", "yx")):
        rows = [[f"{number:02d}", kinds[number % 2]] for number in range(10)]
        made.write_csv(folder / name, [["id", "label"], *rows])
    words = ("dataset.classes=[x,y]", "auxiliary=diagnosis", "strategy=joint")
    execute(run_on(tmp_path, folder, *words, "dataset.labels=a.csv"))
    other = run_on(tmp_path, folder, *words, "dataset.labels=b.csv")
    with pytest.raises(DataError, match="holds other images, masks or labels"):
        make_plan([other], retry_failed=False)


def test_a_folder_is_tested_on_as_a_whole_beside_another(tmp_path: Path) -> None:
    learned = pictures(tmp_path / "learned", 0)
    for name in ("far", "near"):
        pictures(tmp_path / name, 70, 7)
    sets = [f"{{name: folder, root: '{tmp_path / name}'}}" for name in ("far", "near")]
    run = run_on(tmp_path / "r", learned, f"evaluate_on=[{','.join(sets)}]")
    record = execute(run)
    assert {name: one.counts for name, one in record.evaluate_on.items()} == {
        name: {"train": 0, "test": 7} for name in ("far", "near")
    }
    assert record.evaluate_on["far"].metrics == record.evaluate_on["near"].metrics
    assert (run.study.run(run.id) / "scores-far.csv").read_text().count("\n") == 8
    assert load_run(run.study, run.id).id == run.id


def test_a_name_of_a_dataset_is_enough_where_it_lies_in_data_root(tmp_path: Path) -> None:
    pictures(tmp_path / "mine", 0, 6)
    words = [*tiny_runs.PHANTOM, f"data_root='{tmp_path}/mine'", "evaluate_on=[folder]"]
    [(name, images)] = tiny_runs.make(tmp_path, *words).test_sets().items()
    assert name == "mine" and len(images.splits["test"]) == len(images.ids) == 6


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ("{root: /x}", r"{'root': '/x'} names no dataset; allowed are names, such as lizard"),
        ("3", "evaluate_on: 3 names no dataset"),
        ("null", "evaluate_on: None names no dataset"),
        ("{name: 3}", "names no dataset"),
        ("{name: folder, root: /a/x},{name: folder, root: /b/x}", r"evaluate_on=\[x,x\] must name"),
        ("{name: folder, root: /a, colour: 1}", "evaluate_on: folder has no option colour"),
        ("{name: folder, root: /a, title: a/b}", "dataset.title=a/b: must be a name"),
        ("{name: folder, root: mine/., title: b}", "mine is the folder that the run learns from"),
    ],
)
def test_entries_that_cannot_be_tested_on(tmp_path: Path, entry: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        tiny_runs.make(tmp_path, *PLAIN, "data_root=mine", f"evaluate_on=[{entry}]")


def test_a_folder_without_training_images_is_refused_in_the_plan(tmp_path: Path) -> None:
    run = run_on(tmp_path, pictures(tmp_path / "mine", 0), "dataset.test=1")
    with pytest.raises(DataError, match="split=train has no images"):
        make_plan([run], retry_failed=False)


def test_a_report_knows_the_runs_of_a_table_on_a_folder(tmp_path: Path) -> None:
    """It does not know where the folder lies, and its name is part of the ids."""
    folder = pictures(tmp_path / "my (2)", 0)
    places = [f"results={tmp_path}", f"data_root='{folder}'"]
    asked = ["experiment=table1", "dataset=folder", "profile=demo", "seed=0", "noise=0.1"]
    asked += ["dataset.labels=labels.csv", "dataset.classes=[x,y]", "strategy=joint,frozen"]
    found = request.read_request([*asked, *places], request.shell_composer())
    assert found.narrowing[-1] == "dataset.title='my (2)'"
    cell = found.expansions[0].cells[0]
    identify = request.identify_with(request.shell_composer(), {}, [])
    assert [i.id for i in identify(list(cell.overrides.values()))] == list(cell.runs.values())
    assert all(not run_ids.is_place(text) for text in found.narrowing)
    assert {run.config.dataset.title for run in found.runs} == {"my (2)"}
