"""`gradprom enhance` gives what the method gives, and says what it cannot do."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from support import image_samples, pictures, tiny_runs
from support.datasets import covid_ct_folder
from support.pictures import KINDS, random_picture

from gradprom import cli
from gradprom.data import formats
from gradprom.data.formats.contents import Picture
from gradprom.errors import GradpromError


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


def enhance(results: Path, study: str, source: Path, output: Path, *words: str) -> None:
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
            *words,
        ]
    )


@pytest.mark.parametrize("study", ["colour", "grey"])
def test_a_folder_keeps_bit_depths_and_channels(
    tmp_path: Path, results: Path, study: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for kind, channels, alpha in KINDS:
        name = f"{kind.__name__}-{channels}-{alpha}.png"
        pictures.write(tmp_path / "in" / name, random_picture(kind, channels, alpha))
    enhance(results, study, tmp_path / "in", tmp_path / "out")
    told = capsys.readouterr().out
    assert "uint16-3-1.png  61×37, 16-bit colour, transparency kept" in told
    for kind, channels, alpha in KINDS:
        name = f"{kind.__name__}-{channels}-{alpha}.png"
        given, found = (pictures.read(tmp_path / part / name) for part in ("in", "out"))
        assert (found.pixels.dtype, found.pixels.shape) == (kind, given.pixels.shape)
        assert (found.pixels != given.pixels).mean() > 0.5
        if alpha:
            np.testing.assert_array_equal(found.alpha, given.alpha)


def test_a_run_on_small_inputs_makes_pictures_larger(
    tmp_path: Path, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = random_picture(np.uint8, 3, 1)
    pictures.write(tmp_path / "a.png", given)
    enhance(results, "twice", tmp_path / "a.png", tmp_path / "b.png")
    found = pictures.read(tmp_path / "b.png")
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
    pictures.write(tmp_path / "a.png", Picture(clean, None))
    enhance(results, "colour", tmp_path / "a.png", tmp_path / "out" / "b.png")
    expected = method.enhance(images.target[:1].float() / 255)[0].permute(1, 2, 0)
    found = pictures.read(tmp_path / "out" / "b.png").pixels
    np.testing.assert_array_equal(found, (expected.numpy() * 255).round())


def alone(results: Path, study: str, pixels: np.ndarray, top: float) -> np.ndarray:
    """What a grey picture [H, W] becomes, in fractions of white, by the method itself."""
    record = tiny_runs.Study(results, study).resolve("")
    from gradprom.runs.enhancement import Enhancer

    enhancer = Enhancer(tiny_runs.Study(results, study), record, 512, "cpu")
    image = torch.from_numpy((pixels / top).astype(np.float32))
    return enhancer.method.enhance(image[None, None]).clamp(0, 1).numpy()[0, 0]


def test_twelve_bits_are_enhanced_as_such(
    tmp_path: Path, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    levels = image_samples.levels(np.uint16, (40, 32), 4000)
    (tmp_path / "in").mkdir()
    dark = levels // 8  # of fewer bits by itself
    for name, pixels in (("a.png", levels), ("b.png", dark)):
        Image.fromarray(pixels).save(tmp_path / "in" / name)
    enhance(results, "grey", tmp_path / "in", tmp_path / "out")
    assert "16-bit grey, values 0 to 4095" in capsys.readouterr().out
    for name, pixels in (("a.png", levels), ("b.png", dark)):
        found = pictures.read(tmp_path / "out" / name).pixels[..., 0]
        assert found.dtype == np.uint16 and found.max() <= 4095
        expected = np.rint(alone(results, "grey", pixels, 4095) * 4095)
        np.testing.assert_allclose(found, expected, atol=1)


@pytest.mark.parametrize("name", ["a.tif", "a.nii.gz", "a.dcm"])
def test_a_stack_stays_one(tmp_path: Path, results: Path, name: str) -> None:
    levels = image_samples.levels(np.uint16, (3, 40, 32), 4000)
    if name == "a.tif":
        image_samples.tiff(tmp_path / name, levels, resolution=(50, 50), resolutionunit=3)
    elif name == "a.dcm":
        pytest.importorskip("pydicom")
        image_samples.dicom(tmp_path / name, levels, NumberOfFrames=3)
    else:
        image_samples.nifti(tmp_path / name, levels)
    enhance(results, "grey", tmp_path / name, tmp_path / "out" / name)
    before, after = formats.read(tmp_path / name), formats.read(tmp_path / "out" / name)
    assert len(after.pages) == 3 and after.spacing == before.spacing
    for page, pixels in zip(after.pages, levels, strict=True):
        assert page.pixels.dtype == np.uint16
        expected = np.rint(alone(results, "grey", pixels, 4095) * 4095)
        np.testing.assert_allclose(page.pixels[..., 0], expected, atol=1)


def test_a_given_range_is_kept(
    tmp_path: Path, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    levels = image_samples.levels(np.int16, (2, 40, 32), 3000, -1000)
    image_samples.nifti(tmp_path / "a.nii.gz", levels)
    with pytest.raises(SystemExit, match="int16 values from -1000 to 3000.*add --range"):
        enhance(results, "grey", tmp_path / "a.nii.gz", tmp_path / "b.nii.gz")
    words = ("--range", "-160,240")
    enhance(results, "grey", tmp_path / "a.nii.gz", tmp_path / "b.nii.gz", *words)
    told = capsys.readouterr()
    assert "clipped to -160 to 240" in told.err and "values -160 to 240" in told.out
    expected = alone(results, "grey", levels[1].clip(-160, 240).astype(float) + 160, 400)
    found = formats.read(tmp_path / "b.nii.gz").pages[1].pixels
    np.testing.assert_allclose(found[..., 0], np.rint(expected * 400 - 160), atol=1)
    with pytest.raises(SystemExit, match=r"--range \[5,1\]: must be two values"):
        enhance(results, "grey", tmp_path / "a.nii.gz", tmp_path / "c.nii", "--range", "5,1")


def test_the_range_of_the_runs_own_data_is_taken(
    tmp_path: Path, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "results"
    shutil.copytree(results, copy)
    study = tiny_runs.Study(copy, "grey")
    record = study.resolve("")
    dataset = replace(record.dataset, value_range=[0.0, 4095.0])
    study.write_record(replace(record, dataset=dataset))
    Image.fromarray(image_samples.levels(np.uint16, (40, 32), 900)).save(tmp_path / "a.png")
    enhance(copy, "grey", tmp_path / "a.png", tmp_path / "b.png")
    assert "values 0 to 4095" in capsys.readouterr().out


def test_what_lies_beside_the_images_stops_nothing(
    tmp_path: Path, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "in"
    (folder / "more").mkdir(parents=True)
    pictures.write(folder / "a.png", random_picture(np.uint8, 1, 0))
    (folder / "Thumbs.db").write_bytes(b"none")
    enhance(results, "grey", folder, tmp_path / "out")
    told = capsys.readouterr()
    assert "Thumbs.db: not an image" in told.err and "more: a folder" in told.err
    (folder / "b.png").write_bytes(b"")
    with pytest.raises(SystemExit, match="1 files could not be read.*\n  .*b.png: empty file"):
        enhance(results, "grey", folder, tmp_path / "again")
    assert [path.name for path in (tmp_path / "again").iterdir()] == ["a.png"]


def test_a_name_that_is_not_utf_8(
    tmp_path: Path, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "in" / os.fsdecode(b"caf\xe9.png")
    try:
        pictures.write(path, random_picture(np.uint8, 1, 0))
    except GradpromError:
        pytest.skip("the file system refuses such names")
    enhance(results, "grey", tmp_path / "in", tmp_path / "out")
    assert "caf\\xe9.png" in capsys.readouterr().out
    assert (tmp_path / "out" / path.name).is_file()


def test_an_output_that_is_there_is_said_to_be_replaced(
    tmp_path: Path, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures.write(tmp_path / "a.png", random_picture(np.uint8, 1, 0))
    for replaced in (False, True):
        enhance(results, "grey", tmp_path / "a.png", tmp_path / "b.png")
        assert ("(replaced)" in capsys.readouterr().out) == replaced


def test_wrong_requests_are_one_sentence(tmp_path: Path, results: Path) -> None:
    pictures.write(tmp_path / "a.png", random_picture(np.uint8, 3, 0))
    output = tmp_path / "b.png"
    with pytest.raises(SystemExit, match="gradprom: a run of method=recognizer has no enhancer"):
        enhance(results, "recognizer", tmp_path / "a.png", output)
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(SystemExit, match="^gradprom: .*text.png: not an image$"):
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
    pictures.write(tmp_path / "a.png", random_picture(np.uint8, 3, 0))
    with pytest.raises(SystemExit, match=sentence):
        enhance(copy, "colour", tmp_path / "a.png", tmp_path / "b.png")
    assert not (tmp_path / "b.png").exists()
