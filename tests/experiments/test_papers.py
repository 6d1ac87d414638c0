"""Several papers: whose experiment a name means, whose numbers a cell has, what is reported."""

import csv
import io
from pathlib import Path

import pytest
from support import records_factory

from gradprom.errors import ConfigError
from gradprom.experiments import declared, folders, papers
from gradprom.experiments.narrowing import narrow
from gradprom.reports.claims.specs import read_claims
from gradprom.reports.report import report
from gradprom.reports.tables import text as text_forms
from gradprom.reports.tables.published import Published, degraded_inputs, published
from gradprom.sweeps import run_ids

OWN = Path(__file__).parents[2] / "experiments"

TABLE = """title: Table 1
published: {table: 1}
caption: c
overrides: {profile: demo, auxiliary: none}
seeds: [0]
metrics: [psnr, ssim]
columns:
  - {title: low, overrides: {noise: 0.1}, published: {noise: low}}
  - {title: high, overrides: {noise: 0.3}, published: {noise: high}}
rows:
  - title: Plain
    overrides: {strategy: mainstream, dataset: isic2018}
    published: {data: skin}
  - title: Ours
    overrides: {strategy: mainstream, backbone: larger, dataset: camus}
    published: {data: heart}
"""
NUMBERS = """table,method,data,noise,metric,mean
1,Plain,skin,low,PSNR,30.25
1,Plain,skin,high,PSNR,20.5
1,Ours,heart,low,PSNR,31.75
1,Ours,heart,low,SSIM,0.9
2,Plain,skin,low,PSNR,11
"""
PAPER = "title: A Second Paper\nshort: Second\nkeys: [method, data, noise]\n"


