"""The page: what it holds, what it links to, that nothing in a record can break it, how large."""

import dataclasses
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import unquote

import jinja2
import numpy as np
import pytest
from support import records_factory, tiny_runs
from support.page_reader import Reader, page_of
from support.records_factory import Made

from gradprom.experiments import declared
from gradprom.experiments.expansion import Cell, Expansion
from gradprom.reports.claims.verdicts import Contrast, JudgedClaim
from gradprom.reports.page.data import as_json, page_data
from gradprom.reports.page.page import FOLDER, TEMPLATES, write_page
from gradprom.reports.plots.style import Picture
from gradprom.reports.tables.filling import fill
from gradprom.runs.record import Revision

INJECTED = "</script><img src=x onerror=alert(1)>"
JUDGED = JudgedClaim(
    name="gradprom-best",
    text="GradProm is best & <b>always</b>.",
    source="Table I",
    verdict="not decidable",
    published_verdict="holds",
    contrasts=[
        Contrast("GradProm − joint", "psnr", 1.242, "holds", 0.5, low=-0.1, high=1.1),
    ],
)


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return records_factory.make(tmp_path, ["table1"], rows=9, panels=2)


def test_every_number_of_the_table_is_there_with_its_runs(made: Made) -> None:
    reader, _ = page_of(made)
    [table] = made.tables()
    buttons = [b for b in reader.all("button") if b.get("class") == "cell"]
    shown = [cell for row in table.rows for cell in row.cells.values()]
    assert len(buttons) == len(shown) == 4 * (1 + 2 + 6 * 3)
    text = reader.texts["table1"]
    for cell in shown:
        assert cell.value is not None and cell.published is not None
        assert f"{cell.value.mean:.3f} ±{cell.value.std:.3f} (3)" in text
        assert f"{cell.published.mean:.3f}" in text
    runs = {pair.split(":")[1] for b in buttons for pair in (b["data-runs"] or "").split()}
    assert runs == set(made.records) == set(json.loads(reader.data)["runs"])


def test_states_stand_as_text(made: Made) -> None:
    first, second, *_ = made.records.values()
    made.records[first.id] = records_factory.failed(first, "loss became NaN")
    del made.records[second.id]
    reader, _ = page_of(made)
    assert "1/3 seeds" in reader.texts["table1"] and "1 failed" in reader.texts["table1"]


def test_nothing_in_a_record_can_break_it(made: Made) -> None:
    first, second, *_ = made.records.values()
    made.records[first.id] = records_factory.failed(first, INJECTED)
    second.config["dataset"]["name"] = INJECTED
    dataset = dataclasses.replace(second.dataset, name=INJECTED)
    made.change(second, dataset=dataset, overrides=[INJECTED])
    second.metrics["psnr"] = float("nan")
    results = made.study.results / "<img src=x onerror=alert(2)>"
    made.study = dataclasses.replace(made.study, results=results)
    picture = Picture("p", INJECTED, INJECTED, made.study.folder / "a b#<.png", None)
    reader, path = page_of(made, pictures=[picture], problems=[INJECTED])
    assert [image.get("onerror") for image in reader.all("img")] == [None]
    assert len(reader.all("script")) == 2
    data = json.loads(reader.data)["runs"]
    assert data[first.id]["error"]["message"] == INJECTED
    assert data[second.id]["dataset"] == INJECTED
    assert data[second.id]["metrics"]["psnr"] == "nan"
    assert INJECTED in reader.texts["problems"]
    assert "onerror=alert(1)>" not in re.sub(r"&lt;.*?&gt;", "", path.read_text()).replace(
        "\\u003cimg src=x onerror=alert(1)>", ""
    )


def test_names_of_rows_are_escaped(made: Made) -> None:
    tables = made.tables()
    for row in tables[0].rows:
        name = f'{INJECTED}"'
        row.declared = dataclasses.replace(
            row.declared, title=name, group=name, details={name: name}
        )
    path = made.study.folder / "index.html"
    write_page(path, tables, made.records, made.study, [], [], [])
    reader = Reader()
    reader.feed(path.read_text())
    assert not reader.all("img")
    assert INJECTED in reader.texts["table1"]


