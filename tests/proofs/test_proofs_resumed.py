"""Methods from outside, killed in training or in evaluation, go on to the same bits."""

from collections.abc import Callable
from pathlib import Path

import pytest
from faults.lifecycle import assert_same, frozen_at
from support import cli_process
from support.proofs import PLUGINS, PROOFS, SIZES, each, records, run

pytestmark = pytest.mark.proofs

PAUSE = 0.02


def in_the_last_stage(stages: int) -> Callable[[Path], bool]:
    """Whether all stages but the last are there, and that one has a checkpoint."""

    def moment(results: Path) -> bool:
        begun = [path.parent for path in results.glob("stages/*/checkpoint.pt")]
        there = list(results.glob("stages/*/artefact.pt"))
        return len(there) == stages - 1 and any(not (f / "artefact.pt").exists() for f in begun)

    return moment


def half_evaluated(results: Path) -> bool:
    return any(path.stat().st_size for path in results.glob("local/runs/*/scores.partial"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """By method: where a run was never stopped."""
    done: dict[str, Path] = {}

    def train(name: str) -> Path:
        if name not in done:
            done[name] = tmp_path_factory.mktemp(f"{name}-whole")
            run(done[name], *EVALUATED, *PROOFS[name].alone)
        return done[name]

    return train


EVALUATED = ("evaluation.batch_size=2", "evaluation.panels=6")


def killed(results: Path, name: str, moment: Callable[[Path], bool], pause: float) -> None:
    words = (*EVALUATED, *PROOFS[name].alone)
    child = cli_process.start(results, *words, pause=pause, sizes=SIZES, plugins=PLUGINS)
    assert frozen_at(moment, child, results), child.text
    child.kill()


@each
def test_killed_at_a_checkpoint_and_resumed(
    tmp_path: Path, whole: Callable[[str], Path], name: str
) -> None:
    killed(tmp_path, name, in_the_last_stage(PROOFS[name].stages), PAUSE)
    run(tmp_path, *EVALUATED, *PROOFS[name].alone)
    assert_same(tmp_path, whole(name))
    [record] = records(tmp_path)
    assert record["interruptions"] == 1


@each
def test_an_interrupted_evaluation_goes_on(
    tmp_path: Path, whole: Callable[[str], Path], name: str
) -> None:
    killed(tmp_path, name, half_evaluated, pause=0.2)
    before = cli_process.trained(tmp_path)
    [panels] = tmp_path.glob("local/runs/*/panels")
    [first, *_] = sorted(panels.glob("*.png"))
    first.unlink()
    run(tmp_path, *EVALUATED, *PROOFS[name].alone)
    assert_same(tmp_path, whole(name))
    assert cli_process.trained(tmp_path) == before
    assert not first.exists()  # its batch was not restored again
