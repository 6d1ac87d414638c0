"""ImageNet weights are loaded and adapted to grey images, or building stops with one sentence."""

import os
import subprocess
import sys

import pytest
import torch
from support.small_networks import OUTPUTS, images

from gradprom.errors import ConfigError
from gradprom.models.enhancers import resnet_encoder
from gradprom.models.imagenet import RESNETS, Normalization
from gradprom.models.recognizers import build_recognizer


@pytest.fixture
def imagenet_weights(tmp_path, monkeypatch):
    """Stand-in weights of a ResNet-18, which timm loads and adapts as it would the real ones."""
    import timm

    create = timm.create_model
    torch.manual_seed(5)
    state = create("resnet18").state_dict()
    torch.save(state, tmp_path / "resnet18.pth")

    def from_file(name, **options):
        assert name == "resnet18.tv_in1k"
        overlay = {"file": str(tmp_path / "resnet18.pth")} if options.get("pretrained") else None
        return create(name, pretrained_cfg_overlay=overlay, **options)

    monkeypatch.setattr(timm, "create_model", from_file)
    return state


def pretrained_networks(channels, pretrained=True):
    options = resnet_encoder.Options(encoder="resnet18", pretrained=pretrained)
    enhancer = resnet_encoder.build(options, channels)
    classifier, unet = (
        build_recognizer(output, "resnet18", pretrained, channels, 3) for output in OUTPUTS
    )
    return [
        (enhancer, enhancer.encoder),
        (classifier, classifier.network),
        (unet, unet.network.encoder.model),
    ]


@pytest.mark.parametrize("channels", [1, 3])
def test_imagenet_weights_are_loaded_and_summed_over_colours_for_grey_images(
    imagenet_weights, channels
):
    expected = dict(imagenet_weights)
    if channels == 1:
        expected["conv1.weight"] = expected["conv1.weight"].sum(dim=1, keepdim=True)
    for network, resnet in pretrained_networks(channels):
        state = resnet.state_dict()
        for name in ("conv1.weight", "layer1.0.bn1.weight", "layer4.1.conv2.weight"):
            torch.testing.assert_close(state[name], expected[name], rtol=0, atol=1e-6)
        assert network.normalization.mean.mean().item() == pytest.approx(0.449)


def test_a_grey_image_is_seen_as_its_rgb_copy_is(imagenet_weights):
    grey = images(1, 1, 64, 64)
    with torch.no_grad():
        first, second = (
            resnet.eval().conv1(network.normalization(x))
            for x, (network, resnet) in (
                (grey, pretrained_networks(1)[0]),
                (grey.expand(1, 3, 64, 64), pretrained_networks(3)[0]),
            )
        )
    # not equal: the colours' means differ by ±0.04 from their mean
    assert (first - second).abs().mean() < 0.2 * second.std()


def test_a_checkpoint_of_pretrained_networks_needs_no_imagenet_weights(imagenet_weights):
    x = images(2, 1, 64, 64)
    pairs = zip(pretrained_networks(1), pretrained_networks(1, pretrained=False), strict=True)
    for (trained, _), (fresh, _) in pairs:
        fresh.load_state_dict(trained.state_dict())
        assert torch.equal(fresh.eval()(x), trained.eval()(x))


def test_normalization():
    x = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
    spread = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
    colour, grey = Normalization(3, True), Normalization(1, True)
    torch.testing.assert_close(colour(x), torch.zeros(1, 3, 1, 1))
    torch.testing.assert_close(colour(x + spread), torch.ones(1, 3, 1, 1))
    assert grey(torch.full((1, 1, 1, 1), 0.449 + 0.226)).item() == pytest.approx(1, abs=1e-5)
    assert torch.equal(Normalization(3, False)(x), x)


PROGRAM_DEMO = """
import sys
import torch
import gradprom.degradations, gradprom.metrics
from gradprom.models.enhancers import resnet_encoder, srresnet
from gradprom.models.recognizers import build_recognizer
srresnet.build(srresnet.Options(), 3)
for output in ("image", "pixel"):
    build_recognizer(output, "small", True, 3, 2)
resnet_encoder.Options()
heavy = ("timm", "torchvision", "segmentation_models_pytorch", "torchmetrics", "matplotlib")
print([name for name in heavy if name in sys.modules])
"""


@pytest.fixture
def offline(tmp_path, monkeypatch):
    """As with HF_HUB_OFFLINE=1 and an empty cache, which are read when the hub is imported."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))


@pytest.mark.parametrize(
    "build",
    [
        lambda: resnet_encoder.build(resnet_encoder.Options(encoder="resnet18"), 3),
        lambda: build_recognizer("image", "resnet18", True, 3, 2),
        lambda: build_recognizer("pixel", "resnet18", True, 1, 2),
    ],
    ids=["enhancer", "classifier", "unet"],
)
def test_imagenet_weights_that_cannot_be_had_stop_with_one_sentence(offline, build):
    with pytest.raises(ConfigError) as caught:
        build()
    (sentence,) = str(caught.value).splitlines()
    assert "ImageNet weights resnet18.tv_in1k could not be loaded" in sentence
    assert "pretrained=false" in sentence and "HF_HOME" in sentence


def test_a_broken_weights_file_stops_too(imagenet_weights, tmp_path):
    (tmp_path / "resnet18.pth").write_bytes(b"half a download")
    with pytest.raises(ConfigError, match="resnet18.tv_in1k could not be loaded"):
        build_recognizer("image", "resnet18", True, 3, 2)


def test_the_demo_networks_import_nothing_heavy():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM_DEMO],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


def test_all_resnets_have_the_weights_they_are_asked_for():
    import timm

    assert [name for name in RESNETS if not timm.is_model_pretrained(f"{name}.tv_in1k")] == []
