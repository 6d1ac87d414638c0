"""`gradprom data describe`: what a person reads before the files are there."""

import subprocess
import sys
from pathlib import Path

import pytest
from support import tiny_runs

from gradprom import cli, config

DATASETS = sorted(path.stem for path in (tiny_runs.CONF / "dataset").glob("*.yaml"))
PUBLISHED = [name for name in DATASETS if config.component("dataset", name).ABOUT.folders]


def described(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    cli.main(["data", "describe", *words])
    return capsys.readouterr().out


def section(text: str, name: str) -> str:
    """The lines of one section, with their breaks taken out."""
    lines = text.splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith(f"{name:<10}"))
    end = next(
        (n for n, line in enumerate(lines[start + 1 :], start + 1) if line[:1] != " "), len(lines)
    )
    return " ".join(line[10:].strip() for line in lines[start:end])


@pytest.mark.parametrize("name", DATASETS)
def test_every_dataset_says_what_it_is(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = described(capsys, f"dataset={name}")
    module = config.component("dataset", name)
    facts = module.facts(module.Options())
    assert text.startswith(f"dataset={name}\n") and module.ABOUT.licence in section(text, "licence")
    assert module.ABOUT.get.split(". ")[0] in section(text, "get")
    classes = ", ".join(facts.classes) or "none, so auxiliary=diagnosis is not allowed"
    assert section(text, "classes") == classes
    masks = ", ".join(facts.mask_classes) or "none, so auxiliary=segmentation is not allowed"
    assert section(text, "masks") == masks
    assert max(map(len, text.splitlines())) <= 100


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_datasets_say_where_they_are_and_how_they_are_split(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = described(capsys, f"dataset={name}")
    module = config.component("dataset", name)
    assert "https://" in section(text, "get") and "confirm" in section(text, "licence")
    assert f"in data_root or data_root/{module.ABOUT.folders[0]}" in section(text, "layout")
    for split in module.SPLITS:
        assert f"{split}: " in section(text, "splits").replace(" (chosen)", "")
    assert f"{module.Options().split} (chosen)" in section(text, "splits")
    assert section(text, "traps")


def test_it_describes_what_was_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    text = described(capsys, "dataset=covid_ct", "dataset.split=patient", "dataset.size=96")
    assert "patient (chosen)" in text and "grey, 96×96 pixels" in text
    words = ["dataset.labels=t.csv", "dataset.classes=[benign,malignant]", "dataset.title=mine"]
    text = described(capsys, "dataset=folder", *words)
    assert section(text, "classes") == "benign, malignant"
    assert "dataset.classes=[benign,malignant]" in text and "dataset.title=mine" in text


def test_it_needs_neither_files_nor_torch(tmp_path: Path) -> None:
    code = f"""
import sys
from gradprom import cli
cli.main(["data", "describe", "dataset=camus", "data_root={tmp_path}/nowhere"])
heavy = {{"torch", "matplotlib", "scipy", "nibabel", "pandas"}} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, cwd=tmp_path)
    assert not list(tmp_path.iterdir())
