"""`open choice 7` leads to a line of docs/open-choices.md, and to the right one."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("src", "conf", "experiments", "docs", "tests/proofs", "notebooks", "README.md")
CITATION = re.compile(r"open choices? ((?:\d+(?:, | and )?)+)|\((\d+) in \[(?:docs/)?open-choices")

SUBJECTS = {
    ("conf/auxiliary/multitask.yaml", 4): "multitask",
    ("conf/backbone/resnet101.yaml", 7): "resnet101",
    ("conf/backbone/resnet50.yaml", 7): "resnet50",
    ("conf/degradation/mix.yaml", 8): "degradation.order",
    ("conf/profile/paper.yaml", 5): "Epochs",
    ("conf/strategy/frozen.yaml", 3): "Frozen-params",
    ("conf/strategy/gradprom.yaml", 1): "strategy.granularity",
    ("conf/strategy/gradprom.yaml", 2): "strategy.gate=",
    ("conf/strategy/gradprom.yaml", 28): "strategy.gate_on",
    ("conf/tune/gate.yaml", 1): "strategy.granularity",
    ("conf/tune/gate.yaml", 2): "strategy.gate=",
    ("README.md", 24): "a margin",
    ("docs/backbones.md", 7): "ResNet encoder",
    ("docs/compared.md", 7): "ResNet encoder",
    ("docs/methods/ddm.md", 8): "Clamped",
    ("docs/recipes.md", 10): "Crops",
    ("docs/scale.md", 5): "Epochs",
    ("experiments/gradprom/recognizer_modes.yaml", 31): "BatchNorm",
    ("experiments/gradprom/regime_equal_norms.yaml", 31): "BatchNorm",
    ("experiments/gradprom/regime_fixed_teacher.yaml", 16): "fixed",
    ("experiments/gradprom/table4.yaml", 20): "Base rows",
    ("experiments/gradprom/table5.yaml", 7): "VGG-22",
    ("experiments/gradprom/table5.yaml", 13): "Supervision in Tables V",
    ("src/gradprom/methods/ddm.py", 8): "Clamped",
    ("src/gradprom/metrics/image.py", 9): "SSIM",
}
"""A word of the choice that a file means, by file and number."""


def choices() -> dict[int, str]:
    lines = (ROOT / "docs" / "open-choices.md").read_text("utf-8").splitlines()
    rows = [re.match(r"\| (\d+) \| (.*)", line) for line in lines]
    return {int(row[1]): row[2] for row in rows if row}


def citations() -> dict[tuple[str, int], str]:
    """The line of each citation, by file and number."""
    found = {}
    for place in (ROOT / folder for folder in FOLDERS):
        files = sorted(place.rglob("*")) if place.is_dir() else [place]
        for file in (f for f in files if f.suffix in (".py", ".yaml", ".md", ".ipynb")):
            for match in CITATION.finditer(" ".join(file.read_text("utf-8").split())):
                for number in map(int, re.findall(r"\d+", match[0])):
                    found[str(file.relative_to(ROOT)), number] = match[0]
    return found


def test_every_cited_choice_is_there() -> None:
    found = citations()
    # a new citation says here what it means
    assert found.keys() == SUBJECTS.keys()
    missing = {place: text for place, text in found.items() if place[1] not in choices()}
    assert not missing


@pytest.mark.parametrize("place", SUBJECTS, ids=lambda place: f"{place[0]} {place[1]}")
def test_a_citation_means_the_choice_that_it_cites(place: tuple[str, int]) -> None:
    if any(file == place[0] for file, _ in citations()):
        assert place in citations() and SUBJECTS[place] in choices()[place[1]]
