"""What a run needs of the files of its datasets, which its configuration cannot show.

Everything here is known once a dataset is decoded, and so before anything is trained.
"""

from gradprom import metrics
from gradprom.config.components import component
from gradprom.config.load import method_scores
from gradprom.config.typed import Config
from gradprom.data import targets
from gradprom.data.base import Images
from gradprom.data.file_source import FileSource
from gradprom.errors import DataError, NotOnDisk, NotServed, first_line
from gradprom.metrics.registry import require_size
from gradprom.runs import ranks
from gradprom.runs.run import Run


def require_served(run: Run) -> None:
    """Check that a run's datasets are there, with what its stages learn from.

    Raises
    ------
    NotServed
        If an annotation that a stage learns from tells nothing about the images, or a further test
        set cannot be read.
    DataError
        If the run's dataset is missing (`NotOnDisk`) or wrong.
    """
    require_test_sets_on_disk(run)
    dataset, images = run.config.dataset.name, run.images()
    for stage in run.last_stage.lineage():
        for annotation in stage.batches.annotations:
            for split in ("train", run.split):
                try:
                    targets.require_target(images, annotation, split)
                except NotServed as error:
                    raise NotServed(
                        f"dataset={dataset}: {error}, and stage {stage.name} learns from it; "
                        f"`gradprom data check dataset={dataset}`, with the same data_root, shows "
                        f"what its files hold"
                    ) from error
    try:
        run.test_sets()
    except DataError as error:
        raise NotServed(f"evaluate_on: {first_line(error)}") from error


def require_test_sets_on_disk(run: Run) -> None:
    """Check that the files of `evaluate_on` are there, before minutes go into the run's own.

    Raises
    ------
    NotServed
        If a dataset is not on disk.
    """
    for options in run.config.evaluate_on:
        source = component("dataset", options.name).build(options)
        if isinstance(source, FileSource):
            try:
                source.find()
            except NotOnDisk as error:
                raise NotServed(f"evaluate_on: {first_line(error)}") from error


def require_usable(run: Run) -> None:
    """Check that a run's images can be trained on and scored as it is configured.

    Raises
    ------
    NotServed
        As `require_served` does.
    DataError
        If a split is empty, or images have sizes that cannot be batched, degraded or scored.
    RunError
        If the devices cannot share the batches equally.
    """
    require_served(run)
    config, images = run.config, run.images()
    try:
        targets.require_one_shape(images, "train")
    except DataError as error:
        raise DataError(f"dataset={config.dataset.name}: {error}") from error
    ranks.require_shares(run)
    require_scorable(config, method_scores(config), config.dataset.name, images, run.split)
    for name, further in run.test_sets().items():
        require_scorable(config, metrics.USUAL, name, further, "test")


def require_scorable(
    config: Config, scored: tuple[str, ...], dataset: str, images: Images, split: str
) -> None:
    """Check the sizes of a test set's images, which differ where a dataset does not resize them."""
    for (_, *clean), undegraded in targets.shapes(images, split):
        try:
            config.degradation.output_shape((1, *undegraded))
            require_size(scored, *clean)
        except ValueError as error:
            raise DataError(f"dataset={dataset}, split={split}: {error}") from error
