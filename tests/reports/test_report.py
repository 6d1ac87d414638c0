"""`gradprom report`, whole: what it reports, what it leaves, and that it needs no torch."""

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support import first_version, records_factory
from support.records_factory import Made

from gradprom import cli
from gradprom.errors import RunError
from gradprom.experiments.expansion import expanded
from gradprom.reports.report import report
from gradprom.runs.records import Study
from gradprom.storage.files import write_json
from gradprom.sweeps import run_ids

NARROW = ("noise=0.1", "seed=0,1")
TABLES = [f"table{number}" for number in range(1, 9)]


def know(made: Made, names: list[str], words: list[str]) -> None:
    """Put the fabricated ids where the report looks ids up."""

    def identify(asked: list[list[str]]) -> list[records_factory.Identity]:
        found = records_factory.identify(asked)
        run_ids.save(list(zip(asked, found, strict=True)), made.study.results)
        return found

    expanded(names, words, identify, made.study)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Table I, narrowed, as a sweep left it; nothing of the others."""
    found = records_factory.make(tmp_path_factory.mktemp("report"), ["table1"], *NARROW)
    know(found, TABLES, [])
    know(found, ["table1"], list(NARROW))
    plan = {"runs": [], "experiments": ["table1"], "asked": list(NARROW)}
    write_json(found.study.folder / "sweeps" / "0" / "plan.json", plan)
    return found


def cells(folder: Path, name: str) -> list[dict[str, str]]:
    with (folder / f"{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_without_words_tables_are_as_the_sweeps_asked_and_others_where_they_have_runs(
    made: Made, capsys: pytest.CaptureFixture[str]
) -> None:
    report(made.study, [], [])
    folder = made.study.folder / "report"
    mine = cells(folder, "table1-noise_0.1-seed_0_1")
    ours = [x for x in mine if x["n"] == "2"]
    # seven rows of PSNR and SSIM, seven of accuracy
    assert len(ours) == 21 and not any("not run" in x["states"] for x in ours)
    # Table V has two of Table I's runs as its own
    rows = [x for x in cells(folder, "table5") if x["row"] != "degraded input"]
    assert {x["row"] for x in rows if x["n"] != "0"} == {"ESTR", "Ours (V_R dia)"}
    assert all(x["states"] == "not run" for x in rows if x["n"] == "0" and x["published_mean"])
    assert {path.stem for path in folder.glob("*.md")} == {
        *("table1-noise_0.1-seed_0_1", "table5", "claims")
    }
    for name in ("index.html", "tables.tex", "claims.md", "claims.csv"):
        assert (folder / name).stat().st_size > 1000
    shown = capsys.readouterr().out
    assert "Table I" in shown and f"report   {folder / 'index.html'}" in shown


def test_claims_take_cells_from_all_tables_of_an_experiment(tmp_path: Path) -> None:
    study = Study(tmp_path, "made")
    for number, noise in enumerate(("0.1", "0.2")):
        words = [f"noise={noise}", "seed=0,1", "strategy=frozen,gradprom"]
        part = records_factory.make(tmp_path, ["table1"], *words)
        know(part, ["table1"], words)
        plan = {"runs": [], "experiments": ["table1"], "asked": words}
        write_json(study.folder / "sweeps" / str(number) / "plan.json", plan)
    report(study, [], [])
    decided = {
        row["contrast"].split(",")[1].strip()
        for row in cells(study.folder / "report", "claims")
        if row["contrast"].startswith("Table I,") and row["seeds"]
    }
    assert decided == {"σ = 0.1", "σ = 0.2"}


def test_claims_are_those_of_papers_that_have_a_table(made: Made) -> None:
    know(made, ["task_gan/verification"], [])
    folder = made.study.folder / "report"
    for name, words, ours in (
        ("task_gan/verification", [], True),
        ("table1", list(NARROW), False),
    ):
        report(made.study, [name], words)
        found = {row["contrast"].startswith("Task-GAN, ") for row in cells(folder, "claims")}
        assert found == {ours}


def test_a_table_that_is_named_is_reported_without_runs(made: Made) -> None:
    report(made.study, ["table8"], [])
    rows = cells(made.study.folder / "report", "table8")
    assert rows and all(x["n"] == "0" for x in rows)


def test_where_files_lie_is_no_part_of_a_tables_name(made: Made) -> None:
    report(made.study, ["table1"], ["noise=0.1", "data_root=/somewhere/else"])
    names = {path.name for path in (made.study.folder / "report").glob("table1*.md")}
    assert "table1-noise_0.1.md" in names and not any("somewhere" in name for name in names)
    text = (made.study.folder / "report" / "table1-noise_0.1.md").read_text()
    assert "/somewhere/else" not in text


def test_runs_of_no_table_have_one_of_their_own(tmp_path: Path) -> None:
    found = records_factory.make(tmp_path, ["controls"], "seed=0", "lam=0.01")
    know(found, TABLES, [])
    report(found.study, [], [])
    rows = {x["row"] for x in cells(found.study.folder / "report", "further-runs")}
    assert {"gradprom", "random_gate"} <= rows


def test_the_report_needs_no_torch(made: Made) -> None:
    script = f"""
