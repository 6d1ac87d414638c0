"""`gradprom work`: several processes take the planned runs of a study, each run once."""

from pathlib import Path

import pytest
from support import cli_process, tiny_runs

from gradprom import cli
from gradprom.runs.plan_note import PlannedRun, PlanNote
from gradprom.storage.files import write_checked
from gradprom.storage.lease import Applicant

FILTER = (*tiny_runs.PHANTOM, "method=classical", "method.filter=wavelets")


def plan(results: Path, *noises: float) -> dict[str, str]:
    """Plan a run of a filter for each noise; ids by label."""
    runs = [
        PlannedRun(
            id=tiny_runs.make(Path("results"), *FILTER, f"noise={noise}").id,
            label=f"noise={noise}",
            overrides=[*FILTER, f"noise={noise}"],
        )
        for noise in noises
    ]
    path = tiny_runs.local(results).folder / "sweeps" / "planned" / "plan.json"
    write_checked(path, PlanNote(runs=runs).to_json())
    return {run.label: run.id for run in runs}


def test_two_workers_share_a_plan(tmp_path: Path) -> None:
    ids = plan(tmp_path, 0.1, 0.2, 0.3)
    workers = [cli_process.start_tool(tmp_path, "work", "local") for _ in range(2)]
    assert [worker.wait() for worker in workers] == [0, 0]
    begun = [
        line.split()[1]
        for worker in workers
        for line in worker.text.splitlines()
        if line.startswith("begun")
    ]
    assert sorted(begun) == sorted(ids.values())
    records = tiny_runs.local(tmp_path).records()
    assert {record.id: record.status for record in records} == dict.fromkeys(
        ids.values(), "finished"
    )


def test_what_another_process_trains_is_left_to_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tmp_path /= "of mine, too"  # Hydra's grammar does not read such an override
    ids = plan(tmp_path, 0.1, 0.2)
    study = tiny_runs.local(tmp_path)
    lease = Applicant(study.leases(ids["noise=0.2"])).try_acquire()
    assert lease is not None
    cli.main(["work", "trainer.device=cpu", f"results='{tmp_path}'"])
    printed = capsys.readouterr().out
    [record] = study.records()
    assert record.id == ids["noise=0.1"] and "1 finished, 0 stopped" in printed
    assert f"finished  {record.id}  psnr {record.metrics['psnr']:.4g}, ssim" in printed
    with lease.heartbeat():
        pass
    cli.main(["work", f"results='{tmp_path}'"])
    assert "1 finished, 0 stopped" in capsys.readouterr().out and len(study.records()) == 2
    cli.main(["work", f"results='{tmp_path}'"])
    assert capsys.readouterr().out == "0 finished, 0 stopped; no further run waits\n"


def test_a_run_that_this_code_does_not_mean(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [PlannedRun(id="0" * 12, label="noise=0.1", overrides=[*FILTER])]
    path = tiny_runs.local(tmp_path).folder / "sweeps" / "planned" / "plan.json"
    write_checked(path, PlanNote(runs=runs).to_json())
    with pytest.raises(SystemExit) as caught:
        cli.main(["work", f"results={tmp_path}"])
    assert caught.value.code == 1
    assert "stopped   000000000000  the sweep planned 0000" in capsys.readouterr().out
    assert not tiny_runs.local(tmp_path).records()
    assert Applicant(tiny_runs.local(tmp_path).leases("0" * 12)).try_acquire() is not None


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("noise=0.3", "noise=0.3 may change what is trained; the sweep has set it"),
        ("data_root=/d", "study local has no plan in .*sweeps; a sweep"),
    ],
)
def test_words_that_do_not_fit(tmp_path: Path, word: str, sentence: str) -> None:
    with pytest.raises(SystemExit, match=sentence):
        cli.main(["work", word, f"results={tmp_path}"])
