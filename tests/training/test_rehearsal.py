"""Images and batches that are too small for the networks are refused before anything is trained."""

from pathlib import Path

import pytest
from support import isic_files, test_sets, tiny_runs
from torch import Tensor

from gradprom.data.batch import Batch
from gradprom.data.batches import Batches
from gradprom.errors import ConfigError
from gradprom.sweeps.plan import make_plan
from gradprom.sweeps.preflight import preflight
from gradprom.training import rehearsal
from gradprom.training.stage import Stage

ONE = ("trainer.batch_size=1", "auxiliary.backbone=resnet18", "pretrained=false")


@pytest.mark.parametrize("launcher", ["basic", "a cluster's"])
@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (ONE, "recognizer.diagnosis cannot be trained.*one image of 32×32 pixels are too small"),
        ((*ONE, "auxiliary=segmentation"), "recognizer.segmentation cannot.*trainer.batch_size"),
        ((*ONE[1:], "trainer.batch_size=2", "strategy=joint"), ""),
        (("backbone=resnet50", *ONE, "strategy=mainstream"), "stage warmup cannot be trained"),
    ],
)
def test_a_batch_of_one_pixel_cannot_be_normalised(
    tmp_path: Path, launcher: str, words: tuple[str, ...], sentence: str
) -> None:
    small = [word for word in tiny_runs.PHANTOM if not word.startswith("backbone.")]
    plan = make_plan([tiny_runs.make(tmp_path, *words, *small)], retry_failed=False)
    if sentence:
        with pytest.raises(ConfigError, match=sentence):
            preflight(plan, launcher)
    else:
        preflight(plan, launcher)
    assert not (tmp_path / "local").exists()


def test_images_that_are_pooled_away_are_too_small(tmp_path: Path) -> None:
    isic_files.isic_folder(tmp_path)
    where = ["dataset=isic2018", f"data_root={tmp_path}", *tiny_runs.SMALL[1:]]
    for size in (12, 32):
        run = tiny_runs.make(tmp_path / "results", *where, f"size={size}")
        plan = make_plan([run], retry_failed=False)
        if size == 32:
            preflight(plan)
            continue
        with pytest.raises(ConfigError, match="images of 12×12 pixels are too small, raise datas"):
            preflight(plan)


class Needy:
    """A training that needs sides of at least `side` pixels, or what the CPU does not have."""

    def __init__(self, side: int = 0, fails: bool = False) -> None:
        self.side, self.fails = side, fails

    def update(self, batch: Batch, probe: bool) -> dict[str, Tensor]:
        if self.fails or min(batch.input.shape[-2:]) < self.side:
            raise RuntimeError("no kernel for this")
        return {}


@pytest.mark.parametrize(
    ("needs", "refused"), [(Needy(16), ""), (Needy(60), "16×24 pix"), (Needy(fails=True), "")]
)
def test_a_step_that_fails_at_any_size_says_nothing_of_the_size(needs: Needy, refused: str) -> None:
    stage, images = Stage("one", 1, 0, {}, batches=Batches(4)), test_sets.images()
    images.splits["train"] = [0, 1, 2]
    assert rehearsal.is_needed(stage, images)
    if refused:
        with pytest.raises(ConfigError, match=refused):
            rehearsal.rehearse(stage, lambda: needs, images)  # type: ignore[arg-type,return-value]
    else:
        rehearsal.rehearse(stage, lambda: needs, images)  # type: ignore[arg-type,return-value]
