"""`gradprom merge` and `pack`, and reports over several studies: nothing lost, nothing mixed up."""

import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support.records_factory import record
from support.tiny_runs import local

from gradprom import cli
from gradprom.errors import RunError
from gradprom.reports import report
from gradprom.reports.page.data import page_data
from gradprom.reports.tables.filling import _states
from gradprom.runs.joined import Joined, joined
from gradprom.runs.merging import merge, source_study
from gradprom.runs.plan_note import PlannedRun, PlanNote
from gradprom.runs.record import DatasetInfo, Record, Revision, StageInfo
from gradprom.runs.records import Study
from gradprom.storage.files import save_state, write_checked
from gradprom.storage.lease import Applicant

A, B, C = "a" * 12, "b" * 12, "c" * 12


def put(study: Study, run_id: str, psnr: float = 27.0, **fields: object) -> Record:
    """A run with a score for each of two images."""
    folder = study.run(run_id)
    (folder / "panels").mkdir(parents=True)
    (folder / "panels" / "00.png").write_bytes(b"a picture")
    (folder / "scores.csv").write_text(f"id,group,psnr\nx,x,{psnr - 1}\ny,y,{psnr + 1}\n")
    made = record(
        run_id,
        metrics={"psnr": psnr},
        training_id=f"{run_id[0]}1",
        dataset=DatasetInfo(name="phantom", fingerprint="f" * 64),
        stages=[StageInfo(name="coupled", id=f"{run_id[0]}1")],
        **fields,
    )
    study.write_record(made)
    stored = study.record(run_id)
    assert stored is not None
    return stored


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def here(tmp_path: Path) -> Study:
    return local(tmp_path / "here")


@pytest.fixture
def there(tmp_path: Path) -> Study:
    """Two runs, the diff of their code, a plan, and the weights of one."""
    study = Study(tmp_path / "there", "theirs")
    for run_id in (A, B):
        put(study, run_id, host="node-17", git=Revision(revision="r", dirty=True, diff="d" * 12))
    (study.run(B) / "progress.json").write_text("{}")
    study.diff("d" * 12).parent.mkdir()
    study.diff("d" * 12).write_bytes(b"a diff")
    plan = PlanNote(runs=[PlannedRun(id=A, label="a")])
    write_checked(study.folder / "sweeps" / "s" / "plan.json", plan.to_json())
    save_state(study.stages / "a1-ffffffff" / "artefact.pt", {"weights": {}})
    return study


