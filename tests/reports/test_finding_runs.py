"""`gradprom runs`, and how every command finds the run that a person means."""

import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from support import first_version, records_factory
from support.bare_records import write_bare_record
from support.records_factory import Made

from gradprom import cli
from gradprom.errors import RunError
from gradprom.experiments.expansion import Identity
from gradprom.reports.finding import find
from gradprom.reports.finding.labels import labels
from gradprom.reports.finding.listing import listing
from gradprom.runs.records import Study
from gradprom.sweeps.status import overview

RESULTS = Path(__file__).parents[2] / "results"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Tables I and II in part: two tasks and both, two noise levels, two seeds."""
    results, narrowing = tmp_path_factory.mktemp("finding"), ("noise=0.1,0.3", "seed=0,1")
    return records_factory.make(results, ["table1", "table2"], *narrowing, identify=identify)


def identify(runs: list[list[str]]) -> list[Identity]:
    """Benchmark-i is one run, whatever the auxiliary task, as with real ids."""
    unread = {"auxiliary=diagnosis", "auxiliary=segmentation"}
    return records_factory.identify(
        [[o for o in run if "strategy=mainstream" not in run or o not in unread] for run in runs]
    )


def lines(study: Study, *words: str) -> list[list[str]]:
    """The cells of each run's line."""
    _, _, *rows = listing(study, [*words]).splitlines()
    return [re.split(r"  +", row) for row in rows]


# the list


def test_each_run_has_a_line_whose_label_selects_it_alone(made: Made) -> None:
    rows = lines(made.study)
    assert len(rows) == len(made.records) == len({row[1] for row in rows})
    everything = find.candidates(made.study)
    for run_id, label, *_ in rows:
        [found] = find.select(made.study, everything, label.split())
        assert found.id == run_id


def test_scores_are_those_of_the_records(made: Made) -> None:
    [record] = [
        r
        for r in made.records.values()
        if {"strategy=joint", "noise=0.3", "seed=1", "auxiliary=segmentation"} <= {*r.overrides}
        and "supervision=supervised" in r.overrides
    ]
    words = ["joint", "segmentation", "supervised", "0.3", "seed=1"]
    head = re.split(r"  +", listing(made.study, words).splitlines()[1])
    [[run_id, _, *cells]] = lines(made.study, *words)
    shown = dict(zip(head[2:], cells, strict=True))
    assert run_id == record.id and shown["state"] == "done"
    assert shown["PSNR"] == f"{record.metrics['psnr']:.3f}"
    assert shown["mIoU"] == f"{record.metrics['miou']:.3f}" and "Acc" not in shown


def test_the_newest_come_first_with_their_age(tmp_path: Path) -> None:
    study = Study(tmp_path, "local")
    for run_id, hours in (("aaaaaaaaaaaa", 5), ("bbbbbbbbbbbb", 0.5), ("cccccccccccc", 72)):
        started = time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(time.time() - 3600 * hours))
        write_bare_record(study, run_id, "finished", started=started)
    write_bare_record(study, "dddddddddddd", "finished")  # of unknown age
    rows = lines(study)
    assert [row[0][0] for row in rows] == ["b", "a", "c", "d"]
    assert [row[-2] for row in rows] == ["30 min", "5 h", "3 days", "–"]


