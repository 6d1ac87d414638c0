"""A run: a configuration that can be trained, with its identity and its data."""

import dataclasses
import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from gradprom.config import Config, component
from gradprom.config.typed import image_size, test_set_name
from gradprom.data import base
from gradprom.data.holdout import fewer_to_train, hold_out
from gradprom.data.images import load
from gradprom.identity import canonical, digest
from gradprom.methods.base import Method
from gradprom.runs.records import Study
from gradprom.training.stage import Stage


@dataclass
class Run:
    """A configuration that can be trained: its method, its identity, its study."""

    config: Config
    composed: dict[str, Any]
    """The configuration as Hydra composed it, resolved."""
    choices: dict[str, str]
    """The file chosen for each group of the configuration."""
    overrides: list[str]

    @functools.cached_property
    def method(self) -> Method:
        """The method, with no network built yet."""
        return component("method", self.config.method.name).build(self.config)

    @functools.cached_property
    def last_stage(self) -> Stage:
        """The last stage, with all it builds on; built once, because computing its id is slow."""
        return self.method.stage()

    @functools.cached_property
    def training_id(self) -> str:
        """The id of the last stage, which covers all training of the run."""
        return self.last_stage.id

    @functools.cached_property
    def id(self) -> str:
        """The run's id: what was trained, how and on what it was evaluated."""
        further = [self.config.evaluate_on] if self.config.evaluate_on else []
        # absent for methods whose test conditions are those of training, as in older ids
        conditions = [reads] if (reads := self.method.evaluation_reads()) else []
        return digest([self.training_id, self.config.evaluation, *further, *conditions])

    @property
    def reads(self) -> dict[str, Any]:
        """All values that determine its id, but the seed, by key, as JSON types."""
        config = self.config
        epochs = {stage.name: stage.epochs for stage in self.last_stage.lineage()}
        reads = {**self.method.reads(), "epochs": epochs, "evaluation": config.evaluation}
        return dict(canonical({**reads, "evaluate_on": config.evaluate_on}))

    @property
    def yaml(self) -> str:
        """The composed configuration as YAML; takes milliseconds.

        Without `notify`, which may be a secret.
        """
        kept = {key: value for key, value in self.composed.items() if key != "notify"}
        return OmegaConf.to_yaml(OmegaConf.create(kept))

    @property
    def notify(self) -> str:
        """Who is told when it has failed (`runs.notices`)."""
        return self.composed.get("notify", "")

    @property
    def study(self) -> Study:
        """The study that holds the run's record."""
        return Study(Path(self.config.results), self.config.study)

    @property
    def label(self) -> str:
        """The run as shown to people: its overrides."""
        return " ".join(self.overrides) or "defaults"

    @property
    def dataset_label(self) -> str:
        """The dataset in words, such as `phantom, 64×64`."""
        dataset, size = self.config.dataset, image_size(self.config.dataset)
        title = test_set_name(dataset)
        name = dataset.name if title == dataset.name else f"{dataset.name} {title}"
        return f"{name}, {size}×{size}" if size else f"{name}, images of their own size"

    @property
    def setup(self) -> dict[str, str]:
        """Data, networks and sizes in words, by title, as plans, records and tables list them."""
        few = self.config.train_images
        learned = f", {few} training images" if few else ""
        return {"dataset": f"{self.dataset_label}{learned}", **self.method.describe().parts}

    def images(self) -> base.Images:
        """The dataset, decoded; read once per process.

        Without its test split where images are held out for validation.
        """
        c = self.config
        return _images(_Hashable(c.dataset), self.study.cache, c.validation, c.train_images)

    @property
    def split(self) -> str:
        """The split that the run is scored on."""
        return "validation" if self.config.validation else "test"

    def test_sets(self) -> dict[str, base.Images]:
        """The datasets of `evaluate_on`, decoded, by name."""
        return {
            test_set_name(options): _images(_Hashable(options), self.study.cache)
            for options in self.config.evaluate_on
        }

    def fingerprints(self) -> dict[str, str]:
        """Fingerprints of the run's own dataset, by "", and of its further test sets, by name."""
        further = {name: images.fingerprint for name, images in self.test_sets().items()}
        return {"": self.images().fingerprint, **further}


def plain(node: DictConfig) -> dict[str, Any]:
    """A composed configuration, resolved, without OmegaConf's types."""
    container = OmegaConf.to_container(node, resolve=True, enum_to_str=True)
    assert isinstance(container, dict)
    return {str(key): value for key, value in container.items()}


@dataclass(frozen=True)
class _Hashable:
    """A dataset's options as a cache key, so that equal options share one dataset in memory."""

    options: Any

    def __hash__(self) -> int:
        return hash(json.dumps(dataclasses.asdict(self.options), sort_keys=True))


@functools.lru_cache(maxsize=3)
def _images(
    key: _Hashable, cache: Path, validation: float = 0.0, train_images: int | None = None
) -> base.Images:
    if train_images:
        return fewer_to_train(_images(key, cache, validation), train_images)
    if validation:
        return hold_out(_images(key, cache), validation)
    source = component("dataset", key.options.name).build(key.options)
    return load(source, cache)