@pytest.fixture
def second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A second paper with key columns of its own, from a plug-in."""
    monkeypatch.setattr(folders, "plugin_folders", lambda name: [tmp_path / "plugin"])
    folder = tmp_path / "plugin" / "second"
    folder.mkdir(parents=True)
    (folder / "table1.yaml").write_text(TABLE)
    (folder / "published.csv").write_text(NUMBERS)
    (folder / "paper.yaml").write_text(PAPER)
    (folder / "all.yaml").write_text("include: [table1]\n")
    return folder


def numbers(name: str) -> dict[tuple[str, str, str], Published | None]:
    [table] = declared.read(name)
    return {
        (row.title, column.title, metric): published(table, row, column, metric)
        for row in table.rows
        for column in table.columns
        for metric in table.metrics
    }


# names


def test_a_name_without_folder_is_the_first_papers(second: Path) -> None:
    (second / "mine.yaml").write_text(TABLE)
    [first], [other] = declared.read("table1"), declared.read("second/table1")
    assert (first.name, first.key, first.title) == ("table1", "table1", "Table I")
    assert other.name == "second/table1" and other.key == "second-table1"
    assert other.title == "Second, Table 1"
    [only] = declared.read("mine")
    assert only.name == "second/mine"
    assert [x.name for x in declared.read("gradprom/table1")] == ["table1"]
    # what a paper includes is its own
    assert [x.name for x in declared.read("second/all")] == ["second/table1"]
    assert papers.names()[0] == "all" and "second/table1" in papers.names()


def test_a_name_that_two_other_papers_have_needs_a_folder(second: Path) -> None:
    third = second.with_name("third")
    third.mkdir()
    for folder in (second, third):
        (folder / "mine.yaml").write_text(TABLE.replace("published: ", "# published: "))
    with pytest.raises(ConfigError, match=r"^experiment=mine may be second/mine or third/mine"):
        declared.read("mine")


@pytest.mark.parametrize(
    "name", ["second/table9", "third/table1", "second/claims", "paper", "../second/table1", "/", ""]
)
def test_names_of_no_experiment(second: Path, name: str) -> None:
    (second / "claims.yaml").write_text("[]")
    with pytest.raises(ConfigError, match=r"is unknown; choose from all, .*second/table1$"):
        declared.read(name)


def test_two_papers_of_one_name_are_refused(second: Path) -> None:
    (second.parent / "gradprom").mkdir()
    with pytest.raises(ConfigError, match="two papers have one name: .* and .*plugin/gradprom"):
        declared.read("table1")


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("short:", "shrt:", "second/paper.yaml:2: unknown key shrt; choose from title, short"),
        ("keys: [method, data, noise]", "keys: []", "second/paper.yaml:3: keys needs"),
        ("title: A Second Paper\n", "", "second/paper.yaml:1: the key title is missing"),
    ],
)
def test_a_wrong_paper_is_refused_with_its_line(
    second: Path, old: str, new: str, sentence: str
) -> None:
    (second / "paper.yaml").write_text(PAPER.replace(old, new))
    with pytest.raises(ConfigError) as caught:
        declared.read("table1")
    assert str(caught.value).startswith(sentence)


# numbers


def test_numbers_are_found_by_the_papers_own_columns(second: Path) -> None:
    found = numbers("second/table1")
    assert {key: value.mean for key, value in found.items() if value} == {
        ("Plain", "low", "psnr"): 30.25,
        ("Plain", "high", "psnr"): 20.5,
        ("Ours", "low", "psnr"): 31.75,
        ("Ours", "low", "ssim"): 0.9,
    }
    assert {value.std for value in found.values() if value} == {None}


def test_ambiguous_numbers_are_refused_with_file_and_line(second: Path) -> None:
    (second / "published.csv").write_text(NUMBERS + "1,Plain,skin,low,PSNR,30.5\n")
    with pytest.raises(ConfigError, match=r"^second/table1.yaml:11: Plain, low: 2 published"):
        numbers("second/table1")


@pytest.mark.parametrize(
    ("table", "lines", "sentence"),
    [
        (
            TABLE.replace("data: heart", "block: x"),
            NUMBERS,
            "second/table1.yaml:16: unknown key bl",
        ),
        (TABLE, NUMBERS.replace("noise", "level"), "second/published.csv:1: the column noise is"),
        (TABLE, "", "published.csv is missing, though a table of second needs it"),
    ],
)
def test_columns_that_are_not_there(second: Path, table: str, lines: str, sentence: str) -> None:
    (second / "table1.yaml").write_text(table)
    (second / "published.csv").write_text(lines)
    if not lines:
        (second / "published.csv").unlink()
    with pytest.raises(ConfigError) as caught:
        numbers("second/table1")
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("name", "keys", "count"),
    [
        ("gradprom", ("row", "setting", "auxiliary", "backbone", "block"), 434),
        ("task_gan", ("row", "dataset"), 33),
        ("regularizing_gradients", ("row", "problem"), 144),
    ],
)
def test_the_keys_of_the_three_papers_tell_their_numbers_apart(
    name: str, keys: tuple[str, ...], count: int
) -> None:
    [paper] = [paper for paper in papers.papers() if paper.folder == OWN / name]
    assert paper.keys == keys and paper.title and paper.short
    with (paper.folder / "published.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == count
    places = {tuple(line[k] for k in ("table", "metric", *keys)) for line in lines}
    assert len(places) == count
    assert all(float(line["mean"]) >= 0 for line in lines)


# reports


def test_the_default_report_is_of_every_paper_that_says_all(second: Path) -> None:
    tables = [f"table{number}" for number in range(1, 9)]
    assert [x.name for x in declared.default()] == [*tables, "second/table1"]
    (second / "all.yaml").unlink()
    assert [x.name for x in declared.default()] == tables


def test_a_report_of_two_papers(
    second: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_ids, "identities", lambda runs, results: records_factory.identify(runs))
    made = records_factory.make(tmp_path, ["second/table1"])
    plan = {"runs": [], "experiments": ["second/table1"], "asked": []}
    records_factory.write_checked(made.study.folder / "sweeps" / "0" / "plan.json", plan)
    report(made.study, [], [])
    folder = made.study.folder / "report"
    lines = list(csv.DictReader(io.StringIO((folder / "second-table1.csv").read_text())))
    ours = {(x["row"], x["column"], x["metric"]): x for x in lines}
    assert ours["Plain", "low", "psnr"]["published_mean"] == "30.25"
    # nobody asked for the first paper's Table I, and it has no runs
    assert not (folder / "table1.csv").exists()
    page = (folder / "index.html").read_text()
    assert 'id="second-table1"' in page and 'id="table1"' not in page
    report(made.study, ["second/table1", "table1"], [])
    page = (folder / "index.html").read_text()
    assert 'id="second-table1"' in page and 'id="table1"' in page


def test_the_dataset_may_be_that_of_rows(second: Path, tmp_path: Path) -> None:
    [table] = declared.read("second/table1")
    assert table.datasets() == {
        ("Plain", "low"): "isic2018",
        ("Plain", "high"): "isic2018",
        ("Ours", "low"): "camus",
        ("Ours", "high"): "camus",
    }
    [filled] = records_factory.make(tmp_path, ["second/table1"]).tables()
    assert filled.datasets == "isic2018, camus"
    comparable = [cell.comparable for row in filled.rows for cell in row.cells.values()]
    assert comparable == [True] * 8
    own = records_factory.make(tmp_path, ["second/table1"], "dataset=phantom").tables()[0]
    assert not any(cell.comparable for row in own.rows for cell in row.cells.values())
    rows = list(csv.DictReader(io.StringIO(text_forms.as_csv(own))))
    assert {row["difference"] for row in rows} == {""}
    [one] = [narrow(table, {"dataset": ["camus"]})]
    assert [row.title for row in one.rows] == ["Ours"]


def test_a_table_that_names_no_dataset_is_reported(second: Path, tmp_path: Path) -> None:
    text = TABLE.replace(", dataset: isic2018", "").replace(", dataset: camus", "")
    (second / "table1.yaml").write_text(text)
    [table] = records_factory.make(tmp_path, ["second/table1"]).tables()
    cells = [cell for row in table.rows for cell in row.cells.values()]
    assert all(cell.value for cell in cells) and not any(cell.comparable for cell in cells)


def test_claims_and_measured_inputs_of_a_second_paper(second: Path) -> None:
    (second / "claims.yaml").write_text(
        "- name: second-best\n  text: t\n  source: s\n  metrics: [psnr]\n  contrasts:\n"
        "    - {columns: each, plus: [table1 | Ours], minus: [table1 | Plain]}\n"
    )
    (second / "degraded_inputs.csv").write_text(
        "experiment,column,dataset,images,psnr,ssim\nsecond/table1,low,camus,4,21.5,0.25\n"
    )
    [claim] = [claim for claim in read_claims() if claim.name == "second-best"]
    assert [one.text for one in claim.sums] == [
        f"Second, Table 1, {column}, PSNR: Ours − Plain" for column in ("low", "high")
    ]
    ours = [claim for path in OWN.glob("*/claims.yaml") for claim in read_claims(path)]
    assert len(read_claims()) == len(ours) + 1
    assert degraded_inputs()["second/table1", "low", "psnr"] == 21.5
    assert ("table1", "σ = 0.1", "psnr") in degraded_inputs()


def test_a_folder_without_tables_breaks_nothing(second: Path) -> None:
    (second.parent / "empty").mkdir()
    assert (second.parent / "empty") in papers.paper_folders()
    assert [paper.experiments() for paper in papers.papers() if paper.folder.name == "empty"] == [
        []
    ]
    assert len(declared.default()) == 9
