"""What strangers send: files that hold code, names that lead elsewhere, texts that are code."""

import dataclasses
import hashlib
import io
import os
import re
import shutil
import subprocess
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from support import cli_process, records_factory, tiny_runs

from gradprom import cli
from gradprom.reports import report, swept
from gradprom.reports.tables import latex
from gradprom.runs.execution import execute
from gradprom.runs.records import Study
from gradprom.runs.run import Run
from gradprom.storage.files import write_checked


class Code:
    """Pickles into a call."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("proof-that-code-has-run",)


def with_code(path: Path) -> None:
    """A state that holds code, behind a checksum that is right."""
    buffer = io.BytesIO()
    torch.save({"weights": Code(), "step": 1}, buffer)
    payload = buffer.getvalue()
    path.write_bytes(hashlib.sha256(payload).hexdigest().encode() + b"\n" + payload)


def everything(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = tmp_path_factory.mktemp("trained") / "results"
    tiny_runs.train(results, *tiny_runs.PHANTOM, "strategy=joint")
    return results


@pytest.fixture
def results(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(trained, tmp_path / "inside" / "results")
    monkeypatch.chdir(tmp_path / "inside")
    return tmp_path / "inside" / "results"


# files that hold code


@pytest.mark.parametrize("name", ["code", "no weights", "a list", "no tensors", "an archive"])
def test_weights_of_a_stranger_are_one_sentence(results: Path, name: str) -> None:
    [record] = cli_process.study(results).records()
    path = cli_process.study(results).stages.glob(f"{record.training_id}-*/artefact.pt")
    weights = next(path)
    state: Any = {
        "no weights": {"step": 1},
        "a list": [1, 2],
        "no tensors": {"weights": {"enhancer": [1], "diagnosis": {"a": "b"}}},
    }.get(name)
    if name == "code":
        with_code(weights)
    else:
        buffer = io.BytesIO()
        torch.save(state, buffer)
        payload = b"PK\x03\x04 nothing" if name == "an archive" else buffer.getvalue()
        weights.write_bytes(hashlib.sha256(payload).hexdigest().encode() + b"\n" + payload)
    Image.new("RGB", (32, 32)).save("a.png")
    for command in ("enhance a.png -o b.png --run", "export -o x"):
        with pytest.raises(SystemExit, match="^gradprom: .*weights of run") as stop:
            cli.main([*command.split(), record.id, f"results={results}"])
        assert "\n" not in str(stop.value)
    assert not (results.parent / "proof-that-code-has-run").exists()


@pytest.mark.parametrize("name", ["checkpoint.pt", "artefact.pt"])
def test_a_stage_that_holds_code_is_set_aside_and_trained(
    results: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    [before] = cli_process.study(results).records()
    shutil.rmtree(results / "local" / "runs")
    folder = cli_process.stage_folder(results, "coupled")
    assert folder is not None
    (folder / "artefact.pt").unlink()
    with_code(folder / name)
    record = tiny_runs.train(results, *tiny_runs.PHANTOM, "strategy=joint")
    assert record.metrics == before.metrics
    assert str(folder / name) in caplog.text and "mapping of tensors" in caplog.text
    assert not (results.parent / "proof-that-code-has-run").exists()


# names that lead elsewhere


PLACES = ("../outside", "..", "/etc", "a/b", "../../../outside", ".hidden", "")


@pytest.mark.parametrize("place", PLACES)
def test_a_study_cannot_lie_elsewhere(results: Path, tmp_path: Path, place: str) -> None:
    shutil.copytree(results / "local", tmp_path / "inside" / "outside")
    before = everything(tmp_path)
    for command in ("status", "report", "report table1", "figure fig4", "compare a b", "forget a"):
        with pytest.raises(SystemExit, match=f"gradprom: study={re.escape(place)} must be a plain"):
            cli.main([*command.split(), f"study={place}", f"results={results}"])
    assert everything(tmp_path) == before
    code, text = cli_process.run(results, f"study='{place}'")
    assert code == 1 and "Traceback" not in text and "plain folder name" in text


@pytest.mark.parametrize(
    "place", ["../../outside", "../../evil", "/etc", "..", "a/b", "*", "[0-9]"]
)
def test_a_run_cannot_lie_elsewhere(
    results: Path, tmp_path: Path, place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Even where a record waits there that calls itself by that name."""
    [record] = cli_process.study(results).records()
    for name in ("outside", "evil"):
        write_checked(results / name / "record.json", {**record.to_json(), "id": f"../../{name}"})
    Image.new("RGB", (32, 32)).save("a.png")
    before = everything(tmp_path)
    for command in ("enhance a.png -o b.png --run", "export -o x", "forget", "rerun"):
        with pytest.raises(SystemExit, match="^gradprom: study local has no run "):
            cli.main([*command.split(), place, f"results={results}"])
    with pytest.raises(SystemExit, match="^gradprom: study local has no run "):
        cli.main(["compare", place, place, f"results={results}"])
    assert everything(tmp_path) == before


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "..", "table1/../table2"])
def test_a_table_cannot_lie_elsewhere(results: Path, tmp_path: Path, name: str) -> None:
    (results / "x.yaml").write_text("title: outside")
    before = everything(tmp_path)
    for command in ("report", "figure"):
        with pytest.raises(SystemExit, match=f"gradprom: .*{re.escape(name)}.* is unknown"):
            cli.main([command, name, f"results={results}"])
    assert everything(tmp_path) == before