def test_runs_without_a_record_and_unreadable_records_are_listed(tmp_path: Path) -> None:
    study = Study(tmp_path, "local")
    write_bare_record(study, "aaaaaaaaaaaa", "failed", error={"type": "NonFinite"})
    for number in range(12):
        folder = study.run(f"{number:012d}")
        folder.mkdir()
        (folder / "record.json").write_text("{")
    plan = study.folder / "sweeps" / "0123456789ab" / "plan.json"
    plan.parent.mkdir(parents=True)
    plan.write_text(json.dumps({"runs": [{"id": "bbbbbbbbbbbb", "label": "noise=0.2 seed=3"}]}))
    text = listing(study, [])
    assert re.search(r"aaaaaaaaaaaa  noise=0.1 .*failed", text)
    assert re.search(r"bbbbbbbbbbbb  noise=0.2 seed=3 .*missing", text)
    assert text.count("\nunreadable  ") == 11 and text.endswith("unreadable  2 more")
    assert [row[0] for row in lines(study, "failed")] == ["aaaaaaaaaaaa"]
    assert [row[0] for row in lines(study, "missing", "0.2")] == ["bbbbbbbbbbbb"]
    with pytest.raises(RunError, match="no run that is running: its runs are failed, missing"):
        listing(study, ["running"])
    with pytest.raises(RunError, match="bbbbbbbbbbbb .* has no record: it is missing"):
        find.resolve(study, "missing noise=0.2")


def test_records_of_the_first_version_are_listed(tmp_path: Path) -> None:
    study = first_version.copied(tmp_path, first_version.is_on_phantom)
    rows = lines(study)
    assert len(rows) == len(study.records()) == len({row[1] for row in rows}) > 5
    [row] = lines(study, "gradprom", "lam=0.0002", "seed=1")
    record = study.record(row[0])
    assert record is not None and record.config["strategy"]["lam"] == 0.0002
    assert (record.choices["strategy"], record.seed) == ("gradprom", 1)


def test_all_runs_that_the_repository_keeps_are_listed() -> None:
    study = Study(RESULTS, "reference")
    rows = lines(study, "done")
    assert len(rows) == len(study.records()) == len({row[1] for row in rows})


def test_an_empty_study_is_no_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["runs", f"results={tmp_path}", "study=mine"])
    assert capsys.readouterr().out == f"study mine: no runs in {tmp_path / 'mine'}\n"
    for words, told in (("", "^study mine has no runs$"), ("x", "has no run x: it has no runs$")):
        with pytest.raises(RunError, match=told):
            find.resolve(Study(tmp_path, "mine"), words)


