"""Wrong input: one clear sentence, exit code not 0, no traceback, nothing trained.

The commands run in processes of their own, as a person would start them. Most are forked from a
server that has imported torch before, because that takes longer than all the rest.
"""

import os
import runpy
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support import cli_process, datasets, tiny_runs

from gradprom import entry
from gradprom.errors import ConfigError
from gradprom.models.recognizers import resnet
from gradprom.sweeps.plan import make_plan
from gradprom.training.store import StageStore

RUN = Path(__file__).resolve().parents[2] / "run.py"
LIMIT = 120.0
"""Seconds after which a command counts as hanging."""


@dataclass
class Answer:
    code: int
    text: str

    def sentence(self) -> str:
        """What `gradprom:` begins, to the end of the output."""
        return self.text[self.text.index("gradprom: ") :].removeprefix("gradprom: ").rstrip("\n")


def typed(folder: Path, *words: str) -> Answer:
    """What `python run.py …` answers, with its results in `folder`."""
    path = folder / "answer.txt"
    process = cli_process.PROCESSES.Process(target=_command, args=(words, folder, path))
    process.start()
    process.join(LIMIT)
    if process.exitcode is None:
        process.kill()
        pytest.fail(f"{words} hangs")
    return Answer(process.exitcode, path.read_text())


def _command(words: tuple[str, ...], folder: Path, path: Path) -> None:
    """In a fresh process: become `python run.py …`."""
    stream = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(stream, 1)
    os.dup2(stream, 2)
    # not kept by the fork: no waiting for a network
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["HF_HOME"] = str(folder / "huggingface")
    sys.argv = ["run.py", *words, f"results={folder / 'results'}"]
    runpy.run_path(str(RUN), run_name="__main__")


def refused(folder: Path, *words: str) -> str:
    """The sentence a command is refused with, after a look at all that refusals have in common."""
    answer = typed(folder, *words)
    assert answer.code == 1, answer.text
    nothing_was_trained(folder, answer.text)
    assert "HYDRA_FULL_ERROR" not in answer.text
    return answer.sentence()


def nothing_was_trained(folder: Path, text: str) -> None:
    assert "Traceback" not in text and 'File "' not in text, text
    left = {path.name for path in folder.glob("results/**/*")}
    assert not left & {"runs", "stages", "sweeps", "record.json"}, left


# what Hydra refuses before our code has a say: in its own words, but for a sweep


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("nois=0.1", ["Could not override 'nois'"]),
        ("strategy=gradpom", ["Could not find 'strategy/gradpom'", "gradprom\n", "joint\n"]),
        ("noise=hello", ["noise=hello", "'hello' of type 'str' could not be converted to Float"]),
    ],
)
def test_hydra_refuses_a_single_run(tmp_path: Path, word: str, told: list[str]) -> None:
    """Really `python run.py`: torch is not even imported."""
    command = [sys.executable, str(RUN), word, f"results={tmp_path / 'results'}"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1 and not done.stdout
    assert all(text in done.stderr for text in told), done.stderr
    nothing_was_trained(tmp_path, done.stderr)


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("nois=0.1,0.2", "Could not override 'nois': Key 'nois' not in 'Root'"),
        ("trainer.lrr=1,2", "Could not override 'trainer.lrr': Key 'lrr' not in 'Trainer'"),
        (
            "strategy=gradpom,joint",
            "strategy=gradpom is unknown; choose from aligned, bisector, cagrad, dualproj, dwa, "
            "frozen, gradprom, joint, mainstream, mgda, pcd, pcgrad, project, random_gate, "
            "torchjd, uncertainty",
        ),
        (
            "noise=hello,0.1",
            "Error merging override noise=hello: "
            "Value 'hello' of type 'str' could not be converted to Float",
        ),
    ],
)
def test_a_sweep_says_what_hydra_refuses_in_one_line(
    tmp_path: Path, word: str, sentence: str
) -> None:
    assert refused(tmp_path, "-m", word) == sentence


# what the schema and the checks across groups refuse

SENTENCES = {
    "noise=-1": "noise=-1.0: allowed are numbers from 0 to 1, in units of the image's range [0, 1]",
    "noise=nan": "noise=nan: allowed are numbers from 0 to 1, in units of the image's range [0, 1]",
    "auxiliary=none": (
        "strategy=gradprom needs an auxiliary task and auxiliary=none has none; choose "
        "auxiliary=diagnosis, segmentation or multitask, or strategy=mainstream"
    ),
    "dataset=covid_ct auxiliary=segmentation": (
        "auxiliary=segmentation needs masks and dataset=covid_ct has none; "
        "use auxiliary=diagnosis or auxiliary=none with strategy=mainstream"
    ),
    "auxiliary.backbone=vgg": (
        "auxiliary.backbone=vgg is unknown; "
        "choose from patch, resnet18, resnet34, resnet50, resnet101, resnet152, small"
    ),
}


