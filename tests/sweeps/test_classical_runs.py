"""A sweep plans runs of classical filters beside its own, each once for each test condition."""

import csv
from pathlib import Path

import numpy as np
import pytest
from skimage.restoration import denoise_tv_chambolle, denoise_wavelet
from support import cli_process, tiny_runs

from gradprom import config
from gradprom.data.loader import test_batches
from gradprom.errors import ConfigError, NotServed
from gradprom.methods import classical
from gradprom.sweeps.classical_runs import with_classical
from gradprom.sweeps.plan import describe, make_plan
from gradprom.sweeps.request import Request, read_request, shell_composer

DEFAULT = ["non_local_means", "total_variation", "wavelets"]


def planned(results: Path, *words: str, filters: list[str] = DEFAULT) -> Request:
    config.register()
    composer = shell_composer()
    request = read_request([*tiny_runs.PHANTOM, *words, f"results={results}"], composer)
    return with_classical(request, filters, composer)


def conditions(request: Request) -> list[tuple[str, float]]:
    """Filter and σ of each run that was added."""
    return [(run.config.method.filter, run.config.degradation.sigma) for run in request.classical]


def test_each_filter_once_for_each_noise_whatever_else_varies(tmp_path: Path) -> None:
    words = ["strategy=gradprom,joint", "noise=0.05,0.1", "seed=0,1", "lam=0.001"]
    request = planned(tmp_path, *words, "auxiliary.epochs=3", "trainer.lr=0.01")
    assert sorted(conditions(request)) == [(f, sigma) for f in DEFAULT for sigma in (0.05, 0.1)]
    assert len(request.runs) == 8
    for run in request.classical:
        sigma = run.config.degradation.sigma
        typed = ("method=classical", f"method.filter={run.config.method.filter}")
        assert run.id == tiny_runs.make(tmp_path, *tiny_runs.PHANTOM, *typed, f"noise={sigma}").id
        # what the launcher gets leads to the same run, and names nothing that it does not read
        assert tiny_runs.make(tmp_path, *request.jobs[run.id]).id == run.id
        words = " ".join(request.jobs[run.id])
        assert not any(
            key in words for key in ("strategy", "seed", "lam", "auxiliary", "trainer.lr")
        )


@pytest.mark.parametrize("word", ["dataset.test=4", "evaluation.seed=1", "validation=0.2"])
def test_other_test_images_are_other_runs(word: str, tmp_path: Path) -> None:
    [plain] = planned(tmp_path, "noise=0.1", filters=["wavelets"]).classical
    [other] = planned(tmp_path, "noise=0.1", word, filters=["wavelets"]).classical
    assert other.id != plain.id


def test_only_noise_of_a_known_level_and_images_that_are_restored(tmp_path: Path) -> None:
    for words in (["degradation=blur"], ["degradation=mix"], ["method=recognizer"]):
        assert planned(tmp_path, *words).classical == []
    both = planned(tmp_path, "degradation=gaussian,blur", filters=["wavelets"])
    assert conditions(both) == [("wavelets", 0.1)]
    counted = planned(tmp_path, "degradation=low_count,poisson", filters=["wavelets"])
    assert [run.config.degradation.name for run in counted.classical] == ["low_count", "poisson"]


def test_what_the_sweep_has_anyway_is_not_added(tmp_path: Path) -> None:
    assert planned(tmp_path, "method=classical", "method.filter=wavelets").classical == []
    request = planned(tmp_path, "method=classical,task_driven")
    assert [name for name, _ in conditions(request)] == ["total_variation", "wavelets"]


def test_the_cells_of_an_experiment(tmp_path: Path) -> None:
    request = planned(tmp_path, "experiment=table1", "profile=demo", "dataset=phantom", "seed=0")
    assert sorted(conditions(request)) == [
        (name, sigma) for name in DEFAULT for sigma in (0.05, 0.1, 0.2, 0.3)
    ]


def test_a_filter_that_is_unknown_or_not_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match="filter=median is unknown; choose from non_local_means"):
        planned(tmp_path, filters=["median"])
    monkeypatch.setattr(classical.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(NotServed, match="pip install bm3d"):
        planned(tmp_path, filters=["bm3d"])


def test_the_plan_counts_them_on_a_line_of_their_own(tmp_path: Path) -> None:
    request = planned(tmp_path, "strategy=gradprom,joint", "noise=0.05,0.1")
    plan = make_plan(request.runs, False, request.classical)
    first, *lines = describe(plan).splitlines()
    assert first == "4 runs: 4 new, 0 done"
    [told] = [line for line in lines if line.startswith("  beside")]
    names = "classical non_local_means, total_variation, wavelets"
    assert told == f"  beside     {names} on 8 images of phantom, 32×32: 6 new, 0 done"
    [train] = [line for line in lines if line.startswith("  to train")]
    alone = [line for line in describe(make_plan(request.runs, False)).splitlines()]
    assert train in alone and "classical" not in train
    assert len(plan.pending) == 10 and plan.id == make_plan(request.runs, False).id


DIRECT = {
    "total_variation": lambda noisy: denoise_tv_chambolle(noisy, weight=0.075, channel_axis=-1),
    "wavelets": lambda noisy: denoise_wavelet(noisy, sigma=0.1, channel_axis=-1),
}


def test_the_table_has_what_scikit_image_makes_of_the_same_images(tmp_path: Path) -> None:
    words = ["strategy=joint,mainstream", "noise=0.1", "sweep.classical=[total_variation,wavelets]"]
    code, text = cli_process.run(tmp_path, "-m", *words)
    assert code == 0, text
    assert "2 runs: 2 new, 0 done" in text and "32×32: 2 new, 0 done" in text
    [path] = tmp_path.glob("local/sweeps/*/table.csv")
    with path.open(encoding="utf-8") as file:
        lines = {(x["row"], x["metric"]): x for x in csv.DictReader(file)}
    run = tiny_runs.make(tmp_path, *cli_process.TINY, "noise=0.1", "strategy=mainstream")
    for name, denoise in DIRECT.items():
        scores = []
        for batch in test_batches(run.images(), "test", 1, run.config.degradation, 0, "cpu"):
            noisy, clean = (x[0].permute(1, 2, 0).numpy() for x in (batch.input, batch.target))
            error = np.square(denoise(noisy).clip(0, 1) - clean).mean()
            scores.append(-10 * np.log10(error))
        shown = float(lines[name.replace("_", " "), "psnr"]["mean"])
        assert shown == pytest.approx(np.mean(scores), abs=1e-4)
        # four steps of training do not reach a filter
        assert lines["mainstream", "psnr"]["below_classical"] == "yes"

    trained = cli_process.trained(tmp_path)
    code, text = cli_process.run(tmp_path, "-m", *words)
    assert code == 0 and "2 runs: 0 new, 2 done" in text and "32×32: 0 new, 2 done" in text
    assert cli_process.trained(tmp_path) == trained
    code, text = cli_process.tool(tmp_path, "status")
    assert "4 runs: 4 done" in text
    [other] = tmp_path.glob("local/sweeps/*")
    code, text = cli_process.run(tmp_path, "-m", *words[:2], "sweep.classical=[]")
    assert code == 0 and "beside" not in text
    assert [*tmp_path.glob("local/sweeps/*")] == [other]
