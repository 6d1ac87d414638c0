"""Enhancers and recognizers: published sizes, any image size, ImageNet weights or a clear stop."""

import os
import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F

from gradprom.errors import ConfigError
from gradprom.models.enhancers import resnet_encoder, srresnet
from gradprom.models.imagenet import RESNETS, Normalization, pad
from gradprom.models.recognizers import build_recognizer

OUTPUTS = ("image", "pixel")


def parameters(network):
    return sum(parameter.numel() for parameter in network.parameters())


def images(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def small_srresnet(channels=1, scale=1):
    return srresnet.build(srresnet.Options(channels=8, blocks=2), channels, scale)


def resnet_enhancer(channels=1, scale=1, encoder="resnet18", trained=True):
    options = resnet_encoder.Options(encoder=encoder, pretrained=False)
    network = resnet_encoder.build(options, channels, scale)
    if trained:  # it starts as the identity, which would hide everything before the last layer
        torch.nn.init.normal_(network.tail.weight, std=0.01)
    return network


ENHANCERS = {"srresnet": small_srresnet, "resnet_encoder": resnet_enhancer}
RECOGNIZERS = [(output, backbone) for output in OUTPUTS for backbone in ("small", "resnet18")]


def recognizer(output, backbone, channels=1, classes=3):
    return build_recognizer(output, backbone, False, channels, classes)


def open_residuals(network):
    """timm starts each residual branch at zero, where its inner layers learn from step two on."""
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.ones_(module.weight)
    return network


def assert_all_learn(network, loss):
    loss.backward()
    still = [
        name
        for name, parameter in network.named_parameters()
        if parameter.grad is None or not parameter.grad.isfinite().all() or not parameter.grad.any()
    ]
    assert still == []


# SR-ResNet


@pytest.mark.parametrize(
    "channels, scale, count", [(3, 1, 1254036), (1, 1, 1233298), (3, 2, 1401749), (3, 4, 1549462)]
)
def test_srresnet_has_the_published_number_of_parameters(channels, scale, count):
    network = srresnet.build(srresnet.Options(), channels, scale)
    assert parameters(network) == count


@pytest.mark.parametrize("scale", [1, 2])
def test_a_global_skip_adds_the_enlarged_input_and_no_parameter(scale):
    options = srresnet.Options(channels=8, blocks=2, global_skip=True)
    network, x = srresnet.build(options, 3, scale), images(2, 3, 12, 20)
    size = (12 * scale, 20 * scale)
    enlarged = F.interpolate(x, size, mode="bicubic") if scale > 1 else x
    plain = srresnet.build(srresnet.Options(channels=8, blocks=2), 3, scale)
    plain.load_state_dict(network.state_dict())
    torch.testing.assert_close(network(x) - plain(x), enlarged)
    # training starts near the input, with a gradient everywhere
    assert F.mse_loss(network(x), enlarged) < 0.01
    assert_all_learn(network, F.mse_loss(network(x), torch.zeros_like(enlarged)))


def test_srresnet_skips_are_where_ledig_puts_them():
    network = small_srresnet().eval()
    x = images(1, 1, 12, 12)
    features = network.head(x)
    for block in list(network.body)[:-2]:
        torch.nn.init.zeros_(block.layers[-1].weight)
    torch.testing.assert_close(network.body(features), network.body[-2:](features))
    torch.nn.init.zeros_(network.body[-1].weight)
    torch.testing.assert_close(network(x), network.tail(features))


@pytest.mark.parametrize("build", [small_srresnet, resnet_enhancer])
@pytest.mark.parametrize("scale", [0, -2])
def test_scales_that_pixel_shuffles_cannot_make_are_refused(build, scale):
    with pytest.raises(ValueError, match=f"scale={scale}.*whole numbers >= 1"):
        build(scale=scale)


@pytest.mark.parametrize(
    ("scale", "factors"),
    [(1, []), (2, [2]), (3, [3]), (8, [2, 2, 2]), (12, [2, 2, 3]), (25, [5, 5])],
)
def test_a_scale_is_made_by_one_pixel_shuffle_for_each_prime_factor(scale, factors):
    layers = srresnet.upsampling(4, scale)
    shuffles = [x.upscale_factor for x in layers if isinstance(x, torch.nn.PixelShuffle)]
    assert shuffles == factors
    assert layers(images(1, 4, 2, 3)).shape == (1, 4, 2 * scale, 3 * scale)


@pytest.mark.parametrize("values", [{"channels": 0}, {"blocks": 0}])
def test_srresnet_options_out_of_range_are_refused(values):
    with pytest.raises(ValueError, match=f"{next(iter(values))}=0.*>= 1"):
        srresnet.Options(**values)


# every enhancer


@pytest.mark.parametrize("build", ENHANCERS.values(), ids=ENHANCERS)
@pytest.mark.parametrize(
    "channels, scale, size", [(1, 1, (37, 50)), (3, 2, (33, 9)), (1, 3, (9, 11)), (3, 4, (8, 8))]
)
def test_enhancer_takes_any_size_and_returns_it_scaled(build, channels, scale, size):
    network = build(channels, scale).eval()
    enhanced = network(images(2, channels, *size))
    assert enhanced.shape == (2, channels, scale * size[0], scale * size[1])
    assert enhanced.isfinite().all()


@pytest.mark.parametrize("build", ENHANCERS.values(), ids=ENHANCERS)
def test_all_of_an_enhancer_learns(build):
    network = open_residuals(build())
    assert_all_learn(
        network, F.mse_loss(network(images(2, 1, 64, 64)), images(2, 1, 64, 64, seed=1))
    )


@pytest.mark.parametrize("build", ENHANCERS.values(), ids=ENHANCERS)
def test_enhancer_is_not_clamped_in_training(build):
    """A clamp would stop the gradient of every pixel outside [0, 1]."""
    network = build()
    with torch.no_grad():
        network.tail.bias += 5
    assert network(images(2, 1, 64, 64)).max() > 1


@pytest.mark.parametrize("build", ENHANCERS.values(), ids=ENHANCERS)
def test_evaluation_of_an_enhancer_depends_on_the_image_alone(build):
    network = build().eval()
    x = images(3, 1, 40, 40)
    with torch.no_grad():
        together = network(x)
        assert torch.equal(network(x), together)
        torch.testing.assert_close(network(x[1:2]), together[1:2], rtol=1e-4, atol=1e-5)


# ResNet enhancer


def test_resnet_enhancer_starts_as_the_identity_or_bicubic_interpolation():
    x = images(2, 1, 37, 41)
    assert torch.equal(resnet_enhancer(trained=False)(x), x)
    larger = F.interpolate(x, scale_factor=2, mode="bicubic")
    assert torch.equal(resnet_enhancer(scale=2, trained=False)(x), larger)


def test_resnet_enhancer_sees_the_same_at_every_alignment_to_its_stride():
    """What is repeated at the border is cut away again, with nothing shifted."""
    network = resnet_enhancer().eval()
    x = images(1, 1, 70, 90)
    with torch.no_grad():
        difference = (network(pad(x))[..., :70, :90] - network(x)).abs()
    # the 9×9 convolutions pad with zeros where the padded image has its repeated border
    assert difference[..., :62, :82].max() < 1e-5


def test_resnet101_enhances():
    network = resnet_enhancer(3, encoder="resnet101").eval()
    # torchvision's ResNet-101 without its classifier
    assert parameters(network.encoder) == 44549160 - 1000 * 2049
    with torch.no_grad():
        assert network(images(1, 3, 64, 64)).shape == (1, 3, 64, 64)


def test_unknown_encoder_is_refused_with_what_is_allowed():
    with pytest.raises(ValueError, match="encoder=vgg22.*resnet50, resnet101"):
        resnet_encoder.Options(encoder="vgg22")


# recognizers


@pytest.mark.parametrize("output, backbone", RECOGNIZERS)
@pytest.mark.parametrize("channels, size", [(1, (45, 70)), (3, (64, 32))])
def test_recognizer_takes_any_size(output, backbone, channels, size):
    logits = recognizer(output, backbone, channels, 5).eval()(images(2, channels, *size))
    assert logits.shape == ((2, 5) if output == "image" else (2, 5, *size))


@pytest.mark.parametrize("output, backbone", RECOGNIZERS)
def test_all_of_a_recognizer_and_its_image_learn(output, backbone):
    network = open_residuals(recognizer(output, backbone))
    x = images(4, 1, 64, 64).requires_grad_()
    logits = network(x)
    target = torch.arange(4) % 3
    if output == "pixel":
        target = target.view(4, 1, 1).expand(4, 64, 64)
    assert_all_learn(network, F.cross_entropy(logits, target))
    assert x.grad.abs().sum() > 0


@pytest.mark.parametrize("output, backbone", RECOGNIZERS)
def test_evaluation_of_a_recognizer_is_deterministic(output, backbone):
    network = recognizer(output, backbone).eval()
    x = images(2, 1, 40, 40)
    with torch.no_grad():
        assert torch.equal(network(x), network(x))


@pytest.mark.parametrize(
    "backbone, count", [("resnet18", 11689512), ("resnet50", 25557032), ("resnet101", 44549160)]
)
def test_classifiers_are_the_published_resnets(backbone, count):
    assert parameters(recognizer("image", backbone, 3, 1000)) == count


def test_unet_is_the_measured_one():
    """notes/libraries.md: Unet('resnet101') of segmentation-models-pytorch has 51.5 million."""
    network = recognizer("pixel", "resnet101", 3, 1)
    assert parameters(network) == pytest.approx(51.5e6, rel=1e-3)


def test_an_unknown_network_or_output_is_refused_with_what_is_allowed():
    with pytest.raises(ConfigError, match="backbone=vgg22 .*resnet18, .*small"):
        build_recognizer("image", "vgg22", False, 3, 2)
    with pytest.raises(ConfigError, match="backbone=small .*every box"):
        build_recognizer("box", "small", False, 3, 2)


# ImageNet weights


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