def test_no_template_leaves_a_text_of_a_record_unescaped() -> None:
    """Only our own style and script, and the JSON, which has no `<`, go in as they are."""
    assert TEMPLATES.autoescape is True
    texts = [path.read_text() for path in (FOLDER / "templates").iterdir()]
    unescaped = {name for text in texts for name in re.findall(r"(\w+)\s*\|\s*safe", text)}
    assert unescaped == {"style", "script", "data"}
    assert not any("autoescape" in text for text in texts)


def test_a_name_that_a_template_misspells_is_an_error() -> None:
    with pytest.raises(jinja2.UndefinedError, match="studdy"):
        TEMPLATES.from_string("{{ studdy }}").render(study="x")


def test_two_tables_of_one_experiment_and_one_that_is_there_twice(made: Made) -> None:
    tables = made.tables()
    narrowed = dataclasses.replace(tables[0], narrowing=["noise=0.1"])
    path = made.study.folder / "index.html"
    write_page(path, [tables[0], narrowed, narrowed], made.records, made.study, [], [], [])
    reader = Reader()
    reader.feed(path.read_text())
    ids = [section["id"] for section in reader.all("section")]
    assert ids == ["table1", "table1-noise_0.1", "all-runs"]
    links = [link["href"] for link in reader.all("a")]
    assert links[:4] == ["#papers", "#runs", "#table1", "#table1-noise_0.1"]


def test_it_needs_no_network_and_links_to_what_is_there(made: Made) -> None:
    reader, path = page_of(made)
    text = path.read_text()
    assert set(re.findall(r"https?://[^\"' )]+", text)) <= {"http://www.w3.org/2000/svg"}
    assert not re.search(r"url\(|@import|<link[^>]*href=\"(?!data:)|<script[^>]*src", text)
    for run in json.loads(reader.data)["runs"].values():
        assert len(run["panels"]) == 2
        for link in (run["folder"], *run["panels"]):
            assert not link.startswith("/")
            assert (path.parent / unquote(link)).exists()


def test_claims_figures_and_problems(made: Made) -> None:
    png = made.study.folder / "report" / "figures" / "gates open.png"
    picture = Picture("gates", "Open gates", "Share over training.", png, None)
    reader, _ = page_of(made, judged=[JUDGED], pictures=[picture], problems=["runs/a: truncated"])
    links = [a["href"] for a in reader.all("a")]
    assert links[:5] == ["#papers", "#claims", "#figures", "#runs", "#problems"]
    claims = reader.texts["claims"]
    assert "GradProm is best & <b>always</b>." in claims
    assert "+0.500 [−0.100, +1.100]" in claims and "+1.242" in claims
    assert "ours not decidable" in claims and "published holds" in claims
    assert reader.all("img")[0]["src"] == "figures/gates%20open.png"
    assert "runs/a: truncated" in reader.texts["problems"]


def test_header_tells_the_runs_and_their_code(made: Made) -> None:
    first, *_ = made.records.values()
    made.change(first, git=Revision(revision="abcdef0123", dirty=True))
    reader, _ = page_of(made)
    header = reader.texts[""]
    assert "96 finished" in header
    assert "0407e8a (95)" in header and "abcdef0 with uncommitted changes (1)" in header
    assert "NVIDIA A100-SXM4-40GB" in header


def test_configurations_are_kept_as_differences(made: Made) -> None:
    data = page_data(made.records, made.study, made.study.folder / "index.html")
    for run_id, run in data["runs"].items():
        flat = {**data["common"], **run["differing"]}
        config = made.records[run_id].config
        assert flat["degradation.sigma"] == config["degradation"]["sigma"]
        assert flat["supervision"] == config["supervision"]
        assert flat["strategy.name"] == config["strategy"]["name"]
        assert flat["seed"] == config["seed"]
    assert data["common"]["trainer.batch_size"] == 8
    assert all("trainer.batch_size" not in run["differing"] for run in data["runs"].values())