def test_everything_of_a_run_comes_as_it_is(
    here: Study, there: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(there.folder)
    cli.main(["merge", str(there.results), f"results={here.results}"])
    assert capsys.readouterr().out == f"{there.results}: 2 added\n"
    assert contents(there.folder) == before
    before.pop(f"runs/{B}/progress.json")
    assert contents(here.folder) == before
    assert [r.host for r in here.records()] == ["node-17"] * 2
    assert [plan.runs[0].id for plan in here.plans()] == [A]
    assert not here.stages.exists()
    assert merge(here, there).counts == {"here already": 2}
    assert contents(here.folder) == before


def test_stages_come_where_they_are_asked_for(here: Study, there: Study) -> None:
    merge(here, there, stages=True)
    assert contents(here.stages) == contents(there.stages)


def test_a_record_cannot_have_stages_written_elsewhere(here: Study, there: Study) -> None:
    (there.results / "x" / "b-ffffffff").mkdir(parents=True)
    save_state(there.results / "x" / "b-ffffffff" / "artefact.pt", {"weights": {}})
    there.stages.mkdir(exist_ok=True)
    outside = [StageInfo(name="coupled", id="../x/b")]
    there.write_record(replace(there.records()[1], stages=outside))
    with pytest.raises(RunError, match="../x/b-ffffffff is not a valid name of a stage"):
        merge(here, there, stages=True)
    assert not (here.results / "x").exists()


def test_a_packed_study_is_the_study(
    here: Study, there: Study, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "theirs.zip"
    cli.main(["pack", "theirs", "--stages", "-o", str(file), f"results={there.results}"])
    assert "2 records, 1 stages of study theirs" in capsys.readouterr().out
    cli.main(["merge", str(file), "--stages", f"results={here.results}"])
    expected = contents(there.folder)
    expected.pop(f"runs/{B}/progress.json")
    assert contents(here.folder) == expected
    assert contents(here.stages) == contents(there.stages)
    assert not list(here.results.glob(".unpacked*"))
    with pytest.raises(SystemExit, match=r"theirs.zip already exists"):
        cli.main(["pack", "theirs", "-o", str(file), f"results={there.results}"])


def test_a_file_that_would_leave_its_folder_cannot(here: Study, tmp_path: Path) -> None:
    file = tmp_path / "evil.zip"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("../../escaped", b"x")
    with pytest.raises(SystemExit, match="is no study and holds none"):
        cli.main(["merge", str(file), f"results={here.results}"])
    assert not list(tmp_path.parent.rglob("escaped"))
    file.write_bytes(b"no archive")
    with pytest.raises(SystemExit, match="is not a file of `gradprom pack`"):
        cli.main(["merge", str(file), f"results={here.results}"])


def test_unequal_results_are_both_kept_and_shown(here: Study, there: Study) -> None:
    ours = put(here, A, 27.5, host="desk")
    merged = merge(here, there)
    assert merged.counts == {"with other results": 1, "added": 1}
    assert "both results are kept, psnr 27.5 and 27.0" in merged.notes[0]
    [kept] = here.load(A)[0]
    assert kept == replace(ours, variants=kept.variants) and len(kept.variants) == 1
    assert contents(here.variant(A, kept.variants[0])) == contents(there.run(A))
    assert merge(here, there).counts == {"here already": 2}
    cell = _Cell({0: A})
    assert _states(cell, {0: kept}, other_data=False) == ["differing results"]  # type: ignore
    assert _states(cell, {0: ours}, other_data=False) == []  # type: ignore


class _Cell:
    problem = ""

    def __init__(self, runs: dict[int, str]):
        self.runs = runs


def test_results_of_other_data_are_other_results(here: Study, there: Study) -> None:
    put(here, A)
    path = here.run(A) / "record.json"
    changed = replace(here.records()[0], dataset=DatasetInfo(name="phantom", fingerprint="0" * 64))
    write_checked(path, changed.to_json())
    assert "both results are kept, other data" in merge(here, there).notes[0]


def test_a_finished_run_replaces_one_that_is_not(here: Study, there: Study) -> None:
    put(here, A, status="failed")
    assert merge(here, there).counts == {"added": 2}
    assert {r.id: r.status for r in here.records()} == {A: "finished", B: "finished"}
    [aside] = (here.results / "set-aside").iterdir()
    assert aside.name.endswith(A)
    put(there, C, status="started")
    assert merge(here, there).counts == {"here already": 2, "not ended there": 1}


def test_what_is_trained_here_or_damaged_there_is_left_out(here: Study, there: Study) -> None:
    (there.run(A) / "scores.csv").write_text("id,group,psnr\n")
    lease = Applicant(here.leases(B)).try_acquire()
    assert lease is not None
    merged = merge(here, there)
    assert merged.counts == {"damaged": 1, "being trained here": 1} and not here.records()
    assert any("scores.csv is damaged" in note for note in merged.notes)


def test_which_study_is_meant(tmp_path: Path, there: Study) -> None:
    assert source_study(there.folder, "local") == there
    assert source_study(there.results, "local") == there
    put(Study(there.results, "second"), C)
    assert source_study(there.results, "second").name == "second"
    with pytest.raises(RunError, match="holds the studies second, theirs; give one"):
        source_study(there.results, "local")
    with pytest.raises(RunError, match="is the study theirs itself"):
        merge(there, there)


@pytest.fixture
def two(there: Study) -> Iterator[Joined]:
    """`there` with a second study, which shares a run with it and has another."""
    second = Study(there.results, "second")
    put(second, A, 28.0)
    put(second, C, 29.0)
    both = joined(there.results, ["theirs", "second"])
    assert isinstance(both, Joined)
    yield both


def test_several_studies_read_as_one(two: Joined) -> None:
    records = {record.id: record for record in two.records()}
    assert [*records] == [A, B, C]
    assert records[A].metrics == {"psnr": 27.0} and records[A].variants == ["second"]
    assert records[B].variants == records[C].variants == []
    assert (two.run(B) / "panels").is_dir() and (two.run(C) / "panels").is_dir()
    assert two.diff("d" * 12).read_bytes() == b"a diff" and len(two.plans()) == 1


def test_the_report_is_of_all_of_them(two: Joined, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple] = []
    monkeypatch.setattr(report, "report", lambda *arguments: asked.append(arguments))
    cli.main(["report", "study=theirs,second", f"results={two.results}"])
    assert asked == [(two, [], [])]
    page = two.folder / "report" / "index.html"
    runs = page_data({record.id: record for record in two.records()}, two, page)["runs"]
    places = {run_id: (page.parent / run["folder"]).resolve() for run_id, run in runs.items()}
    assert places == {run_id: two.run(run_id).resolve() for run_id in (A, B, C)}
    assert places[A] != places[C].with_name(A)
