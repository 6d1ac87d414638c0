"""Networks of the recognizer (the paper's VR), one file each, by name; see docs/tasks.md.

A file has `Options` (a dataclass with the name), `OUTPUTS`, `PRETRAINED` and `build`, see
`base.Recognizers`, and `NAMES` if it provides networks of other names than its own.
"""

import functools

from torch import nn

from gradprom.config.components import component, component_names
from gradprom.errors import ConfigError
from gradprom.models.recognizers import embedding
from gradprom.models.recognizers.base import Recognizers

__all__ = [
    "Recognizers",
    "build_recognizer",
    "of_module",
    "recognizer_by_name",
    "recognizer_names",
]


@functools.cache
def recognizer_by_name(name: str) -> Recognizers:
    """The module with the recognizer network of this name.

    Raises
    ------
    ConfigError
        If there is none; the message lists the known names.
    """
    for module in _modules():
        if name in _names(module):
            return module
    served = ", ".join(recognizer_names())
    raise ConfigError(f"auxiliary.backbone={name} is unknown; choose from {served}")


def recognizer_names(output: str | None = None) -> list[str]:
    """Names of all recognizer networks, or of those with an output such as `pixel`."""
    modules = [m for m in _modules() if output is None or of_module(output) in m.OUTPUTS]
    return [name for module in modules for name in _names(module)]


def of_module(output: str) -> str:
    """The output that a module must have for an output: an embedding is made of an image's."""
    return "image" if output == "embedding" else output


def build_recognizer(
    output: str, backbone: str, pretrained: bool, channels: int, classes: int
) -> nn.Module:
    """A recognizer network from images to logits.

    Parameters
    ----------
    output : str
        The output that a task needs: `image` for logits [B, classes], `pixel` for
        [B, classes, H, W], `embedding` for logits [B, classes] and embeddings by `embed`.
    backbone : str
        The name of the network, such as `small` or `resnet50`.
    pretrained : bool
        Start from ImageNet weights; no effect on a network that has none.
    channels : int
        Channels of the images [B, channels, H, W], whose values lie in [0, 1].
    classes : int
        Number of logits.

    Raises
    ------
    ConfigError
        For an unknown network or one without such an output, or if required ImageNet weights
        cannot be loaded.
    """
    module = recognizer_by_name(backbone)
    require_output(backbone, output)
    weights, options = pretrained and module.PRETRAINED, module.Options(name=backbone)
    if output == "embedding":
        classifier = module.build(options, "image", channels, embedding.SIZE, weights)
        return embedding.EmbeddingNetwork(classifier, classes)
    return module.build(options, output, channels, classes, weights)


def require_output(backbone: str, output: str) -> None:
    """Check that the network of this name has the output.

    Raises
    ------
    ConfigError
        If it does not.
    """
    if of_module(output) not in recognizer_by_name(backbone).OUTPUTS:
        raise ConfigError(
            f"auxiliary.backbone={backbone} has no output for every {output}; choose from "
            f"{', '.join(recognizer_names(output))}"
        )


def _modules() -> list[Recognizers]:
    return [component("recognizer", name) for name in component_names("recognizer")]


def _names(module: Recognizers) -> tuple[str, ...]:
    name: str = module.Options().name
    return getattr(module, "NAMES", (name,))
