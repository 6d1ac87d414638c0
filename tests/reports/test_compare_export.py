"""`gradprom compare` and `gradprom export`."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from safetensors.torch import load_file
from support import pictures, tiny_runs

import gradprom
from gradprom import cli
from gradprom.errors import RunError
from gradprom.methods.base import Description
from gradprom.metrics.registry import METRICS
from gradprom.reports import compare
from gradprom.runs import export, model_card
from gradprom.runs.record import Record
from gradprom.runs.records import Study
from gradprom.runs.restore import load_run, restored_method
from gradprom.storage.files import write_checked


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("compare") / "results"


@pytest.fixture(scope="module")
def first(results: Path) -> Record:
    """A multi-task run by gradprom."""
    return tiny_runs.train(results, *tiny_runs.PHANTOM, "auxiliary=multitask")


@pytest.fixture(scope="module")
def second(results: Path) -> Record:
    """The same by joint, with another seed."""
    return tiny_runs.train(
        results, *tiny_runs.PHANTOM, "auxiliary=multitask", "strategy=joint", "seed=1"
    )


# compare


def test_scores_are_those_of_the_records(results: Path, first: Record, second: Record) -> None:
    found = compare.compare(tiny_runs.local(results), first.id, second.id[:5])
    assert (found.images, found.groups) == (8, 8)
    assert [d.metric for d in found.differences] == [
        *("psnr", "ssim", "accuracy", "majority_share", "miou")
    ]
    for d in found.differences:
        assert d.first == pytest.approx(first.metrics[d.metric], abs=1e-9)
        assert d.second == pytest.approx(second.metrics[d.metric], abs=1e-9)
        assert d.low <= d.second - d.first <= d.high


def test_configurations_are_told_apart(results: Path, first: Record, second: Record) -> None:
    found = compare.compare(tiny_runs.local(results), first.id, second.id)
    assert found.keys["strategy.name"] == ("gradprom", "joint")
    assert found.keys["strategy.gate"] == ("hard", None)
    assert found.keys["seed"] == (0, 1)
    assert {key.split(".")[0] for key in found.keys} == {"strategy", "seed"}
    assert not compare.compare(tiny_runs.local(results), first.id, first.id).keys


def test_the_command_prints_both(
    results: Path, first: Record, second: Record, capsys: pytest.CaptureFixture[str]
) -> None:
    cli.main(["compare", first.id, second.id, f"results={results}"])
    told = capsys.readouterr().out
    assert re.search(r"strategy.name +gradprom +joint\n", told)
    difference = second.metrics["psnr"] - first.metrics["psnr"]
    assert re.search(rf"psnr .* {re.escape(f'{difference:+.4f}')} \[", told)
    assert "8 test images" in told


def altered(study: Study, record: Record, change: dict) -> str:
    """A copy of a record with other values, under another id."""
    copy = json.loads(json.dumps(record.to_json()))
    for key, value in change.items():
        *path, last = key.split(".")
        place = copy
        for part in path:
            place = place[part]
        place[last] = value
    copy["id"] = f"altered{len(list(study.run('x').parent.iterdir()))}"
    shutil.copytree(study.run(record.id), study.run(copy["id"]))
    write_checked(study.run(copy["id"]) / "record.json", copy)
    return copy["id"]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"config.degradation.sigma": 0.2}, "they differ in degradation$"),
        ({"config.evaluation.seed": 7}, "they differ in evaluation seed$"),
        ({"dataset.fingerprint": "0" * 64}, "they differ in dataset content or split$"),
        ({"status": "failed"}, "run altered. has no results: it failed$"),
        ({"status": "started"}, "has no results: it is running or was interrupted$"),
    ],
)
def test_runs_that_cannot_be_compared(
    tmp_path: Path, results: Path, first: Record, change: dict, sentence: str
) -> None:
    shutil.copytree(results / "local", tmp_path / "local")
    study = tiny_runs.local(tmp_path)
    other = altered(study, first, change)
    with pytest.raises(RunError, match=sentence):
        compare.compare(study, first.id, other)


def test_the_interval_is_that_of_the_mean() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(0.3, 1, 400)
    psnr, zero = METRICS["psnr"], {"psnr": np.zeros(400)}
    (alone,) = compare.paired_differences([psnr], zero, {"psnr": values}, np.arange(400))
    half = 1.96 * values.std() / 20
    assert (alone.low, alone.high) == pytest.approx(
        (values.mean() - half, values.mean() + half), abs=0.02
    )
    # 100 patients with four equal images each know as much as 100 images
    repeated = np.repeat(values[:100], 4)
    patients = np.repeat(np.arange(100), 4)
    (grouped,) = compare.paired_differences([psnr], zero, {"psnr": repeated}, patients)
    half = 1.96 * values[:100].std() / 10
    assert grouped.high - grouped.low == pytest.approx(2 * half, rel=0.1)


# export


@pytest.fixture(scope="module")
def exported(results: Path, first: Record, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export") / "handed-on"
    cli.main(["export", first.id, "-o", str(folder), f"results={results}"])
    return folder


def noisy() -> torch.Tensor:
    return torch.rand(2, 3, 40, 24, generator=torch.Generator().manual_seed(0))


def test_the_exported_weights_are_those_of_the_run(
    results: Path, first: Record, exported: Path
) -> None:
    study = tiny_runs.local(results)
    method = restored_method(load_run(study, first.id), first, torch.device("cpu"))
    exported_as = {"enhancer": "enhancer"} | {
        task: f"recognizer.{task}" for task in ("diagnosis", "segmentation")
    }
    networks = {exported_as[name]: network for name, network in method.networks.items()}
    assert set(networks) == {"enhancer", "recognizer.diagnosis", "recognizer.segmentation"}
    expected = {
        f"{name}.{key}": value
        for name, network in networks.items()
        for key, value in network.state_dict().items()
    }
    found = load_file(exported / "weights.safetensors")
    assert found.keys() == expected.keys()
    for name, tensor in found.items():
        assert tensor.dtype == expected[name].dtype and torch.equal(tensor, expected[name])
    loaded = export.load(exported)
    assert torch.equal(loaded.enhance(noisy()), method.enhance(noisy()))


def test_the_card_tells_data_protocol_and_scores(first: Record, exported: Path) -> None:
    text = (exported / "README.md").read_text()
    for told in (
        f"run {first.id}",
        first.dataset.fingerprint,
        "train 16 images, test 8 images",
        "gaussian (sigma 0.1",
        "data range 1",
        "11×11",
        f"| PSNR, dB | {first.metrics['degraded_psnr']:.4f} | {first.metrics['psnr']:.4f} |",
        f"| mIoU | – | {first.metrics['miou']:.4f} |",
        "auxiliary=multitask",
        f"torch {torch.__version__.split('+')[0]}",
    ):
        assert told in text
    assert "| NaN |" not in text


def snippet(folder: Path) -> str:
    (code,) = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(), re.S)
    return code


def test_the_snippet_of_the_card_runs(
    results: Path, first: Record, exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(exported)
    names: dict = {"degraded": noisy()}
    exec(snippet(exported), names)
    study = tiny_runs.local(results)
    method = restored_method(load_run(study, first.id), first, torch.device("cpu"))
    assert torch.equal(names["enhanced"], method.enhance(noisy()))
    assert 'model.networks["enhancer"]` restores images' in (exported / "README.md").read_text()


def test_the_snippet_of_older_cards_runs(exported: Path) -> None:
    method = export.load(exported)
    assert method.enhance(noisy()).shape == noisy().shape


def test_a_file_becomes_what_the_command_makes_of_it(
    results: Path, first: Record, exported: Path, tmp_path: Path
) -> None:
    pictures.write(tmp_path / "a.png", pictures.random_picture(np.uint16, 3, 1))
    words = ["enhance", "--run", first.id, str(tmp_path / "a.png"), "-o", str(tmp_path / "b.png")]
    cli.main([*words, "--device", "cpu", f"results={results}"])
    written = pictures.read(tmp_path / "b.png")
    found = gradprom.load(exported)(tmp_path / "a.png")
    np.testing.assert_array_equal(found, np.dstack([written.pixels, written.alpha]))


def test_no_place_of_the_machine_is_handed_on(
    results: Path, first: Record, exported: Path, tmp_path: Path
) -> None:
    for name in ("README.md", "config.yaml"):
        assert str(results) not in (exported / name).read_text()
    assert OmegaConf.load(exported / "config.yaml").results == "results"
    # folders may stand in any value that was typed, and in any key of the configuration
    private = ["evaluate_on=[{name:lizard,root:/scratch/jane/liz}]", "dataset.root=/scratch/jane/d"]
    private += ["dataset.split=~/jane/split.csv", "data_root=/scratch/jane/d"]
    split = replace(first.dataset, split="/scratch/jane/split.csv")
    told = model_card.card(
        replace(first, overrides=private, dataset=split), load_run_description(results, first), ()
    )
    assert "jane" not in told
    assert "evaluate_on=[{name:lizard,root:liz}]" in told and "split: split.csv" in told
    values = {"a": ["/scratch/jane/My Data/x"], "b": {"root": "file:///jane/conf"}, "c": 0.5}
    assert export._neutral(values) == {"a": ["x"], "b": {"root": "conf"}, "c": 0.5}


def load_run_description(results: Path, record: Record) -> Description:
    return load_run(tiny_runs.local(results), record.id).method.describe()


@pytest.mark.parametrize(
    "text", ["paper", "80/20", "a/b", "interval(1e-5,1e-2)", "../up/x", "SR-ResNet / x", "1e-4"]
)
def test_what_is_no_absolute_path_stays(text: str) -> None:
    assert model_card.without_folders(text) == text


def test_the_card_tells_the_precision_of_training_and_of_scoring(
    results: Path, first: Record
) -> None:
    """And accuracy stands beside what guessing the most frequent class gives."""
    told = model_card.card(
        replace(first, precision="bf16"), load_run_description(results, first), ()
    )
    assert "trained in bf16, scored in float32" in told
    lines = [line.split("|") for line in told.splitlines() if line.startswith("|")]
    scores = {cells[1].strip(): cells[3].strip() for cells in lines if len(cells) > 3}
    for name, label in (
        ("accuracy", "accuracy"),
        ("balanced_accuracy", "balanced accuracy"),
        ("majority_share", "always the most frequent class"),
    ):
        assert scores[label] == f"{first.metrics[name]:.4f}"


def test_a_folder_with_something_in_it_is_left_alone(
    tmp_path: Path, results: Path, first: Record
) -> None:
    (tmp_path / "kept.txt").write_text("kept")
    with pytest.raises(SystemExit, match="^gradprom: .* already exists and is not empty"):
        cli.main(["export", first.id, "-o", str(tmp_path), f"results={results}"])
    assert [path.name for path in tmp_path.iterdir()] == ["kept.txt"]
    with pytest.raises(SystemExit, match="kept.txt already exists"):
        cli.main(["export", first.id, "-o", str(tmp_path / "kept.txt"), f"results={results}"])


@pytest.mark.parametrize(
    ("harm", "sentence"),
    [
        ("truncated", "the weights in .* cannot be read"),
        ("gone", "the weights in .* cannot be read: .*No such file"),
        ("other", "those of another architecture"),
        ("partial", "those of another architecture .*enhancer"),
        ("no config", "there is no .*config.yaml"),
    ],
)
def test_an_export_of_no_use_is_one_sentence(
    tmp_path: Path, exported: Path, harm: str, sentence: str
) -> None:
    from safetensors.torch import save_file

    folder = tmp_path / "copy"
    shutil.copytree(exported, folder)
    weights, yaml = folder / "weights.safetensors", folder / "config.yaml"
    if harm == "truncated":
        weights.write_bytes(weights.read_bytes()[:1000])
    elif harm == "gone":
        weights.unlink()
    elif harm == "other":
        yaml.write_text(yaml.read_text().replace("channels: 4", "channels: 5"))
    elif harm == "partial":
        tensors = load_file(weights)
        save_file({k: v.clone() for k, v in tensors.items() if "enhancer" not in k}, weights)
    else:
        yaml.unlink()
    with pytest.raises(RunError, match=sentence):
        export.load(folder)


def test_a_recognizer_is_exported_too(
    tmp_path: Path, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = tiny_runs.train(results, *tiny_runs.PHANTOM, "method=recognizer")
    export.export(tiny_runs.local(results), record.id, tmp_path / "out")
    monkeypatch.chdir(tmp_path / "out")
    text = Path("README.md").read_text()
    names: dict = {"degraded": noisy()}
    exec(snippet(Path()), names)
    assert names["output"].shape == (2, 3)
    assert f"| accuracy | – | {record.metrics['accuracy']:.4f} |" in text
    assert "PSNR" not in text and "enhanced" not in text


def test_the_card_of_what_is_not_trained_does_not_speak_of_an_epoch(
    tmp_path: Path, results: Path
) -> None:
    record = tiny_runs.train(results, *tiny_runs.PHANTOM, "method=classical")
    export.export(tiny_runs.local(results), record.id, tmp_path / "out")
    text = (tmp_path / "out" / "README.md").read_text()
    assert "Nothing was trained." in text and "last epoch" not in text


def test_the_snippet_of_a_network_with_further_inputs_runs(
    tmp_path: Path, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DDM's denoiser takes the noise level too."""
    options = ("trainer.warmup_epochs=0", "trainer.coupled_epochs=0", "method.steps=2")
    record = tiny_runs.train(results, *tiny_runs.PHANTOM, "method=ddm", *options)
    export.export(tiny_runs.local(results), record.id, tmp_path / "out")
    monkeypatch.chdir(tmp_path / "out")
    names: dict = {"degraded": noisy(), "sigma": torch.full((2,), 0.1)}
    exec(snippet(Path()), names)
    assert names["output"].shape == (2, 3, 40, 24)
    assert "# sigma: the noise level" in Path("README.md").read_text()