import sys
from pathlib import Path
from gradprom.reports.report import report
from gradprom.runs.records import Study
report(Study(Path({str(made.study.results)!r}), "made"), ["table1"], {list(NARROW)!r})
assert "torch" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_what_cannot_be_read_is_named_and_skipped(
    made: Made, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = made.study.run("0" * 12) / "record.json"
    broken.parent.mkdir()
    broken.write_text('{"id": ')
    report(made.study, ["table1"], list(NARROW))
    shown = capsys.readouterr().out
    assert str(broken) in shown and "truncated" in shown
    page = (made.study.folder / "report" / "index.html").read_text()
    assert "truncated" in page
    broken.unlink()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["table9"], "gradprom: experiment=table9 is unknown; choose from all, controls"),
        (["table1", "noise=0.7"], "gradprom: noise=0.7: experiment=table1 has no such cell"),
    ],
)
def test_wrong_words_are_told(made: Made, words: list[str], sentence: str) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["report", *words, "study=made", f"results={made.study.results}"])
    assert str(caught.value).startswith(sentence)


def test_a_study_without_records_is_told(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="study local has no records in"):
        report(Study(tmp_path, "local"), [], [])


def test_figures_that_were_drawn_before_are_on_the_page(made: Made) -> None:
    folder = made.study.folder / "report" / "figures"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "fig4.txt").write_text("Figure 4\nRuns such and such.\n")
    for name in ("fig4.png", "fig4.svg"):
        (folder / name).write_bytes(b"")
    report(made.study, ["table1"], list(NARROW))
    page = (made.study.folder / "report" / "index.html").read_text()
    assert 'src="figures/fig4.png"' in page and "Runs such and such." in page


def test_records_of_an_earlier_version_keep_a_table(tmp_path: Path) -> None:
    """Without a plan they are further runs, each row with its seeds."""
    study = first_version.copied(tmp_path, first_version.is_on_phantom)
    report(study, [], [])
    rows = cells(study.folder / "report", "further-runs")
    further = {(x["row"], x["metric"]): x for x in rows if x["runs"]}
    assert further and all(x["n"] == "3" for x in further.values())
    values = [
        record.metrics["psnr"]
        for record in study.records()
        if record.choices["strategy"] == "mainstream"
    ]
    [cell] = [x for (row, metric), x in further.items() if "mainstream" in row and metric == "psnr"]
    assert len(values) == 3 and float(cell["mean"]) == pytest.approx(np.mean(values))
    assert float(cell["std"]) == pytest.approx(np.std(values, ddof=1))
    # what the accuracies stand against: the phantom has three classes of equal size
    shares = [x for x in rows if "most frequent class" in x["row"]]
    assert {(x["metric"], x["mean"], x["n"]) for x in shares} == {("accuracy", f"{1 / 3}", "0")}