@pytest.mark.parametrize("words", SENTENCES)
def test_a_single_run_is_refused(tmp_path: Path, words: str) -> None:
    assert refused(tmp_path, *words.split()) == SENTENCES[words]


@pytest.mark.parametrize("more", [(), ("experiment=table1",)], ids=["sweep", "table"])
def test_a_sweep_has_no_intervals(tmp_path: Path, more: tuple[str, ...]) -> None:
    assert refused(tmp_path, "-m", "noise=interval(0,1)", *more) == (
        "noise=interval(0,1): only tune= draws from an interval; a sweep takes values, such as "
        "noise=0.1,0.2 or range(start,stop,step)"
    )


REMOVED = {
    "~seed": "set seed= to what you want, or leave it out for the default",
    "~profile": "set profile= to what you want, or leave it out for the default",
    "~trainer.lr": "set trainer.lr= to what you want, or leave it out for the default",
    "profile=null": "null is no choice; choose from bench, demo, paper, or leave profile= out",
    "tune=null": "choose from gate, lambda, lambda_lr, lr, warmup, or leave tune= out",
    "method=task_driven,null": "null is no choice; choose from classical, ",
    "profile=[demo,bench]": "A sweep has several: run.py -m profile=demo,bench",
    "hydra/sweeper=basic": "sweeps are planned and resumed by hydra/sweeper=gradprom, the default",
}


@pytest.mark.parametrize("mode", [[], ["-m"]], ids=["single", "sweep"])
@pytest.mark.parametrize("word", REMOVED)
def test_no_group_or_key_is_taken_away(tmp_path: Path, mode: list[str], word: str) -> None:
    sentence = refused(tmp_path, *mode, word)
    assert sentence.startswith(f"{word}: ") and REMOVED[word] in sentence


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("noise=0.1,-1", "noise=-1"),
        ("noise=0.1,nan,0.2", "noise=nan"),
        ("strategy=mainstream,gradprom auxiliary=none", "auxiliary=none"),
        (
            "dataset=phantom,covid_ct auxiliary=segmentation",
            "dataset=covid_ct auxiliary=segmentation",
        ),
    ],
)
def test_one_wrong_run_stops_the_whole_sweep(tmp_path: Path, words: str, told: str) -> None:
    assert refused(tmp_path, "-m", *words.split()) == SENTENCES[told]


