"""A strategy of one's own is one file and one YAML."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from support import tiny_runs
from support.compositions import CONF, extend, load

import gradprom.strategies
from gradprom.errors import ConfigError

HALF = '''
"""Half of the auxiliary gradient, always."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from gradprom.strategies import Strategy


@dataclass(kw_only=True)
class Half(Strategy):
    compares: ClassVar[bool] = False
    name: str = "half"
    lam: float = 1.0
    share: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise ValueError(f"share={self.share}: allowed are shares in (0, 1]")

    def weights(self, gram: Tensor) -> Tensor:
        weights = gram.new_full(gram.shape[:-1], self.lam * self.share)
        weights[..., 0] = 1.0
        return weights


Options = Half
'''


@pytest.fixture
def half(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """The strategy `half`, and the override that finds its YAML."""
    code, conf = tmp_path / "code", tmp_path / "conf" / "strategy"
    code.mkdir()
    conf.mkdir(parents=True)
    (code / "half.py").write_text(HALF)
    (conf / "half.yaml").write_text("name: half\nlam: ${lam}\nshare: 0.25\n")
    extend(monkeypatch, gradprom.strategies, code)
    yield f"hydra.searchpath=[file://{conf.parent}]"
    sys.modules.pop("gradprom.strategies.half", None)
    vars(gradprom.strategies).pop("half", None)


def test_a_new_strategy_is_one_file_and_one_yaml(half: str, tmp_path: Path) -> None:
    """It is typed, checked, told among the choices, trained, and a row of the table."""
    from gradprom.reports import unplanned

    typed = load(half, "strategy=half", "lam=0.5")
    assert (typed.strategy.name, typed.strategy.lam, typed.strategy.share) == ("half", 0.5, 0.25)
    with pytest.raises(ConfigError, match=r"strategy=half: share=2.0: allowed are shares in"):
        load(half, "strategy=half", "strategy.share=2")
    with pytest.raises(ConfigError, match="choose from .*gradprom, half, joint"):
        load("strategy.name=hall")
    common = [half, *tiny_runs.PHANTOM]
    records = [
        tiny_runs.train(tmp_path / "results", f"strategy={name}", *common)
        for name in ("half", "joint")
    ]
    assert [record.choices["strategy"] for record in records] == ["half", "joint"]
    assert records[0].training_id != records[1].training_id
    rows = unplanned.expansion(records).experiment.rows
    assert [row.title for row in rows] == ["half", "joint"]


def test_the_readmes_strategy_works(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its two files, as they stand there."""
    text = (CONF.parent / "README.md").read_text()
    files = re.findall(r"^```\w+\n# ([\w/]+\.(?:py|yaml))\n(.*?)^```", text, re.M | re.S)
    assert [Path(name).parent.as_posix() for name, _ in files] == [
        "src/gradprom/strategies",
        "conf/strategy",
    ]
    for name, content in files:
        path = tmp_path / name
        path.parent.mkdir(parents=True)
        path.write_text(content)
    extend(monkeypatch, gradprom.strategies, (tmp_path / files[0][0]).parent)
    name = Path(files[1][0]).stem
    typed = load(f"hydra.searchpath=[file://{tmp_path / 'conf'}]", f"strategy={name}", "lam=0.5")
    sys.modules.pop(f"gradprom.strategies.{name}")
    vars(gradprom.strategies).pop(name)
    # alike, against, and as far apart as it still lets through
    for inner, weight in ((1.0, 0.5), (-1.0, 0.0), (-0.4, 0.5)):
        gram = torch.tensor([[1.0, inner], [inner, 1.0]])
        assert typed.strategy.weights(gram).tolist() == [1.0, weight]