@pytest.mark.parametrize("key", ["training_id", "fingerprint", "files"])
def test_a_record_cannot_lead_elsewhere(results: Path, tmp_path: Path, key: str) -> None:
    """A stranger's record, whose checksum is right."""
    [record] = cli_process.study(results).records()
    outside = tmp_path / "outside-aaaaaaaa"
    outside.mkdir()
    (outside / "artefact.pt").touch()
    lie: dict[str, Any] = {
        "training_id": {"training_id": "../../../outside", "stages": [{"id": "../../../outside"}]},
        "fingerprint": {"dataset": {**record.dataset.to_json(), "fingerprint": "/../../.."}},
        "files": {"files": {"/dev/zero": "00"}},
    }[key]
    path = cli_process.study(results).run(record.id) / "record.json"
    write_checked(path, {**record.to_json(), **lie})
    for command in ("export -o x", "forget --stages", "forget"):
        with pytest.raises(SystemExit, match="^gradprom: "):
            cli.main([*command.split(), record.id, f"results={results}"])
    assert (outside / "artefact.pt").exists() and not (results / "set-aside").exists()


# texts that are code

NAMES = (
    "%2e%2e%2Fescaped",
    "a_b%c\\",
    "<script>alert(1)<script>",
    "{{7*7}} ${noise} $(touch escaped) `touch escaped`",
    "'\"><img src=x onerror=alert(1)>",
    "[b]rich[[",
    "$\\frac{$",
    "=1+1",
)
GROUPS = ("../../escaped", "</script><script>alert(2)</script>", "patient & co, \\input{x}")
CLASSES = ["</script><b>well", "a_b%c\\ $\\frac$"]
TITLE = "</script><script>alert(3)</script> [/red] $\\frac$ a_b%c\\ ../../x | <!--"
FOLDER_TITLE = TITLE.replace("/", "").replace("\\", "")
"""What a folder may be called: no path."""


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder above all of a study of two runs on pictures with such names, and its report."""
    above = tmp_path_factory.mktemp("above")
    pictures = above / "pictures"
    pictures.mkdir()
    draw, lines = np.random.default_rng(0), ["id,label,group"]
    for number, name in enumerate([*NAMES, *(f"usual {i}" for i in range(8))]):
        pixels = draw.integers(0, 256, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(pictures / f"{name}.png")
        told = (name, CLASSES[number % 2], f"{GROUPS[number % 3]} {number % 6}")
        lines.append(",".join('"{}"'.format(text.replace('"', '""')) for text in told))
    (pictures / "labels.csv").write_text("\n".join(lines))
    study = Study(above / "results", "local")
    for title in (FOLDER_TITLE, f"{FOLDER_TITLE} too"):
        execute(hostile(above, pictures, title))
    report.report(study, ["lambda"], [])
    return above


def hostile(above: Path, pictures: Path, title: str) -> Run:
    words = ("dataset=folder", f"dataset.root={pictures}", "dataset.labels=labels.csv")
    words += ("dataset.classes=[a,b]", "dataset.test=0.5", "trainer.batch_size=4")
    run = tiny_runs.make(above / "results", *tiny_runs.SMALL, *words)
    dataset = dataclasses.replace(run.config.dataset, classes=CLASSES, title=title)
    facts = dataclasses.replace(run.config.facts, classes=tuple(CLASSES))
    config = dataclasses.replace(run.config, dataset=dataset, facts=facts)
    return Run(config, run.composed, run.choices, [f"dataset.title={title}"])


class Tags(HTMLParser):
    """How often each element opens, with attributes that run code."""

    def __init__(self, text: str):
        super().__init__()
        self.found: Counter[str] = Counter()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found[tag] += 1
        self.found.update(name for name, _ in attrs if name.startswith("on"))


def test_names_from_a_dataset_stay_inside(reported: Path) -> None:
    assert {path.name for path in reported.iterdir()} == {"pictures", "results"}
    assert not [*reported.rglob("*escaped*.json"), *Path.cwd().glob("escaped")]
    for run in (reported / "results" / "local" / "runs").iterdir():
        assert {path.name for path in (run / "panels").iterdir()} == {
            f"{number:02d}.png" for number in range(4)
        }
        scores = (run / "scores.csv").read_text()
        assert "../../escaped" in scores


def test_names_are_escaped_on_the_page(reported: Path, trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained, tmp_path / "results")
    for known in (reported / "results" / "cache").glob("identities-*"):
        shutil.copy(known, tmp_path / "results" / "cache")  # which takes long to work out
    report.report(Study(tmp_path / "results", "local"), ["lambda"], [])
    usual, ours = (
        (above / "results" / "local" / "report" / "index.html").read_text()
        for above in (tmp_path, reported)
    )
    kinds, expected = Tags(ours).found, Tags(usual).found
    for kind in ("script", "img", "b", "onerror", "onclick", "iframe"):
        assert kinds[kind] == expected[kind], kind
    assert "alert(3)" in ours and "<script>alert" not in ours and "<!-- " not in ours


def test_tables_and_pictures_take_any_text(
    reported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = Study(reported / "results", "local")
    ids = [record.id for record in study.records()]
    assert swept.show(ids, study, tmp_path, None) == 0
    shown = capsys.readouterr().out
    assert "[red]" in shown and "<script>alert(3)" in shown
    text = (tmp_path / "table.md").read_text()
    tables = [block.splitlines() for block in text.split("\n\n") if block.startswith("|")]
    assert tables
    for lines in tables:
        bars = {len(re.findall(r"(?<!\\)\|", line)) for line in lines}
        assert len(bars) == 1, "a title has made a column of its own"
    assert "<script>" not in text
    assert (tmp_path / "picture.png").stat().st_size > 0


def test_texts_are_escaped_in_latex(tmp_path: Path) -> None:
    word = f"dataset.title='{TITLE} \\input{{/etc/passwd}} ^^5cinput #1 ~ & %'"
    made = records_factory.make(tmp_path / "results", ["table5"], word)
    [table] = made.tables()
    assert "/" not in table.key and table.key not in (".", "..")
    text = latex.document([table])
    for command in ("\\input{", "\\frac", "^^"):
        assert command not in text
    if shutil.which("pdflatex"):
        (tmp_path / "t.tex").write_text(text)
        done = subprocess.run(
            ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "t.tex"],
            cwd=tmp_path,
            capture_output=True,
        )
        assert done.returncode == 0, done.stdout[-2000:]
