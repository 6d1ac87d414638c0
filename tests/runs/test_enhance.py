"""`gradprom enhance` gives what the method gives, and says what it cannot do."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from support import tiny_runs
from support.datasets import covid_ct_folder
from support.pictures import KINDS, random_picture

from gradprom import cli
from gradprom.data import image_files
from gradprom.data.image_files import Picture


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results with an enhancer for colour, one for grey, and a recognizer."""
    root = tmp_path_factory.mktemp("enhance")
    covid_ct_folder(root / "data")
    path = root / "results"
    tiny_runs.train(path, *tiny_runs.PHANTOM, "strategy=mainstream", "study=colour")
    tiny_runs.train(path, *tiny_runs.PHANTOM, "method=recognizer", "study=recognizer")
    small = (*tiny_runs.PHANTOM, "degradation=downsample", "scale=2")
    tiny_runs.train(path, *small, "strategy=mainstream", "study=twice")
    tiny_runs.train(
        path,
        *tiny_runs.SMALL,
        "dataset=covid_ct",
        f"data_root={root / 'data'}",
        "strategy=mainstream",
        "study=grey",
    )
    return path


def only_run(results: Path, study: str) -> str:
    (run,) = (results / study / "runs").iterdir()
    return run.name


def enhance(results: Path, study: str, source: Path, output: Path) -> None:
    run = only_run(results, study)[:6]
    cli.main(
        [
            "enhance",
            "--run",
            run,
            str(source),
            "-o",
            str(output),
            "--device",
            "cpu",
            f"study={study}",
            f"results={results}",
        ]
    )


@pytest.mark.parametrize("study", ["colour", "grey"])
def test_a_folder_keeps_bit_depths_and_channels(
    tmp_path: Path, results: Path, study: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for kind, channels, alpha in KINDS:
        name = f"{kind.__name__}-{channels}-{alpha}.png"
        image_files.write(tmp_path / "in" / name, random_picture(kind, channels, alpha))
    enhance(results, study, tmp_path / "in", tmp_path / "out")
    told = capsys.readouterr().out
    assert "uint16-3-1.png  61×37, 16-bit colour, transparency kept" in told
    for kind, channels, alpha in KINDS:
        name = f"{kind.__name__}-{channels}-{alpha}.png"
        given, found = (image_files.read(tmp_path / part / name) for part in ("in", "out"))
        assert (found.pixels.dtype, found.pixels.shape) == (kind, given.pixels.shape)
        assert (found.pixels != given.pixels).mean() > 0.5
        if alpha:
            np.testing.assert_array_equal(found.alpha, given.alpha)


def test_a_run_on_small_inputs_makes_pictures_larger(
    tmp_path: Path, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = random_picture(np.uint8, 3, 1)
    image_files.write(tmp_path / "a.png", given)
    enhance(results, "twice", tmp_path / "a.png", tmp_path / "b.png")
    found = image_files.read(tmp_path / "b.png")
    assert "b.png  122×74, 8-bit colour, transparency kept" in capsys.readouterr().out
    assert found.pixels.shape == (74, 122, 3)
    assert found.alpha is not None and found.alpha.shape == (74, 122)


def test_the_command_gives_what_the_method_gives(tmp_path: Path, results: Path) -> None:
    run = tiny_runs.make(results, *tiny_runs.PHANTOM, "strategy=mainstream", "study=colour")
    assert run.id == only_run(results, "colour")
    images = run.images()
    from gradprom.runs.restore import restored_method

    record = run.study.record(run.id)
    assert record is not None
    method = restored_method(run, record, torch.device("cpu"))
    clean = images.target[0].permute(1, 2, 0).numpy()
    image_files.write(tmp_path / "a.png", Picture(clean, None))
    enhance(results, "colour", tmp_path / "a.png", tmp_path / "out" / "b.png")
    expected = method.enhance(images.target[:1].float() / 255)[0].permute(1, 2, 0)
    found = image_files.read(tmp_path / "out" / "b.png").pixels
    np.testing.assert_array_equal(found, (expected.numpy() * 255).round())


def test_an_output_that_is_there_is_said_to_be_replaced(
    tmp_path: Path, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image_files.write(tmp_path / "a.png", random_picture(np.uint8, 1, 0))
    for replaced in (False, True):
        enhance(results, "grey", tmp_path / "a.png", tmp_path / "b.png")
        assert ("(replaced)" in capsys.readouterr().out) == replaced


def test_wrong_requests_are_one_sentence(tmp_path: Path, results: Path) -> None:
    image_files.write(tmp_path / "a.png", random_picture(np.uint8, 3, 0))
    output = tmp_path / "b.png"
    with pytest.raises(SystemExit, match="gradprom: a run of method=recognizer has no enhancer"):
        enhance(results, "recognizer", tmp_path / "a.png", output)
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(SystemExit, match="^gradprom: .*text.png: not an image; an 8- or 16-bit"):
        enhance(results, "colour", tmp_path / "text.png", output)
    with pytest.raises(SystemExit, match="gradprom: study colour has no run nosuch"):
        cli.main(
            [
                "enhance",
                "--run",
                "nosuch",
                str(tmp_path / "a.png"),
                "-o",
                str(output),
                "study=colour",
                f"results={results}",
            ]
        )
    assert not output.exists()


def stored_weights(results: Path, study: str) -> Path:
    record = tiny_runs.Study(results, study).resolve("")
    (folder,) = (results / "stages").glob(f"{record.training_id}-*")
    return folder / "artefact.pt"


@pytest.mark.parametrize(
    ("harm", "sentence"),
    [
        ("gone", "the weights of run .* are gone: there is no .*artefact.pt; `gradprom rerun"),
        ("damaged", "the weights of run .* cannot be used: .* is damaged"),
        ("other", "the weights of run .* are those of another architecture .*size mismatch"),
        ("config", "the stored configuration does not fit this version: .*channels=0"),
        ("unknown", "config.yaml does not fit this version: .*nosuchkey"),
        ("started", "run .* has no results: it is running or was interrupted"),
    ],
)
def test_weights_of_no_use_are_one_sentence(
    tmp_path: Path, results: Path, harm: str, sentence: str
) -> None:
    copy = tmp_path / "results"
    shutil.copytree(results, copy)
    weights, study = stored_weights(copy, "colour"), tiny_runs.Study(copy, "colour")
    record = study.resolve("")
    yaml = study.run(record.id) / "config.yaml"
    if harm == "gone":
        weights.unlink()
    elif harm == "damaged":
        content = bytearray(weights.read_bytes())
        content[len(content) // 2] ^= 1
        weights.write_bytes(content)
    elif harm == "other":
        yaml.write_text(yaml.read_text().replace("channels: 4", "channels: 5"))
    elif harm == "config":
        yaml.write_text(yaml.read_text().replace("channels: 4", "channels: 0"))
    elif harm == "unknown":
        yaml.write_text(yaml.read_text() + "nosuchkey: 1\n")
    else:
        record = replace(record, status="started")
    study.write_record(record)  # as a version that wrote such a configuration would have left it
    image_files.write(tmp_path / "a.png", random_picture(np.uint8, 3, 0))
    with pytest.raises(SystemExit, match=sentence):
        enhance(copy, "colour", tmp_path / "a.png", tmp_path / "b.png")
    assert not (tmp_path / "b.png").exists()
