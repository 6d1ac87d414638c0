"""Which words of a command line are part of a run's identity."""

import pytest

from gradprom.sweeps import request, run_ids

WORDS = [
    *("trainer.device=cpu", "trainer.threads=2", "trainer.compile=true", "trainer.graph=false"),
    *("trainer.log_every=3", "trainer.lr=0.5", "trainer.precision=bf16", "trainer.batch_size=4"),
    *("evaluation.panels=1", "evaluation.batch_size=3", "evaluation.seed=7", "auxiliary.epochs=3"),
    *("runs_per_device=2", "slurm.runs_per_job=3", "tune.trials=3"),
    *("hydra/launcher=submitit_slurm", "sweep.dry_run=true", "++trainer.device=cpu"),
    *("noise=0.3", "++noise=0.3", "seed=4", "profile=bench", "results=elsewhere"),
]


@pytest.fixture(scope="module")
def ids() -> dict[str, str]:
    """The id of the default run with each word, and without any under an empty one."""
    identify = request.identify_with(request.shell_composer(), {}, [])
    known = identify([[], *([word] for word in WORDS)])
    return dict(zip(["", *WORDS], [identity.id for identity in known], strict=True))


@pytest.mark.parametrize("word", WORDS)
def test_only_what_changes_no_id_is_unhashed(ids: dict[str, str], word: str) -> None:
    assert run_ids.is_unhashed(word) == (ids[word] == ids[""])