def test_the_list_needs_no_torch(made: Made) -> None:
    code = f"""
import sys
from gradprom import cli
cli.main(["runs", "gradprom", "0.1", "results={made.study.results}", "study=made"])
assert not {{"torch", "pandas", "matplotlib"}} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert " of 68 runs\n" in done.stdout


# words


def test_words_select_by_value_choice_and_alternative(made: Made) -> None:
    def overrides(*words: str) -> list[set[str]]:
        found = find.select(made.study, find.candidates(made.study), [*words])
        return [{*made.records[run.id].overrides} for run in found]

    assert all("noise=0.1" in o for o in overrides("noise=0.1")) and overrides("noise=0.1")
    assert overrides("noise=1e-1") == overrides("noise=0.10") == overrides("noise=0.1")
    both = overrides("strategy=joint,frozen", "noise=0.3", "seed=0")
    assert len(both) == 8
    assert all({"strategy=joint"} & o or {"strategy=frozen"} & o for o in both)
    # a recognizer's run has no strategy, whatever its configuration holds
    assert all("method=recognizer" not in o for o in overrides("strategy=gradprom"))
    assert overrides("recognizer") == overrides("method=recognizer")
    # any key of the configuration, and what was typed
    assert len(overrides("trainer.lr=1e-4")) == len(made.records)


def test_any_short_name_and_group_of_the_command_line_selects() -> None:
    study = Study(RESULTS, "reference")
    everything = find.candidates(study)
    for word in ("profile=demo", "dataset=phantom", "degradation=gaussian", "size=64", "lam=1e-4"):
        assert find.select(study, everything, [word])
    # what a run does not read is not its own
    lam = find.select(study, everything, ["lam=0.0001"])
    names = {run.named["strategy"] for run in lam}
    assert {"gradprom", "joint", "frozen"} <= names and not {"mainstream", "pcd"} & names


def test_what_tells_a_single_run_apart_from_the_others(made: Made) -> None:
    everything = find.candidates(made.study)
    [run] = find.select(made.study, everything, ["multitask", "supervised", "0.1", "seed=1"])
    assert labels([run], everything)[run.id] == (
        "strategy=gradprom auxiliary=multitask supervision=supervised noise=0.1 seed=1"
    )


def test_further_keys_tell_apart_what_is_alike_in_its_short_names(made: Made) -> None:
    """Two runs that differ only in a key that has no short name."""
    one = next(iter(made.records.values()))
    other = json.loads(json.dumps(one.config))
    other["trainer"]["batch_size"] = 16
    runs = [
        find.Candidate("a" * 12, "done", one),
        find.Candidate("b" * 12, "done", records_factory.replace(one, config=other)),
    ]
    told = labels(runs)
    assert [text.split()[-1] for text in told.values()] == [
        "trainer.batch_size=8",
        "trainer.batch_size=16",
    ]


def of(made: Made, run_id: str = "a" * 12, **changes: Any) -> find.Candidate:
    """A finished run of GradProm like the first of `made`, with some options of its sections."""
    trained = (r for r in made.records.values() if r.choices["method"] == "task_driven")
    one = next(r for r in trained if r.choices["strategy"] == "gradprom")
    config = json.loads(json.dumps(one.config))
    for section, options in changes.items():
        config[section] = {**config[section], **options} if isinstance(options, dict) else options
    return find.Candidate(run_id, "done", records_factory.replace(one, id=run_id, config=config))


def test_settings_that_no_choice_implies_are_part_of_every_label(made: Made) -> None:
    """A run at another λ and another rate would else be told by λ alone."""
    lam, both = {"lam": 0.5}, {"strategy": {"lam": 0.25}, "trainer": {"lr": 0.125}}
    runs = [of(made), of(made, "b" * 12, strategy=lam), of(made, "c" * 12, **both)]
    told = labels(runs)
    assert "lam=0.25" in told["c" * 12] and told["c" * 12].endswith("trainer.lr=0.125")
    assert "lam=0.5" in told["b" * 12] and told["b" * 12].endswith("trainer.lr=0.0001")
    assert not any("strategy.lam" in text for text in told.values())
    assert "trainer.lr" not in labels(runs[:2])["b" * 12]


def test_further_test_sets_are_named_in_a_label(made: Made) -> None:
    folder = {"name": "folder", "root": "/a/long/folder of images", "title": "clinic"}
    other = of(made, "b" * 12, evaluate_on=[folder, {"name": "lizard", "size": 64}])
    runs = [of(made, evaluate_on=[]), other]
    assert labels(runs)["b" * 12].endswith("evaluate_on=[clinic,lizard]")
    assert find.select(made.study, runs, ["evaluate_on=[clinic,lizard]"]) == [other]


def test_what_a_run_did_not_read_is_not_its_own(made: Made) -> None:
    """A classical filter has neither λ nor supervision nor a learning rate."""
    record = of(made).record
    assert record is not None
    record.choices["method"], record.config["method"] = "classical", {"name": "classical"}
    record = records_factory.replace(record, reads={"method": {"name": "classical"}})
    runs = [find.Candidate("f" * 12, "done", record), of(made, trainer={"lr": 0.125})]
    assert not {"lam", "supervision", "strategy"} & set(runs[0].named)
    assert "trainer.lr" not in labels(runs)["f" * 12]


def test_planned_runs_of_two_sweeps_are_told_apart(tmp_path: Path) -> None:
    study = Study(tmp_path, "local")
    for run_id, dataset in (("aaaaaaaaaaaa", "phantom"), ("bbbbbbbbbbbb", "covid_ct")):
        plan = study.folder / "sweeps" / run_id / "plan.json"
        plan.parent.mkdir(parents=True)
        overrides = [f"dataset={dataset}", "noise=0.2", "seed=3", "trainer.lr=0.1"]
        run = {"id": run_id, "label": "noise=0.2 seed=3", "overrides": overrides}
        plan.write_text(json.dumps({"runs": [run]}))
    rows = {row[0]: row[1] for row in lines(study)}
    assert rows["aaaaaaaaaaaa"] == "dataset=phantom noise=0.2 seed=3"
    assert rows["bbbbbbbbbbbb"] == "dataset=covid_ct noise=0.2 seed=3"
    assert [row[0] for row in lines(study, "missing", "covid_ct")] == ["bbbbbbbbbbbb"]
    assert "bbbbbbbbbbbb  dataset=covid_ct noise=0.2 seed=3 trainer.lr=0.1" in overview(study)


# one run for a command


def test_a_run_is_found_by_id_prefix_and_words(made: Made) -> None:
    ids = sorted(made.records)
    for run_id in ids:
        assert find.resolve(made.study, run_id).id == run_id
        unique = next(n for n in range(1, 13) if sum(i.startswith(run_id[:n]) for i in ids) == 1)
        assert find.resolve(made.study, run_id[:unique]).id == run_id
    words = "strategy=gradprom auxiliary=multitask supervision=supervised noise=0.3 seed=0"
    assert {*words.split()} <= {*find.resolve(made.study, words).overrides}


def test_several_runs_are_listed_with_what_tells_them_apart(made: Made) -> None:
    with pytest.raises(RunError) as caught:
        find.resolve(made.study, "joint 0.1 supervised segmentation")
    head, *rest = str(caught.value).splitlines()
    assert head.startswith("joint 0.1 supervised segmentation selects 2 runs of study made")
    assert sorted(line.split()[-1] for line in rest) == ["seed=0", "seed=1"]
    with pytest.raises(RunError, match="and 58 more$") as caught:
        find.resolve(made.study, "")
    assert len(str(caught.value).splitlines()) == 12


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("noise=0.4", "has no run noise=0.4; noise is 0.1, 0.3$"),
        ("strategy=gradprom noise=0.4", "has no run noise=0.4; noise is 0.1, 0.3$"),
        ("gradprm", r"has no run gradprm; known are ids, states \(.*strategy=.*gradprom,joint"),
        ("noise=0.1,0.4", "has no run noise=0.4; noise is 0.1, 0.3$"),
        ("noize=0.1", "has no run noize=0.1; known are .*noise=0.1,0.3"),
        ("recognizer mainstream", "no run with all of: recognizer mainstream$"),
    ],
)
def test_unknown_words_are_answered_with_the_known_ones(made: Made, words: str, told: str) -> None:
    with pytest.raises(RunError, match=told) as caught:
        find.resolve(made.study, words)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 600


@pytest.mark.parametrize(
    "command",
    [
        ["enhance", "in.png", "-o", "out.png", "--run", "joint 0.1"],
        ["compare", "joint 0.1", "joint 0.3"],
        ["export", "joint", "0.1", "-o", "out"],
        ["forget", "joint 0.1"],
        ["rerun", "joint 0.1"],
    ],
)
def test_every_command_takes_words(
    made: Made, command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    from PIL import Image

    Image.new("L", (8, 8)).save("in.png")
    with pytest.raises(SystemExit, match="^gradprom: joint 0.1 selects 8 runs of study made"):
        cli.main([*command, f"results={made.study.results}", "study=made"])


def test_compare_of_words_is_that_of_ids(made: Made, capsys: pytest.CaptureFixture[str]) -> None:
    where = [f"results={made.study.results}", "study=made"]
    pair = [f"gradprom multitask supervised 0.1 seed={seed}" for seed in (0, 1)]
    cli.main(["compare", *pair, *where])
    by_words = capsys.readouterr().out
    cli.main(["compare", *(find.resolve(made.study, words).id for words in pair), *where])
    assert capsys.readouterr().out == by_words and re.search(r"seed +0 +1\n", by_words)
