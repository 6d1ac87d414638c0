"""What sweeps of tiny runs have left, and whether two of them agree in every bit."""

from pathlib import Path

from support import cli_process

SHAPE = ("-m", "strategy=gradprom,frozen,joint", "noise=0.05,0.1")


def assert_same_results(results: Path, reference: Path, *which: str) -> None:
    """Runs with these overrides, and no others, with the same bits."""
    ours, others = cli_process.records(results), cli_process.records(reference)
    assert sorted(ours) == sorted(which)
    for words in which:
        assert cli_process.outcome(results, ours[words]) == cli_process.outcome(
            reference, others[words]
        )
