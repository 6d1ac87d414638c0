"""Random sequences of start, kill, damage and resume; whatever happened, the end is the same."""

import random
import time
from pathlib import Path

import pytest
from faults.lifecycle import LONGER, PAUSE, assert_same, damage, finish, finished
from support import cli_process

WORDS = ("strategy=random_gate", "supervision=unsupervised", *LONGER)
ACTIONS = ("kill", "kill", "damage", "damage", "resume")
SAID = ("output-", "trained.txt", "saved.txt", "lease-")
"""Files that are the tests' own; and leases, whose damage costs the wait for a silent holder."""


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = tmp_path_factory.mktemp("undisturbed")
    finish(results, WORDS)
    return results


@pytest.mark.parametrize("seed", range(3))
def test_any_sequence_ends_with_the_bits_of_the_undisturbed_run(
    seed: int, tmp_path: Path, reference: Path
) -> None:
    draw, told = random.Random(seed), []
    for _ in range(7):
        action = draw.choice(ACTIONS)
        whole, begun = finished(tmp_path), cli_process.trained(tmp_path)
        told.append(act(action, tmp_path, draw))
        again = set(cli_process.trained(tmp_path) - begun) & whole
        assert not again, f"{again} trained again after {told}"
        no_record_lies(tmp_path, reference)
    print("\n".join(told))
    finish(tmp_path, WORDS)
    assert_same(tmp_path, reference)
    assert cli_process.study(tmp_path).load()[1] == []


def act(action: str, results: Path, draw: random.Random) -> str:
    """Do it, and tell."""
    if action == "damage":
        files = [
            path for path in results.rglob("*") if path.is_file() and "hydra" not in path.parts
        ]
        files = sorted(path for path in files if not path.name.startswith(SAID))
        files = [path for path in files if path.stat().st_size]
        return damage(draw.choice(files), draw) if files else "nothing to damage"
    child = cli_process.start(results, *WORDS, pause=PAUSE)
    goal = cli_process.saved(results) + draw.randrange(10)
    while child.alive and (action == "resume" or cli_process.saved(results) < goal):
        time.sleep(0.002)
    if child.alive:
        time.sleep(draw.uniform(0, 0.2))
        child.process.kill()
        child.process.join()
        return f"killed at {cli_process.saved(results)} checkpoints"
    assert child.wait() == 0, child.text
    return "went to its end"


def to_be_damaged(path: Path) -> bool:
    """Whether it is a file of the results, with content; Hydra's own are read by nobody."""
    own = path.name.startswith(SAID) or "hydra" in path.parts
    return path.is_file() and not own and path.stat().st_size > 0


def no_record_lies(results: Path, reference: Path) -> None:
    """One that can be read and says `finished` has the undisturbed run's numbers."""
    [expected] = cli_process.study(reference).records()
    for record in cli_process.study(results).records():
        if record.status == "finished":
            assert record.metrics == expected.metrics
            assert record.config["strategy"] == expected.config["strategy"]
            texts = [
                cli_process.study(f).run(record.id) / "history.csv" for f in (results, reference)
            ]
            assert texts[0].read_text() == texts[1].read_text()
        else:
            assert record.status == "started"