def test_the_real_command_answers_alike(tmp_path: Path) -> None:
    """Without the server: the whole way from `python run.py -m` to the exit code."""
    command = [sys.executable, str(RUN), "-m", "noise=-1,0.1", f"results={tmp_path / 'results'}"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"gradprom: {SENTENCES['noise=-1']}\n"
    nothing_was_trained(tmp_path, done.stderr)


# data

COVID = ("dataset=covid_ct", "dataset.size=32")


@pytest.fixture
def slices(tmp_path: Path) -> Path:
    return datasets.covid_ct_folder(tmp_path)


@pytest.mark.parametrize("sweep", [(), ("-m",)])
def test_a_data_root_without_the_dataset(tmp_path: Path, sweep: tuple[str, ...]) -> None:
    root = tmp_path / "empty"
    told = refused(tmp_path, *sweep, *COVID, f"data_root={root}")
    first, *looked = told.splitlines()
    assert first.startswith("COVID-CT was not found. Get it from https://github.com/UCSD-AI4H/")
    assert [line.strip() for line in looked] == [
        str(folder / "Images-processed" / name)
        for folder in (root, root / "COVID-CT")
        for name in ("CT_NonCOVID", "CT_COVID")
    ]


def test_files_that_are_no_images_are_all_listed(tmp_path: Path, slices: Path) -> None:
    images = slices / "Images-processed"
    truncated = images / "CT_COVID" / datasets.COVID[0].name
    truncated.write_bytes(truncated.read_bytes()[:200])
    empty, other = (images / "CT_NonCOVID" / datasets.NON_COVID[i].name for i in (0, 5))
    empty.write_bytes(b"")
    other.write_text("<html>404</html>")
    told = refused(tmp_path, "-m", *COVID, f"data_root={tmp_path}", "noise=0.1,0.2")
    first, *offenders = told.splitlines()
    assert first == "3 of 20 images of covid_ct cannot be read:"
    reasons = dict(line.strip().rsplit(": ", 1) for line in offenders)
    assert set(reasons) == {str(truncated), str(empty), str(other)}
    assert reasons[str(empty)] == "empty file" and reasons[str(other)] == "not an image"
    assert "truncated" in reasons[str(truncated)]


def test_split_lists_that_name_missing_files(tmp_path: Path, slices: Path) -> None:
    for name, part in (("COVID", "train"), ("NonCOVID", "test")):
        with (slices / "Data-split" / name / f"{part}CT_{name}.txt").open("a") as file:
            file.write(f"gone-{name}.png\n")
    told = refused(tmp_path, *COVID, "dataset.split=official", f"data_root={tmp_path}")
    first, *offenders = told.splitlines()
    assert first == "The official split lists of COVID-CT do not fit the images:"
    assert len(offenders) == 2
    for offender, name in zip(offenders, ("COVID", "NonCOVID"), strict=True):
        assert offender.endswith(f"CT_{name}.txt: CT_{name}/gone-{name}.png does not exist")


def test_a_table_without_the_column(tmp_path: Path, slices: Path) -> None:
    table = slices / datasets.COVID_CSV
    table.write_text(table.read_text().replace("Patient ID", "Patient", 1))
    told = refused(tmp_path, *COVID, "dataset.split=patient", f"data_root={tmp_path}")
    assert told.startswith(f"{table} lacks the column Patient ID; it has: File name, Patient, Age")
    assert "\n" not in told


# what this machine does not have

PHANTOM = ("dataset.size=32", "dataset.train=8", "dataset.test=4")


def absent() -> str:
    """An accelerator that this machine does not have."""
    import torch

    return "mps" if torch.cuda.is_available() else "cuda"


@pytest.mark.parametrize("sweep", [(), ("-m",)])
def test_a_device_that_is_not_there(tmp_path: Path, sweep: tuple[str, ...]) -> None:
    told = refused(tmp_path, *sweep, *PHANTOM, f"trainer.device={absent()}")
    assert told == f"trainer.device={absent()} is not available on this machine; use auto or cpu"


def test_no_weights_and_no_network(tmp_path: Path) -> None:
    words = ["strategy=mainstream,joint", "backbone=resnet50", "pretrained=true"]
    told = refused(tmp_path, "-m", *words, *PHANTOM)
    assert told.startswith("The ImageNet weights resnet50.tv_in1k could not be loaded: set ")
    assert "pretrained=false" in told and "\n" not in told


def test_weights_are_asked_for_before_anything_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even those of the last stage; but not those of a stage that is there."""

    def missing(build: Any, resnet: str, pretrained: bool) -> Any:
        raise ConfigError(f"no {resnet}" if pretrained else "none asked for")

    monkeypatch.setattr(resnet, "with_weights", missing)
    words = [*tiny_runs.PHANTOM, "auxiliary.backbone=resnet18", "pretrained=true"]
    run = tiny_runs.make(tmp_path, *words)
    with pytest.raises(ConfigError, match="^no resnet18$"):
        entry.preflight(make_plan([run], retry_failed=False))
    store = StageStore(run.study.stages, run.images().fingerprint)
    [recognizer] = [s for s in run.method.stage().parents if s.name == "recognizer.diagnosis"]
    store.folder(recognizer).mkdir(parents=True)
    (store.folder(recognizer) / "artefact.pt").touch()
    entry.preflight(make_plan([run], retry_failed=False))


def test_a_plan_asks_for_neither_device_nor_weights(tmp_path: Path) -> None:
    """It may be made on another machine than the one that trains."""
    words = [*PHANTOM, "backbone=resnet50", "pretrained=true", f"trainer.device={absent()}"]
    answer = typed(tmp_path, "-m", *words, "sweep.dry_run=true")
    assert answer.code == 0 and "1 run: 1 new, 0 done" in answer.text


# and the other way round: what is right goes through the same helper


def test_a_right_command_trains(tmp_path: Path) -> None:
    answer = typed(tmp_path, *tiny_runs.PHANTOM, "strategy=mainstream")
    assert answer.code == 0, answer.text
    [record] = (tmp_path / "results").glob("local/runs/*/record.json")
    assert '"status": "finished"' in record.read_text()