def test_a_key_that_a_run_has_not_got(made: Made) -> None:
    first, *rest = made.records.values()
    del first.config["trainer"]["lr"]
    data = page_data(made.records, made.study, made.study.folder / "index.html")
    assert data["runs"][first.id]["without"] == ["trainer.lr"]
    assert not any(data["runs"][record.id]["without"] for record in rest)


def test_curves_are_means_of_neighbours(made: Made) -> None:
    first, *_ = made.records.values()
    values = np.arange(1, 181) ** 0.5
    rows = [f"warmup,1,{10 * i + 10},{v}," for i, v in enumerate(values)]
    rows += ["coupled,1,10,,0.25", "coupled,1,20,nan,0.75"]
    history = "\n".join(["stage,epoch,step,loss_main,gate_diagnosis", *rows])
    (made.study.run(first.id) / "history.csv").write_text(history + "\n")
    data = page_data(made.records, made.study, made.study.folder / "index.html")
    warmup, broken, gate = data["runs"][first.id]["curves"]
    assert warmup[:2] == ["warmup", "loss_main"]
    assert data["grids"][warmup[2]] == tuple(range(30, 1801, 30))
    np.testing.assert_allclose(warmup[3], values.reshape(60, 3).mean(axis=1), rtol=1e-3)
    assert broken[:2] == ["coupled", "loss_main"] and np.isnan(broken[3])
    assert gate[:2] == ["coupled", "gate_diagnosis"] and gate[3] == [0.25, 0.75]
    assert json.loads(as_json(broken[3])) == ["nan"]


def test_a_run_without_files_is_no_obstacle(made: Made) -> None:
    first, second, *_ = made.records.values()
    (made.study.run(first.id) / "history.csv").unlink()
    (made.study.run(second.id) / "history.csv").write_text("")
    runs = json.loads(page_of(made)[0].data)["runs"]
    assert runs[first.id]["curves"] == runs[second.id]["curves"] == []


def test_thousands_of_runs(tmp_path: Path) -> None:
    names = [experiment.name for experiment in declared.default()]
    seeds = "seed=" + ",".join(map(str, range(14)))
    made = records_factory.make(tmp_path, names, seeds, rows=0)
    assert len(made.records) >= 2000
    long = tmp_path / "history.csv"
    long.write_text(records_factory.history("any", 300))
    for run_id in made.records:
        path = made.study.run(run_id) / "history.csv"
        path.unlink()
        os.link(long, path)
    tables, path = made.tables(), made.study.folder / "index.html"
    began = time.process_time()
    write_page(path, tables, made.records, made.study, [], [], [])
    assert time.process_time() - began < 25  # quadratic in the runs it would be minutes
    assert path.stat().st_size < 20e6


def test_a_run_that_was_really_trained(tmp_path: Path) -> None:
    words = [*tiny_runs.PHANTOM, "noise=0.1", "strategy=gradprom"]
    record = tiny_runs.train(tmp_path, *words)
    [experiment] = declared.read("table1")
    row = next(r for r in experiment.rows if r.title == "GradProm")
    one = dataclasses.replace(experiment, rows=(row,), columns=experiment.columns[1:2], seeds=(0,))
    cell = Cell(row, one.columns[0], {0: words}, {0: record.id})
    table = fill(Expansion(one, [cell]), {record.id: record}, words, experiment)
    path = tmp_path / "local" / "report" / "index.html"
    study = tiny_runs.local(tmp_path)
    write_page(path, [table], {record.id: record}, study, [], [], [])
    reader = Reader()
    reader.feed(path.read_text())
    run = json.loads(reader.data)["runs"][record.id]
    assert f"{record.metrics['psnr']:.3f} (1)" in reader.texts["table1"]
    assert "The published numbers are of isic2018" in reader.texts["table1"]
    assert {name for _, name, *_ in run["curves"]} >= {"loss_main", "psnr", "loss_diagnosis"}
    assert len(run["panels"]) == 4


def test_writing_imports_no_torch_and_no_matplotlib() -> None:
    modules = "gradprom.reports.page.page, gradprom.reports.tables.latex"
    code = f"import sys, {modules}, gradprom.reports.tables.text; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "matplotlib", "pandas"} & set(done.stdout.split())
