"""`gradprom restore` solves a problem as the method does, and refuses what does not fit."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from support import tiny_runs

from gradprom import cli
from gradprom.degradations import Completion, Decimation, Degradation, Gaussian, Mix
from gradprom.degradations.observation import Observation
from gradprom.methods.prior_solver import LEAST_LEVEL, SolverOptions, solve
from gradprom.models.priors.drunet import ProximalOperator
from gradprom.runs.records import Study
from gradprom.runs.restore import load_run, restored_method
from gradprom.solvers import Problem

PRIOR = ("method=gauss", "method.gauss.epochs=1", "method.solver.iterations=3")
SIZE = (21, 30)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results with a prior, and with a run that is none."""
    path = tmp_path_factory.mktemp("restore") / "results"
    small = (*tiny_runs.PHANTOM, "method.network.channels=4", "degradation=completion")
    tiny_runs.train(path, *small, *PRIOR)
    tiny_runs.train(path, *tiny_runs.PHANTOM, "strategy=mainstream", "study=enhancers")
    return path


@pytest.fixture
def source(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "degraded.png")
    return tmp_path / "degraded.png"


def restore(results: Path, source: Path, *words: str, study: str = "local") -> np.ndarray:
    [run] = (results / study / "runs").iterdir()
    output = source.with_name("restored.png")
    place = ["--device", "cpu", f"results={results}", f"study={study}"]
    cli.main(["restore", "--prior", run.name, str(source), "-o", str(output), *words, *place])
    return np.asarray(Image.open(output))


def solved(results: Path, source: Path, observation: Observation, kept: object = 1) -> np.ndarray:
    """The same by the solver alone."""
    study = Study(results, "local")
    [run] = study.runs.iterdir() if hasattr(study, "runs") else (results / "local/runs").iterdir()
    method = restored_method(
        load_run(study, run.name), study.resolve(run.name), torch.device("cpu")
    )
    proximal = method.networks["proximal"]
    assert isinstance(proximal, ProximalOperator)
    pixels = np.asarray(Image.open(source)).transpose(2, 0, 1)[None]
    degraded = torch.from_numpy(pixels / np.float32(255)) * kept  # type: ignore[operator]
    level = observation.sigma().clamp(min=LEAST_LEVEL)
    options = SolverOptions(name="admm", iterations=3)
    estimate = solve(options, Problem(observation, degraded, level), proximal).estimate
    return (estimate[0].clamp(0, 1).permute(1, 2, 0) * 255).round().byte().numpy()


def test_an_image_is_enlarged(results: Path, source: Path) -> None:
    filter = {"decimation": Decimation(scale=3, filter="gaussian")}
    noise = Gaussian(sigma=0.05, clamp=False)
    mix: Degradation = Mix(order=["decimation", "gaussian"], gaussian=noise, parts=filter)
    words = ("--problem", "super_resolution", "--scale", "3", "--filter", "gaussian")
    restored = restore(results, source, *words, "--noise", "0.05")
    shape = (1, 3, 3 * SIZE[0], 3 * SIZE[1])
    expected = solved(results, source, Observation(mix, {}, shape))
    assert restored.shape == (*shape[2:], 3)
    np.testing.assert_array_equal(restored, expected)


def test_missing_pixels_are_those_of_the_mask(results: Path, source: Path) -> None:
    missing = np.random.default_rng(1).random(SIZE) < 0.6
    mask = source.with_name("mask.png")
    Image.fromarray(missing.astype(np.uint8) * 255).save(mask)
    restored = restore(results, source, "--problem", "completion", "--missing", str(mask))
    kept = torch.from_numpy(~missing)[None, None]
    observation = Observation(Completion(), {"mask": kept}, (1, 3, *SIZE))
    np.testing.assert_array_equal(restored, solved(results, source, observation, kept))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--problem", "deblur"), "--problem deblur needs --sigma-blur"),
        (("--problem", "completion"), "--problem completion needs --missing"),
        (("--problem", "denoise", "--sigma-blur", "2"), "--sigma-blur has no effect with"),
        (("--problem", "deblur", "--sigma-blur", "-1"), "sigma=-1.0: allowed for a blur are"),
        (("--problem", "denoise", "--noise", "25"), "sigma=25.0: allowed are numbers from 0 to 1"),
        (("--problem", "denoise", "--noise", "0.1", "--iterations", "0"), "iterations=0: allowed"),
    ],
)
def test_what_does_not_fit_is_one_sentence(
    results: Path, source: Path, words: tuple[str, ...], message: str
) -> None:
    with pytest.raises(SystemExit, match=message):
        restore(results, source, *words)
    assert not source.with_name("restored.png").exists()


def test_a_run_without_solver_is_refused(results: Path, source: Path) -> None:
    with pytest.raises(SystemExit, match="which solves no inverse problems; name a run of a prior"):
        restore(results, source, "--problem", "denoise", "--noise", "0.1", study="enhancers")


def test_a_mask_of_another_size_is_refused(results: Path, source: Path) -> None:
    mask = source.with_name("mask.png")
    Image.fromarray(np.zeros((5, 5), np.uint8)).save(mask)
    with pytest.raises(SystemExit, match="has 5×5 pixels, and .* has 21×30"):
        restore(results, source, "--problem", "completion", "--missing", str(mask))
