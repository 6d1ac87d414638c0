"""The configured backbone, as every method builds it."""

from dataclasses import replace

from torch import nn

from gradprom.config import Config, component


def build_backbone(config: Config, fresh: bool, further: int = 0) -> nn.Module:
    """The network from degraded images of the dataset to clean ones.

    Parameters
    ----------
    config
        Its backbone and degradation, and what is known of its dataset.
    fresh
        Start as the backbone's options say; otherwise it is to be filled with trained weights,
        and nothing is fetched for it.
    further
        Channels of its input besides those of the degraded image.
    """
    backbone, facts = config.backbone, config.facts
    if not fresh and hasattr(backbone, "pretrained"):
        backbone = replace(backbone, pretrained=False)
    build = component("backbone", backbone.name).build
    return build(backbone, facts.channels, config.degradation.scale, facts.inputs + further)
